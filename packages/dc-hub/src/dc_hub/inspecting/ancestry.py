"""``dc_hub.lineage``: the ancestors and descendants of a model.

A model names its origins by digest, in a file that its own digest covers, so a chain of origins
that is read from the models themselves has no cycle. What a hub's list says is only believed about
descendants, and each model is visited once, whatever it says.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from dc_core import explained, html_table
from dc_hub.errors import (
    FileMissing,
    HubUnavailable,
    ModelNotFound,
    RevisionNotFound,
    SignatureError,
    UnsafePath,
)
from dc_hub.format.summary import Summary
from dc_hub.hubs.catalogue import catalogue
from dc_hub.hubs.contract import Hub, HubLike
from dc_hub.hubs.locating import hub_of
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.reference import ModelName, parse
from dc_hub.hubs.summaries import summarize
from dc_hub.inspecting.summaries import summary

MAX_MODELS: Final = 1_000
"""How many ancestors, and how many descendants, are looked at."""


@dataclass(frozen=True, slots=True)
class Relative:
    """A model of a lineage: its name and revision, and the links to its origins.

    ``found`` tells whether the hub has it; of one that is missing nothing else is known. One that
    lacks the signatures that the user's trust policy requires is not ``trusted``, and what it says
    of its own origins is not read.
    """

    name: str
    revision: str
    found: bool = True
    tags: tuple[str, ...] = ()
    derived_from: tuple[str, ...] = ()
    trusted: bool = True

    def __str__(self) -> str:
        """Return the link to the model: ``name@digest``."""
        return f"{self.name}@{self.revision}"

    @property
    def notes(self) -> str:
        """The note on the model in a table: its tags, or why little else is known."""
        if not self.found:
            return "missing in this hub"
        return ", ".join((*self.tags, *(() if self.trusted else ("not trusted",))))


@dataclass(frozen=True, slots=True)
class Lineage:
    """A model, its ancestors, and its descendants in a hub, by revision, nearest first.

    ``complete`` is False if the hub does not list its models, so that descendants are not known, or
    if there are more than are looked at.
    """

    model: Relative
    ancestors: Mapping[str, Relative] = field(default_factory=dict)
    descendants: Mapping[str, Relative] = field(default_factory=dict)
    complete: bool = True

    def origins(self, model: Relative) -> list[Relative]:
        """Return the models that ``model``, one of this lineage, was made from."""
        known = {**self.ancestors, **self.descendants, self.model.revision: self.model}
        digests = (link.rpartition("@")[2] for link in model.derived_from)
        return [known[digest] for digest in digests if digest in known]

    def derived(self, model: Relative) -> list[Relative]:
        """Return the descendants that were made from ``model`` itself."""
        return [
            other
            for other in self.descendants.values()
            if any(link.rpartition("@")[2] == model.revision for link in other.derived_from)
        ]

    def _repr_html_(self) -> str:
        """Show one model a row, in notebooks."""
        parts = (
            ("ancestor", self.ancestors.values()),
            ("model", [self.model]),
            ("descendant", self.descendants.values()),
        )
        rows = [
            (kind, one.name, one.revision[:12], one.notes)
            for kind, models in parts
            for one in models
        ]
        return html_table("Lineage", ("", "model", "revision", "tags"), rows)


@explained
def lineage(name: ModelName, *, hub: HubLike = None, revision: str | None = None) -> Lineage:
    """Return the ancestors of the model ``name``, and its descendants in the hub.

    The ancestors are read from the models themselves, and no weights are fetched. One that the hub
    does not have is in the lineage, but not ``found``, and one without the signatures that the
    trust policy requires is not ``trusted``. The arguments and errors are those of :func:`summary`;
    for a directory ``hub`` is where its relatives are.
    """
    reference = parse(name, revision)
    start = summary(name, hub=None if reference.directory else hub, revision=revision)
    where = open_hub(hub) if reference.directory else hub_of(reference, hub)
    listed, complete = _listed(where)
    model = _relative(start)
    ancestors, all_up = _ancestors(where, model, listed)
    descendants, all_down = _descendants(model, listed)
    return Lineage(model, ancestors, descendants, complete and all_up and all_down)


def _relative(found: Summary) -> Relative:
    return Relative(found.name, found.revision, True, found.tags, found.derived_from)


def _listed(hub: Hub) -> tuple[dict[str, Relative], bool]:
    """Return every revision of a hub, and whether it could be listed."""
    found: dict[str, Relative] = {}
    try:
        for name, model in catalogue(hub):
            for revision in model.revisions:
                tags = tuple(tag for tag, target in model.tags.items() if target == revision)
                origins = model.derived_from.get(revision, ())
                found.setdefault(revision, Relative(name, revision, True, tags, origins))
    except HubUnavailable:  # it has no index: its models are found by name only
        return {}, False
    return found, True


def _ancestors(
    hub: Hub, model: Relative, listed: Mapping[str, Relative]
) -> tuple[dict[str, Relative], bool]:
    """Return the ancestors of a model, and whether these are all."""
    found: dict[str, Relative] = {}
    waiting = deque(model.derived_from)
    while waiting:
        name, _, revision = waiting.popleft().rpartition("@")
        if revision in found or revision == model.revision:
            continue
        if len(found) == MAX_MODELS:
            return found, False
        known = listed.get(revision)
        one = _read(hub, name, revision, known)
        if not one.found and known is not None and known.name != name:
            one = _read(hub, known.name, revision, known)
        found[revision] = one
        waiting.extend(one.derived_from)
    return found, True


def _read(hub: Hub, name: str, revision: str, known: Relative | None) -> Relative:
    """Return the model with that name and revision, marked as missing if the hub has none."""
    missing = Relative(name, revision, found=False)
    if not name:
        return missing
    try:
        model = hub.resolve(name, revision)
    except (ModelNotFound, RevisionNotFound, UnsafePath):  # or the hub has no such names
        return missing
    tags = known.tags if known is not None and known.name == name else ()
    try:
        return _relative(summarize(hub, model, tags))
    except SignatureError:
        return Relative(name, revision, tags=tags, trusted=False)
    except (ModelNotFound, RevisionNotFound, FileMissing):  # it was removed meanwhile
        return missing


def _descendants(
    model: Relative, listed: Mapping[str, Relative]
) -> tuple[dict[str, Relative], bool]:
    """Return the descendants of a model among all revisions, and whether these are all."""
    derived: dict[str, list[Relative]] = {}
    for one in listed.values():
        for link in one.derived_from:
            derived.setdefault(link.rpartition("@")[2], []).append(one)
    found: dict[str, Relative] = {}
    waiting = deque([model.revision])
    while waiting:
        for one in derived.get(waiting.popleft(), ()):
            if one.revision in found or one.revision == model.revision:
                continue
            if len(found) == MAX_MODELS:
                return found, False
            found[one.revision] = one
            waiting.append(one.revision)
    return found, True


def tree(lineage: Lineage, *, up: bool) -> Iterator[tuple[int, Relative, bool]]:
    """Yield the ancestors (``up``) or descendants as a tree: depth, model, and whether it was seen.

    The relatives of a model that was seen before are not repeated.
    """
    seen: set[str] = set()
    stack = [(0, lineage.model)]
    while stack:
        depth, model = stack.pop()
        again = model.revision in seen
        seen.add(model.revision)
        if depth:
            yield depth, model, again
        if not again:
            relatives = lineage.origins(model) if up else lineage.derived(model)
            stack += [(depth + 1, one) for one in reversed(relatives)]
