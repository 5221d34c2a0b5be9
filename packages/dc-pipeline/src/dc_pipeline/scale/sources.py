"""Rows that workers can read: a dataset on disk."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dc_core import Column, Dataset, Ragged
from dc_pipeline.disk import DiskDataset


def on_disk(dataset: Dataset, directory: Path) -> DiskDataset:
    """Return ``dataset`` if it is on disk, and else a copy of it below ``directory``.

    The copy's name is a digest of the rows, so that a run that is continued uses it again.
    """
    if isinstance(dataset, DiskDataset):
        return dataset
    place = directory / f"inputs-{_digest(dataset)[:32]}"
    if (place / "dataset.json").exists():
        return DiskDataset(place)
    return DiskDataset.create(place, dataset)


def _digest(dataset: Dataset) -> str:
    found = hashlib.sha256(repr((dataset.tasks, dict(dataset.classes))).encode())
    for batch in dataset.batches(4096):
        X = batch.X if isinstance(batch.X, Mapping) else {"": batch.X}
        for name, column in {**X, "y": batch.y, "w": batch.w, "ids": batch.ids}.items():
            found.update(f"{name} {column.dtype} ".encode())
            _add(found, column)
    return found.hexdigest()


def _add(found: hashlib._Hash, column: Column) -> None:
    if isinstance(column, Ragged):
        _add(found, column.offsets)
        _add(found, column.values)
    elif column.dtype.kind == "T":
        texts = [text.encode() for text in column.ravel().tolist()]
        _add(found, np.fromiter(map(len, texts), np.int64, len(texts)))
        found.update(b"".join(texts))
    else:
        found.update(repr(column.shape).encode())
        found.update(np.ascontiguousarray(column).reshape(-1).view(np.uint8).data)
