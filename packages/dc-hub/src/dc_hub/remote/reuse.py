"""Chunks of a model that other models in the cache have too, so that they need not be fetched.

A new revision of a model often has the weights of the one before, or some of their chunks. They are
copied, never linked: a file with two names could be changed through the other. Each is hashed after
it was read, exactly as if it had come from the hub.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

from dc_hub.errors import HubError
from dc_hub.files.paths import open_directory, open_regular
from dc_hub.files.system import read_at
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import CHUNK, Manifest, read_manifest
from dc_hub.remote.cache import Cache

SMALLEST: Final = 1 << 16
"""Files of fewer bytes are not looked for: fetching them costs no more than looking."""

logger = logging.getLogger(__name__)


class Place(NamedTuple):
    """Where a chunk is: in a file of a cached revision, from a byte."""

    revision: str
    file: str
    start: int


@dataclass(frozen=True, slots=True)
class Known:
    """The chunks, by digest, that models in ``cache`` have."""

    cache: Cache
    places: Mapping[str, Place]

    @property
    def revisions(self) -> frozenset[str]:
        """The revisions that the chunks are of."""
        return frozenset(place.revision for place in self.places.values())

    def read(self, digest: str, length: int) -> bytes | None:
        """Return the ``length`` bytes that have the ``digest``; None unless they are there."""
        place = self.places.get(digest)
        if place is None:
            return None
        directory = self.cache.path(place.revision)
        try:
            with (
                open_directory(directory) as folder,
                open_regular(folder, place.file) as file,
            ):
                data = read_at(file.fileno(), length, place.start)
        except (HubError, OSError) as error:  # it was removed or damaged: it is fetched instead
            logger.debug("a chunk of %s is not reused: %s", directory, error)
            return None
        return data if hashlib.sha256(data).hexdigest() == digest else None


def known_chunks(cache: Cache, manifest: Manifest) -> Known:
    """Return which chunks of ``manifest`` models in ``cache`` have, as their manifests say."""
    wanted = {
        digest for entry in manifest.entries if entry.size >= SMALLEST for digest in entry.chunks
    }
    places: dict[str, Place] = {}
    for revision in reversed(cache.by_last_use()) if wanted else ():
        if revision == manifest.revision:
            continue
        directory: Path = cache.path(revision)
        try:
            with open_directory(directory) as folder:
                other = read_manifest(folder, revision, f"{directory}/{MANIFEST}")
        except HubError as error:
            logger.debug("%s is not looked into: %s", directory, error)
            continue
        for entry in other.entries:
            for i, digest in enumerate(entry.chunks):
                if digest in wanted:
                    places.setdefault(digest, Place(revision, entry.path, i * CHUNK))
        if len(places) == len(wanted):
            break
    return Known(cache, places)
