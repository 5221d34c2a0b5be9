"""Durable directories and files, and errors that say what to do when the disk refuses."""

from __future__ import annotations

import errno
import os
import re
import shutil
import stat
import time
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from dc_core import sync_directory
from dc_hub.errors import HubUnavailable, NoRoom, ReadOnlyHub
from dc_hub.files.system import patiently

TEMPORARY: Final = ".tmp-"
"""The prefix of the names of unfinished files and directories."""

_LEFTOVER: Final = re.compile(r"\.(tmp-.*|lock(\..*)?)", re.DOTALL)

_READ_ONLY: Final = frozenset({errno.EROFS, errno.EACCES, errno.EPERM})
FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
"""The errors of a disk, a quota or a limit that has no room."""


def temporary(directory: Path) -> Path:
    """Return a new temporary path in ``directory``."""
    return directory / f"{TEMPORARY}{uuid.uuid4().hex}"


@contextmanager
def writing(path: Path, *, undone: str = "Nothing was stored.") -> Iterator[None]:
    """Convert an ``OSError`` to :class:`ReadOnlyHub`, :class:`NoRoom` or :class:`HubUnavailable`.

    ``undone`` is the hint: the part of the work that was not done.
    """
    try:
        yield
    except OSError as error:
        if error.errno in _READ_ONLY:
            raise ReadOnlyHub(
                f"{path} cannot be written: {error.strerror}.",
                path=str(path),
                hint="Use a hub of your own (hub= or DEEPCHEM_MODEL_HUB), or ask for permission.",
            ) from error
        if error.errno in FULL:
            raise NoRoom(
                f"There is no room in {path}: {error.strerror}.",
                path=str(path),
                hint=f"{undone} Free some space or use another hub, and try again.",
            ) from error
        raise HubUnavailable(
            f"{path} cannot be written: {error}.", path=str(path), hint=undone
        ) from error


def make_directory(path: Path) -> None:
    """Make a directory and its parents durably, unless they exist."""
    if path.is_dir():
        return
    make_directory(path.parent)
    with suppress(FileExistsError):
        path.mkdir()
    sync_directory(path.parent)


def write_atomically(path: Path, data: bytes, *, aside: Path | None = None) -> None:
    """Replace the content of ``path``: at any instant it is the old bytes or the new ones.

    What is not finished is in the directory ``aside`` of the same file system, or beside it.
    """
    unfinished = temporary(aside or path.parent)
    try:
        with unfinished.open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        patiently(lambda: unfinished.replace(path))
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    sync_directory(path.parent)


@contextmanager
def removed_if_empty(directory: Path) -> Iterator[None]:
    """Remove ``directory`` if the block fails and has left nothing in it."""
    try:
        yield
    except BaseException:
        with suppress(OSError):
            directory.rmdir()
        raise


def find_leftovers(folder: Path, older_than: float) -> list[Path]:
    """Return what crashed processes left in ``folder``, sorted.

    These are temporary files and directories, and leases, in which nothing has changed for
    ``older_than`` seconds. Raises ``OSError`` if the folder cannot be read.
    """
    with os.scandir(folder) as entries:
        names = sorted(entry.name for entry in entries if _LEFTOVER.fullmatch(entry.name))
    now = time.time()
    return [path for name in names if now - newest_change(path := folder / name) >= older_than]


def remove_leftovers(paths: Iterable[Path]) -> list[Path]:
    """Remove ``paths``, and return those that are gone: others' may have to stay."""
    removed = []
    for path in paths:
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            with suppress(OSError):
                path.unlink()
        if not os.path.lexists(path):
            removed.append(path)
    return removed


def newest_change(path: Path) -> float:
    """Return when ``path``, or something in that directory, was last changed.

    What has just been removed counts as changed now, and so does what another user keeps from
    being looked at: it cannot be removed either.
    """
    newest = last_change(path, time.time())
    if path.is_dir() and not path.is_symlink():
        try:
            newest = max([newest, *(last_change(inner, 0.0) for inner in path.iterdir())])
        except FileNotFoundError:
            pass
        except PermissionError:
            return time.time()
    return newest


def last_change(path: Path, default: float) -> float:
    """Return when ``path`` was last changed, or ``default`` if it has just been removed."""
    try:
        return path.lstat().st_mtime
    except FileNotFoundError:
        return default


def size_of(path: Path) -> int:
    """Return the bytes of a file, or of all files in a directory.

    What has just been removed, or cannot be looked at, counts as nothing, and a file with holes as
    what is stored of it, where the system tells.
    """
    try:
        found = path.lstat()
        if not stat.S_ISDIR(found.st_mode):
            return min(found.st_size, getattr(found, "st_blocks", found.st_size) * 512)
        return sum(size_of(inner) for inner in path.iterdir())
    except (FileNotFoundError, NotADirectoryError, PermissionError):
        return 0
