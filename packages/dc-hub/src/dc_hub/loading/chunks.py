"""The files of a model that is elsewhere: each chunk is fetched when it is read, and verified."""

from __future__ import annotations

import io
from dataclasses import dataclass
from typing import Any, Self

from dc_hub.errors import UnexpectedFile
from dc_hub.files.paths import read_all
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import CHUNK, Entry, Manifest
from dc_hub.hubs.contract import Hub, StoredModel
from dc_hub.hubs.fetching import check_trust


@dataclass(frozen=True, slots=True)
class ChunkedContents:
    """The files of ``model`` where its ``hub`` has them; see :class:`Contents`."""

    hub: Hub
    model: StoredModel
    manifest: Manifest

    @classmethod
    def of(cls, hub: Hub, model: StoredModel) -> Self:
        """Return the files of a model that ``hub`` resolved, if the trust policy allows it.

        Raises what :func:`check_trust` and :meth:`Hub.manifest` raise.
        """
        check_trust(hub, model)
        return cls(hub, model, hub.manifest(model))

    @property
    def names(self) -> frozenset[str]:
        """The names of the files."""
        return frozenset(self.sizes())

    @property
    def size(self) -> int:
        """The size of all files in bytes, without the manifest."""
        return sum(entry.size for entry in self.manifest.entries)

    def sizes(self) -> dict[str, int]:
        """Return the size of each file in bytes, sorted by name."""
        sizes = {entry.path: entry.size for entry in self.manifest.entries}
        return dict(sorted({MANIFEST: len(self.manifest.to_bytes()), **sizes}.items()))

    def open(self, name: str) -> io.RawIOBase:
        """Open the file ``name`` for reading. Raises :class:`UnexpectedFile` if there is none."""
        entry = self.manifest.entry(name)
        if entry is None:
            raise UnexpectedFile(f"{name} is not named in the manifest.", path=name)
        return _ChunkedFile(self.hub, self.model, entry)

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of the file ``name``, of at most ``limit`` bytes."""
        with self.open(name) as file:
            return read_all(file, limit, f"{self.model.name}/{name}")

    def check_unchanged(self) -> None:
        """Do nothing: each chunk has the digest of one manifest."""


class _ChunkedFile(io.RawIOBase):
    """A file whose chunks are fetched when they are read. The last one is kept."""

    def __init__(self, hub: Hub, model: StoredModel, entry: Entry) -> None:
        self._hub, self._model, self._entry = hub, model, entry
        self._at = 0
        self._kept: tuple[int, bytes] = (-1, b"")

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._entry.size}[whence]
        self._at = max(start + offset, 0)
        return self._at

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer).cast("B")
        done = 0
        while done < len(view) and self._at < self._entry.size:
            index, start = divmod(self._at, CHUNK)
            piece = self._chunk(index)[start : start + len(view) - done]
            view[done : done + len(piece)] = piece
            done += len(piece)
            self._at += len(piece)
        return done

    def _chunk(self, index: int) -> bytes:
        if self._kept[0] != index:
            self._kept = (-1, b"")
            self._kept = (index, self._hub.read_chunk(self._model, self._entry, index))
        return self._kept[1]
