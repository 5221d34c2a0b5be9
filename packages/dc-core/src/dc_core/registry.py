"""Registered names of classes, which stored models use instead of import paths.

A name such as ``torch/MultitaskRegressor`` is registered by an entry point of an installed
distribution or by ``@register_model`` / ``@register_component`` in the running program. A file can
choose among these names; it cannot add one or name a module.

A class without a registered name is stored as ``local/<ClassName>`` and is loaded by the caller's
own class: ``MyNet.from_pretrained(name)``.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import metadata
from typing import Any, Final, Literal, TypeVar

from dc_core import parameters, plugins
from dc_core.component import Component
from dc_core.errors import (
    BackendBroken,
    BackendConflict,
    ClassConflict,
    NotClaimed,
    OutOfResources,
    UnknownClass,
)
from dc_core.model import Model
from dc_core.plugins import importing
from dc_core.plugins.causes import cause_text
from dc_core.plugins.discovery import (
    PluginStatus,
    discover,
    distribution_of,
    refused,
    version_of,
)
from dc_core.plugins.group import DATA_LIBRARIES

T = TypeVar("T")

LOCAL: Final = "local"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*/[A-Za-z0-9][A-Za-z0-9._-]*")


class Registry:
    """Classes by registered name, from entry-point ``groups`` and from the running program.

    Every class must be a subclass of ``base``, if there is one.
    """

    def __init__(self, groups: tuple[str, ...], base: type | None) -> None:
        self.groups = groups
        self.base = base
        self._registered: dict[str, type] = {}
        self._entries: dict[str, list[metadata.EntryPoint]] | None = None
        self._by_class: dict[tuple[str, str], list[str]] = {}
        self._refused: list[PluginStatus] = []

    def refresh(self) -> None:
        """Look for entry points again; keep the classes registered by the running program."""
        importing.forget()
        self._entries = None

    def register(self, name: str) -> Callable[[type[T]], type[T]]:
        """Return a decorator that registers a class as ``<namespace>/<name>`` for this program.

        Raises :class:`ClassConflict` if the name is malformed or taken, or the class of the wrong
        kind.
        """
        if not _can_be_registered(name):
            raise ClassConflict(
                f"{name!r} cannot be a registered name.",
                hint="Use '<namespace>/<name>' of letters, digits, '.', '_' and '-'; "
                f"the namespace {LOCAL!r} and those of data libraries are taken.",
            )

        def decorate(cls: type[T]) -> type[T]:
            other = self._registered.get(name)
            free = other is None or _path(other) == _path(cls)
            claims = map(_claimed, self.entries.get(name, []))
            if not free or any(claim != _known_as(cls) for claim in claims):
                raise ClassConflict(
                    f"The name {name!r} is taken.", hint="Choose another namespace."
                )
            self._check(name, cls)
            if not issubclass(cls, Component):
                parameters.capture_constructor(cls)
            self._registered[name] = cls
            return cls

        return decorate

    @property
    def entries(self) -> dict[str, list[metadata.EntryPoint]]:
        """The entry points of all groups by name; several for one name are a conflict."""
        return self._discover()

    def _discover(self) -> dict[str, list[metadata.EntryPoint]]:
        """Return the entry points, once found; their names are kept by the class they name too."""
        if self._entries is None:
            found: dict[str, list[metadata.EntryPoint]] = {}
            by_class: dict[tuple[str, str], list[str]] = {}
            self._refused = []
            for group in self.groups:
                usable, others_refused = discover(group)
                self._refused += others_refused
                for entry in usable:
                    line = _misnamed(entry)
                    if line is not None:
                        self._refused.append(line)
                        continue
                    others = found.setdefault(entry.name, [])
                    if entry.value not in [other.value for other in others]:
                        others.append(entry)
                        by_class.setdefault(_claimed(entry), []).append(entry.name)
            self._by_class, self._entries = by_class, found
        return self._entries

    def names(self) -> list[str]:
        """Return every registered name, sorted; nothing is imported."""
        return sorted({*self.entries, *self._registered})

    def lookup(self, name: str) -> type[Any]:
        """Return the class registered as ``name``.

        The class of a backend is imported after the backend. Raises :class:`UnknownClass` if the
        name is not registered or its module cannot be imported, :class:`OutOfResources` if it may
        be imported later, and :class:`ClassConflict` if two distributions claim it or it names
        something of the wrong kind.
        """
        if name in self._registered:
            return self._registered[name]
        if name not in self.entries:
            raise UnknownClass(
                f"No class is registered as {name!r}.",
                hint=self._how_to_get(name),
            )
        entry, *others = self.entries[name]
        if others:
            distributions = sorted(map(distribution_of, (entry, *others)))
            raise ClassConflict(
                f"{' and '.join(distributions)} both provide the class {name!r}.",
                hint="Uninstall one of them.",
            )
        self._load_backend(name)
        try:
            cls = importing.load(entry)
        except (KeyboardInterrupt, GeneratorExit, OutOfResources):
            raise
        except BaseException as error:
            raise UnknownClass(
                f"The class {name!r} of {distribution_of(entry)} {version_of(entry)} cannot be "
                f"imported: {cause_text(error)}.",
                hint=importing.hint_about(error, entry),
            ) from error
        self._check(name, cls)
        return cls  # type: ignore[no-any-return]

    def report(self) -> list[PluginStatus]:
        """Import the class of every entry point and return one line about each."""
        lines = []
        for name, entries in sorted(self.entries.items()):
            status: Literal["ready", "broken", "conflict"] = "ready"
            detail = hint = ""
            try:
                self.lookup(name)
            except (ClassConflict, OutOfResources, UnknownClass) as error:
                status = "conflict" if len(entries) > 1 else "broken"
                detail, hint = str(error.args[0]), error.hint
            lines.append(
                PluginStatus(
                    group=entries[0].group,
                    name=name,
                    status=status,
                    distribution=", ".join(map(distribution_of, entries)),
                    version=", ".join(map(version_of, entries)),
                    detail=detail,
                    hint=hint,
                )
            )
        return sorted([*lines, *self._refused], key=lambda line: (line.name, line.distribution))

    def name_of(self, cls: type) -> str | None:
        """Return the registered name of ``cls`` itself, None if it has none."""
        for name, registered in self._registered.items():
            if registered is cls:
                return name
        self._discover()
        # Only an entry that may be this class is imported.
        may_be = self._by_class.get(_known_as(cls), ())
        return next((name for name in may_be if self.lookup(name) is cls), None)

    def stored_name(self, cls: type) -> str:
        """Return the registered name of ``cls``, or ``local/<ClassName>``."""
        return self.name_of(cls) or f"{LOCAL}/{cls.__name__}"

    def _load_backend(self, name: str) -> None:
        """Load the backend that a class is named for: with one that is broken, none can be used."""
        backend = name.partition("/")[0]
        if backend in plugins.BACKENDS:
            try:
                plugins.BACKENDS.load(backend)
            except (BackendBroken, BackendConflict) as error:
                raise UnknownClass(
                    f"The class {name!r} cannot be used without its backend. {error.args[0]}",
                    hint=error.hint,
                ) from error

    def _check(self, name: str, cls: Any) -> None:
        is_class = issubclass(type(cls), type)
        if not is_class or (self.base is not None and not issubclass(cls, self.base)):
            wanted = self.base.__name__ if self.base is not None else "class"
            what = type.__repr__(cls) if is_class else f"a {type(cls).__name__}"
            raise ClassConflict(f"{name!r} names {what}, which is not a {wanted}.")

    def _how_to_get(self, name: str) -> str:
        namespace, _, cls = name.partition("/")
        if namespace == LOCAL:
            return f"Load it with your own class: {cls}.from_pretrained(...)."
        if namespace in namespaces():
            return f"Run: pip install --upgrade {namespaces()[namespace]}"
        return (
            "Install the package that defines it, import it, or use YourClass.from_pretrained(...)."
        )


models: Final = Registry(("dc.models",), Model)
"""The registered models."""

components: Final = Registry(("dc.components", "dc.featurizers"), None)
"""The registered components: featurizers, transformers, and classes of outside frameworks."""

register_model = models.register
register_component = components.register


def report() -> list[PluginStatus]:
    """Return one line about each installed class, models first; see :meth:`Registry.report`."""
    return [*models.report(), *components.report()]


@dataclass(frozen=True, slots=True)
class Description:
    """How an object is stored, apart from its weights: registered name and constructor arguments.

    ``backend`` is the one that every object of the class needs, None if several can serve it.
    """

    name: str
    version: int
    backend: str | None
    params: Mapping[str, Any]


def describe(obj: Any) -> Description | None:
    """Return how ``obj`` is stored, None if it cannot be stored.

    ``obj`` is a model or component, an instance of a class registered with
    :func:`register_component`, or a framework's own object whose backend knows it by name: its own
    name, or for a wrapper the registered name of what it wraps.
    """
    cls = type(obj)
    if isinstance(obj, Component):
        registry = models if isinstance(obj, Model) else components
        return Description(
            registry.stored_name(cls), cls.class_version, cls.backend, obj.get_parameters()
        )
    name = components.name_of(cls)
    captured = parameters.captured_by(obj)
    if name is not None and captured is not None:
        return Description(name, getattr(cls, "class_version", 1), _backend_name(cls), captured)
    try:
        claimed = plugins.claim(obj)
        found = claimed.backend.describe_component(obj)
    except NotClaimed:
        return None
    if found is None:
        return None
    name, params = found
    version = 1
    if name in components.names():
        version = getattr(components.lookup(name), "class_version", 1)
    return Description(name, version, claimed.backend.name, params)


def build(cls: type[T], params: Mapping[str, Any], backend: str | None = None) -> T:
    """Construct a ``cls``, without initialising its weights if its backend can do that."""
    if backend is None:
        return parameters.construct(cls, params)
    return plugins.backend(backend).skeleton(lambda: parameters.construct(cls, params))


def namespaces() -> dict[str, str]:
    """Return the known namespaces of registered names, with the distribution each belongs to."""
    return {**plugins.BACKENDS.known, "pipeline": "dc-pipeline"}


def _can_be_registered(name: str) -> bool:
    taken = {LOCAL, *DATA_LIBRARIES}
    return _NAME.fullmatch(name) is not None and name.partition("/")[0] not in taken


def _misnamed(entry: metadata.EntryPoint) -> PluginStatus | None:
    """Return the line about an entry point that cannot have its name, None if it can."""
    namespace = entry.name.partition("/")[0]
    owner, distribution = namespaces().get(namespace), distribution_of(entry)
    remove = f"Run: pip uninstall {distribution}"
    if not _can_be_registered(entry.name):
        return refused(entry, f"{entry.name!r} cannot be a registered name.", remove)
    if owner not in (None, distribution):
        return refused(
            entry,
            f"{distribution} registers {entry.name!r}, but the namespace {namespace!r} belongs to "
            f"{owner}.",
            remove,
        )
    return None


def _backend_name(cls: type) -> str | None:
    try:
        return plugins.backend_of(cls).name
    except NotClaimed:
        return None


def _path(cls: type) -> str:
    """Return the import path of ``cls`` in the form of an entry point's value."""
    return f"{cls.__module__}:{cls.__qualname__}"


def _claimed(entry: metadata.EntryPoint) -> tuple[str, str]:
    """Return the top-level package and the qualified name of the class that ``entry`` names."""
    return entry.module.partition(".")[0], entry.attr


def _known_as(cls: type) -> tuple[str, str]:
    """Return the top-level package and the qualified name of ``cls``."""
    return cls.__module__.partition(".")[0], cls.__qualname__
