"""Read text piece by piece, so that the size of a file does not matter."""

from __future__ import annotations

import codecs
import io
from collections.abc import Iterator
from typing import Final, NamedTuple

from dc_core.errors import LoaderError
from dc_pipeline.loaders.sources import Source

MAX_LINE: Final = 1 << 25
"""The longest line, in characters, that is held in memory."""


class Line(NamedTuple):
    """A line that is not blank: its number in the file, from 1 on, and its text, stripped."""

    number: int
    text: str


def read_text(source: Source, encoding: str) -> Iterator[str]:
    """Yield the text of ``source`` in pieces; lines end in a newline alone.

    Raises :class:`LoaderError` if it cannot be read, or is not text in the ``encoding``.
    """
    decoder = _decoder(encoding)
    count = 0
    try:
        for content in source.pieces():
            count += len(content)
            yield decoder.decode(content)
        yield decoder.decode(b"", final=True)
    except UnicodeDecodeError as error:
        place = count - len(error.object) + error.start
        wide = place == 0 and error.object.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE))
        raise LoaderError(
            f"{source} is not text in {encoding}: {error.reason} at byte {place}.",
            hint="It begins like UTF-16: give encoding='utf-16'."
            if wide
            else "Give the file's encoding, such as encoding='latin-1'.",
        ) from error


def read_lines(source: Source, encoding: str) -> Iterator[list[Line]]:
    """Yield the lines that are not blank, in lists of those of one piece.

    Raises :class:`LoaderError` as :func:`read_text` does, and for a line above :data:`MAX_LINE`.
    """
    number = 1
    rest = ""
    for piece in read_text(source, encoding):
        *whole, rest = (rest + piece).split("\n")
        if len(rest) > MAX_LINE:
            raise too_long(source)
        lines = [Line(i, text) for i, line in enumerate(whole, number) if (text := line.strip())]
        number += len(whole)
        if lines:
            yield lines
    if rest.strip():
        yield [Line(number, rest.strip())]


def too_long(source: Source) -> LoaderError:
    """Return the error about a line that does not end."""
    return LoaderError(
        f"{source} has a line of more than {MAX_LINE} characters.",
        hint="This is not a text file of records, or its lines do not end.",
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
