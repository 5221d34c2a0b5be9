"""Turn the columns of a dataset's rows into JAX's arrays, in few shapes.

A function is compiled for each shape of its arguments, so rows for prediction are filled up to a
power of two, with copies of the last row, and so are the values of ragged columns, with zeros.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple, TypeAlias

import jax
import numpy as np

from dc_core import Column, Columns, Ragged, row_count
from dc_core.errors import DatasetError
from dc_jax.loading import RaggedArray


class InputForm(NamedTuple):
    """What X is converted to: a dtype, and a device."""

    dtype: np.dtype[Any]
    device: jax.Device | None
    """None is JAX's default: arrays then belong to no device in particular."""


Input: TypeAlias = "Any | RaggedArray | dict[str, Any | RaggedArray]"
"""What a module is called with: one column, or the named columns as keyword arguments."""


def input_of(X: Columns, form: InputForm, rows: int = 0) -> Input:
    """Return X on the device, filled up to ``rows`` rows.

    If X is one array, it becomes of the form's dtype. Of ragged and named columns, only
    floating-point and complex numbers do. Integers become of 32 bits, if JAX's others are switched
    off, and bools stay bools.

    Raises :class:`DatasetError` for text, for complex numbers if the dtype is real, and for
    integers that 32 bits cannot hold.
    """
    added = max(0, rows - row_count(X))
    if isinstance(X, np.ndarray):
        return _put(_converted(_filled(X, added), form.dtype), form)
    if isinstance(X, Mapping):
        return {name: _column(column, form, added) for name, column in X.items()}
    return _column(X, form, added)


def fitting_rows(rows: int, maximum: int) -> int:
    """Return the power of two that ``rows`` rows are filled up to, or ``maximum``."""
    return min(maximum, 1 << max(0, rows - 1).bit_length())


def _column(column: Column, form: InputForm, added: int) -> Any:
    if not isinstance(column, Ragged):
        return _put(_number(_filled(column, added), form.dtype), form)
    total = len(column.values)
    values = np.zeros((1 << max(0, total - 1).bit_length(), *column.values.shape[1:]), column.dtype)
    values[:total] = column.values
    offsets = np.pad(column.offsets, (0, added), mode="edge")
    return RaggedArray(
        _put(_number(values, form.dtype), form), _put(_number(offsets, form.dtype), form)
    )


def _filled(array: np.ndarray, added: int) -> np.ndarray:
    return np.concatenate([array, np.repeat(array[-1:], added, axis=0)]) if added else array


def _number(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if array.dtype.kind not in "iu":
        return array if array.dtype.kind == "b" else _converted(array, dtype)
    narrow = jax.dtypes.canonicalize_dtype(array.dtype)
    if narrow != array.dtype and array.size:
        limits = np.iinfo(narrow)
        if array.min() < limits.min or array.max() > limits.max:
            raise DatasetError(
                f"There are integers up to {array.max()}, and JAX's have 32 bits.",
                hint='Run: jax.config.update("jax_enable_x64", True)',
            )
    return array.astype(narrow, copy=False)


def _converted(array: np.ndarray, dtype: np.dtype[Any]) -> np.ndarray:
    if array.dtype.kind in "STU":
        raise DatasetError(
            "The dataset's X is text, and the module needs numbers.",
            hint="Featurize it first, or put the featurizer and the model into one pipeline.",
        )
    if array.dtype.kind == "c" and dtype.kind != "c":
        raise DatasetError(
            f"X has complex numbers, which {dtype.name} cannot hold.",
            hint="Set input_dtype='complex64', or give real and imaginary parts as two columns.",
        )
    return array.astype(dtype, copy=False)


def _put(array: np.ndarray, form: InputForm) -> Any:
    # What is compiled takes NumPy's arrays, in less time than it takes to convert them before.
    return array if form.device is None else jax.device_put(array, form.device)
