"""The knotline backend: additive regressors as models that can be published."""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_knotline.model import KnotlineModel as KnotlineModel

__all__ = ["KnotlineModel"]
__getattr__, __dir__ = attach(__name__, {"dc_knotline.model": ["KnotlineModel"]})
