"""Repositories of others, which have weights but no manifest: fetched as they are at a commit.

A file in the large file storage is compared with the SHA-256 that the endpoint lists for it, any
other one with the digest of its git object. What was fetched gets a manifest and a place in the
cache like every model, so that it is verified whenever it is loaded:

    <cache>/plain/<64 hex>.json     {"revision": "<64 hex>"}, for an endpoint, repository and commit
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Final

from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubError,
    LimitExceeded,
    ModelNotFound,
    WeightsFileError,
)
from dc_hub.files.lease import lease
from dc_hub.files.paths import read_small
from dc_hub.files.storage import make_directory, removed_if_empty, write_atomically, writing
from dc_hub.files.system import read_at, write_at
from dc_hub.format import strict_json
from dc_hub.format.filenames import INDEX, MANIFEST, PICKLES, WEIGHTS
from dc_hub.format.manifest import CHUNK, Entry, Manifest
from dc_hub.format.shards import MAX_INDEX, parse_index
from dc_hub.hubs.contract import Report, StoredModel, read_tag
from dc_hub.remote.cache import Cache
from dc_hub.remote.download import open_own
from dc_hub.remote.huggingface.store import HFStore, RepositoryFile
from dc_hub.remote.store import stream_part

_SMALL: Final = 1 << 24
"""The largest file outside the large file storage that is fetched, in bytes."""

_PIECE: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class PlainModel(StoredModel):
    """The weights in a repository without a manifest, at a commit."""

    repository: str
    commit: str


def plain_model(
    cache: Cache, store: HFStore, name: str, repository: str, commit: str
) -> PlainModel:
    """Return the model that the repository is at ``commit``; nothing is fetched yet."""
    key = hashlib.sha256(f"{store.url}/{repository}@{commit}".encode()).hexdigest()
    return PlainModel(name, "", cache.folder / "plain" / f"{key}.json", repository, commit)


def fetched(cache: Cache, model: PlainModel) -> StoredModel | None:
    """Return ``model`` in the cache, None if it is not there."""
    try:
        data = read_small(model.path.parent, model.path.name, 4096)
    except FileMissing:
        return None
    revision = read_tag(data, model.commit, str(model.path))
    return StoredModel(model.name, revision, cache.path(revision)) if cache.has(revision) else None


def fetch(
    cache: Cache, store: HFStore, model: PlainModel, report: Report | None, *, wait: float
) -> StoredModel:
    """Fetch the weights of ``model`` into the cache, and return them there.

    Chunks that were fetched before are not fetched again. Raises :class:`ModelNotFound` if there
    are no weights, :class:`FileMissing` if they are pickles, :class:`HashMismatch`, and what the
    store and the cache raise.
    """
    base = f"{model.repository}/resolve/{model.commit}"
    files = _weights(store, model, store.files(model.repository, model.commit))
    size = sum(file.size for file in files.values())
    done = 0

    def arrived(count: int) -> None:
        nonlocal done
        done += count
        if report is not None:
            report(done, size)

    key = model.path.stem
    partial_folder = cache.folder / "partial" / key
    with writing(cache.folder, undone="What was fetched so far is kept."):
        for directory in (partial_folder, model.path.parent):
            make_directory(directory)
        with (
            lease(partial_folder.with_name(f"{key}.lock"), wait=wait) as mine,
            mine.renewed(),
        ):
            with removed_if_empty(partial_folder), cache.room(key, size):
                entries = [
                    _file(store, f"{base}/{name}", file, partial_folder, name, arrived)
                    for name, file in files.items()
                ]
            manifest = Manifest.of(entries)
            cache.add(manifest.revision, partial(_move, partial_folder, manifest), wait=wait)
            write_atomically(model.path, strict_json.dumps({"revision": manifest.revision}))
            shutil.rmtree(partial_folder, ignore_errors=True)
    return StoredModel(model.name, manifest.revision, cache.path(manifest.revision))


def _weights(
    store: HFStore, model: PlainModel, there: Mapping[str, RepositoryFile]
) -> dict[str, RepositoryFile]:
    """Return the files with the weights: one, or shards and their index."""
    shown = f"{store.url}/{model.repository}"
    if WEIGHTS in there:
        return {WEIGHTS: there[WEIGHTS]}
    if INDEX not in there:
        raise _no_weights(shown, sorted(name for name in there if name.endswith(PICKLES)))
    path = f"{model.repository}/resolve/{model.commit}/{INDEX}"
    named = set(parse_index(store.read(path, MAX_INDEX), f"{shown}/{INDEX}").values())
    missing = sorted(named.difference(there))
    if missing:
        raise WeightsFileError(
            f"{shown} lacks {missing[0]}, which its {INDEX} names.", path=f"{shown}/{missing[0]}"
        )
    return {name: there[name] for name in (INDEX, *sorted(named))}


def _no_weights(shown: str, pickles: list[str]) -> HubError:
    if not pickles:
        return ModelNotFound(
            f"{shown} has neither {WEIGHTS} nor {INDEX}.",
            path=shown,
            hint="Weights are read from safetensors files alone.",
        )
    return FileMissing(
        f"{shown} has no {WEIGHTS}, only {pickles[0]}: a pickle, which could run code.",
        path=f"{shown}/{pickles[0]}",
        hint="Nothing here reads it. If you trust it, download it and convert it: dc-hub convert.",
    )


def _file(
    store: HFStore, path: str, file: RepositoryFile, folder: Path, name: str,
    arrived: Callable[[int], None],
) -> Entry:  # fmt: skip
    """Fetch a file into ``folder``, from the last whole chunk on that is there; return its digests.

    It is emptied if it is not what the repository lists.
    """
    shown = f"{store.url}/{path}"
    if file.sha256 is None and file.size > _SMALL:
        raise LimitExceeded(
            f"{shown} has {file.size} bytes, but is not in the large file storage.", path=shown
        )
    whole, chunk, chunks, done = hashlib.sha256(), hashlib.sha256(), list[str](), 0
    git = hashlib.sha1(b"blob %d\0" % file.size, usedforsecurity=False)
    with open_own(folder, name) as out:
        there = min(os.fstat(out.fileno()).st_size, file.size) // CHUNK * CHUNK
        rest = stream_part(store, path, file.size, there, file.size)
        for piece in chain(_read(out, there), rest):
            if done >= there:
                write_at(out.fileno(), piece, done)
            for digest in (whole, git):
                digest.update(piece)
            left = CHUNK - done % CHUNK  # of this chunk
            chunk.update(memoryview(piece)[:left])
            done += len(piece)
            if len(piece) >= left or done == file.size:
                chunks.append(chunk.hexdigest())
                chunk = hashlib.sha256(memoryview(piece)[left:])
            arrived(len(piece))
        same = (
            git.hexdigest() == file.oid if file.sha256 is None else whole.hexdigest() == file.sha256
        )
        out.truncate(done if same else 0)
        os.fsync(out.fileno())
    if not same or done != file.size:
        raise HashMismatch(
            f"{shown} does not have the digest that is listed for it.",
            path=shown,
            hint="Try again; if it stays so, the repository is damaged, or something on the way "
            "changes what it sends.",
        )
    return Entry(name, done, whole.hexdigest(), tuple(chunks))


def _read(file: io.FileIO, size: int) -> Iterator[bytes]:
    """Yield the first ``size`` bytes of a file in pieces."""
    for start in range(0, size, _PIECE):
        yield read_at(file.fileno(), min(_PIECE, size - start), start)


def _move(source: Path, manifest: Manifest, directory: Path) -> None:
    """Move the files of ``manifest`` from ``source`` to ``directory``, and write it there."""
    for entry in manifest.entries:
        if (source / entry.path).exists():  # or they were moved before this was interrupted
            (source / entry.path).replace(directory / entry.path)
    write_atomically(directory / MANIFEST, manifest.to_bytes())
