"""The backend ``xgboost``: the hooks of ``dc_core.plugins.BackendHooks`` for XGBoost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any, Final

import xgboost

from dc_core import BackendInfo, WeightInfo, distributions, hookimpl
from dc_xgboost import estimators, state

if TYPE_CHECKING:
    import numpy as np

    from dc_core import Model

_DISTRIBUTIONS: Final = ("xgboost", "xgboost-cpu")
"""The distributions that contain XGBoost, with and without code for GPUs."""


@hookimpl
def dc_backend_info() -> BackendInfo:
    """Return the version of XGBoost, and every capability but skeletons."""
    found = next((name for name in _DISTRIBUTIONS if distributions.version(name)), "xgboost")
    capabilities = frozenset({"weights", "components", "wrap", "onnx"})
    return BackendInfo({found: xgboost.__version__}, capabilities)


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
    """Return an :class:`XGBoostModel` around an estimator or a booster."""
    from dc_xgboost.model import XGBoostModel

    return XGBoostModel(obj)


@hookimpl
def dc_export_onnx(model: Any, X: Any) -> bytes:
    """Export an :class:`XGBoostModel` by onnxmltools."""
    from dc_xgboost.onnx_export import export_onnx

    return export_onnx(model, X)
