"""The base of loaders of many small files: a file, or a list of them, and rows from each."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import (
    Columns,
    Failure,
    FailureReport,
    Loaded,
    Loader,
    NumpyDataset,
    check_count,
)
from dc_core.errors import LoaderError
from dc_pipeline.loaders.sources import Source

_LIMIT: Final = 1 << 28
"""The largest file, unpacked, in bytes."""


class Row(NamedTuple):
    """A row of a file: its id, and the values from which :meth:`FilesLoader._X` makes its X."""

    id: str
    values: Any


class Unusable(Exception):
    """A row or file cannot be used: the status of the failure, and the reason."""

    def __init__(self, status: str, reason: str) -> None:
        super().__init__(reason)
        self.status = status
        self.reason = reason


class FilesLoader(Loader):
    """A loader of a file or of a list of files, each of which has one row or more.

    A subclass writes :meth:`_rows` and :meth:`_X`. A file that cannot be used is a row that fails;
    only a single file that cannot be read is an error.
    """

    def batches(self, source: Any, *, size: int = 64, start: int = 0) -> Iterator[Loaded]:
        """Yield the rows from row ``start`` on, in batches of ``size`` rows, as all loaders do."""
        check_count("size", size, minimum=1)
        check_count("start", start, minimum=0)
        files = _files(source)
        rows: list[Row] = []
        failures: list[Failure] = []
        number = 0
        given = False
        for file in files:
            for row in self._outcomes(file, alone=len(files) == 1):
                number += 1
                if number <= start:
                    continue
                if isinstance(row, Row):
                    rows.append(row)
                else:
                    failures.append(Failure(number - 1, file.name, row.status, row.reason))
                if len(rows) + len(failures) == size:
                    yield self._loaded(rows, failures)
                    given = True
                    rows, failures = [], []
        if rows or failures or not given:
            yield self._loaded(rows, failures)

    @abstractmethod
    def _rows(self, file: Source, data: bytes) -> Sequence[Row]:
        """Return the rows of a file that holds ``data``; raises :class:`Unusable`."""

    @abstractmethod
    def _X(self, values: Sequence[Any]) -> Columns:
        """Return X of the values of some rows, of which there may be none."""

    def _outcomes(self, file: Source, *, alone: bool) -> Sequence[Row | Unusable]:
        try:
            return self._rows(file, file.read(_LIMIT))
        except Unusable as error:
            return [error]
        except LoaderError as error:
            if alone:
                raise
            return [Unusable("parse", str(error))]

    def _loaded(self, rows: Sequence[Row], failures: Sequence[Failure]) -> Loaded:
        ids = np.array([row.id for row in rows], dtype=object).astype(np.dtypes.StringDType())
        dataset = NumpyDataset(self._X([row.values for row in rows]), ids=ids)
        return Loaded(dataset, FailureReport(tuple(failures)))


def _files(source: Any) -> list[Source]:
    files = [Source(one) for one in (source if isinstance(source, list | tuple) else [source])]
    if not files:
        raise LoaderError("The list of files is empty.", hint="Give at least one path or URL.")
    return files
