"""Which stored model the weights of an object came from, remembered from loading to publishing.

Models and their parts carry the link themselves, so that copies and other processes have it. For an
object of a framework, into which weights were loaded, it is kept beside the object as long as that
exists.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from dc_core import Component, origins_of, set_origins
from dc_hub.format.filenames import is_weights
from dc_hub.format.manifest import Entry
from dc_hub.format.summary import read_origins
from dc_hub.loading.opening import Opened

WeightsDigests = frozenset[tuple[str, str]]
"""The name and the SHA-256 of each weights file, by which equal weights are known."""


@dataclass(frozen=True, slots=True)
class Origin:
    """A stored model: its name (empty outside hubs), revision, and the digests of its weights.

    ``derived_from`` are the models that it was made from itself.
    """

    name: str
    revision: str
    weights: WeightsDigests
    derived_from: tuple[str, ...]

    def __str__(self) -> str:
        """Return the link that metadata hold: ``name@digest``."""
        return f"{self.name}@{self.revision}"


_beside: Final[dict[int, tuple[weakref.ref[Any], Origin]]] = {}
"""The origins of objects of frameworks, by the objects' identity."""


def digests_of(entries: Iterable[Entry]) -> WeightsDigests:
    """Return the digests of the weights files among the ``entries`` of a manifest."""
    return frozenset((entry.path, entry.sha256) for entry in entries if is_weights(entry.path))


def remember_origin(obj: Any, opened: Opened) -> None:
    """Note that the weights of ``obj`` and of its parts are those of the ``opened`` model."""
    manifest = opened.contents.manifest
    if manifest is None:
        return
    origin = Origin(
        opened.source.name,
        manifest.revision,
        digests_of(manifest.entries),
        read_origins(opened.record.metadata.get("derived_from")),
    )
    if isinstance(obj, Component):
        for part in _with_parts(obj):
            set_origins(part, (origin,))
        return
    with suppress(TypeError):  # some objects cannot be referred to weakly: they have no origin
        key = id(obj)
        _beside[key] = (weakref.ref(obj, lambda _: _beside.pop(key, None)), origin)


def known_origins(obj: Any) -> tuple[Origin, ...]:
    """Return the stored models that the weights of ``obj`` itself came from."""
    if isinstance(obj, Component):
        return tuple(origin for origin in origins_of(obj) if isinstance(origin, Origin))
    found = _beside.get(id(obj))
    return (found[1],) if found is not None and found[0]() is obj else ()


def all_origins(obj: Any) -> tuple[Origin, ...]:
    """Return the stored models that ``obj`` and its parts came from, each once."""
    parts = _with_parts(obj) if isinstance(obj, Component) else (obj,)
    found = {
        origin.revision: origin
        for part in parts
        for origin in (*known_origins(part), *_of_native(part))
    }
    return tuple(found.values())


def _of_native(part: Any) -> tuple[Origin, ...]:
    return known_origins(part.native) if isinstance(part, Component) else ()


def _with_parts(component: Component) -> Iterator[Component]:
    yield component
    for child in component.children().values():
        yield from _with_parts(child)
