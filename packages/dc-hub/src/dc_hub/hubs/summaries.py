"""Summarize a stored model from its small files, each verified by the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dc_hub.errors import FileMissing, LimitExceeded
from dc_hub.files.paths import open_directory, open_regular
from dc_hub.files.system import Where
from dc_hub.format.filenames import CARD, MANIFEST, PARAMS
from dc_hub.format.manifest import Entry, read_manifest, verified_content
from dc_hub.format.record import MAX_BYTES, Record
from dc_hub.format.summary import Summary
from dc_hub.hubs.contract import StoredModel

CARD_BYTES: Final = 1 << 20
"""The largest card that is read."""


def summarize(model: StoredModel, tags: Iterable[str] = ()) -> Summary:
    """Return the summary of a model whose files are in its directory; no weights are read.

    ``tags`` are those that point at the revision. Raises :class:`HashMismatch` or another error
    that names the file if a small file is not what the manifest says.
    """
    with open_directory(model.path) as folder:
        manifest = read_manifest(folder, model.revision, f"{model.path}/{MANIFEST}")
        params = _read(folder, manifest.entry(PARAMS), MAX_BYTES, f"{model.path}/{PARAMS}")
        record = Record.from_bytes(params, what=f"{model.path}/{PARAMS}")
        entry = manifest.entry(CARD)
        card = b""
        if entry is not None and entry.size <= CARD_BYTES:
            card = _read(folder, entry, CARD_BYTES, f"{model.path}/{CARD}")
    return Summary.of(
        model.name,
        manifest.revision,
        record,
        tags=tags,
        manifest=manifest,
        card=card.decode(errors="replace"),
    )


def _read(folder: Where, entry: Entry | None, limit: int, shown: str) -> bytes:
    """Return a small file as the manifest says it is."""
    if entry is None:
        raise FileMissing(f"The manifest does not list {shown}.", path=shown)
    if entry.size > limit:
        raise LimitExceeded(f"{shown} has {entry.size} bytes; {limit} are allowed.", path=shown)
    with open_regular(folder, entry.path) as file:
        return verified_content(file, entry, what=shown)
