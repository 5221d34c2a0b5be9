"""Datasets as ``tf.data``, for Keras and for training loops of one's own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from dc_core import Batch, Column, Dataset, Ragged, check_count, check_dataset, explained
from dc_core.errors import ParameterError

_PARTS: Final = ("X", "y", "w")


@explained
def to_tf_data(
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
) -> Any:
    """Return a ``tf.data.Dataset`` of the rows of ``dataset``, in the batches of ``batches``.

    Its elements are ``(X, y, w)``, as Keras's ``fit`` takes them: X is a tensor ``(b, ...)``, a
    ``tf.RaggedTensor``, or a dict of both by column; text is ``tf.string``. y and w are
    ``(b, tasks)``; a missing label is 0 and has the weight 0. Floating-point numbers become
    ``dtype``, other numbers keep their dtype.

    Each iteration is the next epoch, and its batches depend on ``(seed, epoch)`` alone: ``epoch=5``
    goes on where a training stopped. ``drop_last``, ``rank`` and ``world`` are as in
    :meth:`dc_core.Dataset.batches`. Rows are read when they are asked for; add
    ``.prefetch(tf.data.AUTOTUNE)`` to read ahead.

    Raises :class:`ParameterError` for arguments that ``batches`` refuses, and if TensorFlow is not
    installed.
    """
    tf = _tensorflow()
    check_dataset(dataset)
    order: dict[str, Any] = {
        "shuffle": shuffle,
        "seed": seed,
        "drop_last": drop_last,
        "rank": rank,
        "world": world,
    }
    indices = dataset.batch_indices(batch_size, epoch=epoch, **{**order, "shuffle": False})
    batches = sum(1 for _ in indices)
    following = check_count("epoch", epoch, minimum=0)

    def elements() -> Iterator[tuple[Any, Any, Any]]:
        nonlocal following
        this, following = following, following + 1
        for batch in dataset.batches(batch_size, epoch=this, parts=_PARTS, **order):
            yield _element(tf, batch, dtype)

    first = _element(tf, dataset.rows(np.arange(min(1, len(dataset))), _PARTS), dtype)
    signature = tf.nest.map_structure(_spec_of(tf), first)
    data = tf.data.Dataset.from_generator(elements, output_signature=signature)
    return data.apply(tf.data.experimental.assert_cardinality(batches))


def _tensorflow() -> Any:
    try:
        import tensorflow
    except ModuleNotFoundError as error:
        raise ParameterError(
            "tf.data needs TensorFlow.", hint="Run: pip install tensorflow"
        ) from error
    return tensorflow


def _element(tf: Any, batch: Batch, dtype: str) -> tuple[Any, Any, Any]:
    X: Any = batch.X
    if isinstance(X, Mapping):
        X = {name: _tensor(tf, column, dtype) for name, column in X.items()}
    else:
        X = _tensor(tf, X, dtype)
    given = (batch.w > 0) & ~np.isnan(batch.y)
    y, w = np.where(given, batch.y, 0), np.where(given, batch.w, 0)
    return X, _tensor(tf, y, dtype), _tensor(tf, w, dtype)


def _tensor(tf: Any, column: Column, dtype: str) -> Any:
    if isinstance(column, Ragged):
        values = _tensor(tf, column.values, dtype)
        return tf.RaggedTensor.from_row_splits(values, column.offsets, validate=False)
    if column.dtype.kind == "T":
        return tf.constant(column.tolist(), tf.string, column.shape)
    return tf.convert_to_tensor(column.astype(dtype) if column.dtype.kind == "f" else column)


def _spec_of(tf: Any) -> Any:
    """Return the function that gives the form of a tensor, with any number of rows."""

    def spec(tensor: Any) -> Any:
        if isinstance(tensor, tf.RaggedTensor):
            shape = (None, None, *tensor.values.shape[1:])
            return tf.RaggedTensorSpec(shape, tensor.dtype, 1, tf.int64)
        return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)

    return spec
