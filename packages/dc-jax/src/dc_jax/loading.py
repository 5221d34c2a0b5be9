"""Datasets as JAX arrays, batch by batch, for training loops of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import Batch, Column, Dataset, Ragged, check_dataset, explained
from dc_core.errors import DatasetError, ParameterError

_PARTS: Final = ("X", "y", "w")


class RaggedArray(NamedTuple):
    """A ragged column of a batch: row i is ``values[offsets[i]:offsets[i + 1]]``.

    ``values`` is ``(length, ...)`` and ``offsets`` ``(b + 1,)``. The values that belong to no row
    are zeros at the end, up to a length that is a power of two: a function that is compiled for
    each shape is compiled for few.
    """

    values: Any
    offsets: Any


class ArrayBatch(NamedTuple):
    """A batch of rows as JAX arrays; it is a pytree.

    ``X`` is an array ``(b, ...)``, a :class:`RaggedArray`, or a dict of both by column. ``y`` and
    ``w`` are ``(b, tasks)``; a missing label is 0 and has the weight 0.
    """

    X: Any
    y: Any
    w: Any


@explained
def jax_batches(
    dataset: Dataset,
    batch_size: int,
    *,
    shuffle: bool = False,
    seed: int = 0,
    epoch: int = 0,
    drop_last: bool = False,
    rank: int = 0,
    world: int = 1,
    dtype: str = "float32",
) -> Iterator[ArrayBatch]:
    """Iterate over the rows of ``dataset`` in the batches of ``dataset.batches``, as JAX arrays.

    The arguments are those of :meth:`dc_core.Dataset.batches`. Floating-point numbers become
    ``dtype``; other numbers keep theirs, or have 32 bits instead of 64 if JAX's are switched off.
    With ``drop_last``, all batches of dense columns have one shape.

    Raises :class:`ParameterError` immediately for arguments that ``batches`` refuses, and if JAX is
    not installed; and :class:`DatasetError`, when a batch is read, for text and for integers that
    32 bits cannot hold.
    """
    jax = _jax()
    check_dataset(dataset)
    batches = dataset.batches(
        batch_size,
        shuffle=shuffle,
        seed=seed,
        epoch=epoch,
        drop_last=drop_last,
        parts=_PARTS,
        rank=rank,
        world=world,
    )
    return (_converted(jax, batch, dtype) for batch in batches)


def _jax() -> Any:
    try:
        import jax
    except ModuleNotFoundError as error:
        raise ParameterError("JAX is not installed.", hint="Run: pip install jax") from error
    return jax


def _converted(jax: Any, batch: Batch, dtype: str) -> ArrayBatch:
    X: Any = batch.X
    if isinstance(X, Mapping):
        X = {name: _column(jax, column, dtype) for name, column in X.items()}
    else:
        X = _column(jax, X, dtype)
    given = (batch.w > 0) & ~np.isnan(batch.y)
    y, w = np.where(given, batch.y, 0), np.where(given, batch.w, 0)
    return ArrayBatch(X, _array(jax, y, dtype), _array(jax, w, dtype))


def _column(jax: Any, column: Column, dtype: str) -> Any:
    if not isinstance(column, Ragged):
        return _array(jax, column, dtype)
    total = len(column.values)
    values = np.zeros((1 << max(0, total - 1).bit_length(), *column.values.shape[1:]), column.dtype)
    values[:total] = column.values
    return RaggedArray(_array(jax, values, dtype), _array(jax, column.offsets, dtype))


def _array(jax: Any, array: np.ndarray, dtype: str) -> Any:
    if array.dtype.kind == "T":
        raise DatasetError(
            "The dataset has text, and JAX has numbers only.",
            hint="Featurize it first, or choose other columns: dataset[['atoms', 'bonds']].",
        )
    given = array.astype(dtype) if array.dtype.kind == "f" else array
    narrow = jax.dtypes.canonicalize_dtype(given.dtype)
    if given.dtype.kind in "iu" and narrow != given.dtype and given.size:
        limits = np.iinfo(narrow)
        if given.min() < limits.min or given.max() > limits.max:
            raise DatasetError(
                f"There are integers up to {given.max()}, and JAX's have 32 bits.",
                hint='Run: jax.config.update("jax_enable_x64", True)',
            )
    return jax.numpy.asarray(given.astype(narrow, copy=False))
