"""The pages of a hub, made when they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Final

from dc_hub.errors import HubError
from dc_hub.format.summary import Summary
from dc_hub.hubs.contract import Hub
from dc_hub.hubs.index import shown_revision
from dc_hub.hubs.summaries import summarize
from dc_hub.site.index_page import index_page
from dc_hub.site.model_page import History, model_page, unreadable_page
from dc_hub.site.overview import Overview, reason
from dc_hub.site.reading import describe

MAX_HISTORY: Final = 20
"""Of so many revisions the metrics are shown; the others are listed."""

logger = logging.getLogger(__name__)


class Pages:
    """The pages of a ``hub``.

    ``title`` is that of the site, and ``address`` how people reach the hub, if the lines that they
    copy should say so.
    """

    def __init__(self, hub: Hub, title: str = "Models", address: str = "") -> None:
        self.hub, self.title, self.address = hub, title, address

    def index(self, known: Overview) -> bytes:
        """Return the page with all models."""
        return index_page(self.title, list(known.rows.values()))

    def model(self, name: str, known: Overview) -> bytes:
        """Return the page of the model ``name``. Raises :class:`HubError` if it cannot be read."""
        tags = self.hub.tags(name)
        revisions = self.hub.revisions(name)
        shown = shown_revision(tags, revisions)
        described = describe(self.hub, name, shown, tags)
        summaries = self._summaries(name, tags, revisions, read=shown)
        origins = {text.partition("@")[0] for text in described.summary.derived_from}
        history = History(
            tags=tags,
            revisions=revisions,
            summaries={**summaries, shown: described.summary},
            derived=known.derived.get(name, ()),
            known=frozenset(origins & known.rows.keys()),
        )
        return model_page(self.title, described, history, self.address)

    def unreadable(self, name: str, error: HubError) -> bytes:
        """Return the page of a model that cannot be read, which says why."""
        logger.info("%s cannot be read: %s", name, error)
        return unreadable_page(self.title, name, reason(self.hub, name, error))

    def _summaries(
        self, name: str, tags: Mapping[str, str], revisions: list[str], *, read: str
    ) -> dict[str, Summary]:
        """Return the summaries of tagged revisions first, then of others; not too many.

        The one that was ``read`` already is left out.
        """
        chosen = list(dict.fromkeys((*tags.values(), *revisions)))[:MAX_HISTORY]
        found = {}
        for revision in chosen:
            if revision == read:
                continue
            try:
                found[revision] = summarize(self.hub, self.hub.resolve(name, revision))
            except HubError as error:
                logger.info("%s@%s cannot be read: %s", name, revision[:12], error)
        return found
