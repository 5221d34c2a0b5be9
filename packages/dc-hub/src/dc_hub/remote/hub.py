"""``RemoteHub``: a hub of files that are elsewhere, and are fetched into the cache."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

from dc_core.errors import ParameterError
from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubUnavailable,
    LimitExceeded,
    ManifestError,
    ModelNotFound,
    ReadOnlyHub,
    RevisionNotFound,
    SizeMismatch,
    UnexpectedFile,
    UnsafePath,
)
from dc_hub.files.cache import cache_folder
from dc_hub.files.paths import check_name, check_tag, open_directory
from dc_hub.files.sizes import show_size
from dc_hub.files.using import Origin
from dc_hub.format.filenames import MANIFEST, SIGNATURES
from dc_hub.format.manifest import (
    MAX_BYTES,
    Entry,
    Manifest,
    parse_manifest,
    read_manifest,
    verify_directory,
)
from dc_hub.format.signatures import MAX_BYTES as SIGNATURE_BYTES
from dc_hub.hubs.contract import MAIN, Report, StoredModel, find_digest, is_digest, read_tag
from dc_hub.hubs.index import FILE as INDEX
from dc_hub.hubs.index import MAX_BYTES as INDEX_BYTES
from dc_hub.hubs.index import Index, parse_index
from dc_hub.hubs.staging import Staging
from dc_hub.remote.cache import Cache
from dc_hub.remote.download import download, fetch_chunk, write_small
from dc_hub.remote.reuse import known_chunks
from dc_hub.remote.store import Store, check_online

WAIT: Final = 3600.0
"""Seconds to wait for another process that fetches the same model."""

_TAG_BYTES: Final = 4096

_DAMAGED: Final = (
    FileMissing,
    HashMismatch,
    ManifestError,
    SizeMismatch,
    UnexpectedFile,
    UnsafePath,
)
"""Errors that mean damage, and not only that a directory cannot be read now."""

logger = logging.getLogger(__name__)


class RemoteHub:
    """A hub of files that are elsewhere: looked up there, and fetched into the cache.

    What a hub holds is listed in the file ``index.json`` of its root, if it has one; models are
    found by name without it. Models in the cache are used without asking the hub, if they are
    named by their full digest.
    """

    def __init__(self, store: Store, cache: Cache | None = None) -> None:
        self.store = store
        self.cache = cache or Cache(cache_folder())

    def __repr__(self) -> str:
        return f"RemoteHub({self.store.url!r})"

    @property
    def url(self) -> str:
        """The URL of the hub, without secrets."""
        return self.store.url

    def names(self) -> list[str]:
        """Return the names of the models, sorted.

        Raises :class:`HubUnavailable` if the hub has no index, and :class:`Offline`.
        """
        return sorted(self.index())

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model points at, sorted by tag.

        Raises :class:`ModelNotFound`, :class:`HubUnavailable` without an index, :class:`Offline`.
        """
        return dict(self._listed(name).tags)

    def revisions(self, name: str) -> list[str]:
        """Return the digests of a model's revisions, sorted; raises what :meth:`tags` does."""
        return list(self._listed(name).revisions)

    def index(self) -> Index:
        """Return the entries of all models in the file ``index.json``, which may be out of date.

        Raises :class:`HubUnavailable` if there is none, and :class:`Offline`.
        """
        shown = f"{self.store.url}/{INDEX}"
        try:
            data = self._read(INDEX, INDEX_BYTES)
        except FileMissing as error:
            raise HubUnavailable(
                f"{self.store.url} has no {INDEX}, which lists its models.",
                path=shown,
                hint="Models can be loaded by name and tag. To list them, write the index where "
                "the hub is: dc-hub index HUB.",
            ) from error
        return parse_index(data, shown)

    def listed(self) -> Index:
        """Return the tags and revisions of all models, from the index."""
        return self.index()

    def resolve(self, name: str, revision: str | None = None) -> StoredModel:
        """Return the revision that ``revision`` names; see :meth:`LocalHub.resolve`.

        A full digest is taken as it is: whether the hub has it shows when it is fetched. Raises
        :class:`Offline` if a tag cannot be looked up: a remembered one could have moved.
        """
        check_name(name)
        wanted = MAIN if revision is None else revision
        digest = find_digest(
            name,
            wanted,
            partial(self._tag, name),
            partial(self.revisions, name),
            partial(self._no_revision, name, wanted),
        )
        return StoredModel(name, digest, self.cache.path(digest))

    def manifest(self, model: StoredModel) -> Manifest:
        """Return the manifest of a model that was resolved, which has its digest."""
        if self.cache.has(model.revision):
            with open_directory(model.path) as folder:
                return read_manifest(folder, model.revision, f"{model.path}/{MANIFEST}")
        path = f"{self._base(model)}/{MANIFEST}"
        try:
            data = self._read(path, MAX_BYTES)
        except FileMissing as error:
            raise self._no_revision(model.name, model.revision) from error
        return parse_manifest(data, model.revision, f"{self.store.url}/{path}")

    def read_chunk(self, model: StoredModel, entry: Entry, index: int) -> bytes:
        """Return one chunk of a file of a model that was resolved; it has its digest."""
        path = f"{self._base(model)}/{entry.path}"
        self._check_online(path)
        return fetch_chunk(self.store, path, entry, index)

    def fetch(
        self, model: StoredModel, *, report: Report | None = None, verify: bool = False
    ) -> StoredModel:
        """Return a model that was resolved, with its files in the cache.

        They are verified as they arrive; what has arrived stays if this is interrupted. With
        ``verify``, those in the cache are hashed, and fetched again if they are damaged. Raises
        :class:`HashMismatch`, :class:`HubUnavailable`, :class:`Offline`,
        :class:`RevisionNotFound`, or :class:`LockTimeout` if another process takes too long.
        """
        if verify and self.cache.has(model.revision):
            self._discard_if_damaged(model)
        self.cache.add(
            model.revision,
            partial(self._fill, model, report),
            wait=WAIT,
            origin=Origin(self.url, model.name),
        )
        return model

    def place(self, name: str) -> str:
        """Return the URL of the folder of the model ``name``."""
        return f"{self.store.url}/{name}"

    def signatures(self, model: StoredModel) -> dict[str, bytes]:
        """Return the signature files of a model that was resolved, by name, as the hub has them.

        Raises :class:`HubUnavailable`, :class:`Offline`, and :class:`LimitExceeded`.
        """
        found = {}
        for name in SIGNATURES:
            with suppress(FileMissing):
                found[name] = self._read(f"{self._base(model)}/{name}", SIGNATURE_BYTES)
        return found

    def add_signatures(self, model: StoredModel, files: Mapping[str, bytes]) -> None:
        """Raise :class:`ReadOnlyHub`."""
        raise self._read_only()

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Raise :class:`ReadOnlyHub`."""
        raise self._read_only()

    def move_tag(self, name: str, tag: str, revision: str, *, expected: str | None) -> None:
        """Raise :class:`ReadOnlyHub`."""
        raise self._read_only()

    def delete_tag(self, name: str, tag: str, *, expected: str | None = None) -> None:
        """Raise :class:`ReadOnlyHub`."""
        raise self._read_only()

    def remove(
        self, name: str, revision: str | None = None, *, remove_tags: bool = False
    ) -> list[str]:
        """Raise :class:`ReadOnlyHub`."""
        raise self._read_only()

    def _discard_if_damaged(self, model: StoredModel) -> None:
        """Hash the files of a model in the cache, and remove them if they are not the model's."""
        try:
            with open_directory(model.path) as folder:
                manifest = read_manifest(folder, model.revision, f"{model.path}/{MANIFEST}")
            verify_directory(model.path, manifest)
        except _DAMAGED as error:
            self._check_online(model.name)  # before anything is lost
            logger.warning("%s is fetched again: %s", model.name, error)
            self.cache.discard(model.revision)

    def _fill(self, model: StoredModel, report: Report | None, directory: Path) -> None:
        manifest = self.manifest(model)
        size = sum(entry.size for entry in manifest.entries)
        started = time.monotonic()
        logger.info("fetching %s from %s: %d bytes", model.name, self.store.url, size)

        counting, done, reused = threading.Lock(), 0, 0

        def arrived(count: int) -> None:
            nonlocal done
            with counting:
                done += count
                if report is not None:
                    report(done, size)

        def read_known(digest: str, length: int) -> bytes | None:
            nonlocal reused
            data = known.read(digest, length)
            with counting:
                reused += len(data or b"")
            return data

        known = known_chunks(self.cache, manifest)
        with self.cache.room(model.revision, size, known.revisions):
            base = self._base(model)
            download(self.store, base, manifest, directory, report=arrived, known=read_known)
        self._fetch_signatures(model, directory)
        seconds = max(time.monotonic() - started, 1e-3)
        logger.info(
            "fetched %s in %.1f s: %.3g MB/s; %s of it from other models in the cache",
            *(model.name, seconds, size / 1e6 / seconds, show_size(reused)),
        )

    def _fetch_signatures(self, model: StoredModel, directory: Path) -> None:
        """Fetch the signature files, if there are any.

        Whether the model needs some is decided before it is fetched. A server may deny access to
        files that it does not have, so one that cannot be read is left out.
        """
        try:
            files = self.signatures(model)
        except (HubUnavailable, LimitExceeded) as error:
            logger.warning("%s comes without its signatures: %s", model.name, error)
            files = {}
        for name in SIGNATURES:
            write_small(directory, name, files.get(name))

    def _tag(self, name: str, tag: str) -> str | None:
        path = f"{name}/refs/{check_tag(tag)}.json"
        try:
            data = self._read(path, _TAG_BYTES)
        except FileMissing:
            return None
        return read_tag(data, tag, f"{self.store.url}/{path}")

    def _read(self, path: str, limit: int) -> bytes:
        self._check_online(path)
        return self.store.read(path, limit)

    def _check_online(self, path: str) -> None:
        """Raise :class:`Offline` if ``path`` must not be asked for."""
        check_online(f"{self.store.url}/{path}")

    def _base(self, model: StoredModel) -> str:
        """Return the path of the folder with the files of a model that was resolved."""
        if not is_digest(model.revision):
            raise ParameterError(
                f"{model.revision!r} is not a digest.", hint="Resolve the model first."
            )
        return f"{model.name}/revisions/{model.revision}"

    def _listed(self, name: str) -> Any:
        check_name(name)
        found = self.index().get(name)
        if found is None:
            raise ModelNotFound(
                f"There is no model {name!r} in {self.store.url}.",
                path=f"{self.store.url}/{name}",
                hint="`dc-hub ls --hub URL` lists its models.",
            )
        return found

    def _no_revision(self, name: str, wanted: str) -> RevisionNotFound:
        return RevisionNotFound(
            f"The model {name!r} in {self.store.url} has no revision {wanted!r}, or there is no "
            "such model.",
            path=f"{self.store.url}/{name}",
            hint="Check the name and the tag. A digest needs at least 12 digits.",
        )

    def _read_only(self) -> ReadOnlyHub:
        return ReadOnlyHub(
            f"{self.store.url} can only be read.",
            path=self.store.url,
            hint="Publish to the directory that the server serves.",
        )
