"""Export a :class:`KerasModel` to ONNX, by tf2onnx."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dc_core import Column, Columns, onnx_graph
from dc_core.errors import BackendNotInstalled
from dc_tensorflow.batches import input_dtype
from dc_tensorflow.frameworks import tf
from dc_tensorflow.model import KerasModel
from dc_tensorflow.network import as_floats

_OPSET: Final = 18


def export_onnx(model: Any, X: Columns) -> bytes:
    """Return an ONNX model whose output ``predictions`` is that of ``model.predict``.

    The inputs have the dtypes of X; floating-point numbers, and whatever a single column holds, are
    converted as ``predict`` converts them.

    Raises :class:`NotSerializable` for a model that is not a :class:`KerasModel`, for ragged
    columns and text, and for what tf2onnx cannot convert; and :class:`BackendNotInstalled` without
    tf2onnx.
    """
    try:
        from tf2onnx.convert import from_function
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"The export to ONNX needs {error.name}.",
            hint='Run: pip install "dc-tensorflow[onnx]"',
        ) from error
    if not isinstance(model, KerasModel):
        raise onnx_graph.refused(model, "only a KerasModel can be")
    columns = X if isinstance(X, Mapping) else {"X": X}
    signature = [_spec(model, name, column) for name, column in columns.items()]
    network, loss = model.network, model.config.loss_function()
    dtype = input_dtype(network, model.config.input_dtype)
    options = {"training": False} if network._call_has_training_arg else {}

    def predictions(*tensors: Any) -> Any:
        if isinstance(X, Mapping):
            floats = (tf.cast(t, dtype) if t.dtype.is_floating else t for t in tensors)
            output = network(dict(zip(X, floats, strict=True)), **options)
        else:
            output = network(tf.cast(tensors[0], dtype), **options)
        return as_floats(loss.predictions(loss.with_tasks(output)))

    def convert() -> Any:
        function = tf.function(predictions, autograph=False, input_signature=signature)
        return from_function(function, input_signature=signature, opset=_OPSET)[0]

    return onnx_graph.exported(model, X, convert)


def _spec(model: KerasModel, name: str, column: Column) -> Any:
    if not isinstance(column, np.ndarray) or column.dtype.kind not in "biuf":
        raise onnx_graph.refused(model, f"its input {name!r} is ragged or text")
    return tf.TensorSpec((None, *column.shape[1:]), column.dtype, name)
