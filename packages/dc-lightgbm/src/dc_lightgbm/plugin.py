"""The backend ``lightgbm``: the hooks of ``dc_core.plugins.BackendHooks`` for LightGBM."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import lightgbm

from dc_core import BackendInfo, WeightInfo, hookimpl
from dc_lightgbm import estimators, state

if TYPE_CHECKING:
    import numpy as np

    from dc_core import Model


@hookimpl
def dc_backend_info() -> BackendInfo:
    """Return the version of LightGBM, and every capability but skeletons."""
    capabilities = frozenset({"weights", "components", "wrap", "onnx"})
    return BackendInfo({"lightgbm": lightgbm.__version__}, capabilities)


@hookimpl
def dc_describe_weights(obj: Any) -> Mapping[str, WeightInfo]:
    """Describe the state of a booster or an estimator."""
    return state.describe(obj)


@hookimpl
def dc_export_weights(obj: Any, names: Collection[str] | None) -> Mapping[str, np.ndarray]:
    """Return the state of a booster or an estimator."""
    return state.export(obj, names)


@hookimpl
def dc_import_weights(
    obj: Any, weights: Mapping[str, np.ndarray], allow_missing: Collection[str]
) -> Any:
    """Check a state, give it to a booster or an estimator, and return that."""
    state.restore(obj, weights, allow_missing)
    return obj


@hookimpl
def dc_describe_component(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and the parameters of an object of the closed table."""
    return estimators.describe(obj)


@hookimpl
def dc_build_component(name: str, params: Mapping[str, Any]) -> Any:
    """Return a new object of the closed table, not trained."""
    return estimators.build(name, params)


@hookimpl
def dc_wrap(obj: Any) -> Model:
    """Return an :class:`LightGBMModel` around an estimator or a booster."""
    from dc_lightgbm.model import LightGBMModel

    return LightGBMModel(obj)


@hookimpl
def dc_export_onnx(model: Any, X: Any) -> bytes:
    """Export a :class:`LightGBMModel` by onnxmltools."""
    from dc_lightgbm.onnx_export import export_onnx

    return export_onnx(model, X)
