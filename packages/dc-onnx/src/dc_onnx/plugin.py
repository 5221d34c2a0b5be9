"""The hooks of the backend ``onnx``: models of the class ``onnx.ModelProto``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from onnx import ModelProto

from dc_core import BackendInfo, WeightInfo, hookimpl
from dc_core.errors import NotClaimed, ParameterError, StructureError, UnknownClass
from dc_onnx import graph
from dc_onnx import weights as named

if TYPE_CHECKING:
    from dc_onnx.session import Session

_NAME: Final = "onnx/Model"


@hookimpl
def dc_backend_info() -> BackendInfo:
    """Return the versions of onnx and onnxruntime, and every capability but skeletons."""
    versions = {name: version(name) for name in ("onnx", "onnxruntime")}
    return BackendInfo(versions, frozenset({"weights", "components", "wrap"}))


@hookimpl
def dc_describe_weights(obj: Any) -> Mapping[str, WeightInfo]:
    """Describe the initializers of a model."""
    return named.describe(_model(obj))


@hookimpl
def dc_export_weights(
    obj: Any, names: Collection[str] | None, copy: bool
) -> Mapping[str, np.ndarray]:
    """Return the initializers of a model as arrays."""
    return named.export(_model(obj), names, copy=copy)


@hookimpl
def dc_import_weights(
    obj: Any, weights: Mapping[str, np.ndarray], allow_missing: Collection[str], copy: bool
) -> Any:
    """Return a new model with these weights."""
    return named.restore(_model(obj), weights, allow_missing)


@hookimpl
def dc_describe_component(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the graph without the values of its initializers, as bytes."""
    model = _model(obj)
    graph.check(model)
    data = graph.without_values(model).SerializeToString(deterministic=True)
    return _NAME, {"graph": np.frombuffer(data, np.uint8)}


@hookimpl
def dc_build_component(name: str, params: Mapping[str, Any]) -> Any:
    """Return the model of a stored graph, whose initializers have no values yet."""
    if name != _NAME:
        raise UnknownClass(f"dc-onnx has no component {name!r}.", hint=f"It has {_NAME!r}.")
    stored = params.get("graph")
    if params.keys() != {"graph"} or not isinstance(stored, np.ndarray) or stored.dtype != np.uint8:
        raise ParameterError(f"{name} takes one argument, `graph`: an array of uint8.")
    try:
        return graph.parse(stored.tobytes())
    except StructureError as error:
        raise ParameterError(f"graph: {error.args[0]}", hint=error.hint) from error


@hookimpl
def dc_wrap(obj: Any) -> Session:
    """Return a :class:`Session` that runs a model."""
    from dc_onnx.session import Session

    return Session(_model(obj))


def _model(obj: Any) -> ModelProto:
    if not isinstance(obj, ModelProto):
        raise NotClaimed(
            f"dc-onnx serves onnx.ModelProto, not {type(obj).__name__}.",
            hint="Pass what onnx.load(path) returns.",
        )
    return obj
