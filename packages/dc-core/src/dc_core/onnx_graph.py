"""Finish the graphs that exporters to ONNX make: the type, the shape and the name of the output.

The functions take ``onnx.GraphProto`` objects and do not import onnx. Its numbers for types are
those of ``TensorProto`` and ``AttributeProto``, which are part of the standard.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

FLOAT: Final = 1
DOUBLE: Final = 11
_INT64: Final = 7

_INTEGER: Final = 2
"""The type of an attribute that is an integer."""

PREDICTIONS: Final = "predictions"
"""The name of the output."""


def add_cast(graph: Any, given: str, result: str, kind: int) -> None:
    """Append a node that converts the tensor ``given`` to the type ``kind``."""
    node = graph.node.add(op_type="Cast", input=[given], output=[result])
    node.attribute.add(name="to", type=_INTEGER, i=kind)


def set_predictions(graph: Any, output: str, shape: Sequence[int], kind: int) -> None:
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
    add_cast(graph, "unconverted", PREDICTIONS, kind)
    del graph.output[:]
    tensor = graph.output.add(name=PREDICTIONS).type.tensor_type
    tensor.elem_type = kind
    tensor.shape.dim.add(dim_param="rows")
    for size in shape:
        tensor.shape.dim.add(dim_value=size)
