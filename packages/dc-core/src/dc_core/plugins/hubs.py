"""The hub behind ``to_pretrained`` and ``from_pretrained``: dc-hub, found in ``dc.hubs``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from dc_core.errors import BackendNotInstalled, HubNotInstalled
from dc_core.plugins.group import PluginGroup
from dc_core.plugins.hookspecs import HubHooks

T = TypeVar("T")

HUBS: Final = PluginGroup("dc.hubs", HubHooks, {"dc_hub": "dc-hub"})


@dataclass(frozen=True, slots=True)
class Hub:
    """Calls to the installed hub."""

    group: PluginGroup = HUBS

    def publish(self, model: Any, where: Any, options: Mapping[str, Any]) -> Any:
        """Store ``model``; see :meth:`dc_core.Model.to_pretrained`."""
        return self._call("dc_publish", model=model, where=where, options=options)

    def fetch(self, cls: type[T], name: Any, options: Mapping[str, Any]) -> T:
        """Return a stored model; see :meth:`dc_core.Model.from_pretrained`."""
        model: T = self._call("dc_fetch", cls=cls, name=name, options=options)
        return model

    def _call(self, hook: str, **arguments: Any) -> Any:
        # Load it first: an error from the call itself may be about another missing plugin.
        try:
            self.group.load("dc_hub")
        except BackendNotInstalled as error:
            raise HubNotInstalled(
                "Publishing and loading models needs the package dc-hub.",
                hint="Run: pip install dc-hub",
            ) from error
        results = self.group.call("dc_hub", hook, **arguments)
        return results[0] if results else None


def hub() -> Hub:
    """Return the installed hub; without one its calls raise :class:`HubNotInstalled`."""
    return Hub()
