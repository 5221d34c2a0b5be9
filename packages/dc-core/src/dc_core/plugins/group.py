"""One entry-point group as a group for plugins: discovery, isolation, conflicts.

Discovery reads metadata only. A plugin is imported when it is first needed and alone; one that
fails to import is remembered as broken and takes nothing else down. Two distributions on one name
are a conflict, and neither is used: a winner by luck would be worse.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Literal

import pluggy

from dc_core.errors import BackendBroken, BackendConflict, BackendNotInstalled

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class PluginStatus:
    """One line of :func:`dc_core.plugins.report`."""

    group: str
    name: str
    status: Literal["ready", "broken", "conflict", "missing"]
    distribution: str = ""
    version: str = ""
    detail: str = ""
    hint: str = ""


class PluginGroup:
    """The plugins of one entry-point group.

    ``hooks`` is the class of hookspecs they implement; ``known`` names plugins that exist, with the
    distribution that brings each, so that a missing one can be asked for by its install line.
    """

    def __init__(self, group: str, hooks: type, known: dict[str, str]) -> None:
        self.group = group
        self.hooks = hooks
        self.known = known
        self.refresh()

    def refresh(self) -> None:
        """Forget what was discovered and loaded; the next question looks again."""
        self._entries: dict[str, list[metadata.EntryPoint]] | None = None
        self._loaded: dict[str, Any] = {}
        self._implemented: dict[str, frozenset[str]] = {}
        self._failures: dict[str, BaseException] = {}
        self._registering = threading.Lock()
        self._manager = pluggy.PluginManager("dc")
        self._manager.add_hookspecs(self.hooks())

    @property
    def entries(self) -> dict[str, list[metadata.EntryPoint]]:
        """The entry points by name; more than one under a name is a conflict."""
        if self._entries is None:
            found: dict[str, list[metadata.EntryPoint]] = {}
            for entry in metadata.entry_points(group=self.group):
                others = found.setdefault(entry.name, [])
                if distribution_of(entry) not in map(distribution_of, others):
                    others.append(entry)
            self._entries = found
        return self._entries

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.entries))

    def load(self, name: str) -> Any:
        """Import the plugin ``name`` (once) and return it.

        Raises :class:`BackendNotInstalled`, :class:`BackendConflict` or :class:`BackendBroken`.
        """
        if name in self._loaded:
            return self._loaded[name]
        found = self.entries.get(name, [])
        if not found:
            raise self.missing(name)
        if len(found) > 1:
            raise self._conflict(name, found)
        (entry,) = found
        if name in self._failures:
            raise self._broken(name, entry) from self._failures[name]
        try:
            # Not under the lock: Python serialises imports itself, and a plugin's import may load
            # another plugin. SystemExit, because a module that calls sys.exit() is broken too.
            plugin = entry.load()
            with self._registering:
                self._register(name, plugin)
        except (Exception, SystemExit) as error:
            logger.debug("plugin %s of group %s is broken", name, self.group, exc_info=True)
            self._failures[name] = error
            raise self._broken(name, entry) from error
        self._loaded[name] = plugin
        return plugin

    def _register(self, name: str, plugin: Any) -> None:
        """Register ``plugin`` once, whatever its names; raise unless all of its hooks are known."""
        if self._manager.is_registered(plugin):
            return
        try:
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
        except pluggy.PluginValidationError:
            self._manager.unregister(name=name)
            raise

    def call(self, name: str, hook: str, /, **arguments: Any) -> list[Any]:
        """Call one hook of the one plugin ``name``; the list is empty where it lacks the hook."""
        plugin = self.load(name)
        others = [p for p in self._manager.get_plugins() if p is not plugin]
        results: list[Any] = self._manager.subset_hook_caller(hook, others)(**arguments)
        return results

    def implements(self, name: str, hook: str) -> bool:
        """Tell whether the plugin ``name`` implements ``hook``."""
        plugin = self.load(name)
        if name not in self._implemented:
            callers = self._manager.get_hookcallers(plugin) or []
            self._implemented[name] = frozenset(caller.name for caller in callers)
        return hook in self._implemented[name]

    def report(self) -> list[PluginStatus]:
        """Load every plugin of the group and say how it went; known ones that are absent too."""
        lines = []
        for name in sorted({*self.entries, *self.known}):
            found = self.entries.get(name, [])
            who = {
                "distribution": ", ".join(distribution_of(entry) for entry in found),
                "version": ", ".join(version_of(entry) for entry in found),
            }
            try:
                self.load(name)
            except BackendNotInstalled as error:
                known = self.known[name]
                who = {"distribution": known, "version": _version_of_installed(known)}
                detail = str(error.args[0]) if who["version"] else ""
                lines.append(
                    PluginStatus(self.group, name, "missing", **who, detail=detail, hint=error.hint)
                )
            except BackendConflict as error:
                lines.append(
                    PluginStatus(
                        self.group,
                        name,
                        "conflict",
                        **who,
                        detail=str(error.args[0]),
                        hint=error.hint,
                    )
                )
            except BackendBroken as error:
                lines.append(
                    PluginStatus(
                        self.group, name, "broken", **who, detail=error.cause, hint=error.hint
                    )
                )
            else:
                lines.append(PluginStatus(self.group, name, "ready", **who))
        return lines

    def missing(self, name: str) -> BackendNotInstalled:
        """Return the error for a plugin that is not installed, with the line that installs it."""
        installed = _version_of_installed(self.known.get(name, ""))
        if installed:
            return BackendNotInstalled(
                f"{self.known[name]} {installed} is installed, and has no plugin {name!r} yet.",
                hint=f"Run: pip install --upgrade {self.known[name]}",
            )
        if name in self.known:
            return BackendNotInstalled(
                f"The plugin {name!r} is not installed.",
                hint=f"Run: pip install {self.known[name]}",
            )
        return BackendNotInstalled(
            f"No installed distribution provides a plugin {name!r} in {self.group}.",
            hint="Install the one that does; `python -m dc_core plugins` lists what is there.",
        )

    def _conflict(self, name: str, found: list[metadata.EntryPoint]) -> BackendConflict:
        distributions = sorted(distribution_of(entry) for entry in found)
        strangers = [each for each in distributions if each != self.known.get(name)]
        return BackendConflict(
            f"{' and '.join(distributions)} both provide the plugin {name!r} in {self.group}.",
            hint=f"Keep one: pip uninstall {strangers[-1]}",
            distributions=distributions,
        )

    def _broken(self, name: str, entry: metadata.EntryPoint) -> BackendBroken:
        error = self._failures[name]
        distribution, version = distribution_of(entry), version_of(entry)
        cause = f"{type(error).__name__}: {error}"
        return BackendBroken(
            f"The plugin {name!r} of {distribution} {version} cannot be used: {cause}.",
            hint=f"Run: pip install --force-reinstall {distribution}, or report it to its authors.",
            distribution=distribution,
            version=version,
            cause=cause,
        )


def distribution_of(entry: metadata.EntryPoint) -> str:
    """Return the name of the entry's distribution in its normal form, equal for equal ones."""
    if entry.dist is None:
        return "an unknown distribution"
    return re.sub(r"[-_.]+", "-", entry.dist.name).lower()


def version_of(entry: metadata.EntryPoint) -> str:
    """Return the version of the entry's distribution."""
    return entry.dist.version if entry.dist else ""


def _version_of_installed(distribution: str) -> str:
    """Return the version of an installed distribution, empty where it is not installed."""
    try:
        return metadata.version(distribution) if distribution else ""
    except metadata.PackageNotFoundError:
        return ""
