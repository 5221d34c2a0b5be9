"""``dc_hub.summary``: the facts about a stored model, in brief."""

from __future__ import annotations

from contextlib import suppress

from dc_core import explained
from dc_hub.errors import HubUnavailable
from dc_hub.format.summary import Summary
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.locating import hub_of
from dc_hub.hubs.reference import ModelName, parse
from dc_hub.hubs.summaries import summarize
from dc_hub.loading.opening import locate


@explained
def summary(name: ModelName, *, hub: HubLike = None, revision: str | None = None) -> Summary:
    """Return a summary of the model ``name``: class, task, dataset, metrics, licence, lineage.

    Only its record, manifest and card are read. The arguments and errors are those of
    :func:`from_pretrained`; a directory without a manifest raises :class:`FileMissing`.
    """
    reference = parse(name, revision)
    if reference.directory is not None:
        source = locate(name, revision=revision)
        return summarize(LocalHub(source.path.parent), source)
    where = hub_of(reference, hub)
    source = where.resolve(reference.name, reference.revision)
    known: dict[str, str] = {}
    with suppress(HubUnavailable):  # a hub without an index does not list tags
        known = where.tags(reference.name)
    tags = [tag for tag, target in known.items() if target == source.revision]
    return summarize(where, source, tags)
