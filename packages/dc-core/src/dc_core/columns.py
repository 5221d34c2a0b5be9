"""Columns: the arrays that X consists of, dense, text or ragged.

X is one column, or a mapping of named columns of equal length. A dense column is an array
``(n, ...)`` and text an array ``(n,)`` of ``StringDType``. A ragged column, :class:`Ragged`, has
rows of different lengths: atoms, bonds, tokens, conformers. Arrays of Python objects are none.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final, TypeAlias, overload

import numpy as np

from dc_core.arrays import to_array
from dc_core.errors import DatasetError


class Ragged:
    """Rows of different lengths: row i is ``values[offsets[i]:offsets[i + 1]]``.

    ``values`` is ``(total, ...)``, numbers or text, the rows one after another. ``offsets`` is
    ``(n + 1,)`` of int64, from 0 to ``total``. Neither is copied if it has the right dtype, so
    memory-mapped arrays stay on disk.

    ``column[i]`` is one row; ``column[2:5]``, ``column[mask]`` and ``column[[3, 1]]`` are ragged
    columns. A slice without a step shares its values with this column.

    Raises :class:`DatasetError` if the offsets do not divide the values into rows.
    """

    __slots__ = ("offsets", "values")

    def __init__(self, values: Any, offsets: Any) -> None:
        self.values = to_array("The values", values)
        given = np.asarray(offsets)
        if given.dtype.kind not in "iu" or given.ndim != 1 or given.size == 0:
            raise DatasetError(
                f"The offsets have dtype {given.dtype} and shape {given.shape}.",
                hint="Give n + 1 integers for n rows.",
            )
        self.offsets = given.astype(np.int64, copy=False)
        total = len(self.values) if self.values.ndim else -1
        ends = int(self.offsets[0]), int(self.offsets[-1])
        if ends != (0, total) or (self.offsets[1:] < self.offsets[:-1]).any():
            raise DatasetError(
                f"The offsets go from {ends[0]} to {ends[1]}; they must rise from 0 to {total}, "
                "the number of values.",
                hint="Use Ragged.from_rows(rows).",
            )

    @classmethod
    def from_rows(cls, rows: Sequence[Any], dtype: Any = None) -> Ragged:
        """Return the column of ``rows``, arrays or lists that differ at most in their length.

        ``dtype`` is that of the values; without one it is NumPy's choice for all rows together.

        Raises :class:`DatasetError` if the rows differ in anything but their length.
        """
        arrays = [to_array(f"Row {i}", row) for i, row in enumerate(rows)]
        shapes = {
            array.shape[1:] if array.ndim else "a single value" for array in arrays if array.size
        }
        if len(shapes) > 1 or "a single value" in shapes:
            raise DatasetError(
                f"The rows differ in more than their length: {sorted(map(str, shapes))}.",
                hint="Row i must have the shape (length_i, ...).",
            )
        values = np.concatenate([a for a in arrays if a.size] or arrays or [np.zeros(0)])
        offsets = np.cumsum([0, *map(len, arrays)], dtype=np.int64)
        return cls(values if dtype is None else values.astype(dtype), offsets)

    @property
    def lengths(self) -> np.ndarray:
        """The length of each row, ``(n,)`` of int64."""
        return np.diff(self.offsets)

    @property
    def row_numbers(self) -> np.ndarray:
        """The row that each value belongs to, ``(total,)`` of int64."""
        return np.repeat(np.arange(len(self)), self.lengths)

    @property
    def dtype(self) -> np.dtype[Any]:
        """The dtype of the values."""
        return self.values.dtype

    @property
    def nbytes(self) -> int:
        """The size of values and offsets in bytes; variable-width text counts by its headers."""
        return self.values.nbytes + self.offsets.nbytes

    def padded(self, length: int | None = None, fill: Any = 0) -> tuple[np.ndarray, np.ndarray]:
        """Return the values as ``(n, length, ...)``, and where they are values, ``(n, length)``.

        ``length`` defaults to that of the longest row; the rest is ``fill``.

        Raises :class:`DatasetError` if a row is longer than ``length``.
        """
        lengths = self.lengths
        longest = int(lengths.max(initial=0))
        width = longest if length is None else length
        if longest > width:
            raise DatasetError(f"A row has {longest} values, more than {width}.")
        given = np.arange(width) < lengths[:, None]
        padded = np.full((len(self), width, *self.values.shape[1:]), fill, self.values.dtype)
        padded[given] = self.values
        return padded, given

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[np.ndarray]:
        """Iterate over the rows; they share memory with this column."""
        return (self.values[a:b] for a, b in pairwise(self.offsets.tolist()))

    @overload
    def __getitem__(self, key: int | np.integer[Any]) -> np.ndarray: ...
    @overload
    def __getitem__(self, key: slice | Sequence[int] | np.ndarray) -> Ragged: ...
    def __getitem__(self, key: Any) -> Any:
        """Return one row for an integer, and a ragged column for a slice, a mask or a list."""
        if isinstance(key, int | np.integer):
            row = range(len(self))[key]
            return self.values[self.offsets[row] : self.offsets[row + 1]]
        if isinstance(key, slice) and key.step in (None, 1):
            start, stop, _ = key.indices(len(self))
            ends = self.offsets[start : max(start, stop) + 1]
            return _made(self.values[ends[0] : ends[-1]], ends - ends[0])
        rows = np.arange(len(self))[key]
        starts, lengths = self.offsets[rows], self.offsets[rows + 1] - self.offsets[rows]
        offsets = np.zeros(len(rows) + 1, np.int64)
        np.cumsum(lengths, out=offsets[1:])
        places = np.arange(offsets[-1]) + np.repeat(starts - offsets[:-1], lengths)
        return _made(self.values[places], offsets)

    def __repr__(self) -> str:
        """Show the number of rows, the number of values, their shape and dtype."""
        shape = self.values.shape[1:]
        each = f" of shape {shape}" if shape else ""
        return f"Ragged({len(self)} rows, {len(self.values)} × {self.values.dtype}{each})"


def _made(values: np.ndarray, offsets: np.ndarray) -> Ragged:
    """Return a column without checking the offsets, which come from a checked one."""
    column = Ragged.__new__(Ragged)
    column.values, column.offsets = values, offsets
    return column


Column: TypeAlias = "np.ndarray | Ragged"
"""An array ``(n, ...)`` of numbers, one ``(n,)`` of text, or a ragged column."""

Columns: TypeAlias = "np.ndarray | Ragged | Mapping[str, np.ndarray | Ragged]"
"""X: one column, or several of equal length by name."""

MAX_COLUMNS: Final = 10_000
"""More columns than this are a table of numbers, which is one column ``(n, features)``."""


def to_columns(part: str, values: Any) -> Columns:
    """Return ``values`` as one column, or as a dict of named columns if it is a mapping.

    A column is a :class:`Ragged` or what :func:`dc_core.to_array` takes. ``part`` names the values
    in errors.

    Raises :class:`DatasetError` for a single value, names that are not text, and columns of
    different lengths.
    """
    if not isinstance(values, Mapping):
        return _to_column(part, values)
    if not values or len(values) > MAX_COLUMNS:
        raise DatasetError(
            f"{part} has {len(values)} named columns; it can have 1 to {MAX_COLUMNS}.",
            hint="Give many features as one array (n, features).",
        )
    for name in values:
        if not isinstance(name, str) or not name or "/" in name:
            raise DatasetError(
                f"{part} has a column named {name!r}.", hint="Give each a text without '/'."
            )
    columns = {name: _to_column(f"{part}[{name!r}]", column) for name, column in values.items()}
    lengths = {name: len(column) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        raise DatasetError(f"The columns of {part} differ in length: {lengths}.")
    return columns


def _to_column(part: str, values: Any) -> Column:
    if isinstance(values, Ragged):
        return values
    array = to_array(part, values)
    if array.ndim == 0:
        raise DatasetError(f"{part} is a single value.", hint="Give one row per sample.")
    return array


def row_count(columns: Columns) -> int:
    """Return the number of rows of one column, or of several."""
    return len(next(iter(columns.values())) if isinstance(columns, Mapping) else columns)


def take_rows(columns: Columns, key: Any) -> Any:
    """Return ``columns`` with the rows of ``key`` only: an integer, slice, mask or integers."""
    if type(columns) is np.ndarray:
        if isinstance(key, np.ndarray) and key.dtype.kind == "i":
            return columns.take(key, axis=0)  # what columns[key] is, in a fraction of the time
        return columns[key]
    if isinstance(columns, Mapping):
        return {name: column[key] for name, column in columns.items()}
    return columns[key]


def concatenate_rows(parts: Sequence[Columns]) -> Any:
    """Return the rows of all ``parts``, which have the same columns, one after another.

    Raises :class:`DatasetError` if they have not, and if there is no part.
    """
    if not parts:
        raise DatasetError("There is nothing to concatenate.")
    first, *others = parts
    kinds = {type(part) if not isinstance(part, Mapping) else tuple(part) for part in parts}
    if len(kinds) > 1:
        raise DatasetError("The parts have different columns.", hint="Featurize them alike.")
    if not others:
        return first
    if isinstance(first, Mapping):
        named: Any = parts
        return {name: concatenate_rows([part[name] for part in named]) for name in first}
    columns: Any = parts
    try:
        if isinstance(first, Ragged):
            values = np.concatenate([column.values for column in columns])
            ends = np.cumsum([0, *(len(column.values) for column in columns)])
            offsets = [c.offsets[1:] + end for c, end in zip(columns, ends[:-1], strict=True)]
            return _made(values, np.concatenate([np.zeros(1, np.int64), *offsets]))
        return np.concatenate(columns)
    except (ValueError, TypeError) as error:
        raise DatasetError(f"The parts differ in shape or dtype: {error}.") from error


def dense_array(columns: Columns, who: str) -> np.ndarray:
    """Return X if it is one array, which ``who`` needs.

    Raises :class:`DatasetError`, naming ``who``, if X is ragged or has named columns.
    """
    if isinstance(columns, np.ndarray):
        return columns
    if isinstance(columns, Mapping):
        raise DatasetError(
            f"{who} needs X as one array; it has the columns {', '.join(columns)}.",
            hint=f"Choose one: dataset[{next(iter(columns))!r}].",
        )
    raise DatasetError(
        f"{who} needs X as one array; its rows differ in length.",
        hint="Pad them: values, given = column.padded().",
    )
