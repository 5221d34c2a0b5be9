"""Finish the models that exporters to ONNX make: one output, as ``predict`` returns it.

The functions take ``onnx.ModelProto`` objects and do not import onnx. Its numbers for types are
those of ``TensorProto`` and ``AttributeProto``, which are part of the standard.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from dc_core.columns import Columns, take_rows
from dc_core.dataset import NumpyDataset
from dc_core.errors import DCError, NotSerializable

if TYPE_CHECKING:
    from dc_core.roles import Estimator

FLOAT: Final = 1
DOUBLE: Final = 11
_INT64: Final = 7

_INTEGER: Final = 2
"""The type of an attribute that is an integer."""

_PREDICTIONS: Final = "predictions"
"""The name of the output."""


def exported(model: Estimator, X: Columns, convert: Callable[[], Any]) -> bytes:
    """Return the ONNX model that ``convert`` makes of ``model``, with the predictions as output.

    The last output that it has is taken: a classifier's are the label and the probabilities. It
    gets the shape and the dtype of ``model.predict`` for rows of X.

    Raises what ``predict`` raises, and :class:`NotSerializable` if ``convert`` fails.
    """
    expected = model.predict(NumpyDataset(take_rows(X, np.arange(1))))
    try:
        made = convert()
    except (DCError, MemoryError):
        raise
    except Exception as error:  # exporters raise what their converters happen to
        lines = str(error).strip().splitlines() or [type(error).__name__]
        raise refused(model, f"its exporter fails: {lines[0][:300]}") from error
    kind = DOUBLE if expected.dtype == np.float64 else FLOAT
    _set_predictions(made.graph, made.graph.output[-1].name, expected.shape[1:], kind)
    data: bytes = made.SerializeToString(deterministic=True)
    return data


def refused(model: object, reason: str) -> NotSerializable:
    """Return the error for a model that cannot be exported."""
    return NotSerializable(
        f"{type(model).__name__} cannot be exported to ONNX: {reason}.",
        hint="Keep it in the hub, and load it with from_pretrained.",
    )


def add_cast(graph: Any, given: str, result: str, kind: int) -> None:
    """Append a node that converts the tensor ``given`` to the type ``kind``."""
    node = graph.node.add(op_type="Cast", input=[given], output=[result])
    node.attribute.add(name="to", type=_INTEGER, i=kind)


def _set_predictions(graph: Any, output: str, shape: Sequence[int], kind: int) -> None:
    """Make ``output`` the only one, called ``predictions``, as ``(rows, *shape)`` of ``kind``."""
    graph.initializer.add(
        name="shape_of_predictions",
        data_type=_INT64,
        dims=[len(shape) + 1],
        int64_data=[-1, *shape],
    )
    graph.node.add(
        op_type="Reshape", input=[output, "shape_of_predictions"], output=["unconverted"]
    )
    add_cast(graph, "unconverted", _PREDICTIONS, kind)
    del graph.output[:]
    tensor = graph.output.add(name=_PREDICTIONS).type.tensor_type
    tensor.elem_type = kind
    tensor.shape.dim.add(dim_param="rows")
    for size in shape:
        tensor.shape.dim.add(dim_value=size)
