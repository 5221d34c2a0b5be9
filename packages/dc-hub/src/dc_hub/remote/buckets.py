"""Hubs in buckets: flat stores of objects that are written whole, and on a condition if need be.

A revision is there once its manifest is, which is written last and never replaced. A tag is moved
by a conditional write, so that of two who move it at once one is told. Readers see the old state or
the new one.
"""

from __future__ import annotations

import re
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Protocol

from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubUnavailable,
    ModelNotFound,
    RevisionTagged,
    TagMoved,
)
from dc_hub.files.paths import can_be_segment, check_name, check_tag
from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST, SIGNATURES
from dc_hub.format.manifest import MAX_BYTES
from dc_hub.format.signatures import MAX_BYTES as SIGNATURE_BYTES
from dc_hub.format.signatures import merge_signatures, read_signature_files
from dc_hub.hubs.contract import MAIN, StoredModel, moved_tag, read_tag
from dc_hub.hubs.index import FILE as INDEX
from dc_hub.hubs.index import Index, Listed
from dc_hub.hubs.staging import Staging
from dc_hub.remote.cache import Cache
from dc_hub.remote.download import in_parallel
from dc_hub.remote.hub import RemoteHub
from dc_hub.remote.retrying import TryAgain, persist
from dc_hub.remote.store import Store

_TAG_BYTES: Final = 4096
_MANIFEST_KEY: Final = re.compile(rf"(.+)/revisions/([0-9a-f]{{64}})/{re.escape(MANIFEST)}")
_REVISION_KEY: Final = re.compile(r"(.+)/revisions/([0-9a-f]{64})/[^/]+")
_TAG_KEY: Final = re.compile(r"(.+)/refs/([^/]+)\.json")

_DAY: Final = 86_400.0

_LISTING_JOBS: Final = 16
"""Tags that are read at a time when a hub is listed."""

_Tagged = tuple[str | None, str | None]
"""The revision that a tag points at, and the entity tag of its object; None without one."""


class Refused(Exception):
    """A conditional write was refused: its condition does not hold."""


class Bucket(Store, Protocol):
    """A store of objects by path that can be written; its errors are those of :class:`Store`."""

    def read_tagged(self, path: str, limit: int) -> tuple[bytes, str]:
        """Return a whole object and its entity tag, which changes with it."""

    def write(
        self, path: str, data: bytes, *, new: bool = False, expected: str | None = None
    ) -> None:
        """Write an object: only if it is ``new``, or has the entity tag ``expected``, if given.

        Raises :class:`Refused` otherwise.
        """

    def upload(self, path: str, file: Path) -> None:
        """Write an object with the content of a file."""

    def delete(self, path: str, *, expected: str | None = None) -> None:
        """Delete an object, if it has the entity tag ``expected``, if given.

        Raises :class:`Refused` otherwise.
        """

    def files(self, path: str) -> list[str]:
        """Return the names of the objects in the folder ``path``, sorted."""

    def below(self, path: str) -> Iterator[StoredObject]:
        """Yield all objects below the folder ``path``."""


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object in a bucket: its path, its bytes, and when it was written, in seconds since 1970.

    One of which the store does not say when it was written counts as written just now.
    """

    path: str
    size: int
    written: float


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Files of a revision without a manifest, which nobody can read."""

    name: str
    revision: str
    size: int


class BucketHub(RemoteHub):
    """A hub in a bucket, which is read through the cache and written by conditional writes."""

    store: Bucket

    def __init__(self, store: Bucket, cache: Cache | None = None) -> None:
        super().__init__(store, cache)

    def names(self) -> list[str]:
        """Return the names of the models, sorted."""
        found = (_MANIFEST_KEY.fullmatch(one.path) for one in self.store.below(""))
        return sorted(filter(_is_name, {path[1] for path in found if path}))

    def tags(self, name: str) -> dict[str, str]:
        """Return the revision that each tag of a model points at, sorted by tag."""
        self._check_there(name)
        return dict(self._tags_now(name))

    def revisions(self, name: str) -> list[str]:
        """Return the digests of a model's revisions, sorted."""
        self._check_there(name)
        return self._complete(name)

    def listed(self) -> Index:
        """Return the tags and revisions of all models as they are now."""
        revisions: dict[str, list[str]] = {}
        tags: list[tuple[str, str]] = []
        for one in self.store.below(""):
            if found := _MANIFEST_KEY.fullmatch(one.path):
                revisions.setdefault(found[1], []).append(found[2])
            elif found := _TAG_KEY.fullmatch(one.path):
                tags.append((found[1], found[2]))
        revisions = {name: revisions[name] for name in sorted(filter(_is_name, revisions))}
        read = self._read_tags([tag for tag in tags if tag[0] in revisions])
        return {
            name: Listed(read.get(name, {}), tuple(sorted(digests)))
            for name, digests in revisions.items()
        }

    def write_index(self, data: bytes) -> str:
        """Replace ``index.json``, which searches read, and return its URL."""
        self.store.write(INDEX, data)
        return f"{self.store.url}/{INDEX}"

    def add_signatures(self, model: StoredModel, files: Mapping[str, bytes]) -> None:
        """Join signature files to those of a model that was resolved; see :class:`LocalHub`."""
        if model.revision not in self._complete(check_name(model.name)):
            raise self._no_revision(model.name, model.revision)
        self._join(f"{model.name}/revisions/{model.revision}", files)

    def publish(
        self, name: str, write: Callable[[Staging], None], tags: Sequence[str] = (MAIN,)
    ) -> StoredModel:
        """Store the model directory that ``write`` writes; see :meth:`LocalHub.publish`.

        It is written on this machine first. The manifest goes last, and only if there is none: a
        revision of that digest is the same model. What somebody removes of it at the same time is
        stored again.
        """
        check_name(name)
        before = {check_tag(tag): self._tagged(name, tag) for tag in tags}
        with (
            tempfile.TemporaryDirectory(prefix="dc-hub-") as folder,
            Staging(Path(folder)) as staging,
        ):
            write(staging)
            revision = staging.seal()
            base = f"{name}/revisions/{revision}"
            self._upload(staging.path, base)
            for tag in tags:
                self._move(name, tag, revision, before[tag])
            self._repair(staging.path, base, name, revision, tags)
        return StoredModel(name, revision, self.cache.path(revision))

    def move_tag(self, name: str, tag: str, revision: str, *, expected: str | None) -> None:
        """Point ``tag`` at ``revision`` if it points at ``expected``; see :class:`LocalHub`."""
        if revision not in self._complete(check_name(name)):
            raise self._no_revision(name, revision)
        now = self._tagged(name, check_tag(tag))
        if now[0] != revision and now[0] != expected:
            raise moved_tag(name, tag, now[0], expected, revision)
        self._move(name, tag, revision, now)
        if revision not in self._complete(name):  # it was removed meanwhile
            self._move_back(name, tag, revision, now[0])
            raise self._no_revision(name, revision)

    def delete_tag(self, name: str, tag: str, *, expected: str | None = None) -> None:
        """Delete ``tag``; the revision that it points at is kept."""
        now, entity = self._tagged(check_name(name), check_tag(tag))
        if now is None:
            raise self._no_revision(name, tag)
        if expected is not None and now != expected:
            raise moved_tag(name, tag, now, expected)
        self._delete_tag(name, tag, entity)

    def remove(
        self, name: str, revision: str | None = None, *, remove_tags: bool = False
    ) -> list[str]:
        """Remove one revision of a model, or the whole model; see :meth:`LocalHub.remove`.

        Tags go first, then the manifest, so that readers find a whole revision or none.
        """
        digests = self.revisions(name)
        tags = self.tags(name)
        if revision is not None:
            digest = self.resolve(name, revision).revision
            if digest not in digests:
                raise self._no_revision(name, digest)
            pointing = [tag for tag, target in tags.items() if target == digest]
            if pointing and not remove_tags:
                raise self._tagged_revision(name, digest, pointing)
            tags = dict.fromkeys(pointing, digest) if digests != [digest] else tags
            digests = [digest]
        for tag, target in tags.items():
            now, entity = self._tagged(name, tag)
            if now == target:  # otherwise it was moved to another revision meanwhile
                self._delete_tag(name, tag, entity)
        for digest in digests:
            self._take_away(name, digest)
        return digests

    def _take_away(self, name: str, digest: str) -> None:
        """Remove a revision, unless somebody tags it or publishes it again at the same time."""
        base = f"{name}/revisions/{digest}"
        try:
            manifest = self.store.read(f"{base}/{MANIFEST}", MAX_BYTES)
            self.store.delete(f"{base}/{MANIFEST}")
        except FileMissing:
            return  # another process has removed it
        pointing = [tag for tag, target in self._tags_now(name).items() if target == digest]
        if pointing:
            with suppress(Refused):  # whoever set the tag has written it again
                self.store.write(f"{base}/{MANIFEST}", manifest, new=True)
            raise self._tagged_revision(name, digest, pointing)
        deleted: set[str] = set()
        while (files := self.store.files(base)) and MANIFEST not in files:
            if files[0] in deleted:
                return  # it is stored again by somebody, who has to finish
            self.store.delete(f"{base}/{files[0]}")
            deleted.add(files[0])

    def unfinished(self, older_than: float = _DAY) -> list[Unfinished]:
        """Return the leftovers of unfinished publications, by name and revision.

        These are the files of revisions without a manifest, if nothing of the revision was written
        for ``older_than`` seconds.
        """
        found: dict[tuple[str, str], list[StoredObject]] = {}
        for one in self.store.below(""):
            path = _REVISION_KEY.fullmatch(one.path)
            if path and _is_name(path[1]):
                found.setdefault((path[1], path[2]), []).append(one)
        return [
            Unfinished(name, revision, sum(file.size for file in files))
            for (name, revision), files in sorted(found.items())
            if _is_abandoned(files, older_than)
        ]

    def remove_unfinished(self, left: Unfinished, older_than: float = _DAY) -> bool:
        """Remove a leftover that :meth:`unfinished` found, and tell whether it is gone.

        Before each deletion is checked whether somebody publishes the revision now: then it stays,
        and they store again what is missing when they finish.
        """
        base = f"{left.name}/revisions/{left.revision}"
        while files := list(self.store.below(base)):
            if not _is_abandoned(files, older_than):
                return False
            self.store.delete(files[0].path)
        return True

    def _tagged_revision(self, name: str, digest: str, tags: Sequence[str]) -> RevisionTagged:
        return RevisionTagged(
            f"The revision {digest} of {name!r} is tagged: {', '.join(tags)}.",
            path=name,
            hint="Move or delete the tags first, or pass remove_tags=True "
            "(dc-hub rm --remove-tags).",
        )

    def _repair(
        self, directory: Path, base: str, name: str, revision: str, tags: Sequence[str]
    ) -> None:
        """Store the files of a revision again that were removed while it was published."""

        def attempt() -> None:
            missing = {path.name for path in directory.iterdir()} - {*self.store.files(base)}
            if not missing:
                return
            self._upload(directory, base)
            for tag in tags:
                now = self._tagged(name, tag)
                if now[0] is None:
                    self._move(name, tag, revision, now)
            raise TryAgain(f"somebody else removes {min(missing)}")

        try:
            persist(attempt, (TryAgain,))
        except TryAgain as error:
            raise HubUnavailable(
                f"{name}@{revision} cannot be published to {self.store.url}: {error}.",
                path=f"{self.store.url}/{base}",
                hint="Publish it again when the other one has finished.",
            ) from error

    def _move_back(self, name: str, tag: str, revision: str, before: str | None) -> None:
        """Undo the move of a tag to a revision that is not there any more."""
        now, entity = self._tagged(name, tag)
        if now != revision:
            return
        with suppress(Refused, FileMissing, TagMoved):  # somebody else has moved it
            if before is None or before == revision:
                self._delete_tag(name, tag, entity)
            else:
                self._move(name, tag, before, (now, entity))

    def _upload(self, directory: Path, base: str) -> None:
        names = sorted(path.name for path in directory.iterdir())
        for file in names:
            if file not in (MANIFEST, *SIGNATURES):
                self.store.upload(f"{base}/{file}", directory / file)
        self._join(base, read_signature_files(directory))
        data = (directory / MANIFEST).read_bytes()
        try:
            self.store.write(f"{base}/{MANIFEST}", data, new=True)
        except Refused as error:
            if self.store.read(f"{base}/{MANIFEST}", len(data)) != data:
                raise HashMismatch(
                    f"{self.store.url}/{base} has a manifest of another model.",
                    path=f"{self.store.url}/{base}",
                    hint="The hub is damaged: remove that revision.",
                ) from error

    def _join(self, base: str, files: Mapping[str, bytes]) -> None:
        """Join signature files to those of a revision by conditional writes, until one holds."""
        for name, data in files.items():
            # If another is faster, what it has written is joined.
            persist(partial(self._join_one, base, name, data), (Refused, FileMissing))

    def _join_one(self, base: str, name: str, data: bytes) -> None:
        path = f"{base}/{name}"
        there: dict[str, bytes] = {}
        entity = None
        with suppress(FileMissing):
            there[name], entity = self.store.read_tagged(path, SIGNATURE_BYTES)
        merged = merge_signatures(there, {name: data}, what=f"{self.store.url}/{base}")
        if merged != there:
            self.store.write(path, merged[name], new=entity is None, expected=entity)

    def _tags_now(self, name: str) -> Mapping[str, str]:
        files = self.store.files(f"{name}/refs")
        tags = [(name, file.removesuffix(".json")) for file in files if file.endswith(".json")]
        return self._read_tags(tags).get(name, {})

    def _read_tags(self, tags: Sequence[tuple[str, str]]) -> dict[str, dict[str, str]]:
        """Return the revisions that ``tags``, names of models and tags, point at, by both names."""
        read: dict[tuple[str, str], str | None] = {}

        def look_up(tag: tuple[str, str]) -> None:
            read[tag] = self._tag(*tag)

        in_parallel(look_up, tags, _LISTING_JOBS)
        found: dict[str, dict[str, str]] = {}
        for (name, tag), revision in sorted(read.items()):
            if revision is not None:  # otherwise it was deleted meanwhile
                found.setdefault(name, {})[tag] = revision
        return found

    def _tagged(self, name: str, tag: str) -> _Tagged:
        """Return the revision that a tag points at, and the entity tag of its object."""
        path = f"{name}/refs/{tag}.json"
        try:
            data, entity = self.store.read_tagged(path, _TAG_BYTES)
        except FileMissing:
            return None, None
        return read_tag(data, tag, f"{self.store.url}/{path}"), entity

    def _move(
        self, name: str, tag: str, revision: str, before: tuple[str | None, str | None]
    ) -> None:
        """Point ``tag`` at ``revision``, if nobody has moved it since it was looked up."""
        then, entity = before
        if then == revision:
            return
        path = f"{name}/refs/{tag}.json"
        data = strict_json.dumps({"revision": revision})
        try:
            self.store.write(path, data, new=entity is None, expected=entity)
        except (Refused, FileMissing) as error:
            now = self._tagged(name, tag)[0]
            if now != revision:
                raise moved_tag(name, tag, now, then, revision) from error

    def _delete_tag(self, name: str, tag: str, entity: str | None) -> None:
        try:
            self.store.delete(f"{name}/refs/{tag}.json", expected=entity)
        except FileMissing:
            return  # another process has deleted it
        except Refused as error:
            raise moved_tag(name, tag, self._tagged(name, tag)[0], None) from error

    def _complete(self, name: str) -> list[str]:
        keys = self.store.below(f"{name}/revisions")
        founds = (_MANIFEST_KEY.fullmatch(one.path) for one in keys)
        return sorted(found[2] for found in founds if found and found[1] == name)

    def _has(self, name: str) -> bool:
        return bool(self._complete(name))

    def _check_there(self, name: str) -> None:
        if not self._has(check_name(name)):
            raise ModelNotFound(
                f"There is no model {name!r} in {self.store.url}.",
                path=f"{self.store.url}/{name}",
                hint="`dc-hub ls` lists its models; hub= or DEEPCHEM_MODEL_HUB selects another.",
            )


def _is_abandoned(files: Iterable[StoredObject], older_than: float) -> bool:
    """Tell whether the files of a revision, which has no manifest, were all written long ago."""
    before = time.time() - older_than
    return all(file.written < before and not _MANIFEST_KEY.fullmatch(file.path) for file in files)


def _is_name(name: str) -> bool:
    """Tell whether ``name`` can be that of a model: other objects may be in the bucket."""
    return name.count("/") <= 1 and all(map(can_be_segment, name.split("/")))
