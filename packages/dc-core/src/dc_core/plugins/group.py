"""The plugins of one entry-point group: discovery, isolation, conflicts.

Discovery reads metadata only. A plugin is imported when it is first needed; one that fails to
import is remembered as broken and does not affect the others. A known name belongs to its known
distribution. If several other distributions claim a name, none of them is used.
"""

from __future__ import annotations

import logging
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from importlib import metadata
from typing import Any, Final

import pluggy

from dc_core.errors import (
    BackendBroken,
    BackendConflict,
    BackendNotInstalled,
    DCError,
    OutOfResources,
    PluginError,
)
from dc_core.plugins import importing
from dc_core.plugins.causes import cause_text, is_passing, out_of_resources
from dc_core.plugins.discovery import (
    PluginStatus,
    discover,
    distribution_of,
    newer_groups,
    refused,
    unreadable,
    version_of,
    version_of_installed,
)
from dc_core.warning import PluginWarning, warn

logger = logging.getLogger(__name__)

DATA_LIBRARIES: Final = frozenset(
    {
        "ml_dtypes",
        "narwhals",
        "numpy",
        "pandas",
        "pluggy",
        "polars",
        "pyarrow",
        "rdkit",
        "scipy",
    }
)
"""Modules whose objects are the data of models of every framework."""

RESERVED: Final = DATA_LIBRARIES | {"__main__", "dc_core"} | sys.stdlib_module_names
"""Modules whose objects every program uses: a plugin of that name would claim all of them."""


class PluginGroup:
    """The plugins of one entry-point group.

    ``hooks`` is the class of hookspecs that they implement. ``known`` maps the names of known
    plugins to their distributions, which errors about missing plugins name. Names in ``built_in``
    are those of dc-core's own, which no plugin can have; nor can it have one in ``reserved``.

    A plugin of a distribution that has plugins in the group ``after`` too is loaded after those: a
    framework that cannot be imported is then imported once, and its cause is named.
    """

    def __init__(
        self,
        group: str,
        hooks: type,
        known: dict[str, str],
        built_in: Collection[str] = (),
        reserved: Collection[str] = RESERVED,
        after: PluginGroup | None = None,
    ) -> None:
        self.group = group
        self.after = after
        self.built_in = built_in
        self.reserved = reserved
        self.hooks = hooks
        self.known = known
        self.refresh()

    def refresh(self) -> None:
        """Forget discovered and loaded plugins; the next access looks again."""
        importing.forget()
        self._entries: dict[str, list[metadata.EntryPoint]] | None = None
        self._refused: list[PluginStatus] = []
        self._strangers: dict[str, list[PluginStatus]] = {}
        self._newer: dict[str, PluginStatus] | None = None
        self._warned: set[str] = set()
        self._loaded: dict[str, Any] = {}
        self._implemented: dict[str, frozenset[str]] = {}
        self._callers: dict[tuple[str, str], Callable[..., list[Any]]] = {}
        self._registering = threading.Lock()
        self._manager = pluggy.PluginManager("dc")
        self._manager.add_hookspecs(self.hooks())

    @property
    def entries(self) -> dict[str, list[metadata.EntryPoint]]:
        """The usable entry points by name; several for one name are a conflict."""
        if self._entries is None:
            self._entries = self._discover()
        return self._entries

    @property
    def refused(self) -> list[PluginStatus]:
        """One line about each ignored entry point, with the reason."""
        if self._entries is None:
            self._entries = self._discover()
        strangers = [line for lines in self._strangers.values() for line in lines]
        return [*self._refused, *strangers, *self.newer.values()]

    @property
    def newer(self) -> dict[str, PluginStatus]:
        """The plugins that exist only for a newer version of this API, by name."""
        if self._newer is None:
            self._newer = {
                entry.name: refused(
                    entry,
                    f"The plugin {entry.name!r} of {distribution_of(entry)} needs a newer dc-core: "
                    f"it is for {group}, this dc-core supports {self.group}.",
                    "Run: pip install --upgrade dc-core",
                )
                for group in newer_groups(self.group)
                for entry in discover(group)[0]
                if entry.name not in self.entries
            }
        return self._newer

    def _discover(self) -> dict[str, list[metadata.EntryPoint]]:
        usable, self._refused = discover(self.group)
        found: dict[str, list[metadata.EntryPoint]] = {}
        for entry in usable:
            reason = self._misnamed(entry.name)
            if reason:
                self._refused.append(
                    refused(entry, reason, f"Run: pip uninstall {distribution_of(entry)}")
                )
                continue
            same = found.setdefault(entry.name, [])
            if distribution_of(entry) not in map(distribution_of, same):
                same.append(entry)
        for name, claims in found.items():
            owners = [e for e in claims if distribution_of(e) == self.known.get(name)]
            if owners:
                found[name] = owners
                self._strangers[name] = [self._stranger(e) for e in claims if e not in owners]
        return found

    def _stranger(self, entry: metadata.EntryPoint) -> PluginStatus:
        stranger = distribution_of(entry)
        return refused(
            entry,
            f"{stranger} also provides the plugin {entry.name!r} in {self.group}, which belongs to "
            f"{self.known[entry.name]}; it is ignored.",
            f"Run: pip uninstall {stranger}",
        )

    def __contains__(self, name: object) -> bool:
        return name in self.entries

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self.entries))

    def load(self, name: str) -> Any:
        """Import the plugin ``name``, once, and return it.

        Raises :class:`BackendNotInstalled`, :class:`BackendConflict` or :class:`BackendBroken`, and
        :class:`OutOfResources` if it may be imported later.
        """
        if name in self._loaded:
            return self._loaded[name]
        found = self.entries.get(name, [])
        if not found:
            raise self.missing(name)
        self._warn_of_strangers(name)
        if len(found) > 1:
            raise self._conflict(name, found)
        (entry,) = found
        self._load_others(distribution_of(entry))
        try:
            # Not under the lock: importing a plugin may load another.
            plugin = importing.load(entry)
            with self._registering:
                self._register(name, plugin)
        except (KeyboardInterrupt, GeneratorExit, OutOfResources):
            raise
        except BaseException as error:  # A module may call sys.exit() or raise what it likes.
            logger.debug("plugin %s of group %s is broken", name, self.group, exc_info=True)
            raise self.broken(name, error) from error
        self._loaded[name] = plugin
        return plugin

    def _load_others(self, distribution: str) -> None:
        """Load the plugins of ``distribution`` in the group that this one comes after."""
        if self.after is not None:
            for name, entries in self.after.entries.items():
                if distribution in map(distribution_of, entries):
                    self.after.load(name)

    def _register(self, name: str, plugin: Any) -> None:
        """Register ``plugin``, once even if it has several names; raise if a hook is unknown."""
        if self._manager.is_registered(plugin):
            return
        try:
            # A caller leaves out the other plugins that there were when it was made.
            self._callers.clear()
            self._manager.register(plugin, name=name)
            self._manager.check_pending()
            if not self._manager.get_hookcallers(plugin):
                raise pluggy.PluginValidationError(
                    plugin, "it implements no hook: mark its functions with dc_core.hookimpl"
                )
        except BaseException:
            if self._manager.get_plugin(name) is not None:
                self._manager.unregister(name=name)
            raise

    def _warn_of_strangers(self, name: str) -> None:
        if name not in self._warned:
            self._warned.add(name)
            for line in self._strangers.get(name, []):
                warn(f"{line.detail} {line.hint}", PluginWarning)

    def call(self, name: str, hook: str, /, **arguments: Any) -> list[Any]:
        """Call one hook of the plugin ``name`` alone; return [] if it lacks the hook."""
        plugin = self.load(name)
        caller = self._callers.get((name, hook))
        if caller is None:
            with self._registering:
                others = [p for p in self._manager.get_plugins() if p is not plugin]
                caller = self._manager.subset_hook_caller(hook, others)
                self._callers[name, hook] = caller
        return caller(**arguments)

    def implements(self, name: str, hook: str) -> bool:
        """Tell whether the plugin ``name`` implements ``hook``."""
        plugin = self.load(name)
        if name not in self._implemented:
            callers = self._manager.get_hookcallers(plugin) or []
            self._implemented[name] = frozenset(caller.name for caller in callers)
        return hook in self._implemented[name]

    def report(self, check: Callable[[str], object] | None = None) -> list[PluginStatus]:
        """Load every plugin and return one line about each, including refused and missing ones.

        ``check`` is called with the name of each loaded plugin and raises if it is unusable.
        """
        lines = [*self.refused]
        reported = {line.name for line in lines}
        names = {*self.entries, *(name for name in self.known if name not in reported)}
        lines += [self._status(name, check) for name in names]
        return sorted(lines, key=lambda line: (line.name, line.status, line.distribution))

    def _status(self, name: str, check: Callable[[str], object] | None) -> PluginStatus:
        found = self.entries.get(name, [])
        distribution = ", ".join(map(distribution_of, found))
        version = ", ".join(map(version_of, found))
        try:
            self.load(name)
            if check is not None:
                check(name)
        except BackendNotInstalled as error:
            distribution = self.known[name]
            version = version_of_installed(distribution)
            return PluginStatus(
                self.group,
                name,
                "missing",
                distribution,
                version,
                detail=str(error.args[0]) if version else "",
                hint=error.hint,
            )
        except DCError as error:
            return PluginStatus(
                self.group,
                name,
                "conflict" if isinstance(error, BackendConflict) else "broken",
                distribution,
                version,
                detail=error.cause if isinstance(error, BackendBroken) else str(error.args[0]),
                hint=error.hint,
            )
        return PluginStatus(self.group, name, "ready", distribution, version)

    def missing(self, name: str) -> PluginError:
        """Return the error for a missing plugin, with the reason and the package to install."""
        known = self.known.get(name, "")
        lines = [line for line in self.refused if line.name == name]
        lines += [line for line in unreadable() if line.distribution == known]
        if lines:
            return BackendBroken(
                lines[0].detail,
                hint=lines[0].hint,
                distribution=lines[0].distribution,
                version=lines[0].version,
                cause=lines[0].detail,
            )
        installed = version_of_installed(known)
        if installed:
            return BackendNotInstalled(
                f"{known} {installed} is installed, but has no plugin {name!r} yet.",
                hint=f"Run: pip install --upgrade {known}",
            )
        if known:
            return BackendNotInstalled(
                f"The plugin {name!r} is not installed.", hint=f"Run: pip install {known}"
            )
        return BackendNotInstalled(
            f"No installed distribution provides a plugin {name!r} in {self.group}.",
            hint="Install one that does; `python -m dc_core plugins` lists what is installed.",
        )

    def _conflict(self, name: str, found: list[metadata.EntryPoint]) -> BackendConflict:
        distributions = sorted(distribution_of(entry) for entry in found)
        return BackendConflict(
            f"{' and '.join(distributions)} both provide the plugin {name!r} in {self.group}.",
            hint=f"Keep one: pip uninstall {distributions[-1]}",
            distributions=distributions,
        )

    def broken(self, name: str, error: BaseException) -> BackendBroken | OutOfResources:
        """Return the error for a plugin that cannot be used because of ``error``."""
        if is_passing(error):
            return out_of_resources(f"The plugin {name!r} cannot be used", error)
        (entry,) = self.entries[name]
        distribution, version = distribution_of(entry), version_of(entry)
        cause = cause_text(error)
        return BackendBroken(
            f"The plugin {name!r} of {distribution} {version} cannot be used: {cause}.",
            hint=importing.hint_about(error, entry),
            distribution=distribution,
            version=version,
            cause=cause,
        )

    def _misnamed(self, name: str) -> str:
        """Return why a plugin cannot have this name; empty if it can."""
        if name in self.built_in:
            return f"No plugin can be named {name!r}: dc-core has one of that name."
        if name in self.reserved:
            return (
                f"No plugin can be named {name!r}: it would claim objects that every program uses."
            )
        if not name.isidentifier():
            return f"No plugin can be named {name!r}: the name must be a top-level module."
        return ""
