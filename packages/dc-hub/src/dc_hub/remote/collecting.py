"""Find and remove leftovers in a hub and in the cache.

Leftovers of crashed processes, revisions that no tag points at, and cached models, which can be
fetched again. Loaders and publishers may work meanwhile: a model disappears by one rename, a
revision that gets a tag stays, and a cached model that is being loaded stays too.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

from dc_core import explained
from dc_core.errors import ParameterError
from dc_hub.errors import (
    HubUnavailable,
    ModelNotFound,
    RevisionNotFound,
    RevisionTagged,
    UnsafePath,
)
from dc_hub.files.cache import cache_folder
from dc_hub.files.paths import is_directory
from dc_hub.files.storage import last_change, remove_leftovers, size_of
from dc_hub.files.using import is_used, origin_of
from dc_hub.hubs.contract import Hub, HubLike
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.several import HubsInOrder
from dc_hub.remote.buckets import BucketHub, Unfinished
from dc_hub.remote.cache import Cache

KEEP_DAYS: Final = 7.0
"""Revisions without tags that are younger than so many days are kept: someone may want them yet."""

_DAY: Final = 86_400.0


@dataclass(frozen=True, slots=True)
class Garbage:
    """Something that can be removed, and its size in bytes.

    ``kind`` is ``"leftover"`` (of a crashed process), ``"revision"`` (without a tag) or
    ``"cached"``. ``path`` is a URL if it is in a bucket. ``name`` is the name of the model, if it
    is known.
    """

    kind: Literal["leftover", "revision", "cached"]
    path: Path | str
    size: int
    name: str = ""
    revision: str = ""


@explained
def gc(
    *,
    hub: HubLike = None,
    unreferenced: bool = False,
    keep_days: float = KEEP_DAYS,
    cache: bool = False,
    limit: int = 0,
    dry_run: bool = False,
) -> list[Garbage]:
    """Remove leftovers from a hub and from the cache, and return the list of removals.

    Args:
        hub: The hub; see :func:`open_hub`. Of one that is neither in a directory nor in a bucket,
            nothing is removed.
        unreferenced: Also remove the revisions that no tag points at, and that were published more
            than ``keep_days`` days ago.
        keep_days: See ``unreferenced``.
        cache: Also remove cached models of remote hubs, those that were used longest ago first,
            until they take ``limit`` bytes. None that is being loaded is removed.
        limit: See ``cache``.
        dry_run: Remove nothing, and return what would be removed.

    What crashed processes left is always removed: what has not changed for a day in the hub, and
    for a week in the cache. In a bucket these are the files of revisions without a manifest.

    Raises :class:`HubUnavailable` if ``hub`` is given and not there, :class:`ParameterError` for
    ``unreferenced`` and a hub that is not in a directory, :class:`ReadOnlyHub`, and
    :class:`LockTimeout`.
    """
    if keep_days < 0 or limit < 0:
        raise ParameterError("keep_days= and limit= must not be negative.", hint="Give 0 or more.")
    where, models = open_hub(hub), Cache(cache_folder())
    found = list(_leftovers(where, models, given=hub is not None))
    if unreferenced:
        found += _unreferenced(where, keep_days)
    if cache:
        found += _cached(models, limit)
    if dry_run:
        return found
    return [garbage for garbage in found if _remove(garbage, where, models)]


def _leftovers(where: Hub, models: Cache, *, given: bool) -> Iterator[Garbage]:
    found = models.leftovers() if models.folder.is_dir() else []
    for one in _each(where):
        # The default hub need not be there; one that is asked for must be.
        if isinstance(one, LocalHub) and (given or is_directory(one.path)):
            found += one.leftovers()
        elif isinstance(one, BucketHub):
            with suppress(*() if given else (HubUnavailable,)):
                for left in one.unfinished():
                    url = f"{one.store.url}/{left.name}/revisions/{left.revision}"
                    yield Garbage("leftover", url, left.size, left.name, left.revision)
    for path in found:
        yield Garbage("leftover", path, size_of(path))


def _each(where: Hub) -> Sequence[Hub]:
    return where.hubs if isinstance(where, HubsInOrder) else (where,)


def _unreferenced(where: Hub, keep_days: float) -> Iterator[Garbage]:
    if not isinstance(where, LocalHub):
        raise ParameterError(
            f"{where!r} is not a hub in a directory: how old its revisions are is not known.",
            hint="Remove single revisions: dc-hub rm NAME@REVISION.",
        )
    before = time.time() - keep_days * _DAY
    for name in where.names():
        try:
            tagged = {*where.tags(name).values()}
            revisions = where.revisions(name)
        except (ModelNotFound, UnsafePath):  # it was removed meanwhile, or is behind a link
            continue
        for revision in revisions:
            path = where.path.joinpath(name, "revisions", revision)
            if revision not in tagged and last_change(path, before) < before:
                yield Garbage("revision", path, size_of(path), name, revision)


def _cached(models: Cache, limit: int) -> Iterator[Garbage]:
    sizes = {revision: size_of(models.path(revision)) for revision in models.by_last_use()}
    total = sum(sizes.values())
    for revision, size in sizes.items():
        if total <= limit:
            return
        if not is_used(models.folder, revision):
            origin = origin_of(models.folder, revision)
            name = origin.name if origin is not None else ""
            yield Garbage("cached", models.path(revision), size, name, revision)
            total -= size


def _remove(garbage: Garbage, where: Hub, models: Cache) -> bool:
    """Remove a leftover, unless it is used by now; tell whether it is gone."""
    if isinstance(garbage.path, str):
        left = Unfinished(garbage.name, garbage.revision, garbage.size)
        buckets = (one for one in _each(where) if isinstance(one, BucketHub))
        return any(
            one.remove_unfinished(left)
            for one in buckets
            if garbage.path == f"{one.store.url}/{left.name}/revisions/{left.revision}"
        )
    if garbage.kind == "leftover":
        return bool(remove_leftovers([garbage.path]))
    if garbage.kind == "cached":
        return models.evict(garbage.revision)
    try:
        return bool(where.remove(garbage.name, garbage.revision))
    except RevisionTagged:
        return False
    except (ModelNotFound, RevisionNotFound):
        return True
