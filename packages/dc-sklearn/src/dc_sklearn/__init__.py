"""The scikit-learn backend: any estimator as a model, stored without pickle."""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_sklearn.model import SklearnModel as SklearnModel

_EXPORTS = {"dc_sklearn.model": ["SklearnModel"]}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
