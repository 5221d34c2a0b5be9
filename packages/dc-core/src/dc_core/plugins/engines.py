"""The engines of clusters, found in ``dc.engines``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dc_core.errors import (
    BackendBroken,
    BackendConflict,
    BackendNotInstalled,
    EngineNotInstalled,
    OutOfResources,
    PluginError,
)
from dc_core.plugins.group import PluginGroup
from dc_core.plugins.hookspecs import EngineHooks

ENGINES: Final = PluginGroup(
    "dc.engines",
    EngineHooks,
    {"ray": "dc-ray", "dask": "dc-dask"},
    built_in=("serial", "processes"),
)


def make_engine(name: str, options: Mapping[str, Any]) -> Any:
    """Return a new engine of the plugin ``name``.

    Raises :class:`EngineNotInstalled`, or another error of :meth:`PluginGroup.load`.
    """
    try:
        ENGINES.load(name)
    except BackendNotInstalled as error:
        raise EngineNotInstalled(
            f"The engine {name!r} is not installed.", hint=error.hint
        ) from error
    results = ENGINES.call(name, "dc_engine", options=options)
    return results[0] if results else None


def engine_for(client: Any) -> tuple[str, Any] | None:
    """Return the engine of a plugin that recognizes ``client``, and its name; None if none does.

    Plugins that cannot be used, or that raise when they are asked, are passed over. The error of
    one is raised if no other recognizes the client.
    """
    unusable: PluginError | None = None
    for name in ENGINES:
        try:
            results = ENGINES.call(name, "dc_engine_for", client=client)
        except (BackendBroken, BackendConflict) as error:
            unusable = error
            continue
        except (KeyboardInterrupt, GeneratorExit, OutOfResources):
            raise
        except BaseException as error:  # noqa: BLE001 - it is raised if no other recognizes the client
            unusable = ENGINES.broken(name, error)
            unusable.__cause__ = error
            continue
        if results:
            return name, results[0]
    if unusable is not None:
        raise unusable
    return None
