"""The plugin of the group ``dc.engines``: makes engines; Dask is imported when one starts."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from dc_core import hookimpl
from dc_core.engines import Engine
from dc_dask.engine import DaskEngine


@hookimpl
def dc_engine(options: Mapping[str, Any]) -> Engine:
    """Return a new engine: ``engine("dask", address="tcp://…")``."""
    return DaskEngine(**options)


@hookimpl
def dc_engine_for(client: Any) -> Engine | None:
    """Return an engine for a client or a cluster of Dask, None for anything else."""
    modules = {cls.__module__.partition(".")[0] for cls in type(client).__mro__}
    return DaskEngine(client) if "distributed" in modules else None
