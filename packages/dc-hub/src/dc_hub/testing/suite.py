"""Every law of a hub."""

from __future__ import annotations

from dc_hub.testing.fetching import FetchingLaws
from dc_hub.testing.finding import FindingLaws
from dc_hub.testing.publishing import PublishingLaws
from dc_hub.testing.removing import RemovingLaws
from dc_hub.testing.signing import SigningLaws
from dc_hub.testing.tagging import TaggingLaws


class HubSuite(FindingLaws, FetchingLaws, PublishingLaws, SigningLaws, TaggingLaws, RemovingLaws):
    """Every law of a hub; a subclass writes ``make`` and ``reopen``."""
