"""The Ray engine: a cluster that you have runs the shards of any task."""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_ray.engine import RayEngine as RayEngine

_EXPORTS = {"dc_ray.engine": ["RayEngine"]}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
