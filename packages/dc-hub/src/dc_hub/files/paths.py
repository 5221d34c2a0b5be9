"""Names that are safe on every file system, and files opened so that no link can redirect them.

A name is checked before it becomes part of a path. A file is opened without following links and
without blocking, relative to a directory that may be open already, and is inspected only
afterwards, through its descriptor: swapping a file between check and opening gains nothing.
"""

from __future__ import annotations

import errno
import io
import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from types import TracebackType
from typing import Final

from dc_hub.errors import FileMissing, HubError, HubUnavailable, LimitExceeded, UnsafePath
from dc_hub.files import system
from dc_hub.files.system import Where

MAX_FILES: Final = 10_000
"""The maximum number of files in a model directory."""

_SEGMENT: Final = re.compile(r"[a-z0-9_][a-z0-9._-]{0,95}")
_ANY_SEGMENT: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,95}")
_MEMBER: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,199}")
_DEVICE: Final = re.compile(
    r"(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?", re.IGNORECASE | re.DOTALL
)
_LOOKS_LIKE_DIGEST: Final = re.compile(r"[0-9a-f]{12,64}")
_HUB_FOLDERS: Final = frozenset({"refs", "revisions"})
_COPIED: Final = 1 << 20
_NOT_PLAIN: Final = frozenset(
    {errno.ELOOP, errno.ENOTDIR, errno.ENXIO, errno.ENODEV, errno.EINVAL, errno.ENAMETOOLONG}
)


def check_name(name: str) -> str:
    """Return ``name`` if it can name a model: one or two segments of ``[a-z0-9._-]``.

    A segment begins with a letter, digit or underscore, has at most 96 characters, does not end in
    a dot, is not a device name of Windows, and is neither ``refs`` nor ``revisions``.
    Raises :class:`UnsafePath`.
    """
    segments = name.split("/")
    if len(segments) > 2 or not all(map(can_be_segment, segments)):
        raise UnsafePath(
            f"{name!r} cannot be the name of a model.",
            path=name,
            hint="Use '<name>' or '<group>/<name>' of lower-case letters, digits, '.', '_' and "
            "'-', such as 'lab/solubility.delaney'.",
        )
    return name


def check_any_name(name: str) -> str:
    """Return ``name`` if it can name a model in some kind of hub; raise :class:`UnsafePath`.

    Hubs that hold models of others allow upper-case letters too; ours use :func:`check_name`.
    """
    segments = name.split("/")
    if len(segments) <= 2 and all(
        _ANY_SEGMENT.fullmatch(segment) and can_be_segment(segment.lower()) for segment in segments
    ):
        return name
    return check_name(name)


def can_be_segment(segment: str) -> bool:
    """Tell whether ``segment`` can be one of the two in the name of a model."""
    return bool(_SEGMENT.fullmatch(segment) and _portable(segment) and segment not in _HUB_FOLDERS)


def check_tag(tag: str) -> str:
    """Return ``tag`` if it can be a tag: one segment as in :func:`check_name`, unlike a digest.

    Raises :class:`UnsafePath`.
    """
    if (
        type(tag) is not str
        or not _SEGMENT.fullmatch(tag)
        or not _portable(tag)
        or _LOOKS_LIKE_DIGEST.fullmatch(tag)
    ):
        raise UnsafePath(
            f"{tag!r} cannot be a tag.",
            path=str(tag),
            hint="Use lower-case letters, digits, '.', '_' and '-', such as 'main' or 'v2'; "
            "12 or more hexadecimal digits would look like a revision.",
        )
    return tag


def check_member(path: str) -> str:
    """Return ``path`` if it can name a file of a model directory.

    The directory is flat: one segment of ``[A-Za-z0-9._-]``, beginning with a letter, digit or
    underscore, at most 200 characters, not ending in a dot, and not a device name of Windows.
    Raises :class:`UnsafePath`.
    """
    if not _MEMBER.fullmatch(path) or not _portable(path):
        raise UnsafePath(
            f"{path!r} cannot be the name of a file of a model.",
            path=path,
            hint="A model directory is flat; use letters, digits, '.', '_' and '-'.",
        )
    return path


class reading:
    """Convert an ``OSError`` to an error of the hub; ``shown`` is the path that is read.

    Raises :class:`FileMissing`, :class:`UnsafePath` or :class:`HubUnavailable`.
    """

    __slots__ = ("_shown",)

    def __init__(self, shown: str) -> None:
        self._shown = shown

    def __enter__(self) -> None:
        """Do nothing."""

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Raise the hub's error in place of the system's."""
        if isinstance(error, OSError):
            raise _refusal(error, self._shown) from error


def is_directory(root: Path, *segments: str) -> bool:
    """Tell whether there is a directory at ``segments`` below ``root``.

    Links in the path ``root`` are followed, since the caller chose it. Raises :class:`UnsafePath`
    if one of ``segments`` is a link, and :class:`HubUnavailable` if the system refuses access.
    """
    path = os.fspath(root)
    try:
        found = os.stat(path)  # noqa: PTH116 - listing a large hub asks this very often
        for segment in segments:
            if not stat.S_ISDIR(found.st_mode):
                return False
            path = f"{path}/{segment}"
            found = os.lstat(path)
            if system.is_link(found):
                raise UnsafePath(
                    f"{path} is a link.",
                    path=path,
                    hint="Links are not allowed in a hub: remove it, and publish the model again.",
                )
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise _refusal(error, path) from error
    return stat.S_ISDIR(found.st_mode)


@contextmanager
def open_directory(where: Where, name: str = ".") -> Iterator[Where]:
    """Open the directory ``where``, or the one called ``name`` in it, and yield it.

    It is yielded as a descriptor, or as a path on systems that open no directories. Links in the
    path ``where`` are followed, since the caller chose it; ``name`` must not be a link. Raises
    :class:`FileMissing`, :class:`UnsafePath` if it is not a directory, or :class:`HubUnavailable`.
    """
    with reading(system.join(where, name)):
        folder = system.open_folder(where, name)
    try:
        yield folder
    finally:
        system.close_folder(folder)


def open_regular(where: Where, name: str, *, single_link: bool = True) -> io.FileIO:
    """Open the regular file ``name`` in the directory ``where`` for reading, unbuffered.

    ``name`` is one segment. It is opened without following a link and without waiting for the other
    end of a FIFO. With ``single_link`` a file that also has another name (a hard link) is refused,
    since it could be changed from there.

    Raises :class:`FileMissing`, :class:`UnsafePath` for anything but a regular file, and
    :class:`HubUnavailable` if the system refuses access.
    """
    if not name or "/" in name or "\0" in name or name in (".", ".."):
        raise UnsafePath(f"{name!r} is not the name of a file in one directory.", path=name)
    shown = system.join(where, name)
    with reading(shown):
        descriptor = system.open_file(where, name)
    try:
        with reading(shown):
            status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UnsafePath(
                f"{shown} is not a regular file.",
                path=shown,
                hint="Models are plain files. Remove it, or get a fresh copy of the model.",
            )
        if single_link and status.st_nlink > 1:  # 0: it has just been replaced, and stays whole
            raise UnsafePath(
                f"{shown} has {status.st_nlink} names (hard links).",
                path=shown,
                hint="It could be changed under another name: make a copy of the directory.",
            )
        return io.FileIO(descriptor, "rb")
    except BaseException:
        os.close(descriptor)
        raise


def private_copy(file: io.FileIO) -> io.FileIO:
    """Return a copy of the open ``file`` in memory that nobody else can change or truncate.

    On systems without files in memory it is a temporary file without a name. Raises
    :class:`HubUnavailable` if the file cannot be read or there is no room.
    """
    copy = system.nameless_file()
    buffer = memoryview(bytearray(_COPIED))
    try:
        while count := file.readinto(buffer):
            block = buffer[:count]
            while len(block):
                block = block[copy.write(block) :]
        copy.seek(0)
    except OSError as error:
        copy.close()
        raise HubUnavailable(
            f"A file cannot be copied into memory: {error}.",
            hint="Check the disk and the free memory.",
        ) from error
    return copy


def list_names(where: Where) -> list[str]:
    """Return the names of everything in the directory ``where``, sorted.

    Raises :class:`LimitExceeded` beyond ``MAX_FILES``, :class:`FileMissing` or
    :class:`HubUnavailable`.
    """
    shown = system.join(where, ".")
    with reading(shown), os.scandir(where) as entries:
        names = [entry.name for entry in islice(entries, MAX_FILES + 1)]
    if len(names) > MAX_FILES:
        raise LimitExceeded(f"{shown} holds more than {MAX_FILES} files.", path=shown)
    return sorted(names)


def read_small(where: Where, name: str, limit: int) -> bytes:
    """Return the content of the regular file ``name`` in ``where``, of at most ``limit`` bytes.

    Raises what :func:`open_regular` and :func:`read_all` raise.
    """
    with open_regular(where, name) as file:
        return read_all(file, limit, system.join(where, name))


def read_all(file: io.RawIOBase | io.BytesIO, limit: int, shown: str) -> bytes:
    """Return the content of the open regular ``file``, of at most ``limit`` bytes.

    ``shown`` is its path in messages. Raises :class:`LimitExceeded`, without reading anything if
    the file's size is over the limit, and :class:`HubUnavailable`.
    """
    with reading(shown):
        size = file.seek(0, os.SEEK_END)
        file.seek(0)
        # FileIO allocates as much as is asked for, so a growing file is read in two steps.
        data = (file.read(size + 1) or b"") if size <= limit else b""
        if size < len(data) <= limit:
            data += file.read(limit + 1 - len(data)) or b""
    size = max(size, len(data))
    if size > limit:
        raise LimitExceeded(f"{shown} has {size} bytes; {limit} are allowed.", path=shown)
    return data


def _refusal(error: OSError, shown: str) -> HubError:
    if error.errno == errno.ENOENT:
        return FileMissing(f"{shown} does not exist.", path=shown)
    if error.errno in _NOT_PLAIN:
        return UnsafePath(
            f"{shown} is a link or of the wrong kind: {error}.",
            path=shown,
            hint="Models are plain files in plain directories; get a fresh copy.",
        )
    return HubUnavailable(
        f"{shown} cannot be read: {error}.",
        path=shown,
        hint="Check its permissions and the disk.",
    )


def _portable(segment: str) -> bool:
    return not segment.endswith(".") and not _DEVICE.fullmatch(segment)
