"""The facts about all models of a hub for the list, the filters and the lineage.

Of each model no more than its row is kept, so that a hub of ten thousand models takes a few
megabytes, and their pages are made one at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from dc_hub.errors import HubError, UnsafePath
from dc_hub.hubs.catalogue import catalogue
from dc_hub.hubs.contract import Hub
from dc_hub.hubs.index import Listed, shown_revision
from dc_hub.hubs.several import HubsInOrder
from dc_hub.hubs.summaries import summarize
from dc_hub.site.index_page import Row, row, unreadable


@dataclass(frozen=True, slots=True)
class Overview:
    """The models of a hub: the row of each by name, and the names of those derived from it.

    ``unreadable`` are the names of those that could not be read.
    """

    rows: Mapping[str, Row]
    derived: Mapping[str, Sequence[str]]
    unreadable: frozenset[str]


def overview(hub: Hub) -> Overview:
    """Return the facts about the models of ``hub``.

    A model that cannot be read has a row that says why. Raises :class:`HubUnavailable` if the
    hub's models cannot be listed.
    """
    rows: dict[str, Row] = {}
    derived: dict[str, list[str]] = {}
    failed: set[str] = set()
    for name, listed in catalogue(hub):
        summary = listed.summary(name)
        if not listed.facts:
            try:
                summary = summarize(hub, hub.resolve(name, listed.shown or _shown(listed)))
            except HubError as error:
                rows[name] = unreadable(name, reason(hub, name, error))
                failed.add(name)
                continue
        rows[name] = row(summary, listed.tags)
        origins = (text for found in listed.derived_from.values() for text in found)
        for origin in dict.fromkeys(text.partition("@")[0] for text in origins):
            if origin and origin != name:
                derived.setdefault(origin, []).append(name)
    return Overview(rows, derived, frozenset(failed))


def reason(hub: Hub, name: str, error: HubError) -> str:
    """Return why a model cannot be read, without the path or URL of the hub: pages are public."""
    text = str(error.args[0])
    for one in hub.hubs if isinstance(hub, HubsInOrder) else (hub,):
        with suppress(UnsafePath):  # it cannot have such a name
            text = text.replace(one.place(name), name)
    return text


def _shown(listed: Listed) -> str:
    return shown_revision(listed.tags, listed.revisions)
