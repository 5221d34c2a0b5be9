"""The kinds of hubs, by the schemes of their URLs, found in ``dc.hubs``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dc_core.plugins.group import PluginGroup
from dc_core.plugins.hookspecs import HubHooks

HUBS: Final = PluginGroup(
    "dc.hubs",
    HubHooks,
    dict.fromkeys(("hf", "http", "https", "s3"), "dc-hub"),
    built_in=("file",),
    reserved=(),
)


def open_hub(scheme: str, url: str, options: Mapping[str, Any]) -> Any:
    """Return the hub at ``url``, of the plugin ``scheme``.

    Raises :class:`BackendNotInstalled`, or another error of :meth:`PluginGroup.load`.
    """
    results = HUBS.call(scheme, "dc_open_hub", url=url, options=options)
    return results[0] if results else None
