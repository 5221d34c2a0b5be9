"""Tar archives of one form: regular files, nothing else, and equal bytes for equal content.

A header contains the name and the size, and is otherwise always the same: mode 0644, no owner, no
time. Names over 100 bytes and sizes from 8 GiB are in a pax header, as POSIX has it, so that every
tar program reads the archive. A reader makes the header that a name and size must have, and
compares: links, devices, sparse files and all other headers are refused, whatever they mean.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Final

from dc_hub.errors import BundleError, LimitExceeded
from dc_hub.files.paths import reading

BLOCK: Final = 512
RECORD: Final = 10_240
"""An archive is padded to a multiple of so many bytes."""

_PIECE: Final = 1 << 20
_MAX_PAX: Final = 2_048
_NAME: Final = 100
_OCTAL: Final = 8**11
_NUMBER: Final = re.compile(rb"[0-7]{11}\0")
_PAX: Final = re.compile(rb"(?:[0-9]{1,4} path=([!-~]+)\n)?(?:[0-9]{1,4} size=([0-9]{1,18})\n)?")


@dataclass(frozen=True, slots=True)
class Member:
    """A file of an archive: its name and its size in bytes."""

    name: str
    size: int


def header(member: Member) -> bytes:
    """Return the header of ``member``."""
    name, size = member.name.encode("ascii"), member.size
    records = _record(b"path", name) if len(name) > _NAME else b""
    records += _record(b"size", b"%d" % size) if size >= _OCTAL else b""
    block = _block(name[:_NAME], size if size < _OCTAL else 0, b"0")
    if not records:
        return block
    return _block(b"././@PaxHeader", len(records), b"x") + _padded(records) + block


def padding(size: int, unit: int = BLOCK) -> bytes:
    """Return the zeros that follow ``size`` bytes, up to a multiple of ``unit``."""
    return bytes(-size % unit)


def ending(size: int) -> bytes:
    """Return the end of an archive of ``size`` bytes."""
    return bytes(2 * BLOCK) + padding(size + 2 * BLOCK, RECORD)


class TarReader:
    """Reads the members of an archive one after another, and never more than it needs.

    ``what`` names the archive in messages. Every method raises :class:`BundleError` for an archive
    that is cut or of any other form, and :class:`HubUnavailable` if it cannot be read.
    """

    def __init__(self, file: BinaryIO, what: str) -> None:
        self._file = file
        self._what = what
        self._at = 0
        self._left = 0
        self._member = Member("", 0)

    @property
    def position(self) -> int:
        """How many bytes were read or skipped."""
        return self._at

    def next(self) -> Member | None:
        """Return the next member; None at the end, after which there must be nothing.

        The content of the one before must have been read or skipped.
        """
        if self._left:
            raise ValueError(f"{self._member.name} was not read to its end.")
        start = self._at
        raw = self._exactly(BLOCK)
        if raw == bytes(BLOCK):
            rest = ending(start)[BLOCK:]
            if self._some(len(rest) + 1) != rest:
                raise self.refusal("it does not end where it should")
            return None
        pax = b""
        if raw[156:157] == b"x":
            length = self._number(raw)
            if length > _MAX_PAX:
                raise self.refusal("it has a header that is too long")
            pax = self._exactly(length + len(padding(length)))
            raw += pax + self._exactly(BLOCK)
            pax = pax[:length]
        found = _PAX.fullmatch(pax)
        if found is None:
            raise self.refusal("it has a header that is not one of a bundle")
        block = raw[-BLOCK:]
        name = found[1] or block[:_NAME].rstrip(b"\0")
        size = int(found[2]) if found[2] else self._number(block)
        if not name.isascii() or raw != header(Member(name.decode("ascii"), size)):
            raise self.refusal("it has something else than plain files, or was not made by dc-hub")
        self._member, self._left = Member(name.decode("ascii"), size), size
        return self._member

    def read(self, limit: int) -> bytes:
        """Return the content of the member, of at most ``limit`` bytes.

        Raises :class:`LimitExceeded`, without reading it, if it has more.
        """
        if self._left > limit:
            shown = f"{self._what}: {self._member.name}"
            raise LimitExceeded(
                f"{shown} has {self._left} bytes; {limit} are allowed.", path=self._what
            )
        return b"".join(self.pieces())

    def pieces(self) -> Iterator[bytes]:
        """Yield the content of the member in pieces."""
        while self._left:
            piece = self._some(min(_PIECE, self._left))
            if not piece:
                raise self._cut()
            self._left -= len(piece)
            yield piece
        self._pad()

    def skip(self) -> None:
        """Pass over the content of the member."""
        with reading(self._what):
            self._file.seek(self._left, 1)
        self._at += self._left
        self._left = 0
        self._pad()

    def refusal(self, why: str) -> BundleError:
        """Return the error for an archive that is not a bundle, because of ``why``."""
        return BundleError(
            f"{self._what} is not a bundle: {why} (at byte {self._at}).",
            path=self._what,
            hint="Get it again from where it was made: dc-hub bundle.",
        )

    def _pad(self) -> None:
        zeros = padding(self._member.size)
        if self._exactly(len(zeros)) != zeros:
            raise self.refusal("there is something between its files")

    def _number(self, block: bytes) -> int:
        field = block[124:136]
        if not _NUMBER.fullmatch(field):
            raise self.refusal("it has a header without a size")
        return int(field[:11], 8)

    def _exactly(self, count: int) -> bytes:
        data = self._some(count)
        if len(data) != count:
            raise self._cut()
        return data

    def _some(self, count: int) -> bytes:
        with reading(self._what):
            data = self._file.read(count)
        self._at += len(data)
        return data

    def _cut(self) -> BundleError:
        return self.refusal("it is cut")


def _block(name: bytes, size: int, kind: bytes) -> bytes:
    fields = (
        *(name.ljust(_NAME, b"\0"), b"0000644\0", b"0000000\0", b"0000000\0"),
        *(b"%011o\0" % size, b"00000000000\0", b" " * 8, kind, bytes(100), b"ustar\x0000"),
        *(bytes(64), b"0000000\0", b"0000000\0", bytes(155 + 12)),
    )
    block = b"".join(fields)
    return block[:148] + b"%06o\0 " % sum(block) + block[156:]


def _record(key: bytes, value: bytes) -> bytes:
    """Return a record of a pax header, which begins with its own length."""
    rest = b" " + key + b"=" + value + b"\n"
    length = len(rest)
    while length != len(b"%d" % length) + len(rest):
        length = len(b"%d" % length) + len(rest)
    return b"%d" % length + rest


def _padded(data: bytes) -> bytes:
    return data + padding(len(data))
