"""Bundles: models of a hub in one file, for sites without a network.

A bundle is a hub directory as a tar archive, in a fixed order:

    index.json                                          names, tags and revisions
    <name>/revisions/<64 hex>/MANIFEST.json             of each revision of each name, sorted
    <name>/revisions/<64 hex>/MANIFEST.json.sig …       its signatures, if there are any
    <name>/revisions/<64 hex>/<file>                    its files, in the order of the manifest
    <name>/refs/<tag>.json                              the tags of the name, sorted

So `tar xf` makes a hub of it, and equal models make equal bundles. The reader knows which member
has to come next and how large it is, and refuses everything else.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import BinaryIO, Final

from dc_core import explained, sync_directory
from dc_hub.errors import BundleError, HashMismatch, HubError, ModelNotFound, TagMoved
from dc_hub.files.paths import open_directory, open_regular, read_small
from dc_hub.files.storage import make_directory, temporary, writing
from dc_hub.files.system import patiently
from dc_hub.files.urls import local_path
from dc_hub.files.using import in_use
from dc_hub.format import strict_json
from dc_hub.format.filenames import MANIFEST, SIGNATURES
from dc_hub.format.manifest import MAX_BYTES, Entry, Manifest, parse_manifest
from dc_hub.format.signatures import MAX_BYTES as SIGNATURE_BYTES
from dc_hub.format.tar import Member, TarReader, ending, header, padding
from dc_hub.hubs.contract import MAIN, Hub, HubLike, Report, StoredModel, is_tag
from dc_hub.hubs.fetching import check_trust, fetch
from dc_hub.hubs.index import FILE as INDEX
from dc_hub.hubs.index import MAX_BYTES as INDEX_BYTES
from dc_hub.hubs.index import Index, Listed, index_bytes, parse_index
from dc_hub.hubs.local import LocalHub
from dc_hub.hubs.locating import in_hub
from dc_hub.hubs.opening import open_hub
from dc_hub.hubs.reference import ModelName
from dc_hub.hubs.several import published_to
from dc_hub.hubs.staging import Staging
from dc_hub.loading.verifying import open_contents

_BLOCK: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Bundled:
    """A revision in a bundle: its tags, the size of its files in bytes, whether it is signed."""

    name: str
    revision: str
    tags: tuple[str, ...]
    size: int
    signed: bool


@explained
def bundle(
    names: Iterable[ModelName],
    output: str | os.PathLike[str],
    *,
    hub: HubLike = None,
    everything: bool = False,
    report: Report | None = None,
) -> Path:
    """Write models of a hub into the one file ``output``, and return its path.

    ``names`` are ``"net"`` or ``"net@v2"``: that revision, with the tag that names it (``main``
    by default). With ``everything`` it is the whole hub, all revisions and tags, and ``names`` is
    empty. Every file is verified before it is written. The bundle appears complete, and equal
    models make equal bundles. ``report`` is told the bytes that are written and those of all files.

    Raises :class:`ModelNotFound`, :class:`HashMismatch` if a model is damaged,
    :class:`SignatureError` if the trust policy does not allow one, :class:`ReadOnlyHub` or
    :class:`NoRoom` if ``output`` cannot be written, and what the hub raises.
    """
    path = local_path(output)
    index, hubs = _chosen(
        [names] if isinstance(names, str | os.PathLike) else names, hub, everything
    )
    wanted = [(name, revision) for name in sorted(index) for revision in index[name].revisions]
    models = [hubs[name].resolve(name, revision) for name, revision in wanted]
    for model in models:
        check_trust(hubs[model.name], model)  # before anything is read or written
    manifests = [hubs[model.name].manifest(model) for model in models]
    total = sum(entry.size for manifest in manifests for entry in manifest.entries)
    unfinished = temporary(path.parent)
    with writing(path, undone="No bundle was written."):
        try:
            with unfinished.open("xb") as file:
                tar = _Writer(file, report, total)
                tar.add(INDEX, index_bytes(index.items()))
                for name in sorted(index):
                    for model in (model for model in models if model.name == name):
                        _add_model(tar, fetch(hubs[name], model))
                    for tag, revision in sorted(index[name].tags.items()):
                        tar.add(_tag_path(name, tag), _tag_content(revision))
                tar.end()
                file.flush()
                os.fsync(file.fileno())
            patiently(lambda: unfinished.replace(path))
        finally:
            unfinished.unlink(missing_ok=True)
        sync_directory(path.parent)
    return path


@explained
def unbundle(
    path: str | os.PathLike[str],
    *,
    hub: HubLike = None,
    move_tags: bool = False,
    report: Report | None = None,
) -> list[StoredModel]:
    """Publish the models of the bundle ``path`` to a hub, with their tags; return them.

    Every byte is compared with the manifests, whose digests are the revisions. Each revision
    appears complete or not at all, and tags are moved last, when the whole bundle was read. One
    that points at another revision in the hub is moved only with ``move_tags``, and only if nobody
    else moves it meanwhile. ``report`` is told the bytes that were read, and the bundle's size.

    Raises :class:`BundleError` if the file is not a bundle or was cut, :class:`HashMismatch`,
    :class:`TagMoved`, and what :meth:`Hub.publish` raises.
    """
    where = published_to(open_hub(hub))
    with _open(path) as (tar, size):
        index = _read_index(tar)
        if isinstance(where, LocalHub):
            with writing(where.path):
                make_directory(where.path)
        moves = list(_moves(index, where, move_tags))
        stored = []
        for name, revision in _revisions(index):
            write = partial(_publish, tar, name, revision, report, size)
            stored.append(where.publish(name, write, tags=()))
            if revision == index[name].revisions[-1]:
                _read_tags(tar, name, index[name])
        _expect_end(tar)
    for name, tag, revision, now in moves:
        where.move_tag(name, tag, revision, expected=now)
    return stored


@explained
def list_bundle(path: str | os.PathLike[str]) -> list[Bundled]:
    """Return the models in the bundle ``path``, sorted by name and revision.

    Manifests are verified, other files are passed over: :func:`unbundle` verifies them. Raises
    :class:`BundleError` if the file is not a bundle or was cut.
    """
    found = []
    with _open(path) as (tar, _):
        index = _read_index(tar)
        for name, revision in _revisions(index):
            manifest, member, signatures = _read_head(tar, name, revision)
            for entry in manifest.entries:
                _check(tar, member or tar.next(), _path(name, revision, entry.path), entry.size)
                member = None
                tar.skip()
            tags = tuple(sorted(t for t, r in index[name].tags.items() if r == revision))
            size = sum(entry.size for entry in manifest.entries)
            found.append(Bundled(name, revision, tags, size, bool(signatures)))
            if revision == index[name].revisions[-1]:
                _read_tags(tar, name, index[name])
        _expect_end(tar)
    return found


# Writing


class _Writer:
    """Writes members, and tells how many bytes of models it has written."""

    def __init__(self, file: BinaryIO, report: Report | None, total: int) -> None:
        self._file = file
        self._report = report
        self._total = total
        self._done = 0
        self._size = 0

    def add(self, name: str, data: bytes) -> None:
        self._write(header(Member(name, len(data))) + data + padding(len(data)))

    def add_pieces(self, name: str, size: int, pieces: Iterator[bytes]) -> None:
        self._write(header(Member(name, size)))
        for piece in pieces:
            self._write(piece)
            self._done += len(piece)
            if self._report is not None:
                self._report(self._done, self._total)
        self._write(padding(size))

    def end(self) -> None:
        self._write(ending(self._size))

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self._size += len(data)


def _chosen(
    names: Iterable[ModelName], hub: HubLike, everything: bool
) -> tuple[Index, Mapping[str, Hub]]:
    """Return the content of the bundle, and the hub of each name."""
    tags: dict[str, dict[str, str]] = {}
    revisions: dict[str, set[str]] = {}
    hubs: dict[str, Hub] = {}
    if everything:
        where = open_hub(hub)
        for name in where.names():
            hubs[name], tags[name] = where, dict(where.tags(name))
            revisions[name] = {*where.revisions(name), *tags[name].values()}
    for given in names:
        reference, where = in_hub(given, hub)
        name, wanted = reference.name, reference.revision or MAIN
        if hubs.setdefault(name, where) is not where and reference.hub is not None:
            raise BundleError(f"{name!r} is named in two hubs.", path=name, hint="Name it once.")
        revision = where.resolve(name, wanted).revision
        revisions.setdefault(name, set()).add(revision)
        tags.setdefault(name, {})
        if is_tag(wanted):
            tags[name][wanted] = revision
    if not hubs:
        raise ModelNotFound("There is no model to bundle.", hint="Name at least one.")
    return {name: Listed(tags[name], tuple(sorted(revisions[name]))) for name in hubs}, hubs


def _add_model(tar: _Writer, model: StoredModel) -> None:
    name, revision = model.name, model.revision
    with (
        in_use(model.path),
        open_contents(model.path, revision, "full", versioned=True) as contents,
    ):
        manifest = contents.manifest or Manifest(())
        tar.add(_path(name, revision, MANIFEST), manifest.to_bytes())
        for signature in SIGNATURES:
            if signature in contents.names:
                data = read_small(contents.folder, signature, SIGNATURE_BYTES)
                tar.add(_path(name, revision, signature), data)
        for entry in manifest.entries:
            with contents.open(entry.path) as file:
                pieces = iter(partial(file.read, _BLOCK), b"")
                tar.add_pieces(_path(name, revision, entry.path), entry.size, pieces)
        contents.check_unchanged()


# Reading


@contextmanager
def _open(path: str | os.PathLike[str]) -> Iterator[tuple[TarReader, int]]:
    """Open a bundle, and yield its reader and its size."""
    file = local_path(path)
    with open_directory(file.parent) as folder:
        raw = open_regular(folder, file.name, single_link=False)
    with raw, open(raw.fileno(), "rb", closefd=False) as stream:
        yield TarReader(stream, str(file)), os.fstat(raw.fileno()).st_size


def _read_index(tar: TarReader) -> Index:
    _check(tar, tar.next(), INDEX)
    index = parse_index(tar.read(INDEX_BYTES), INDEX)
    for name, listed in index.items():
        if not listed.revisions or len({*listed.revisions}) != len(listed.revisions):
            raise tar.refusal(f"it has no revisions of {name}, or one twice")
        if not {*listed.tags.values()} <= {*listed.revisions}:
            raise tar.refusal(f"a tag of {name} points at a revision that it does not have")
    return index


def _revisions(index: Index) -> list[tuple[str, str]]:
    return [(name, revision) for name in sorted(index) for revision in index[name].revisions]


def _read_head(
    tar: TarReader, name: str, revision: str
) -> tuple[Manifest, Member | None, dict[str, bytes]]:
    """Read the manifest and the signatures of a revision.

    Returns the member that follows too, if it was looked at.
    """
    _check(tar, tar.next(), _path(name, revision, MANIFEST))
    what = f"{name}/{MANIFEST} in the bundle"
    manifest = parse_manifest(tar.read(MAX_BYTES), revision, what)
    signatures: dict[str, bytes] = {}
    if not manifest.entries:
        raise tar.refusal(f"{name} has no files")
    member = tar.next()
    for signature in SIGNATURES:
        if member is not None and member.name == _path(name, revision, signature):
            signatures[signature] = tar.read(SIGNATURE_BYTES)
            member = tar.next()
    return manifest, member, signatures


def _publish(
    tar: TarReader, name: str, revision: str, report: Report | None, size: int, staging: Staging
) -> None:
    """Write the files of the next revision in ``tar``; any unexpected file is refused."""
    manifest, member, signatures = _read_head(tar, name, revision)
    for entry in manifest.entries:
        _check(tar, member or tar.next(), _path(name, revision, entry.path), entry.size)
        member = None
        with staging.create(entry.path) as file:
            for piece in tar.pieces():
                file.write(piece)
                if report is not None:
                    report(tar.position, size)
        if file.entry != entry:
            raise _damaged(name, entry)
    staging.sign_with(lambda _: signatures)


def _read_tags(tar: TarReader, name: str, listed: Listed) -> None:
    for tag, revision in sorted(listed.tags.items()):
        content = _tag_content(revision)
        _check(tar, tar.next(), _tag_path(name, tag), len(content))
        if tar.read(len(content)) != content:
            raise tar.refusal(f"the file of the tag {tag} is not what its {INDEX} says")


def _moves(index: Index, where: Hub, move_tags: bool) -> Iterator[tuple[str, str, str, str | None]]:
    """Yield name, tag, new revision and present revision of each tag that has to be moved."""
    for name in sorted(index):
        try:
            present = where.tags(name)
        except ModelNotFound:
            present = {}
        for tag, revision in sorted(index[name].tags.items()):
            now = present.get(tag)
            if now is not None and now != revision and not move_tags:
                raise TagMoved(
                    f"The tag {tag!r} of {name!r} points at {now} in the hub, and at {revision} in "
                    "the bundle.",
                    path=name,
                    hint="Nothing was stored. Pass move_tags=True (dc-hub unbundle --move-tags) to "
                    "move it.",
                )
            if now != revision:
                yield name, tag, revision, now


def _expect_end(tar: TarReader) -> None:
    if tar.next() is not None:
        raise tar.refusal(f"it has files that its {INDEX} does not name")


def _check(tar: TarReader, member: Member | None, name: str, size: int | None = None) -> None:
    """Raise unless ``member`` is the one that has to come."""
    if member is None or member.name != name or size not in (None, member.size):
        came = "its end" if member is None else f"{member.name!r} of {member.size} bytes"
        raise tar.refusal(f"{came} came where {name!r} was expected")


def _damaged(name: str, entry: Entry) -> HubError:
    return HashMismatch(
        f"The content of {entry.path} of {name} in the bundle does not match the manifest.",
        path=entry.path,
        hint="The bundle was damaged: get it again.",
    )


def _path(name: str, revision: str, file: str) -> str:
    return f"{name}/revisions/{revision}/{file}"


def _tag_path(name: str, tag: str) -> str:
    return f"{name}/refs/{tag}.json"


def _tag_content(revision: str) -> bytes:
    return strict_json.dumps({"revision": revision})
