"""Publish a model directory byte for byte, so that its revision stays the same."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import Final

from dc_core import explained
from dc_hub.files.urls import local_path
from dc_hub.format.filenames import GOLDEN, SIGNATURES, TRAINING
from dc_hub.format.signatures import read_signature_files
from dc_hub.hubs.contract import HubLike, StoredModel, tags_to_move
from dc_hub.hubs.locating import whole_model
from dc_hub.hubs.staging import Staging
from dc_hub.loading.opening import Opened, locate, open_model
from dc_hub.loading.verifying import Contents
from dc_hub.trust.keyring import Key, load_key

_BLOCK: Final = 1 << 22


@explained
def publish_directory(
    directory: str | os.PathLike[str],
    name: str,
    *,
    hub: HubLike = None,
    tag: str | Iterable[str] = (),
    move_main: bool = True,
    sign: Key | None = None,
) -> StoredModel:
    """Publish the model in ``directory``, as :func:`save` writes it, to a hub under ``name``.

    Every file is verified, and copied as it is. The record and the headers of all weights files are
    read as loading reads them; the model is not restored, so that its packages need not be
    installed. A directory without a manifest gets one; the signatures of one that has a manifest
    are copied too. The other arguments and the errors are those of :func:`publish` and
    :func:`from_pretrained`.
    """
    signer = None if sign is None else load_key(sign)
    model, where = whole_model(name, hub)
    with open_model(locate(local_path(directory)), "full") as opened:
        copy = copy_of(opened)

        def write(staging: Staging) -> None:
            copy(staging)
            if signer is not None:
                staging.sign_with(signer.sign)

        return where.publish(model, write, tags_to_move(tag, move_main))


def copy_of(opened: Opened) -> Callable[[Staging], None]:
    """Return a writer that copies an opened model byte for byte, with its signatures.

    The headers of its other weights files are read first. Raises the errors of loading.
    """
    contents = opened.contents
    for file in contents.names.intersection((GOLDEN, TRAINING)):
        opened.read_tensors(file)
    if contents.manifest is not None:
        names = [entry.path for entry in contents.manifest.entries]
        signatures = read_signature_files(opened.source.path)
    else:
        names = sorted(contents.names.difference(SIGNATURES))
        signatures = {}

    def write(staging: Staging) -> None:
        for file in names:
            copy_file(contents, file, staging)
        contents.check_unchanged()
        staging.sign_with(lambda _: signatures)

    return write


def copy_file(contents: Contents, file: str, staging: Staging) -> None:
    """Copy a file of a model that was verified into a new model directory."""
    with contents.open(file) as original, staging.create(file) as copy:
        while block := original.read(_BLOCK):
            copy.write(block)
