"""Plugins: hooks, discovery, and the backend that serves an object.

``claim(obj)`` finds the backend of a framework's object, ``backend(name)`` returns one by name, and
``report()`` lists every plugin: ready, broken, in conflict, refused or missing.
"""

from importlib import invalidate_caches

from dc_core.plugins.backends import (
    BACKENDS,
    CAPABILITIES,
    Backend,
    Claimed,
    backend_of,
    claim,
)
from dc_core.plugins.converters import (
    CONVERTERS,
    calls_libraries,
    read_file,
    recognize_file,
)
from dc_core.plugins.discovery import PluginStatus, unreadable
from dc_core.plugins.engines import ENGINES, engine_for, make_engine
from dc_core.plugins.foreign import Foreign
from dc_core.plugins.group import PluginGroup
from dc_core.plugins.hookspecs import (
    BackendHooks,
    ConverterHooks,
    EngineHooks,
    HubHooks,
    PretrainedHooks,
    hookimpl,
    hookspec,
)
from dc_core.plugins.hubs import HUBS, open_hub
from dc_core.plugins.info import BackendInfo
from dc_core.plugins.pretrained import PRETRAINED, Pretrained

__all__ = [
    "BACKENDS",
    "CAPABILITIES",
    "CONVERTERS",
    "ENGINES",
    "HUBS",
    "PRETRAINED",
    "Backend",
    "BackendHooks",
    "BackendInfo",
    "Claimed",
    "ConverterHooks",
    "EngineHooks",
    "Foreign",
    "HubHooks",
    "PluginGroup",
    "PluginStatus",
    "Pretrained",
    "PretrainedHooks",
    "backend",
    "backend_of",
    "calls_libraries",
    "claim",
    "engine_for",
    "hookimpl",
    "hookspec",
    "make_engine",
    "open_hub",
    "read_file",
    "recognize_file",
    "refresh",
    "report",
]


def backend(name: str) -> Backend:
    """Return the backend ``name``; its plugin is imported at the first call."""
    return Backend(name)


def report() -> list[PluginStatus]:
    """Load every plugin and return one line on each, including known ones that are missing.

    Distributions whose entry points cannot be read have a line too.
    """
    backends = BACKENDS.report(_check)  # first, as others may import a framework by the way
    groups = (PRETRAINED, HUBS, CONVERTERS, ENGINES)
    others = [line for group in groups for line in group.report()]
    return [*backends, *others, *unreadable()]


def _check(name: str) -> None:
    """Raise unless the backend ``name`` returns a valid description of itself."""
    if BACKENDS.implements(name, "dc_backend_info"):
        backend(name).info()


def refresh() -> None:
    """Look for plugins again, for instance after installing one while the program runs."""
    invalidate_caches()
    for group in (BACKENDS, PRETRAINED, HUBS, CONVERTERS, ENGINES):
        group.refresh()
