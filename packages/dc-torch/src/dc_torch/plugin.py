"""The hooks of the backend ``torch``: any ``torch.nn.Module``."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from torch import nn

from dc_core import BackendInfo, WeightInfo, hookimpl
from dc_core.errors import NotClaimed
from dc_torch import layers, transformers
from dc_torch import weights as named
from dc_torch.skeleton import skeleton

if TYPE_CHECKING:
    import numpy as np

    from dc_torch.model import TorchModel


@hookimpl
def dc_backend_info() -> BackendInfo:
    """Return the versions of dc-torch and torch, and the capabilities."""
    versions = {name: metadata.version(name) for name in ("dc-torch", "torch")}
    return BackendInfo(versions, frozenset({"weights", "skeleton", "components", "wrap", "onnx"}))


@hookimpl
def dc_describe_weights(obj: Any) -> Mapping[str, WeightInfo]:
    """Describe the parameters and persistent buffers of a module."""
    return named.describe_weights(_module(obj))


@hookimpl
def dc_export_weights(
    obj: Any, names: Collection[str] | None, copy: bool
) -> Mapping[str, np.ndarray]:
    """Return a module's weights as arrays."""
    return named.export_weights(_module(obj), names, copy=copy)


@hookimpl
def dc_import_weights(
    obj: Any, weights: Mapping[str, np.ndarray], allow_missing: Collection[str], copy: bool
) -> Any:
    """Give a module its weights and return it."""
    named.import_weights(_module(obj), weights, allow_missing, copy=copy)
    return obj


@hookimpl
def dc_skeleton(build: Callable[[], Any]) -> Any:
    """Run ``build`` on the meta device if all tensors that it makes are weights."""
    return skeleton(build)


@hookimpl
def dc_describe_component(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and arguments of a layer of torch.nn or a model of transformers."""
    module = _module(obj)
    if transformers.is_model(module):
        return transformers.describe(module)
    return layers.describe(module)


@hookimpl
def dc_build_component(name: str, params: Mapping[str, Any]) -> Any:
    """Make a layer or container of the closed table, or a model of transformers."""
    if name.startswith(transformers.PREFIX):
        return transformers.build(name, params)
    return layers.build(name, params)


@hookimpl
def dc_wrap(obj: Any) -> TorchModel:
    """Return a :class:`TorchModel` around a module."""
    from dc_torch.model import TorchModel

    return TorchModel(_module(obj))


@hookimpl
def dc_export_onnx(model: Any, X: Any) -> bytes:
    """Export a :class:`TorchModel` by PyTorch's own exporter."""
    from dc_torch.onnx_export import export_onnx

    return export_onnx(model, X)


def _module(obj: Any) -> nn.Module:
    if not isinstance(obj, nn.Module):
        raise NotClaimed(
            f"dc-torch serves torch.nn.Module, not {type(obj).__name__}.",
            hint="Pass the module that it belongs to.",
        )
    return obj
