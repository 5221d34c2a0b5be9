"""The source of a run: a dataset, or a file that a loader reads, with its failures."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import Dataset, Failure, FailureReport, Loader, check_dataset
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.disk import DiskDataset
from dc_pipeline.disk.failures import stored_failures
from dc_pipeline.scale.working import identity, on_disk
from dc_pipeline.storing import store

_FIRST: Final = 64
"""Rows that are read to check that the loader can read a file."""


def check_source(source: Any, loader: Loader | None) -> None:
    """Raise an error, before anything is written, if ``source`` cannot be read.

    It is a dataset with rows, or a file whose first rows ``loader`` reads.
    """
    if not isinstance(source, str | os.PathLike):
        check_dataset(source)
        if len(source) == 0:
            raise EmptyDataset("The dataset has no row.", hint="See the loader's report.")
        return
    if loader is None:
        raise ParameterError(
            f"How {os.fspath(source)} is to be read is not said.",
            hint='Give a loader: loader=CSVLoader("smiles").',
        )
    next(iter(loader.batches(source, size=_FIRST)))


def rows_of(
    source: Dataset | str | os.PathLike[str],
    loader: Loader | None,
    work: Path,
    *,
    strict: bool = False,
) -> tuple[DiskDataset, list[Failure]]:
    """Return the rows of a checked ``source``, on disk, and the rows that could not be read.

    A file is stored below ``work``. ``strict`` raises :class:`FeaturizationError` if anything in it
    cannot be read.
    """
    if loader is not None and isinstance(source, str | os.PathLike):
        rows = store(loader, source, work / "source", strict=strict)
        return rows, [*stored_failures(work / "source")]
    assert isinstance(source, Dataset)  # noqa: S101 - by check_source
    return on_disk(source, identity(source), work), []


class SourceNumbers:
    """The row in the source of each row that could be read, given the failures of the others."""

    def __init__(self, lost: Sequence[Failure]) -> None:
        self.lost = sorted(lost, key=lambda failure: failure.row)
        rows = np.array([failure.row for failure in self.lost], np.int64)
        self._read_before = rows - np.arange(len(rows))

    def of(self, rows: np.ndarray) -> np.ndarray:
        """Return the numbers in the source of ``rows``, numbers among those that were read."""
        return rows + np.searchsorted(self._read_before, rows, side="right")

    def report(self, failures: Sequence[Failure], labels: Sequence[Failure] = ()) -> FailureReport:
        """Return the failures of all rows, by their numbers in the source.

        ``failures`` have numbers among the rows that were read, ``labels`` those of the source.
        """
        numbers = self.of(np.array([failure.row for failure in failures], np.int64))
        moved = [replace(f, row=n) for f, n in zip(failures, numbers.tolist(), strict=True)]
        found = sorted([*moved, *self.lost, *labels], key=lambda failure: failure.row)
        return FailureReport(tuple(found))

    def between(self, start: int, stop: int, *, last: bool) -> list[Failure]:
        """Return the failures before the read row ``stop`` and not before ``start``."""
        first = int(np.searchsorted(self._read_before, start, side="right")) if start else 0
        end = (
            len(self.lost) if last else int(np.searchsorted(self._read_before, stop, side="right"))
        )
        return self.lost[first:end]
