"""Plugins: hooks, discovery, and which backend serves an object.

``claim(obj)`` finds the backend of a framework's object; ``backend(name)`` is one by its name;
``report()`` lists what is installed, broken, in conflict or missing.
"""

from dc_core.plugins.backends import (
    BACKENDS,
    CAPABILITIES,
    Backend,
    BackendInfo,
    Claimed,
    backend_of,
    claim,
)
from dc_core.plugins.group import PluginGroup, PluginStatus
from dc_core.plugins.hookspecs import BackendHooks, HubHooks, hookimpl, hookspec
from dc_core.plugins.hubs import HUBS, hub

__all__ = [
    "BACKENDS",
    "CAPABILITIES",
    "HUBS",
    "Backend",
    "BackendHooks",
    "BackendInfo",
    "Claimed",
    "HubHooks",
    "PluginGroup",
    "PluginStatus",
    "backend",
    "backend_of",
    "claim",
    "hookimpl",
    "hookspec",
    "hub",
    "refresh",
    "report",
]


def backend(name: str) -> Backend:
    """Return the backend ``name``; it is imported when it is first called."""
    return Backend(name)


def report() -> list[PluginStatus]:
    """Load every plugin and return one line on each, those known and missing included."""
    return [*BACKENDS.report(), *HUBS.report()]


def refresh() -> None:
    """Look for plugins again: after an installation in the running program, or in tests."""
    BACKENDS.refresh()
    HUBS.refresh()
