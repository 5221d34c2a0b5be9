"""The XGBoost backend: boosted trees as named node arrays, checked before XGBoost reads them."""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_xgboost.model import XGBoostModel as XGBoostModel

_EXPORTS = {"dc_xgboost.model": ["XGBoostModel"]}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
