"""The Dask engine: a cluster that you have runs the shards of any task."""

from typing import TYPE_CHECKING

from dc_core.lazy import attach

if TYPE_CHECKING:
    from dc_dask.engine import DaskEngine as DaskEngine

_EXPORTS = {"dc_dask.engine": ["DaskEngine"]}

__all__ = sorted(name for names in _EXPORTS.values() for name in names)  # noqa: PLE0605
__getattr__, __dir__ = attach(__name__, _EXPORTS)
