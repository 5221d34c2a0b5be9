"""The backend ``sklearn``: the hooks of ``dc_core.plugins.BackendHooks`` for scikit-learn."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from dc_core import BackendInfo, WeightInfo, hookimpl
from dc_sklearn import components, state

if TYPE_CHECKING:
    import numpy as np

    from dc_core import Model


@hookimpl
def dc_backend_info() -> BackendInfo:
    """Return the version of scikit-learn, and every capability but skeletons."""
    return BackendInfo(
        {"scikit-learn": version("scikit-learn")},
        frozenset({"weights", "components", "wrap", "onnx"}),
    )


@hookimpl
def dc_describe_weights(obj: Any) -> Mapping[str, WeightInfo]:
    """Describe the fitted state of an estimator."""
    return state.describe(obj)


@hookimpl
def dc_export_weights(
    obj: Any, names: Collection[str] | None, copy: bool
) -> Mapping[str, np.ndarray]:
    """Return the fitted state of an estimator."""
    return state.export(obj, names, copy=copy)


@hookimpl
def dc_import_weights(
    obj: Any, weights: Mapping[str, np.ndarray], allow_missing: Collection[str], copy: bool
) -> Any:
    """Check a fitted state, give it to an estimator, and return the estimator."""
    state.restore(obj, weights, allow_missing, copy=copy)
    return obj


@hookimpl
def dc_describe_component(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and the parameters of an estimator in the closed table."""
    return components.describe(obj)


@hookimpl
def dc_build_component(name: str, params: Mapping[str, Any]) -> Any:
    """Return a new estimator of the closed table, not fitted."""
    return components.build(name, params)


@hookimpl
def dc_wrap(obj: Any) -> Model:
    """Return a model around an estimator, of the class that fits what the estimator does.

    Raises :class:`ParameterError` for an estimator that has no method for new rows.
    """
    from dc_sklearn.model import SklearnModel
    from dc_sklearn.transformer import SklearnTransformer
    from dc_sklearn.unsupervised import SklearnUnsupervisedLearner
    from dc_sklearn.wrapping import Wrapper, role_of

    wrappers: dict[str | None, type[Wrapper]] = {
        "SklearnTransformer": SklearnTransformer,
        "SklearnUnsupervisedLearner": SklearnUnsupervisedLearner,
    }
    return wrappers.get(role_of(obj), SklearnModel)(obj)


@hookimpl
def dc_export_onnx(model: Any, X: Any) -> bytes:
    """Export a :class:`SklearnModel` by skl2onnx."""
    from dc_sklearn.onnx_export import export_onnx

    return export_onnx(model, X)
