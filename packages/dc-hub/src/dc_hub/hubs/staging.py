"""A model directory while it is being written; it appears under its name complete or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from dc_core import sync_directory
from dc_hub.errors import AlreadyExists
from dc_hub.files.lease import lease
from dc_hub.files.paths import check_member
from dc_hub.files.storage import temporary, write_atomically
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import Entry, HashingFile, Manifest, verify_directory
from dc_hub.format.signatures import merge_signatures, read_signature_files

Sign = Callable[[bytes], Mapping[str, bytes]]
"""Returns the signature files, by name, for the content of a manifest."""

_OCCUPIED = (errno.EEXIST, errno.ENOTEMPTY)


def add_signatures(directory: Path, files: Mapping[str, bytes], *, wait: float = 15.0) -> None:
    """Join signature ``files`` to those in the model directory ``directory``.

    Others who do so at the same time wait for each other, for up to ``wait`` seconds. Nothing else
    of the directory is touched. Raises ``OSError``, :class:`LockTimeout`, and
    :class:`SignatureError` if a file that is there is malformed.
    """
    while files:
        with lease(directory.with_name(f".{directory.name}.lock"), wait=wait) as mine:
            there = read_signature_files(directory)
            merged = merge_signatures(there, files, what=str(directory))
            if not mine.held():
                continue
            for name, data in merged.items():
                if there.get(name) != data:
                    # A file that is not finished must not be seen in a model's directory.
                    write_atomically(directory / name, data, aside=directory.parent)
            return


class Staging:
    """A temporary directory in ``parent``, where its final place is.

    Use it as a context manager: unless :meth:`move_to` has moved the directory, it is removed at
    the end. Files are hashed while they are written.
    """

    def __init__(self, parent: Path) -> None:
        self.path = temporary(parent)
        self._entries: list[Entry] = []
        self._manifest: Manifest | None = None
        self._signers: list[Sign] = []
        self._signatures: dict[str, bytes] = {}

    def __enter__(self) -> Self:
        self.path.mkdir()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    @contextmanager
    def create(self, name: str) -> Iterator[HashingFile]:
        """Create the new file ``name``; it is on the disk when the context ends."""
        with HashingFile.create(self.path, check_member(name)) as file:
            yield file
        self._entries.append(file.entry)

    def write(self, name: str, data: bytes) -> None:
        """Create the file ``name`` with the content ``data``."""
        with self.create(name) as file:
            file.write(data)

    @property
    def entries(self) -> tuple[Entry, ...]:
        """The files that were written so far."""
        return tuple(self._entries)

    def sign_with(self, sign: Sign) -> None:
        """Let ``sign`` make signature files when the manifest is known.

        They appear together with the model.
        """
        self._signers.append(sign)

    def seal(self) -> str:
        """Write the manifest and the signatures of it, and return the revision, its digest."""
        self._manifest = Manifest.of(self._entries)
        with HashingFile.create(self.path, MANIFEST) as file:
            file.write(self._manifest.to_bytes())
        for sign in self._signers:
            made = sign(self._manifest.to_bytes())
            self._signatures = merge_signatures(self._signatures, made)
        for name, data in self._signatures.items():
            with HashingFile.create(self.path, name) as file:
                file.write(data)
        sync_directory(self.path)
        return self._manifest.revision

    def move_to(self, destination: Path) -> Path:
        """Rename the sealed directory to ``destination``, and return that.

        If the same model is there already, it is verified and kept, and gets the signatures.
        Raises :class:`AlreadyExists` if something else is there.
        """
        if self._manifest is None:
            raise ValueError("The directory was not sealed: call seal() first.")
        with suppress(OSError):
            destination.rmdir()  # Windows renames nothing onto an empty directory.
        try:
            self.path.rename(destination)
        except OSError as error:
            if error.errno not in _OCCUPIED:
                raise
            with suppress(OSError):  # it may be another user's
                os.utime(destination)  # published now, so that no `gc` takes it for abandoned
            self._check_same(destination, self._manifest)
            add_signatures(destination, self._signatures)
        sync_directory(destination.parent)
        return destination

    def _check_same(self, destination: Path, manifest: Manifest) -> None:
        there = destination / MANIFEST
        if not there.is_file() or there.read_bytes() != manifest.to_bytes():
            raise AlreadyExists(
                f"{destination} already contains something else.",
                path=str(destination),
                hint="Choose another directory or empty this one; a hub keeps all revisions: "
                "publish(model, 'a-name').",
            )
        verify_directory(destination, manifest)
