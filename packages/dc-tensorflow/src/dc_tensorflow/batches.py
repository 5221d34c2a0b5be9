"""Turn the columns of a dataset's rows into tensors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dc_core import Column, Columns, Ragged
from dc_core.errors import DatasetError
from dc_tensorflow.frameworks import keras, tf


def input_dtype(network: Any, given: str | None) -> Any:
    """Return the dtype of X: the one that is ``given``, or that of the network's only input."""
    if given is not None:
        return tf.as_dtype(given)
    inputs = getattr(network, "inputs", None)
    if isinstance(inputs, list) and len(inputs) == 1:
        return tf.as_dtype(inputs[0].dtype)
    dtype = tf.as_dtype(network.compute_dtype or keras.config.floatx())
    return dtype if dtype.is_floating else tf.as_dtype(keras.config.floatx())


def input_of(X: Columns, dtype: Any) -> Any:
    """Return X as a tensor, a ``tf.RaggedTensor``, or a dict of both by column.

    If X is one array, it becomes ``dtype``. Of ragged and named columns, only floating-point
    numbers become ``dtype``; integers become int32 if they fit and else int64.

    Raises :class:`DatasetError` for text, and for complex numbers if ``dtype`` is real.
    """
    if isinstance(X, np.ndarray):
        return _converted(X, dtype)
    if isinstance(X, Mapping):
        return {name: _column(column, dtype) for name, column in X.items()}
    return _column(X, dtype)


def _column(column: Column, dtype: Any) -> Any:
    values = column.values if isinstance(column, Ragged) else column
    if values.dtype.kind in "iu":
        fits = np.can_cast(values.dtype, np.int32)
        tensor = _converted(values, tf.int32 if fits else tf.int64)
    elif values.dtype.kind == "b":
        tensor = tf.convert_to_tensor(values)
    else:
        tensor = _converted(values, dtype)
    if isinstance(column, Ragged):
        return tf.RaggedTensor.from_row_splits(tensor, column.offsets, validate=False)
    return tensor


def _converted(X: np.ndarray, dtype: Any) -> Any:
    if X.dtype.kind in "STU":
        raise DatasetError(
            "The dataset's X is text, and the network needs numbers.",
            hint="Featurize it first, or put the featurizer and the model into one pipeline.",
        )
    if X.dtype.kind == "c" and not dtype.is_complex:
        raise DatasetError(
            "The dataset's X is complex, and the network takes real numbers.",
            hint="Give the real and imaginary parts as separate features.",
        )
    return tf.cast(tf.convert_to_tensor(X), dtype)


def spec_of(tensor: Any) -> Any:
    """Return the form of a tensor, with any number of rows."""
    if isinstance(tensor, tf.RaggedTensor):
        return tf.RaggedTensorSpec(
            (None, None, *tensor.values.shape[1:]), tensor.dtype, 1, tensor.row_splits.dtype
        )
    return tf.TensorSpec((None, *tensor.shape[1:]), tensor.dtype)
