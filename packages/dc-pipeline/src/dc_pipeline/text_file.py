"""Read a text file piece by piece, plain or gzipped, so that its size does not matter."""

from __future__ import annotations

import codecs
import gzip
import io
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Final, cast

from dc_core.errors import LoaderError

_GZIP: Final = b"\x1f\x8b"

_PIECE: Final = 1 << 19
"""Bytes in a piece: few enough that what is made of it stays in the processor's cache."""


def read_text(file: Path, encoding: str) -> Iterator[str]:
    """Yield the text of ``file`` in pieces; lines end in a newline alone.

    Raises :class:`LoaderError` if the file cannot be read, or is not text in the ``encoding``.
    """
    decoder = _decoder(encoding)
    count = 0
    try:
        with file.open("rb") as raw:
            packed = raw.peek(len(_GZIP)).startswith(_GZIP)
            stream = cast(IO[bytes], gzip.GzipFile(fileobj=raw) if packed else raw)
            while content := stream.read(_PIECE):
                count += len(content)
                yield decoder.decode(content)
        yield decoder.decode(b"", final=True)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise LoaderError(
            f"{file} is a damaged gzip file: {error}.", hint="Get it again."
        ) from error
    except OSError as error:
        raise _unreadable(file, error) from error
    except UnicodeDecodeError as error:
        place = count - len(error.object) + error.start
        raise LoaderError(
            f"{file} is not text in {encoding}: {error.reason} at byte {place}.",
            hint="Give the file's encoding, such as encoding='latin-1'.",
        ) from error


def file_size(file: Path) -> int:
    """Return the bytes of ``file`` as it is stored; raises :class:`LoaderError` if it is gone."""
    try:
        return file.stat().st_size
    except OSError as error:
        raise _unreadable(file, error) from error


def _unreadable(file: Path, error: OSError) -> LoaderError:
    return LoaderError(
        f"{file} cannot be read: {error.strerror}.", hint=f"Paths start at {Path.cwd()}."
    )


def _decoder(encoding: str) -> io.IncrementalNewlineDecoder:
    try:
        "".encode(encoding)  # Codecs that are not of text have decoders too.
        decoder = codecs.getincrementaldecoder(encoding)()
    except LookupError as error:
        raise LoaderError(
            f"There is no encoding {encoding!r}.", hint="Most files are in utf-8."
        ) from error
    return io.IncrementalNewlineDecoder(decoder, translate=True)
