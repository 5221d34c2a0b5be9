"""Find, verify, read and open a stored model; nothing of it is built yet."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from dc_core import byte_budget, warn
from dc_hub.conversion import with_path
from dc_hub.errors import (
    FileMissing,
    HashMismatch,
    HubUnavailable,
    HubWarning,
    ModelRemoved,
    SizeMismatch,
    UnsafePath,
)
from dc_hub.files.paths import check_name, is_directory
from dc_hub.files.using import in_use
from dc_hub.format.filenames import MANIFEST, PARAMS
from dc_hub.format.record import MAX_BYTES, Record
from dc_hub.format.shards import Weights, open_weights
from dc_hub.format.tensors import TensorFile
from dc_hub.hubs.contract import HubLike, StoredModel, weights_alone
from dc_hub.hubs.fetching import fetch, trusted_directory
from dc_hub.hubs.locating import hub_of
from dc_hub.hubs.pins import resolve_pinned
from dc_hub.hubs.reference import ModelName, parse
from dc_hub.loading.chunks import ChunkedContents
from dc_hub.loading.restoring import Stored
from dc_hub.loading.verifying import Contents, DirectoryContents, Verify, open_contents

BASE_BUDGET: Final = 64 << 20
"""Bytes that loading any model may allocate, however small it is."""

BUDGET_PER_BYTE: Final = 4
"""Bytes that loading may allocate in addition, for each byte of the model's files."""

_GONE: Final = (FileMissing, HashMismatch, HubUnavailable, SizeMismatch, UnsafePath)
"""How it shows that files are removed while they are read."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A model directory that is verified, read and open; nothing of it is built yet.

    ``weights`` maps the names in the file to arrays, each mapped into memory on access.
    """

    source: StoredModel
    contents: Contents
    record: Record
    weights: Weights

    @property
    def is_local(self) -> bool:
        """Whether the files are on this machine."""
        return isinstance(self.contents, DirectoryContents)

    @property
    def stored(self) -> Stored:
        """A stored model, opened."""
        return Stored(str(self.source.path), self.record, self.weights)

    def read_tensors(self, file: str) -> dict[str, np.ndarray]:
        """Return the tensors of another weights file of the directory, as it was verified."""
        what = f"{self.source.path}/{file}"
        with self.contents.open(file) as content, TensorFile(content, what=what) as tensors:
            return {name: tensors.read(name) for name in tensors}


def locate(
    name: ModelName,
    *,
    hub: HubLike = None,
    revision: str | None = None,
    lock: str | os.PathLike[str] | None = None,
    weights_only: bool = False,
) -> StoredModel:
    """Return where the model ``name`` is: in a hub, or the directory itself.

    With a ``lock`` file it is the pinned revision. Weights without a description of their model are
    fetched with ``weights_only``, and otherwise raise :class:`FileMissing`.

    Raises :class:`FileMissing` too if the directory does not exist, :class:`SignatureError` if the
    trust policy requires signatures that are not there, and the errors of the hub and of
    :func:`dc_hub.hubs.pins.resolve_pinned`.
    """
    reference = parse(name, revision)
    if reference.directory is None:
        where = hub_of(reference, hub)
        if lock is None:
            model = where.resolve(reference.name, reference.revision)
            if not model.revision and not weights_only:
                raise weights_alone(model)
            return fetch(where, model)
        return fetch(where, resolve_pinned(where, reference, lock))
    if not is_directory(reference.directory):
        raise FileMissing(
            f"There is no directory {reference.directory}.",
            path=str(reference.directory),
            hint=_advice(reference.directory),
        )
    return trusted_directory(reference.directory.absolute())


@contextmanager
def look_into(
    name: ModelName, *, hub: HubLike = None, revision: str | None = None
) -> Iterator[Opened]:
    """Open the model ``name`` to look at it, as :func:`open_model` does.

    Of one that is in a remote hub and not in the cache, only what is looked at is fetched: its
    weights stay where they are, but for the chunks with their headers.
    """
    reference = parse(name, revision)
    if reference.directory is None:
        where = hub_of(reference, hub)
        model = where.resolve(reference.name, reference.revision)
        if not is_directory(model.path):
            with _open(model, ChunkedContents.of(where, model)) as opened:
                yield opened
            return
    with open_model(locate(name, hub=hub, revision=revision)) as opened:
        yield opened


def _advice(directory: Path) -> str:
    """Say how to load a model from a hub, for a directory that does not exist."""
    name = directory.name.lower()
    try:
        check_name(name)
    except UnsafePath:
        return "Correct the path; the name of a model in a hub goes to from_pretrained()."
    return f"For a model in a hub, give its name alone: dc_hub.from_pretrained({name!r})."


@contextmanager
def open_model(
    source: StoredModel,
    verify: Verify = "changed",
    *,
    versioned: bool = False,
    weights_only: bool = False,
) -> Iterator[Opened]:
    """Verify and read the model at ``source``, and keep its files open inside the context.

    Arrays that were read stay valid afterwards. With ``versioned`` a manifest is required;
    otherwise a directory without one is read with a :class:`HubWarning`, as nothing verifies it.
    With ``weights_only`` the weights need no description; then they have their native names.
    """
    directory = source.path
    with (
        in_use(directory),
        _removal_noticed(source),
        open_contents(directory, source.revision, verify, versioned=versioned) as contents,
    ):
        if contents.manifest is None:
            warn(f"{directory} has no {MANIFEST}: its files are not verified.", HubWarning)
        elif not source.revision:
            source = StoredModel(source.name, contents.manifest.revision, directory)
        with _open(source, contents, weights_only=weights_only) as opened:
            yield opened


@contextmanager
def _removal_noticed(source: StoredModel) -> Iterator[None]:
    """Raise :class:`ModelRemoved` if the block fails because the directory was removed.

    A hub or a cache may be tidied at any time: what was open stays readable, the rest is gone.
    """
    directory = source.path
    before = _identity(directory)
    try:
        yield
    except _GONE as error:
        was_found = bool(source.revision) and before is None
        if before == _identity(directory) and not was_found:
            raise
        raise ModelRemoved(
            f"{directory} was removed or replaced while it was being loaded.",
            path=str(directory),
            hint="Load it again: if it is still in the hub, it is found or fetched anew.",
        ) from error


def _identity(directory: Path) -> tuple[int, int] | None:
    """Return a directory's identity, which another of its name lacks; None if there is none."""
    try:
        found = directory.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino


def load_budget(size: int) -> int:
    """Return how many bytes loading may allocate for a model whose files have ``size`` bytes."""
    return BASE_BUDGET + BUDGET_PER_BYTE * size


@contextmanager
def _open(
    source: StoredModel, contents: Contents, *, weights_only: bool = False
) -> Iterator[Opened]:
    shown = str(source.path)
    with with_path(shown), byte_budget(load_budget(contents.size)):
        record = None
        if not weights_only or PARAMS in contents.names:
            record = Record.from_bytes(contents.read(PARAMS, MAX_BYTES), what=f"{shown}/{PARAMS}")
        with open_weights(shown, names=contents.names, open_file=contents.open) as weights:
            opened = Opened(source, contents, record or Record.of_weights(weights), weights)
            opened.stored.check_agreement()
            yield opened
