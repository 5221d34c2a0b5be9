"""Datasets on disk: memory-mapped arrays beside a small JSON header."""

from dc_pipeline.disk.dataset import DiskDataset
from dc_pipeline.disk.writer import DatasetWriter

__all__ = ["DatasetWriter", "DiskDataset"]
