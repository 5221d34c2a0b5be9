"""The working directory of a run: its inputs on disk, and its end."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

from dc_core import Dataset, dataset_digest
from dc_pipeline.disk import DiskDataset
from dc_pipeline.disk.header import FILENAME

logger = logging.getLogger(__name__)


def identity(dataset: Dataset) -> str:
    """Return a digest of the rows and their meaning, the same for equal datasets of one class.

    The rows are read for it, by batches, unless the dataset is on disk.
    """
    return dataset.identity if isinstance(dataset, DiskDataset) else dataset_digest(dataset)


def on_disk(dataset: Dataset, identity: str, directory: Path) -> DiskDataset:
    """Return ``dataset`` if it is on disk, and else a copy of it below ``directory``.

    The copy is named for the ``identity``, so that a run that is continued uses it again.
    """
    if isinstance(dataset, DiskDataset):
        return dataset
    place = directory / f"inputs-{identity[:32]}"
    if (place / FILENAME).exists():
        return DiskDataset(place)
    return DiskDataset.create(place, dataset)


def clear(directory: Path) -> None:
    """Remove the working directory of a run that is complete.

    What cannot be removed costs disk space, but not the result: it is logged.
    """
    shutil.rmtree(directory, ignore_errors=True)
    if directory.exists():
        logger.warning("%s could not be removed: delete it to free the disk space", directory)
