"""The scikit-learn backend: any estimator as a model, stored without pickle."""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_sklearn.adapters import as_sklearn as as_sklearn
    from dc_sklearn.model import SklearnModel as SklearnModel
    from dc_sklearn.transformer import SklearnTransformer as SklearnTransformer
    from dc_sklearn.unsupervised import SklearnUnsupervisedLearner as SklearnUnsupervisedLearner

_EXPORTS = {
    "dc_sklearn.adapters": ["as_sklearn"],
    "dc_sklearn.model": ["SklearnModel"],
    "dc_sklearn.transformer": ["SklearnTransformer"],
    "dc_sklearn.unsupervised": ["SklearnUnsupervisedLearner"],
}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
