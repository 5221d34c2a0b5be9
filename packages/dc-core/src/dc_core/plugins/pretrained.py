"""The plugin behind ``to_pretrained`` and ``from_pretrained``: dc-hub, in ``dc.pretrained``."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

from dc_core.errors import BackendNotInstalled, HubNotInstalled
from dc_core.plugins.group import PluginGroup
from dc_core.plugins.hookspecs import PretrainedHooks

T = TypeVar("T")

PRETRAINED: Final = PluginGroup("dc.pretrained", PretrainedHooks, {"dc_hub": "dc-hub"})


@dataclass(frozen=True, slots=True)
class Pretrained:
    """Calls to the package that stores and loads models: :class:`HubNotInstalled` without it."""

    group: PluginGroup = PRETRAINED

    def publish(self, model: Any, where: Any, options: Mapping[str, Any]) -> Any:
        """Store ``model``; see :meth:`dc_core.Model.to_pretrained`."""
        return self._call("dc_publish", model=model, where=where, options=options)

    def fetch(self, cls: type[T], name: Any, options: Mapping[str, Any]) -> T:
        """Return a stored model; see :meth:`dc_core.Model.from_pretrained`."""
        model: T = self._call("dc_fetch", cls=cls, name=name, options=options)
        return model

    def checkpoints(self, where: Any, options: Mapping[str, Any]) -> Any:
        """Return the store of the checkpoints of :class:`dc_core.training.Checkpoint`."""
        store = self._call("dc_checkpoints", where=where, options=options)
        if store is None:
            raise HubNotInstalled(
                "The installed dc-hub cannot keep checkpoints.",
                hint="Run: pip install --upgrade dc-hub",
            )
        return store

    def check(self) -> None:
        """Raise :class:`HubNotInstalled` if there is no such package."""
        try:
            self.group.load("dc_hub")
        except BackendNotInstalled as error:
            raise HubNotInstalled(
                "Publishing and loading models needs the package dc-hub.",
                hint="Run: pip install dc-hub",
            ) from error

    def _call(self, hook: str, **arguments: Any) -> Any:
        self.check()  # an error from the call itself may be about another missing plugin
        results = self.group.call("dc_hub", hook, **arguments)
        return results[0] if results else None
