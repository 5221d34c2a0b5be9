"""The working directory of a run: its inputs on disk, and its end."""

from __future__ import annotations

import hashlib
import logging
import shutil
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from dc_core import Column, Dataset, Ragged
from dc_pipeline.disk import DiskDataset
from dc_pipeline.disk.header import FILENAME

logger = logging.getLogger(__name__)


def identity(dataset: Dataset) -> str:
    """Return a digest of the rows and what they mean, the same for equal datasets of one class.

    The rows are read for it, by batches, unless the dataset is on disk.
    """
    return dataset.identity if isinstance(dataset, DiskDataset) else _digest(dataset)


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


def _digest(dataset: Dataset) -> str:
    found = hashlib.sha256(repr((dataset.tasks, dict(dataset.classes))).encode())
    for batch in dataset.batches(4096):
        X = batch.X if isinstance(batch.X, Mapping) else {"": batch.X}
        columns = [*X.items(), ("y", batch.y), ("w", batch.w), ("ids", batch.ids)]
        for name, column in columns:
            found.update(repr((name, str(column.dtype))).encode())
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
