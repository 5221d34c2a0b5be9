"""Split into the rows that are given."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dc_core import Dataset, Splitter, to_array
from dc_core.errors import DatasetError, EmptyDataset, ParameterError


class IndexSplitter(Splitter):
    """Divides the rows as published, or as another program divided them.

    ``train``, ``valid`` and ``test`` are row numbers; one of the three may be None, for the rows
    that are in no other. Folds that are given are groups: ``LeaveGroupOut(folds)``.

    Raises :class:`ParameterError` unless the row numbers are integers of at least 0, none of them
    twice.
    """

    def __init__(
        self,
        train: Sequence[int] | np.ndarray | None = None,
        valid: Sequence[int] | np.ndarray | None = (),
        test: Sequence[int] | np.ndarray | None = (),
    ) -> None:
        self.parts = [_rows(name, rows) for name, rows in _named(train, valid, test)]
        if sum(rows is None for rows in self.parts) > 1:
            raise ParameterError(
                "Two parts are None, and only one can have the rows that are left.",
                hint="Give the row numbers of two parts at least.",
            )
        given = np.concatenate([rows for rows in self.parts if rows is not None])
        rows, counts = np.unique(given, return_counts=True)
        if len(rows) < len(given):
            raise ParameterError(
                f"Row {rows[counts.argmax()]} is given {counts.max()} times.",
                hint="Give each row to one part.",
            )

    def indices(self, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row numbers of train, valid and test, each in the dataset's order.

        Raises :class:`EmptyDataset` for a dataset without rows, and :class:`DatasetError` if a row
        does not exist or is in no part.
        """
        n = len(dataset)
        if n == 0:
            raise EmptyDataset("There is no row to split.", hint="See the loader's failure report.")
        left = np.ones(n, bool)
        for rows in self.parts:
            if rows is not None:
                if len(rows) and rows[-1] >= n:
                    raise DatasetError(f"There is no row {rows[-1]}: the dataset has {n} rows.")
                left[rows] = False
        rest = np.flatnonzero(left)
        if len(rest) and all(rows is not None for rows in self.parts):
            raise DatasetError(
                f"{len(rest)} rows are in no part, such as row {rest[0]}.",
                hint="Give None for the part that they belong to, or leave them out before: "
                "dataset.select(rows).",
            )
        train, valid, test = (rest if rows is None else rows for rows in self.parts)
        return train, valid, test


def _named(train: Any, valid: Any, test: Any) -> list[tuple[str, Any]]:
    return [("train", train), ("valid", valid), ("test", test)]


def _rows(name: str, rows: Any) -> np.ndarray | None:
    """Return sorted row numbers, ``(rows,)`` of int; None is returned unchanged."""
    if rows is None:
        return None
    try:
        array = to_array(name, rows)
    except DatasetError as error:
        raise ParameterError(f"{name} cannot be used: {error}") from error
    if array.size == 0:
        array = array.astype(np.intp)
    if array.ndim != 1 or array.dtype.kind not in "iu" or (array.size and array.min() < 0):
        raise ParameterError(
            f"{name} has shape {array.shape} and dtype {array.dtype}, or a negative number.",
            hint="Give row numbers, which count from 0.",
        )
    return np.sort(array.astype(np.intp))
