"""Check an ONNX model before native code sees it, and separate its graph from its weights.

The weights are the initializers of the main graph. Everything else is the graph: nodes with their
attributes, among them the trees of ``ai.onnx.ml``, and the inputs and outputs. A graph from a
stranger can compute whatever the standard operators compute. It cannot read files, run operators of
other domains, or loop without a bound.
"""

from __future__ import annotations

from collections.abc import Iterator
from math import prod
from typing import Final

from google.protobuf.message import DecodeError
from onnx import AttributeProto, GraphProto, ModelProto, NodeProto, TensorProto

from dc_core import charge
from dc_core.errors import StructureError

DOMAINS: Final = frozenset({"", "ai.onnx", "ai.onnx.ml"})
"""The standard domains: every runtime has their operators, and none of them leaves the process."""

MAX_NODES: Final = 1_000_000
MAX_DEPTH: Final = 8
"""The greatest depth of subgraphs."""

_REFUSED: Final = {
    "Loop": "may never end",
    "Bernoulli": "is random",
    "Multinomial": "is random",
    "RandomNormal": "is random",
    "RandomNormalLike": "is random",
    "RandomUniform": "is random",
    "RandomUniformLike": "is random",
}

_VALUES: Final = (
    "raw_data",
    "float_data",
    "int32_data",
    "int64_data",
    "uint64_data",
    "double_data",
    "string_data",
)
"""The fields of a tensor that can hold its values."""


def parse(data: bytes) -> ModelProto:
    """Return the checked model in ``data``. Raises :class:`StructureError`."""
    charge(4 * len(data), "The ONNX graph")
    model = ModelProto()
    try:
        model.ParseFromString(data)
    except DecodeError as error:
        raise StructureError(f"The data are not an ONNX model: {error}.") from error
    check(model)
    return model


def check(model: ModelProto) -> None:
    """Raise :class:`StructureError` unless ``model`` consists of standard operators alone."""
    if not model.graph.output:
        raise StructureError("The ONNX model has no output.")
    for use in model.opset_import:
        if use.domain not in DOMAINS:
            raise _refused(f"uses operators of the domain {use.domain!r}")
    if model.functions:
        raise _refused("defines functions", "Export it with its functions inlined.")
    names = [tensor.name for tensor in model.graph.initializer]
    if len(set(names)) != len(names) or not all(names):
        raise StructureError("Two initializers of the ONNX model have one name, or one has none.")
    nodes = 0
    for graph in _graphs(model.graph):
        nodes += len(graph.node)
        if nodes > MAX_NODES:
            raise _refused(f"has more than {MAX_NODES} nodes")
        if graph.sparse_initializer:
            raise _refused("has sparse initializers")
        for tensor in graph.initializer:
            _check_tensor(tensor)
        for node in graph.node:
            _check_node(node)


def has_value(tensor: TensorProto) -> bool:
    """Tell whether ``tensor`` has its value, which the initializers of a bare graph lack."""
    return prod(tensor.dims) == 0 or any(len(getattr(tensor, field)) for field in _VALUES)


def without_values(model: ModelProto) -> ModelProto:
    """Return a copy of ``model`` whose initializers have a shape and a type but no values."""
    bare = ModelProto()
    for field, value in model.ListFields():
        if field.name != "graph":
            _copy_field(bare, field.name, value)
    for field, value in model.graph.ListFields():
        if field.name != "initializer":
            _copy_field(bare.graph, field.name, value)
    for tensor in model.graph.initializer:
        bare.graph.initializer.add(name=tensor.name, dims=tensor.dims, data_type=tensor.data_type)
    return bare


def _copy_field(message: ModelProto | GraphProto, name: str, value: object) -> None:
    present = getattr(message, name)
    if hasattr(present, "extend"):
        present.extend(value)
    elif hasattr(present, "CopyFrom"):
        present.CopyFrom(value)
    else:
        setattr(message, name, value)


def _graphs(graph: GraphProto, depth: int = 0) -> Iterator[GraphProto]:
    if depth > MAX_DEPTH:
        raise _refused(f"nests graphs more than {MAX_DEPTH} deep")
    yield graph
    for node in graph.node:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.GRAPH:
                yield from _graphs(attribute.g, depth + 1)
            for inner in attribute.graphs:
                yield from _graphs(inner, depth + 1)


def _check_node(node: NodeProto) -> None:
    if node.domain not in DOMAINS:
        raise _refused(f"uses the operator {node.op_type!r} of the domain {node.domain!r}")
    if node.op_type in _REFUSED:
        raise _refused(f"uses the operator {node.op_type!r}, which {_REFUSED[node.op_type]}")
    for attribute in node.attribute:
        if attribute.sparse_tensor.dims or attribute.sparse_tensors:
            raise _refused("has sparse constants")
        for tensor in (attribute.t, *attribute.tensors):
            _check_tensor(tensor)


def _check_tensor(tensor: TensorProto) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise _refused(
            f"stores the tensor {tensor.name!r} in another file",
            "Save it as one file: onnx.save(onnx.load(path), path).",
        )
    if tensor.HasField("segment"):
        raise _refused(f"stores the tensor {tensor.name!r} in segments")
    if any(size < 0 for size in tensor.dims):
        raise StructureError(f"The tensor {tensor.name!r} has the shape {tuple(tensor.dims)}.")


def _refused(fault: str, hint: str = "") -> StructureError:
    return StructureError(
        f"The ONNX model {fault}, which is refused.",
        hint=hint or "Export the model with standard operators alone.",
    )
