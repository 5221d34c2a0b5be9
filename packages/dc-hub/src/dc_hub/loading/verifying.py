"""Verify the files of a model directory, hashing each unchanged file only once per user.

A stamp records the revision of one model directory and, for each file, what would change with its
content: device, inode, size, and the times of the last change of content and of status. Stamps are
kept in the user's own cache folder, never in the hub, which must not vouch for itself; a stamp that
others could have written is ignored. A file is stamped only if it was last changed clearly before
it was hashed (a second change in the same tick of the clock would not show), and only if no other
user can write to it.

Small files are read and hashed at every load; that costs less than checking a stamp. What was
hashed is kept in memory and used, so that a load opens them once.
"""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import time
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Protocol

from dc_hub.errors import (
    HashMismatch,
    ParamsError,
    UnexpectedFile,
)
from dc_hub.files.cache import cache_folder
from dc_hub.files.paths import (
    list_names,
    open_directory,
    open_regular,
    private_copy,
    read_all,
    reading,
)
from dc_hub.files.storage import temporary
from dc_hub.files.system import Where, create_file, is_private, others_can_write, status_of
from dc_hub.format.filenames import MANIFEST, UNREAD
from dc_hub.format.manifest import (
    Manifest,
    check_files,
    read_manifest,
    verified_content,
    verify_file,
)

Verify = Literal["changed", "full"]
"""``changed``: hash the files that changed since they were last hashed; ``full``: hash all."""

SMALL: Final = 1 << 16
"""Files of at most so many bytes are hashed at every load."""

_KEPT: Final = 1 << 20
"""Up to so many bytes of small files are kept in memory while a model is open."""

_SETTLED_NS: Final = 2_000_000_000

Mark = tuple[int, int, int, int, int]
"""The status of a file: device, inode, size, mtime and ctime in nanoseconds."""

Marks = Mapping[str, Mark]

logger = logging.getLogger(__name__)


class Contents(Protocol):
    """The files of one model, verified before they are read if there is a manifest."""

    @property
    def names(self) -> frozenset[str]:
        """The names of the files."""

    @property
    def manifest(self) -> Manifest | None:
        """The manifest, or None for an unversioned directory."""

    @property
    def size(self) -> int:
        """The size of all files in bytes."""

    def sizes(self) -> dict[str, int]:
        """Return the size of each file in bytes, sorted by name."""

    def open(self, name: str) -> io.RawIOBase | io.BytesIO:
        """Open the file ``name`` for reading."""

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of the file ``name``, of at most ``limit`` bytes."""

    def check_unchanged(self) -> None:
        """Raise :class:`HashMismatch` if a file was changed or replaced meanwhile."""


@dataclass(frozen=True, slots=True)
class DirectoryContents:
    """The files of one model directory, held by one descriptor from verifying to the last byte.

    ``path`` is where it was found, for messages: nothing is opened by it again. ``names`` are those
    of its files. ``manifest`` is None for an unversioned directory, whose files nothing vouches
    for; otherwise :meth:`open` returns exactly the bytes that were verified. ``kept`` are the
    contents of small files, as they were verified.
    """

    path: Path
    folder: Where
    names: frozenset[str]
    manifest: Manifest | None
    marks: Marks
    kept: Mapping[str, bytes]

    @property
    def size(self) -> int:
        """The size of all files in bytes."""
        if self.manifest is not None:
            return sum(entry.size for entry in self.manifest.entries)
        return sum(self.sizes().values())

    def sizes(self) -> dict[str, int]:
        """Return the size of each file in bytes, sorted by name."""
        return {name: status_of(self.folder, name).st_size for name in sorted(self.names)}

    def open(self, name: str) -> io.FileIO | io.BytesIO:
        """Open the file ``name`` for reading, or return the content that was kept of it.

        One that other users can write to is copied into memory, and the copy is verified, because
        they could change or truncate the original at any time. Raises :class:`FileMissing`,
        :class:`UnsafePath`, :class:`UnexpectedFile` if the manifest does not name it, and
        :class:`HashMismatch` if it is not the file that was verified.
        """
        if name in self.kept:
            return io.BytesIO(self.kept[name])
        file = open_regular(self.folder, name)
        if self.manifest is None:
            return file
        try:
            shown = f"{self.path}/{name}"
            entry = self.manifest.entry(name)
            if entry is None:
                raise UnexpectedFile(f"{shown} is not named in the manifest.", path=shown)
            status = os.fstat(file.fileno())
            if mark(status) != self.marks[name]:
                raise _changed(shown)
            if others_can_write(status):
                with file as original:
                    file = private_copy(original)
                verify_file(file, entry, what=shown)
        except BaseException:
            file.close()
            raise
        return file

    def read(self, name: str, limit: int) -> bytes:
        """Return the content of the file ``name``, of at most ``limit`` bytes; see :meth:`open`."""
        with self.open(name) as file:
            return read_all(file, limit, f"{self.path}/{name}")

    def check_unchanged(self) -> None:
        """Raise :class:`HashMismatch` where a file was changed or replaced meanwhile."""
        if self.manifest is None:
            return
        for name, status in check_files(self.folder, self.manifest, str(self.path)).items():
            if mark(status) != self.marks[name]:
                raise _changed(f"{self.path}/{name}")


@contextmanager
def open_contents(
    directory: Path, revision: str = "", mode: Verify = "changed", *, versioned: bool = False
) -> Iterator[DirectoryContents]:
    """Open the model directory and verify every file against the manifest.

    ``revision`` is the digest that the manifest must have; empty, any will do, and unless
    ``versioned`` there may be none. Raises :class:`HashMismatch`, :class:`SizeMismatch`,
    :class:`FileMissing`, :class:`UnexpectedFile` or :class:`UnsafePath`, naming the file.
    """
    if mode not in ("changed", "full"):
        raise ParamsError(f"verify={mode!r} is unknown.", hint="Use 'changed' or 'full'.")
    with reading(str(directory)), open_directory(directory) as folder:
        names = frozenset(list_names(folder)).difference(UNREAD)
        if versioned or revision or MANIFEST in names:
            manifest = read_manifest(folder, revision, f"{directory}/{MANIFEST}")
            marks, kept = _verify(directory, folder, names, manifest, mode)
            contents = DirectoryContents(directory, folder, names, manifest, marks, kept)
        else:
            contents = DirectoryContents(directory, folder, names, None, {}, {})
        yield contents


def mark(status: os.stat_result) -> Mark:
    """Return the fields of a status that change with the file."""
    return (
        status.st_dev,
        status.st_ino,
        status.st_size,
        status.st_mtime_ns,
        status.st_ctime_ns,
    )


def _verify(
    directory: Path, folder: Where, names: Collection[str], manifest: Manifest, mode: Verify
) -> tuple[Marks, dict[str, bytes]]:
    """Hash the files that need it; return the marks of all, and the content of small ones.

    Raises if a file is not intact.
    """
    found = check_files(folder, manifest, str(directory), names)
    marks = {name: mark(status) for name, status in found.items()}
    large = any(entry.size > SMALL for entry in manifest.entries)
    believed = _read_stamp(directory, manifest.revision) if large and mode == "changed" else {}
    started = time.time_ns()
    kept: dict[str, bytes] = {}
    room = _KEPT
    for entry in manifest.entries:
        if entry.size > SMALL and believed.get(entry.path) == marks[entry.path]:
            continue
        shown = f"{directory}/{entry.path}"
        with open_regular(folder, entry.path) as file:
            if entry.size <= min(SMALL, room):
                kept[entry.path] = verified_content(file, entry, what=shown)
                room -= entry.size
            else:
                verify_file(file, entry, what=shown)
            if mark(os.fstat(file.fileno())) != marks[entry.path]:
                raise _changed(shown)
    if large and believed != marks:
        settled = {
            name: marks[name]
            for name, status in found.items()
            if max(marks[name][3:]) + _SETTLED_NS < started and not others_can_write(status)
        }
        if settled:
            _write_stamp(directory, manifest.revision, settled)
    return marks, kept


def _changed(shown: str) -> HashMismatch:
    return HashMismatch(
        f"{shown} was changed while it was being loaded.",
        path=shown,
        hint="Load it again once nothing writes to it.",
    )


def _stamp(directory: Path) -> Path:
    """Return the path of the stamp of a directory."""
    key = hashlib.sha256(os.fsencode(directory.resolve())).hexdigest()
    return cache_folder() / "verified" / f"{key[:32]}.json"


def _read_stamp(directory: Path, revision: str) -> Marks:
    """Return the marks of the files that this user verified; none if the stamp is in doubt."""
    file = _stamp(directory)
    try:
        if not (is_private(file.parent.lstat()) and is_private(file.lstat())):
            return {}
        content = json.loads(file.read_bytes())
        if content["revision"] != revision:
            return {}
        return {path: tuple(mark) for path, mark in content["files"].items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.debug("the stamp %s is not used: %s", file, error)
        return {}


def _write_stamp(directory: Path, revision: str, marks: Marks) -> None:
    """Store the marks. A cache that cannot be written only costs time at the next load."""
    file = _stamp(directory)
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        unfinished = temporary(file.parent)
        descriptor = create_file(file.parent, unfinished.name, 0o600)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as stream:
                json.dump({"revision": revision, "files": marks}, stream)
            unfinished.replace(file)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
    except OSError as error:
        logger.debug("the stamp %s is not written: %s", file, error)
