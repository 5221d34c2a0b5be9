"""Gather the rows that batches give into columns with one row per input."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from dc_core import Column, Columns, Ragged


class Gathered:
    """Columns of ``n`` rows, filled batch by batch; rows that are not added are zero or empty.

    ``empty`` are the columns without rows, which have the dtypes and shapes of all.
    """

    def __init__(self, n: int, empty: Columns) -> None:
        self.ok = np.zeros(n, bool)
        named = isinstance(empty, Mapping)
        parts: Mapping[str, Column] = empty if isinstance(empty, Mapping) else {"": empty}
        self._named = named
        self._parts = {name: _part(n, column) for name, column in parts.items()}

    def add(self, rows: np.ndarray, columns: Columns) -> None:
        """Set ``rows``, which are higher than those added before, to ``columns``."""
        self.ok[rows] = True
        given = columns if isinstance(columns, Mapping) else {"": columns}
        for name, part in self._parts.items():
            part.add(rows, given[name])

    def columns(self) -> Columns:
        """Return all columns."""
        whole = {name: part.column() for name, part in self._parts.items()}
        return whole if self._named else whole[""]


class _Dense:
    def __init__(self, n: int, empty: np.ndarray) -> None:
        self._values = np.zeros((n, *empty.shape[1:]), empty.dtype)

    def add(self, rows: np.ndarray, column: Any) -> None:
        self._values[rows] = column

    def column(self) -> Column:
        return self._values


class _Uneven:
    def __init__(self, n: int, empty: Ragged) -> None:
        self._lengths = np.zeros(n, np.int64)
        self._values = [empty.values]

    def add(self, rows: np.ndarray, column: Any) -> None:
        self._lengths[rows] = column.lengths
        self._values.append(column.values)

    def column(self) -> Column:
        offsets = np.zeros(len(self._lengths) + 1, np.int64)
        np.cumsum(self._lengths, out=offsets[1:])
        return Ragged(np.concatenate(self._values), offsets)


def _part(n: int, empty: Column) -> _Dense | _Uneven:
    return _Uneven(n, empty) if isinstance(empty, Ragged) else _Dense(n, empty)


def row_shape(columns: Columns) -> Any:
    """Return the shape of one row, or a dict of those of all columns by name.

    That of a ragged column begins with None.
    """
    if isinstance(columns, Mapping):
        return {name: row_shape(column) for name, column in columns.items()}
    if isinstance(columns, Ragged):
        return (None, *columns.values.shape[1:])
    return columns.shape[1:]


def row_bytes(columns: Columns) -> int:
    """Return how many bytes one row takes, without the values of ragged columns."""
    if isinstance(columns, Mapping):
        return sum(map(row_bytes, columns.values()))
    return (
        8 if isinstance(columns, Ragged) else columns.dtype.itemsize * math.prod(columns.shape[1:])
    )
