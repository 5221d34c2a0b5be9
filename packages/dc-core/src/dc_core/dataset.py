"""Datasets: rows of X, y, w and ids, and the one held in memory.

A missing label is NaN in y and 0 in w. Arrays of objects are refused: a dataset never needs pickle
to be stored or sent, and what cannot be an array is no feature yet.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from dc_core.errors import DatasetError, ParameterError


class Batch(NamedTuple):
    """Some rows: X ``(b, ...)``, y and w ``(b, tasks)``, ids ``(b,)`` of str."""

    X: np.ndarray
    y: np.ndarray
    w: np.ndarray
    ids: np.ndarray


class Dataset(ABC):
    """Rows of features X, labels y, weights w and ids.

    A subclass writes ``__len__``, ``tasks``, :meth:`rows` and :meth:`select`; the rest follows.
    """

    @property
    @abstractmethod
    def tasks(self) -> tuple[str, ...]:
        """The names of y's columns; none for an unlabelled dataset."""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of rows, in constant time."""

    @abstractmethod
    def rows(self, indices: np.ndarray) -> Batch:
        """Return the rows at ``indices`` (``(b,)`` of int), in that order."""

    @abstractmethod
    def select(self, indices: Sequence[int] | np.ndarray) -> Dataset:
        """Return the dataset of the rows at ``indices``: integers, or one bool per row."""

    @property
    def X(self) -> np.ndarray:
        """The features of all rows, ``(n, ...)``."""
        return self.rows(np.arange(len(self))).X

    @property
    def y(self) -> np.ndarray:
        """The labels of all rows, ``(n, tasks)``; NaN where one is missing."""
        return self.rows(np.arange(len(self))).y

    @property
    def w(self) -> np.ndarray:
        """The weights of all labels, ``(n, tasks)``; 0 where a label is missing."""
        return self.rows(np.arange(len(self))).w

    @property
    def ids(self) -> np.ndarray:
        """The rows' names, ``(n,)`` of str."""
        return self.rows(np.arange(len(self))).ids

    def batches(
        self,
        size: int,
        *,
        shuffle: bool = False,
        seed: int = 0,
        epoch: int = 0,
        drop_last: bool = False,
    ) -> Iterator[Batch]:
        """Iterate over all rows in batches of ``size``, the last one smaller.

        ``shuffle`` permutes all rows; the order depends on ``(seed, epoch)`` and nothing else.
        ``drop_last`` leaves a smaller last batch out. Raises :class:`ParameterError` for a size
        below 1 and for a negative seed or epoch, before the first batch is asked for.
        """
        if size < 1:
            raise ParameterError(f"The batch size must be at least 1, not {size}.")
        if min(seed, epoch) < 0:
            raise ParameterError(f"Seed and epoch must not be negative: {seed}, {epoch}.")
        n = len(self)
        order = np.random.default_rng([seed, epoch]).permutation(n) if shuffle else np.arange(n)
        starts = range(0, n - size + 1 if drop_last else n, size)
        return (self.rows(order[start : start + size]) for start in starts)

    def __iter__(self) -> Iterator[Batch]:
        """Iterate over the rows, each a :class:`Batch` without its first axis."""
        for batch in self.batches(256):
            for row in zip(*batch, strict=True):
                yield Batch(*row)


class NumpyDataset(Dataset):
    """A dataset in memory.

    X is ``(n, ...)``, numbers or strings. y is ``(n, tasks)`` or ``(n,)``, floats with NaN for a
    missing label; None for an unlabelled dataset. w is like y, or ``(n,)``, default 1 (and always 0
    where a label is missing). ids are str, default the row numbers. ``tasks`` defaults to
    ``task0 …``. Arrays are kept, not copied, where they already have the right form.

    Raises :class:`DatasetError` where the parts do not fit together.
    """

    def __init__(
        self,
        X: Any,
        y: Any = None,
        w: Any = None,
        ids: Any = None,
        tasks: Sequence[str] | None = None,
    ) -> None:
        self._X = _plain("X", X)
        if self._X.ndim == 0:
            raise DatasetError("X is a single value.", hint="Give one row per sample.")
        n = len(self._X)
        self._y = np.zeros((n, 0)) if y is None else _columns("y", y, n)
        width = self._y.shape[1]
        self._tasks = tuple(tasks) if tasks is not None else tuple(f"task{i}" for i in range(width))
        if len(self._tasks) != width or len(set(self._tasks)) != width:
            raise DatasetError(
                f"y has {width} columns and the tasks are {self._tasks}.",
                hint="Give each column of y a name of its own.",
            )
        weights = np.ones((n, 1)) if w is None else _columns("w", w, n)
        if weights.shape[1] not in (1, width) or not np.all(np.isfinite(weights) & (weights >= 0)):
            raise DatasetError(
                f"w has shape {weights.shape}; it needs one column, or one per task ({width}), "
                "of finite values that are not negative."
            )
        missing = np.isnan(self._y)
        fits = weights.shape == self._y.shape and not np.any(missing & (weights != 0))
        self._w = weights if fits else np.where(missing, 0.0, weights)
        self._ids = np.arange(n).astype(str) if ids is None else _plain("ids", ids).astype(str)
        if self._ids.shape != (n,):
            raise DatasetError(f"ids has shape {self._ids.shape}; X has {n} rows.")

    @property
    def tasks(self) -> tuple[str, ...]:
        """The names of y's columns."""
        return self._tasks

    @property
    def X(self) -> np.ndarray:
        """The features, ``(n, ...)``."""
        return self._X

    @property
    def y(self) -> np.ndarray:
        """The labels, ``(n, tasks)``; NaN where one is missing."""
        return self._y

    @property
    def w(self) -> np.ndarray:
        """The weights, ``(n, tasks)``; 0 where a label is missing."""
        return self._w

    @property
    def ids(self) -> np.ndarray:
        """The rows' names, ``(n,)`` of str."""
        return self._ids

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self._X)

    def __repr__(self) -> str:
        """Show the shapes."""
        X = f"{self._X.shape} {self._X.dtype}"
        return f"NumpyDataset(X={X}, y={self._y.shape}, tasks={list(self._tasks)})"

    def rows(self, indices: np.ndarray) -> Batch:
        """Return the rows at ``indices``, in that order."""
        return Batch(self._X[indices], self._y[indices], self._w[indices], self._ids[indices])

    def select(self, indices: Sequence[int] | np.ndarray) -> NumpyDataset:
        """Return the dataset of the rows at ``indices``: integers, or one bool per row."""
        chosen = np.asarray(indices)
        if chosen.size == 0:
            chosen = chosen.astype(np.intp)
        numbers = chosen.dtype == bool or np.issubdtype(chosen.dtype, np.integer)
        if not numbers or chosen.ndim != 1:
            raise DatasetError(
                "Rows are selected by a list of integers or a mask, "
                f"not by {chosen.dtype} of shape {chosen.shape}."
            )
        try:
            return NumpyDataset(*self.rows(chosen), tasks=self._tasks)
        except IndexError as error:
            raise DatasetError(f"There are {len(self)} rows: {error}.") from error


def check_dataset(value: object) -> None:
    """Raise :class:`DatasetError` unless ``value`` is a :class:`Dataset`."""
    if not isinstance(value, Dataset):
        raise DatasetError(
            f"This needs a dataset; a {type(value).__name__} was given.",
            hint="Put arrays into one: NumpyDataset(X, y).",
        )


def _plain(part: str, values: Any) -> np.ndarray:
    """Return ``values`` as an array of numbers, bools or strings; refuse objects."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        raise DatasetError(f"{part} is ragged: {error}.") from error
    if array.dtype.kind not in "biufcUV" or array.dtype.hasobject:
        raise DatasetError(
            f"{part} has dtype {array.dtype}.",
            hint="Give numbers or strings; arrays of Python objects are not stored.",
        )
    return array


def _columns(part: str, values: Any, n: int) -> np.ndarray:
    """Return ``values`` as floats of shape ``(n, columns)``."""
    array = _plain(part, values)
    if array.dtype.kind not in "biuf":
        raise DatasetError(f"{part} has dtype {array.dtype}; it needs numbers.")
    if array.ndim == 1:
        array = array[:, None]
    if array.ndim != 2 or len(array) != n:
        raise DatasetError(f"{part} has shape {array.shape}; X has {n} rows.")
    return array if array.dtype.kind == "f" else array.astype(np.float64)
