"""The LightGBM backend: boosted trees as named arrays, checked before LightGBM reads them."""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_lightgbm.model import LightGBMModel as LightGBMModel

_EXPORTS = {"dc_lightgbm.model": ["LightGBMModel"]}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
