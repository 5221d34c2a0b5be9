"""Operating-system features, and the fallbacks of the hub where they are missing.

Linux and macOS open files relative to an open directory, refuse links while they open, and know who
owns a file. Windows does none of this: a file is looked at before and after it is opened, and must
be the same one; a directory is its path; and every file counts as one that other users can write.
The rest of the hub calls this module and never asks which system it runs on.
"""

from __future__ import annotations

import errno
import io
import os
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")

Where = str | os.PathLike[str] | int
"""A directory: its path, or the descriptor of the open directory."""

GUARDED: Final = (
    hasattr(os, "O_NOFOLLOW")
    and hasattr(os, "O_DIRECTORY")
    and {os.open, os.stat} <= os.supports_dir_fd
    and os.scandir in os.supports_fd
)
"""Whether directories have descriptors to open files by, and opening can refuse links."""

_user: Final[Callable[[], int] | None] = getattr(os, "geteuid", None)
_group: Final[Callable[[], int] | None] = getattr(os, "getegid", None)

OWNERS: Final = _user is not None and _group is not None
"""Whether a file's status says whose it is."""

PROCESSES: Final = hasattr(os, "killpg")
"""Whether one can ask for a process by its number: on Windows signal 0 is Ctrl-C."""

_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
_NO_FOLLOW: Final = getattr(os, "O_NOFOLLOW", 0)
_AT_ONCE: Final = getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0)
_READ: Final = os.O_RDONLY | _NO_FOLLOW | _AT_ONCE | _CLOEXEC | _BINARY
_CREATE: Final = os.O_WRONLY | os.O_CREAT | os.O_EXCL | _NO_FOLLOW | _CLOEXEC | _BINARY
_UPDATE: Final = os.O_RDWR | os.O_CREAT | _NO_FOLLOW | _CLOEXEC | _BINARY
_FOLDER: Final = os.O_RDONLY | getattr(os, "O_DIRECTORY", 0) | _NO_FOLLOW | _CLOEXEC

_JUNCTION: Final = 0xA0000003
_BUSY: Final = (5, 32)
_PATIENCE: Final = 1.0
_ATTEMPTS: Final = 8
_preadv: Final[Callable[[int, Sequence[memoryview], int], int] | None] = getattr(os, "preadv", None)
_advise: Final[Callable[[int, int, int, int], None] | None] = getattr(os, "posix_fadvise", None)
_WRITTEN: Final = getattr(os, "POSIX_FADV_DONTNEED", 0)
_pwrite: Final[Callable[[int, memoryview, int], int] | None] = getattr(os, "pwrite", None)
_position: Final = threading.Lock()


def join(where: Where, name: str) -> str:
    """Return the path of ``name`` in ``where``; just ``name`` where that is a descriptor."""
    if isinstance(where, int):
        return name
    return os.fspath(where) if name == "." else f"{os.fspath(where)}/{name}"


def open_folder(where: Where, name: str = ".") -> Where:
    """Open the directory ``name`` in ``where``, which must not be a link; see `close_folder`.

    ``where`` itself may be one. Raises ``OSError``.
    """
    if GUARDED:
        return _open(where, name, _FOLDER)
    path = join(where, name)
    found = Path(path).stat(follow_symlinks=name == ".")
    if is_link(found):
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), path)
    if not stat.S_ISDIR(found.st_mode):
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
    return path


def close_folder(folder: Where) -> None:
    """Close a folder that :func:`open_folder` opened."""
    if isinstance(folder, int):
        os.close(folder)


def open_file(where: Where, name: str) -> int:
    """Open ``name`` in ``where`` for reading, following no link and waiting for no FIFO.

    Raises ``OSError``: ``ELOOP`` for a link, or for a file that is exchanged again and again.
    """
    if GUARDED:
        return _open(where, name, _READ)
    for _ in range(_ATTEMPTS):
        before = status_of(where, name)
        if is_link(before):
            raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), name)
        if not stat.S_ISREG(before.st_mode):
            raise OSError(errno.EINVAL, "Not a regular file", name)
        descriptor = _open(where, name, _READ)
        if os.path.samestat(before, os.fstat(descriptor)):
            return descriptor
        os.close(descriptor)  # a tag that has just moved, for instance
    raise OSError(errno.ELOOP, "Exchanged while it was being opened", name)


def create_file(where: Where, name: str, mode: int = 0o666) -> int:
    """Create ``name`` in ``where`` for writing; nothing may be there, not even a link.

    Raises ``OSError``.
    """
    return _open(where, name, _CREATE, mode)


def open_to_write(where: Where, name: str, mode: int = 0o666) -> int:
    """Open ``name`` in ``where`` for reading and writing, created if it is not there.

    Raises ``OSError``: ``ELOOP`` for a link, where the system tells.
    """
    return _open(where, name, _UPDATE, mode)


def status_of(where: Where, name: str) -> os.stat_result:
    """Return the status of ``name`` in ``where``, of a link itself. Raises ``OSError``."""
    if isinstance(where, int):
        return os.stat(name, dir_fd=where, follow_symlinks=False)
    return os.lstat(join(where, name))


def is_link(found: os.stat_result) -> bool:
    """Tell whether a file of this status is a symbolic link, or a junction of Windows."""
    return stat.S_ISLNK(found.st_mode) or getattr(found, "st_reparse_tag", 0) == _JUNCTION


def others_can_write(found: os.stat_result) -> bool:
    """Tell whether users other than this one (and root) may write to a file of this status.

    Its owner always may, whatever the mode says: through a memory map made before, content can
    change without a trace in the file's times. The user's own group, which many systems give to
    that user alone, does not count. Where the status does not say whose the file is, they may.
    """
    if _user is None or _group is None:
        return True
    group = found.st_mode & stat.S_IWGRP and found.st_gid != _group()
    foreign = found.st_uid not in (0, _user())
    return bool(foreign or group or found.st_mode & stat.S_IWOTH)


def is_private(found: os.stat_result) -> bool:
    """Tell whether certainly nobody but this user (and root) can have written to this file."""
    return (
        _user is not None
        and found.st_uid == _user()
        and not found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
        and not is_link(found)
    )


def others_can_read(found: os.stat_result) -> bool:
    """Tell whether users other than this one (and root) may read a file of this status.

    Where the status does not say whose the file is, nobody knows, and this is False.
    """
    if _user is None:
        return False
    return found.st_uid not in (0, _user()) or bool(found.st_mode & (stat.S_IRGRP | stat.S_IROTH))


def read_into(descriptor: int, buffer: memoryview, offset: int) -> int:
    """Fill ``buffer`` from byte ``offset`` of a file; return the number of bytes read.

    The file's own position stays, and threads may read side by side. Raises ``OSError``.
    """
    if _preadv is not None:
        return _preadv(descriptor, [buffer], offset)
    with _position, io.FileIO(descriptor, closefd=False) as file:
        before = file.tell()
        try:
            file.seek(offset)
            return file.readinto(buffer) or 0
        finally:
            file.seek(before)


def read_at(descriptor: int, length: int, offset: int) -> bytes:
    """Return up to ``length`` bytes from byte ``offset`` of a file. Raises ``OSError``."""
    buffer = bytearray(length)
    with memoryview(buffer) as view:
        count = read_into(descriptor, view, offset)
    del buffer[count:]
    return bytes(buffer)


def write_at(descriptor: int, data: bytes | memoryview, offset: int) -> None:
    """Write all of ``data`` to a file, from byte ``offset`` on.

    The file's own position stays, and threads may write side by side. Raises ``OSError``.
    """
    view = memoryview(data)
    if _pwrite is not None:
        while view:
            written = _pwrite(descriptor, view, offset)
            view, offset = view[written:], offset + written
        return
    with _position, io.FileIO(descriptor, "r+b", closefd=False) as file:
        before = file.tell()
        try:
            file.seek(offset)
            while view:
                view = view[file.write(view) :]
        finally:
            file.seek(before)


def begin_writing_back(descriptor: int, offset: int, length: int) -> None:
    """Let the system begin to bring a part of a file to the disk, so that a sync takes less time.

    Linux does on this advice, and keeps what is not on the disk yet in memory. Elsewhere, and for
    files that take no advice, nothing happens.
    """
    if _advise is not None:
        with suppress(OSError):
            _advise(descriptor, offset, length, _WRITTEN)


def nameless_file() -> io.FileIO:
    """Return a new file for reading and writing that no name leads to: in memory, if possible."""
    if hasattr(os, "memfd_create"):
        return io.FileIO(os.memfd_create("dc-hub"), "r+b")
    with tempfile.TemporaryFile(buffering=0) as file:
        return io.FileIO(os.dup(file.fileno()), "r+b")


def process_is_dead(pid: int) -> bool:
    """Tell whether certainly no process of this machine has that number."""
    if not PROCESSES:
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def is_busy(error: BaseException | None) -> bool:
    """Tell whether the system refuses because another process has the file open.

    Only Windows does: it neither moves, replaces nor removes an open file.
    """
    return getattr(error, "winerror", None) in _BUSY


def patiently(action: Callable[[], T]) -> T:
    """Call ``action``, repeating it for up to a second while a file is busy.

    Raises ``OSError``.
    """
    deadline = time.monotonic() + _PATIENCE
    while True:
        try:
            return action()
        except OSError as error:
            if not is_busy(error) or time.monotonic() > deadline:
                raise
        time.sleep(0.01)


def _open(where: Where, name: str, flags: int, mode: int = 0o777) -> int:
    if isinstance(where, int):
        return os.open(name, flags, mode, dir_fd=where)
    return os.open(f"{os.fspath(where)}/{name}", flags, mode)
