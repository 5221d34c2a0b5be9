"""Read the data of a run, and know which row of the file each row is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from dc_core import Dataset, Failure, Loader
from dc_core.errors import DatasetError, EmptyDataset
from dc_pipeline.command.configuration import Data
from dc_pipeline.command.loading import format_of, loader_of
from dc_pipeline.disk import DiskDataset
from dc_pipeline.loaders.sources import Source, is_url


@dataclass(frozen=True, slots=True)
class Rows:
    """The rows of a source that can be used.

    ``numbers`` are their numbers in the source, ``(n,)`` of int. ``failures`` are about the others,
    and about single labels. ``source`` is its name, size and SHA-256.
    """

    dataset: Dataset
    numbers: np.ndarray
    failures: tuple[Failure, ...]
    source: Mapping[str, Any]


def loader_for(data: Data) -> Loader:
    """Return the loader of the file that ``data`` names; see :func:`loader_of`."""
    options = {
        "inputs": data.inputs,
        "tasks": data.tasks,
        "id": data.id,
        "weights": data.weights,
        "classes": data.classes,
        "delimiter": data.delimiter,
        "encoding": data.encoding,
    }
    return loader_of(data.format or format_of(data.path), options)


def stored_dataset(data: Data) -> DiskDataset | None:
    """Return the dataset on disk that ``data`` names, None if it names a file."""
    if is_url(data.path) or not Path(data.path).is_dir():
        return None
    return DiskDataset(data.path)


def read(data: Data, *, strict: bool = False) -> Rows:
    """Return the rows that ``data`` names: a file, or a directory that ``featurize`` wrote.

    Raises :class:`DatasetError` if the file is not the one whose SHA-256 ``data`` has,
    :class:`EmptyDataset` if no row can be used, and what the loader raises; ``strict`` raises
    :class:`FeaturizationError` for the first row or label that cannot be used.
    """
    stored = stored_dataset(data)
    if stored is not None:
        source = {"name": data.path, "size": len(stored), "sha256": stored.identity}
        _check_digest(data, source)
        return Rows(stored, np.arange(len(stored)), (), source)
    loader = loader_for(data)
    source = Source(data.path).describe()
    _check_digest(data, source)
    dataset, failures = loader.load(data.path, strict=strict)
    if len(dataset) == 0:
        raise EmptyDataset(f"{source['name']} has no row that can be used: {failures}.")
    lost = [failure.row for failure in failures if not failure.task]
    numbers = np.setdiff1d(np.arange(len(dataset) + len(lost)), lost, assume_unique=True)
    return Rows(dataset, numbers, tuple(failures), source)


def in_source(failures: Any, numbers: np.ndarray) -> list[Failure]:
    """Return ``failures`` with the ``numbers`` in the source of their rows."""
    return [replace(failure, row=int(numbers[failure.row])) for failure in failures]


def _check_digest(data: Data, source: Mapping[str, Any]) -> None:
    if data.sha256 and data.sha256 != source["sha256"]:
        raise DatasetError(
            f"{source['name']} is not the file that was used before: its SHA-256 is "
            f"{source['sha256']}, not {data.sha256}.",
            hint="Get that file again; for a run on this one, leave data.sha256 out.",
        )
