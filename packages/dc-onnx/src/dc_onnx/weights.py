"""The initializers of an ONNX model as named arrays, and back.

A weight's native name is that of its initializer. Importing returns a new model, so that sessions
of the old one keep what they have.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, numpy_helper
from onnx.helper import tensor_dtype_to_np_dtype

from dc_core import WeightInfo, check_weights, dtype_name
from dc_core.errors import NotSerializable, ParameterError
from dc_onnx.graph import has_value, without_values


def describe(model: ModelProto) -> dict[str, WeightInfo]:
    """Describe every initializer by its relative name.

    Raises :class:`NotSerializable` for text and for numbers of less than a byte.
    """
    return {
        name: WeightInfo(tensor.name, tuple(tensor.dims), _dtype(tensor))
        for name, tensor in _by_name(model).items()
    }


def export(
    model: ModelProto, names: Collection[str] | None, *, copy: bool
) -> dict[str, np.ndarray]:
    """Return the weights in ``names``, or all, as arrays.

    Initializers of a bare graph have no values: without ``names`` they are left out, and by name
    they raise :class:`NotSerializable`.
    """
    arrays = {}
    for name, tensor in _by_name(model).items():
        if has_value(tensor) if names is None else name in names:
            if not has_value(tensor):
                raise NotSerializable(
                    f"The initializer {tensor.name!r} has no value.",
                    hint="Load the weights of the model first.",
                )
            array = numpy_helper.to_array(tensor)
            arrays[name] = np.array(array, order="C") if copy else np.ascontiguousarray(array)
    return arrays


def restore(
    model: ModelProto, weights: Mapping[str, np.ndarray], allow_missing: Collection[str]
) -> ModelProto:
    """Return a new model with these weights; ``model`` is unchanged.

    Raises :class:`WeightsMismatch` if names, shapes or dtypes differ.
    """
    check_weights(describe(model), weights, allow_missing)
    changed = without_values(model)
    given = {tensor.name: weights.get(name) for name, tensor in _by_name(model).items()}
    for old, new in zip(model.graph.initializer, changed.graph.initializer, strict=True):
        array = given[old.name]
        if array is None:
            new.CopyFrom(old)
        else:
            new.raw_data = np.asarray(array, order="C").tobytes()
    return changed


def has_values(model: ModelProto) -> bool:
    """Tell whether every initializer has its values."""
    return all(map(has_value, model.graph.initializer))


def _by_name(model: ModelProto) -> dict[str, TensorProto]:
    """Return the initializers by relative canonical name: ``net.0.weight`` is ``net/0/0``."""
    count: dict[str, int] = {}
    named = {}
    for tensor in model.graph.initializer:
        *path, _ = [part for part in re.split(r"[./]+", tensor.name) if part] or [""]
        layer = "/".join(path)
        i = count.setdefault(layer, 0)
        count[layer] += 1
        named[f"{layer}/{i}" if layer else str(i)] = tensor
    return named


def _dtype(tensor: TensorProto) -> np.dtype[Any]:
    try:
        dtype: np.dtype[Any] = np.dtype(tensor_dtype_to_np_dtype(tensor.data_type))
        dtype_name(dtype)
    except (KeyError, ParameterError, TypeError) as error:
        raise NotSerializable(
            f"The initializer {tensor.name!r} has the type "
            f"{TensorProto.DataType.Name(tensor.data_type)}, which cannot be stored.",
            hint="Export the model with numbers of at least 8 bits.",
        ) from error
    return dtype
