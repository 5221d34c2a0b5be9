"""The plugin of the group ``dc.engines``: makes engines; Ray is imported when one starts."""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

from dc_core import hookimpl
from dc_core.engines import Engine
from dc_ray.engine import RayEngine


@hookimpl
def dc_engine(options: Mapping[str, Any]) -> Engine:
    """Return a new engine: ``engine("ray", address="auto")``."""
    return RayEngine(**options)


@hookimpl
def dc_engine_for(client: Any) -> Engine | None:
    """Return an engine for what ``ray.init()`` returns, or the module ``ray`` itself."""
    if isinstance(client, ModuleType):
        return RayEngine() if client.__name__ == "ray" else None
    modules = {cls.__module__.partition(".")[0] for cls in type(client).__mro__}
    return RayEngine() if "ray" in modules else None
