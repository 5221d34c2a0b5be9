"""Open the bytes of a source: a path or a URL; plain, gzipped or compressed by zstd.

All loaders read through here. What is compressed is recognized by its first bytes, and read piece
by piece: memory does not depend on how much it unpacks to. A file that ends too early is an error.
"""

from __future__ import annotations

import hashlib
import re
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from os import PathLike
from pathlib import Path
from typing import IO, Any, Final, NoReturn
from urllib.parse import urlsplit

from dc_core.errors import LoaderError

PIECE: Final = 1 << 19
"""Bytes in a piece: few enough that the work on it stays in the processor's cache."""

_URL: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]*(://|::)")
_GZIP: Final = b"\x1f\x8b"
_ZSTD: Final = b"\x28\xb5\x2f\xfd"

_ZSTD_PIECE: Final = 1 << 10
"""Bytes given to zstd at a time. It unpacks them at once, to at most 32 768 times as many."""

_WINDOW: Final = 1 << 27
"""The largest window that a zstd file may need; it is the default limit of the zstd command."""


class Source:
    """A path, or a URL that fsspec opens.

    ``name`` is the path or URL without credentials and query, which is what errors and provenance
    show. Raises :class:`LoaderError` for anything that is neither.
    """

    def __init__(self, source: Any) -> None:
        if not isinstance(source, str | PathLike):
            raise LoaderError(
                f"The path is of type {type(source).__name__}.",
                hint="Give a path or a URL. For a DataFrame: "
                "NumpyDataset.from_dataframe(df, X=..., y=...).",
            )
        remote = is_url(source)
        self.path = None if remote else Path(source)
        self._url = str(source) if remote else ""
        self.name = _without_secrets(self._url) if remote else str(self.path)

    def __str__(self) -> str:
        """Show the name."""
        return self.name

    @contextmanager
    def open(self) -> Iterator[IO[bytes]]:
        """Open the bytes as they are stored; errors of reading them become :class:`LoaderError`."""
        if self.path is not None:
            try:
                with self.path.open("rb") as file:
                    yield file
            except OSError as error:
                raise LoaderError(
                    f"{self.name} cannot be read: {error.strerror or error}.",
                    hint=f"Paths start at {Path.cwd()}.",
                ) from error
            return
        file_system, path = self._file_system()
        try:
            with file_system.open(path, "rb") as file:
                yield file
        except LoaderError:
            raise
        except Exception as error:  # noqa: BLE001 - each protocol has errors of its own
            self._fail(error)

    def size(self) -> int:
        """Return the number of bytes as they are stored; 0 if a server does not say it."""
        if self.path is not None:
            with self.open() as file:
                return file.seek(0, 2)
        file_system, path = self._file_system()
        try:
            return int(file_system.size(path) or 0)
        except Exception as error:  # noqa: BLE001 - each protocol has errors of its own
            self._fail(error)

    def pieces(self) -> Iterator[bytes]:
        """Yield the content, unpacked, in pieces of at most :data:`PIECE` bytes.

        Raises :class:`LoaderError` if it cannot be read, or is damaged.
        """
        with self.open() as file:
            stored = iter(lambda: file.read(PIECE), b"")
            first = next(stored, b"")
            while len(first) < len(_ZSTD) and (more := next(stored, b"")):
                first += more
            if first.startswith(_GZIP):
                yield from self._gunzipped(first, stored)
            elif first.startswith(_ZSTD):
                yield from self._from_zstd(first, stored)
            elif first:
                yield first
                yield from stored

    def read(self, limit: int) -> bytes:
        """Return the whole content, unpacked.

        Raises :class:`LoaderError` if it is more than ``limit`` bytes.
        """
        pieces = []
        total = 0
        for piece in self.pieces():
            pieces.append(piece)
            total += len(piece)
            if total > limit:
                raise LoaderError(f"{self.name} has more than {limit} bytes.")
        return b"".join(pieces)

    def describe(self) -> dict[str, Any]:
        """Return its name, its size and its SHA-256 as it is stored, which reads it once."""
        digest = hashlib.sha256()
        size = 0
        with self.open() as file:
            while piece := file.read(PIECE):
                digest.update(piece)
                size += len(piece)
        return {"name": self.name, "size": size, "sha256": digest.hexdigest()}

    def _gunzipped(self, first: bytes, stored: Iterator[bytes]) -> Iterator[bytes]:
        unpacker = zlib.decompressobj(wbits=31)
        data = first
        try:
            while True:
                piece = unpacker.decompress(data, PIECE)
                if piece:
                    yield piece
                data = unpacker.unconsumed_tail
                if unpacker.eof:
                    data = unpacker.unused_data.lstrip(b"\0")  # padding between members
                    while not data and (more := next(stored, b"")):
                        data = more.lstrip(b"\0")
                    if not data:
                        return
                    unpacker = zlib.decompressobj(wbits=31)
                elif not data and not piece:
                    data = next(stored, b"")
                    if not data:
                        self._damaged("gzip", "it ends too early")
        except zlib.error as error:
            self._damaged("gzip", str(error), error)

    def _from_zstd(self, first: bytes, stored: Iterator[bytes]) -> Iterator[bytes]:
        try:
            import zstandard
        except ImportError as error:
            raise LoaderError(
                f"{self.name} is compressed by zstd, and zstandard is not installed.",
                hint='pip install "dc-pipeline[zstd]"',
            ) from error
        make: Callable[[], Any] = zstandard.ZstdDecompressor(max_window_size=_WINDOW).decompressobj
        unpacker = make()
        data = first
        try:
            while True:
                piece = unpacker.decompress(data[:_ZSTD_PIECE])
                data = data[_ZSTD_PIECE:]
                yield from (piece[i : i + PIECE] for i in range(0, len(piece), PIECE))
                if unpacker.eof:
                    data = unpacker.unused_data + data
                    data = data or next(stored, b"")
                    if not data:
                        return
                    unpacker = make()
                elif not data:
                    data = next(stored, b"")
                    if not data:
                        self._damaged("zstd", "it ends too early")
        except zstandard.ZstdError as error:
            self._damaged("zstd", str(error), error)

    def _damaged(self, kind: str, reason: str, cause: Exception | None = None) -> NoReturn:
        raise LoaderError(
            f"{self.name} is a damaged {kind} file: {reason}.", hint="Get it again."
        ) from cause

    def _file_system(self) -> tuple[Any, str]:
        try:
            from fsspec.core import url_to_fs
        except ImportError as error:
            raise LoaderError(
                f"{self.name} is a URL, and fsspec is not installed.",
                hint='pip install "dc-pipeline[remote]"',
            ) from error
        try:
            file_system, path = url_to_fs(self._url)
        except ImportError as error:
            raise LoaderError(
                f"{self.name} cannot be opened: {error}.", hint='pip install "dc-pipeline[remote]"'
            ) from error
        except ValueError as error:
            raise LoaderError(
                f"{self.name} cannot be opened: {error}.",
                hint="Give a URL of a protocol that fsspec knows, or a path.",
            ) from error
        return file_system, path

    def _fail(self, error: Exception) -> NoReturn:
        reason = "there is no such file" if isinstance(error, FileNotFoundError) else str(error)
        raise LoaderError(
            f"{self.name} cannot be read: {reason.replace(self._url, self.name)}."
        ) from error


def is_url(source: object) -> bool:
    """Tell whether ``source`` is a URL, and not a path."""
    return isinstance(source, str) and _URL.match(source) is not None


def _without_secrets(url: str) -> str:
    """Return ``url`` without user, password and query, which may hold a token."""
    start, _, _ = url.partition("?")
    host = urlsplit(start).netloc
    return start.replace(f"{host}", host.rpartition("@")[2], 1) if "@" in host else start
