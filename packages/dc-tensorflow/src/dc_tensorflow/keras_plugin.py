"""The hooks of the backend ``keras``: any layer or model of Keras 3 on TensorFlow."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dc_core import BackendInfo, WeightInfo, hookimpl
from dc_core.errors import NotClaimed
from dc_tensorflow import structure
from dc_tensorflow import weights as named
from dc_tensorflow.frameworks import check_keras_backend, keras
from dc_tensorflow.module_plugin import version_of_tensorflow
from dc_tensorflow.skeleton import skeleton

if TYPE_CHECKING:
    import numpy as np

    from dc_tensorflow.model import KerasModel


@hookimpl
def dc_backend_info() -> BackendInfo:
    """Return the versions of dc-tensorflow, Keras and TensorFlow, and the capabilities."""
    versions = {name: metadata.version(name) for name in ("dc-tensorflow", "keras")}
    capabilities = frozenset({"weights", "skeleton", "components", "wrap", "onnx"})
    return BackendInfo(versions | version_of_tensorflow(), capabilities)


@hookimpl
def dc_describe_weights(obj: Any) -> Mapping[str, WeightInfo]:
    """Describe the variables of a layer or model."""
    return named.describe_weights(_layer(obj))


@hookimpl
def dc_export_weights(obj: Any, names: Collection[str] | None) -> Mapping[str, np.ndarray]:
    """Return the weights of a layer or model as arrays."""
    return named.export_weights(_layer(obj), names)


@hookimpl
def dc_import_weights(
    obj: Any, weights: Mapping[str, np.ndarray], allow_missing: Collection[str]
) -> Any:
    """Give a layer or model its weights and return it."""
    named.import_weights(_layer(obj), weights, allow_missing)
    return obj


@hookimpl
def dc_skeleton(build: Callable[[], Any]) -> Any:
    """Run ``build`` without drawing initial weights, and charge what they take."""
    check_keras_backend()
    return skeleton(build)


@hookimpl
def dc_describe_component(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and arguments of a model or layer, None if it has no stored form."""
    return structure.describe(_layer(obj))


@hookimpl
def dc_build_component(name: str, params: Mapping[str, Any]) -> Any:
    """Make a model or layer of the closed table, or of a class that is registered with Keras."""
    check_keras_backend()
    return structure.build(name, params)


@hookimpl
def dc_wrap(obj: Any) -> KerasModel:
    """Return a :class:`KerasModel` around a layer or model."""
    from dc_tensorflow.model import KerasModel

    return KerasModel(_layer(obj))


@hookimpl
def dc_export_onnx(model: Any, X: Any) -> bytes:
    """Export a :class:`KerasModel` by tf2onnx."""
    from dc_tensorflow.onnx_export import export_onnx

    return export_onnx(model, X)


def _layer(obj: Any) -> Any:
    if not isinstance(obj, keras.Layer):
        raise NotClaimed(
            f"dc-tensorflow serves layers and models of Keras, not {type(obj).__name__}.",
            hint="Pass the model that it belongs to.",
        )
    check_keras_backend()
    return obj
