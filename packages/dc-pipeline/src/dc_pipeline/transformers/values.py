"""The values that transformers learn from: y, X or one column of X, in float64, by blocks of rows.

Reading by blocks keeps memory flat: a dataset on disk is never in memory as a whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from copy import copy
from math import prod
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np

from dc_core import Batch, Dataset, dense_array
from dc_core.errors import DatasetError, EmptyDataset

Part: TypeAlias = Literal["X", "y"]

SAMPLE: Final = 100_000
"""Rows of which quantiles are learned by default; of more rows, a random sample of so many is."""

BLOCK: Final = 1 << 16
"""Values that are computed at a time, so that no copy of all of them is made."""


class Block(NamedTuple):
    """Values in float64, their weights, and which are known; the first two are 0 where not."""

    values: np.ndarray
    weights: np.ndarray
    known: np.ndarray


class Values:
    """The values of a part of ``dataset``; iterating yields :class:`Block`, as often as needed.

    ``shape`` is that of one row. Labels of weight 0 and NaN are not known. ``who`` is named in
    errors.

    Raises :class:`EmptyDataset` if there are no values, and :class:`DatasetError`, here or when a
    block is read, if they are not numbers, or infinite.
    """

    def __init__(self, dataset: Dataset, part: Part, column: str | None, who: str) -> None:
        self._dataset = dataset
        self.part, self._column, self._who = part, column, who
        self._function: Callable[[np.ndarray], np.ndarray] | None = None
        self.shape = self._read(0, min(1, len(dataset)))[0].shape[1:]
        if len(dataset) * prod(self.shape) == 0:
            shape = (len(dataset), *self.shape)
            raise EmptyDataset(
                f"{part} has shape {shape}: there is nothing to learn.",
                hint="Pass rows with labels: NumpyDataset(X, y)." if part == "y" else "",
            )

    def through(self, function: Callable[[np.ndarray], np.ndarray]) -> Values:
        """Return the values that ``function`` makes of the known ones, block by block."""
        mapped = copy(self)
        mapped._function = function
        return mapped

    def __iter__(self) -> Iterator[Block]:
        """Iterate over blocks of rows."""
        n = len(self._dataset)
        size = max(1, BLOCK // prod(self.shape))
        for start in range(0, n, size):
            yield self._block(*self._read(start, min(start + size, n)))

    def sample(self, rows: int, seed: int) -> np.ndarray:
        """Return the values of at most ``rows`` rows in float64, NaN where one is not known.

        They are all rows, or a random sample of them that depends on ``seed`` alone.
        """
        n = len(self._dataset)
        dataset = self._dataset
        if n > rows:
            chosen = np.random.default_rng(seed).choice(n, rows, replace=False, shuffle=False)
            dataset = dataset.select(np.sort(chosen))
        sampled = Values(dataset, self.part, self._column, self._who)
        sampled._function = self._function
        found = np.full((len(dataset), *self.shape), np.nan)
        start = 0
        for values, _, known in sampled:
            stop = start + len(values)
            np.copyto(found[start:stop], values, where=known)
            start = stop
        return found

    def _read(self, start: int, stop: int) -> tuple[np.ndarray, np.ndarray | None]:
        parts = ("y", "w") if self.part == "y" else ("X",)
        batch = self._dataset.rows(np.arange(start, stop), parts)
        values: np.ndarray = part_of(batch, self.part, self._column, self._who)
        return values, batch.w

    def _block(self, values: np.ndarray, weights: np.ndarray | None) -> Block:
        known = np.ones(values.shape, bool) if values.dtype.kind in "biu" else ~np.isnan(values)
        w = known.astype(np.float64)
        if weights is not None:
            known &= weights > 0
            w = np.where(known, weights, 0.0)
        v = np.where(known, values, 0).astype(np.float64, copy=False)
        if self._function is not None:
            v = np.where(known, self._function(v), 0.0)
        if not np.isfinite(v).all():
            raise too_large(self.part)
        return Block(v, w, known)


def column_quantiles(sample: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Return the quantiles of each column of ``sample``, ``(n, ...)``: ``(probabilities, ...)``.

    They are interpolated linearly (definition 7 of Hyndman and Fan 1996, doi:10.2307/2684934).
    Missing values do not count; a column without any value has NaN.
    """
    columns = sample.reshape(len(sample), prod(sample.shape[1:]))
    found = np.full((len(probabilities), columns.shape[1]), np.nan)
    for i, column in enumerate(columns.T):
        known = column[~np.isnan(column)]
        if known.size:
            found[:, i] = np.quantile(known, probabilities)
    return found.reshape(len(probabilities), *sample.shape[1:])


def is_number(value: object, low: float = -np.inf, high: float = np.inf) -> bool:
    """Tell whether ``value`` is a number of Python or NumPy from ``low`` to ``high``, not NaN."""
    real = isinstance(value, int | float | np.integer | np.floating)
    return real and not isinstance(value, bool) and low <= float(value) <= high  # type: ignore[arg-type]


def too_large(part: str) -> DatasetError:
    """Return the error about values that are no finite numbers, or become none."""
    return DatasetError(
        f"{part} has values that are infinite or too large to use.", hint="Leave them out."
    )


def part_of(batch: Batch, part: Part, column: str | None, who: str) -> Any:
    """Return the array that ``who`` maps, ``(b, ...)``; None if the batch does not have the part.

    Raises :class:`DatasetError` if X is not one array, or does not have the ``column``, and if it
    is not of numbers.
    """
    if part == "y":
        return batch.y
    X: Any = batch.X
    if X is None:
        return None
    if isinstance(X, Mapping):
        if column not in X:
            raise DatasetError(
                f"{who} needs to know which column of X it maps."
                if column is None
                else f"X has no column {column!r}.",
                hint=f"Give column= one of: {', '.join(X)}.",
            )
        X = X[column]
    elif column is not None:
        raise DatasetError(
            f"X has no column {column!r}: it is one column without a name.",
            hint="Leave column= out.",
        )
    X = dense_array(X, who)
    if X.dtype.kind not in "biuf":
        raise DatasetError(f"X has dtype {X.dtype}; it needs numbers.", hint="Featurize it first.")
    return X


def with_part(batch: Batch, part: Part, column: str | None, values: np.ndarray) -> Batch:
    """Return ``batch`` with ``values`` in the place of :func:`part_of`."""
    if part == "y":
        return batch._replace(y=values)
    X: Any = batch.X
    return batch._replace(X=values if column is None else {**X, column: values})


def row_blocks(values: np.ndarray, block: int = BLOCK) -> Iterator[slice]:
    """Yield slices of rows of about ``block`` values each, which together are all rows."""
    size = max(1, block * len(values) // max(1, values.size))
    return (slice(start, start + size) for start in range(0, len(values), size))
