"""All packages that a model needs and that are not installed, in one error with one command."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dc_core import distributions, plugins, registry
from dc_hub.errors import BackendNotInstalled, HubError, UnknownClass
from dc_hub.format.record import Record
from dc_hub.loading.versions import stored_versions

_SHOWN = 5


def references(value: Any) -> Iterator[tuple[str, str | None]]:
    """Yield the registered name and the backend of each object and enumeration in ``value``.

    ``value`` is what stored arguments consist of (:mod:`dc_hub.format.values`).
    """
    items = value.values() if isinstance(value, dict) else value
    for item in items if isinstance(value, dict | list) else ():
        yield from references(item)
    for tag in ("$model", "$component", "$enum") if isinstance(value, dict) else ():
        body = value.get(tag)
        if isinstance(body, dict) and isinstance(body.get("class"), str):
            backend = body.get("backend")
            yield body["class"], backend if isinstance(backend, str) else None


def with_all_missing(error: HubError, record: Record, path: str) -> HubError:
    """Return ``error``, or one that names all missing packages if there are several.

    ``error`` is about the first class or backend of ``record`` that is not installed. The command
    names packages of this project alone: what a file says of others is not installed unseen.
    """
    ours: set[str] = set()
    strange: set[str] = set()
    backends = False
    registered = {*registry.models.names(), *registry.components.names()}
    for name, backend in [(record.cls or "", record.backend), *references(record.params)]:
        namespace = name.partition("/")[0]
        if backend is not None and backend not in plugins.BACKENDS:
            owner, backends = plugins.BACKENDS.known.get(backend), True
        elif not name or name in registered or namespace in (registry.LOCAL, backend):
            continue
        else:
            owner = registry.namespaces().get(namespace)
        (ours if owner else strange).add(owner or name)
    if len(ours | strange) < 2 or not ours:
        return error
    upgrade = "--upgrade " if any(map(distributions.version, ours)) else ""
    message = f"The model needs packages that are not installed: {', '.join(sorted(ours))}."
    hint = f"Run: pip install {upgrade}{' '.join(sorted(ours))}"
    if strange:
        message += f" No installed package registers {_listed(strange)}."
        others = {n: v for n, v in stored_versions(record).items() if not distributions.version(n)}
        said = [f"{n} {v}" for n, v in others.items() if n not in registry.namespaces().values()]
        hint += ". Install what registers the others if you trust its authors"
        hint += f"; the model says it was stored with {_listed(said)}." if said else "."
    return (BackendNotInstalled if backends else UnknownClass)(message, path=path, hint=hint)


def _listed(names: set[str] | list[str]) -> str:
    shown = sorted(names)[:_SHOWN]
    return ", ".join(shown) + (f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else "")
