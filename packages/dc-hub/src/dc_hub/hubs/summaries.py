"""Summarize a stored model from its small files, each verified by the manifest."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from dc_hub.errors import FileMissing, LimitExceeded
from dc_hub.files.paths import is_directory
from dc_hub.format.filenames import CARD, PARAMS
from dc_hub.format.manifest import Entry, Manifest
from dc_hub.format.record import MAX_BYTES, Record
from dc_hub.format.summary import Summary
from dc_hub.hubs.contract import Hub, StoredModel
from dc_hub.hubs.fetching import check_trust
from dc_hub.hubs.local import LocalHub

CARD_BYTES: Final = 1 << 20
"""The largest card that is read."""


def summarize(hub: Hub, model: StoredModel, tags: Iterable[str] = ()) -> Summary:
    """Return the summary of a model of ``hub`` that was resolved; no weights are fetched.

    ``tags`` are those that point at the revision. Raises :class:`HashMismatch` or another error
    that names the file if a small file is not what the manifest says, and :class:`SignatureError`
    if the user's trust policy does not allow it.
    """
    files = SmallFiles(hub, model)
    record = Record.from_bytes(files.read(PARAMS, MAX_BYTES), what=f"{model.path}/{PARAMS}")
    entry = files.manifest.entry(CARD)
    readable = entry is not None and entry.size <= CARD_BYTES
    return Summary.of(
        model.name,
        files.manifest.revision,
        record,
        tags=tags,
        manifest=files.manifest,
        card=files.read(CARD, CARD_BYTES).decode(errors="replace") if readable else "",
    )


class SmallFiles:
    """The small files of a model that was resolved, where it is or where ``hub`` has it."""

    def __init__(self, hub: Hub, model: StoredModel) -> None:
        """Read the manifest; a directory that is in no hub has any revision.

        Raises what :func:`check_trust` raises.
        """
        if model.name:  # a directory in no hub was checked when it was found
            check_trust(hub, model)
        self._hub: Hub = LocalHub(model.path.parent) if is_directory(model.path) else hub
        self._model = model
        self.manifest: Manifest = self._hub.manifest(model)

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of the file ``name``, which is that of the manifest.

        Raises :class:`FileMissing`, :class:`LimitExceeded` or :class:`HashMismatch`.
        """
        shown = f"{self._model.path}/{name}"
        entry: Entry | None = self.manifest.entry(name)
        if entry is None:
            raise FileMissing(f"The manifest does not list {shown}.", path=shown)
        if entry.size > limit:
            raise LimitExceeded(f"{shown} has {entry.size} bytes; {limit} are allowed.", path=shown)
        chunks = range(len(entry.chunks))
        return b"".join(self._hub.read_chunk(self._model, entry, index) for index in chunks)
