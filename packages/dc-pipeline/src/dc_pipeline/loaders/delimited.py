"""Read the columns of a delimited text, one block of lines at a time.

A plain block is of ASCII characters, its quotes enclose whole fields without quotes or line breaks,
and each of its lines has as many fields as the header: NumPy finds its fields, copies its text and
reads its numbers. Any other block is read record by record, so that one bad record costs nothing
but itself.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from dc_core import Failure
from dc_pipeline.loaders.block import Block
from dc_pipeline.loaders.numerals import MARGIN, read_spans, read_texts
from dc_pipeline.loaders.sources import Source
from dc_pipeline.loaders.text_file import MAX_LINE, too_long

MAX_FIELD: Final = 131_072
"""The longest field, in characters. It is the default limit of the csv module."""

_MAX_LINES: Final = 100
"""The number of lines that one quoted field may span."""

_SPACE: Final = ord(" ")
_QUOTE: Final = ord('"')

_NARROW: Final = 128
"""The longest field, in characters, that is copied with others of its column at once."""

_UNCLOSED: Final = "a quote is not closed"

_SHOWN: Final = 1000
"""The characters that a failure shows of a record that cannot be divided into fields."""


class Fault(NamedTuple):
    """A record that cannot be divided into fields: its text, shortened, and the reason."""

    text: str
    reason: str


Record = list[str] | Fault
"""The fields of a record, or its fault."""


@dataclass(frozen=True, slots=True)
class Layout:
    """The fields to read of each record.

    ``width`` is the number of fields in the header. ``texts`` gives the place in a record of each
    column that is read as text, and ``numbers`` the places of those that are read as numbers.
    ``inputs`` is one of the texts: it must not be empty or contain a line break.
    """

    delimiter: str
    width: int
    inputs: str
    texts: Mapping[str, int]
    numbers: Sequence[int]


class Unread:
    """The part of a text that has not been used, of which more is read when it is needed."""

    def __init__(self, pieces: Iterable[str], source: Source) -> None:
        self.text = ""
        self._source = source
        self._pieces = iter(pieces)

    def read_line(self) -> bool:
        """Read until the end of another line; return False if the text ended instead.

        Raises :class:`LoaderError` for a line of more than :data:`MAX_LINE` characters.
        """
        parts = [self.text]
        ended = True
        length = len(self.text)
        for piece in self._pieces:
            parts.append(piece)
            length += len(piece)
            if "\n" in piece:
                ended = False
                break
            if length > MAX_LINE:
                raise too_long(self._source)
        self.text = "".join(parts)
        return not ended


def read_header(unread: Unread, delimiter: str) -> Record:
    """Return the fields of the first line that is not blank; none if there is no such line."""
    more = True
    while more and "\n" not in unread.text:
        more = unread.read_line()
        unread.text = unread.text.lstrip("\n")
    line, _, unread.text = unread.text.partition("\n")
    if '"' in line:
        return _quoted(line, delimiter)
    return line.split(delimiter) if line else []


def read_blocks(unread: Unread, layout: Layout) -> Iterator[Block]:
    """Yield the records of a text.

    Lines end in a newline; blank ones do not count. A record fails (status ``parse``) if it has
    another number of fields than the header, a field longer than :data:`MAX_FIELD` or an unclosed
    quote, or if its input is empty or contains a line break.
    """
    number = 0
    more = True
    while more or unread.text:
        more = more and unread.read_line()
        text = unread.text
        end = text.rfind("\n") if more else len(text)
        lines = text[:end].strip("\n")
        if not lines:
            unread.text = text[end:]
            continue
        block = _plain_block(lines, number, layout)
        if block is not None:
            number = block.stop
            unread.text = text[end + 1 :]
        else:
            while '"' in lines and more and unread.text.count("\n", end) <= _MAX_LINES:
                more = unread.read_line()
            text = unread.text
            records, start = _records(text, end, layout.delimiter, layout.width)
            block = _checked_block(records, number, start, layout)
            number += len(records)
            unread.text = text[start:]
        yield block


def _plain_block(block: str, number: int, layout: Layout) -> Block | None:
    """Return a block whose first record has the given ``number``, or None if it is not plain."""
    plain = block.isascii() and layout.delimiter.isascii()
    if not plain or "\0" in block:
        return None
    data = b"".join([b"\0" * MARGIN, block.encode("ascii"), b"\n", b"\0" * _NARROW])
    characters = np.frombuffer(data, np.uint8)
    newlines = characters == ord("\n")
    separators = characters == ord(layout.delimiter)
    separators |= newlines
    quoted = '"' in block
    if quoted:
        inside = _inside_quotes(characters, separators)
        if inside is None or (newlines & inside).any():
            return None
        separators &= ~inside
    places = np.flatnonzero(separators)
    if len(places) % layout.width:
        return None
    ends = places.reshape(-1, layout.width)
    starts = np.concatenate([[MARGIN], places[:-1] + 1]).reshape(-1, layout.width)
    newline = newlines[ends]
    if quoted:
        enclosed = characters[starts] == _QUOTE
        starts, ends = starts + enclosed, ends - enclosed
    if newline[:, :-1].any() or not newline[:, -1].all() or (ends - starts).max() > MAX_FIELD:
        return None
    texts = {
        name: _stripped(data, starts[:, place], ends[:, place])
        for name, place in layout.texts.items()
    }
    if (texts[layout.inputs] == "").any():
        return None
    columns = list(layout.numbers)
    numbers, unread = read_spans(data, starts[:, columns].ravel(), ends[:, columns].ravel())
    return Block(
        number,
        np.arange(number, number + len(ends)),
        texts,
        numbers.reshape(len(ends), len(columns)),
        {divmod(cell, len(columns)): text for cell, text in unread.items()},
        [],
        progress=len(block) + 1,
    )


def _inside_quotes(characters: np.ndarray, separators: np.ndarray) -> np.ndarray | None:
    """Return which characters are between quotes, or None if quotes do not enclose whole fields.

    The first field is at :data:`MARGIN`, and the last character that is not zero a separator.
    """
    quotes = characters == _QUOTE
    places = np.flatnonzero(quotes)
    opening, closing = places[::2], places[1::2]
    if len(opening) != len(closing) or not separators[closing + 1].all():
        return None
    begins = separators[opening - 1]
    if not (begins | (opening == MARGIN)).all():
        return None
    runs = np.diff(places, prepend=0, append=len(characters))
    inside: np.ndarray = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    return inside


def _stripped(data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the ASCII texts ``data[start:end]`` without white space at their ends.

    There have to be at least :data:`_NARROW` bytes after each start.
    """
    characters = np.frombuffer(data, np.uint8)
    # All ASCII white space is at or below the space. Empty fields may trigger this needlessly.
    if (characters[starts] <= _SPACE).any() or (characters[ends - 1] <= _SPACE).any():
        return _text([field.strip() for field in _fields(data, starts, ends)])
    lengths = ends - starts
    # Few fields are longer than twice the mean.
    width = max(1, min(_NARROW, int(lengths.max()), 2 * int(lengths.mean())))
    windows = np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))
    cells = windows[starts].view(np.uint8).reshape(-1, width)
    inside = np.arange(width, dtype=np.uint8) < np.minimum(lengths, width).astype(np.uint8)[:, None]
    cells *= inside.view(np.uint8)  # zeros at the end are not part of the text
    texts: np.ndarray = cells.view(f"S{width}").ravel().astype(np.dtypes.StringDType())
    wide = np.flatnonzero(lengths > width)
    if len(wide):
        texts[wide] = _text(_fields(data, starts[wide], ends[wide]))
    return texts


def _fields(data: bytes, starts: np.ndarray, ends: np.ndarray) -> list[str]:
    text = data.decode("ascii")
    spans = zip(starts.tolist(), ends.tolist(), strict=True)
    return [text[start:end] for start, end in spans]


def _text(fields: list[str]) -> np.ndarray:
    # Conversion through objects takes three quarters of the time.
    return np.array(fields, dtype=object).astype(np.dtypes.StringDType())


def _checked_block(records: list[Record], number: int, characters: int, layout: Layout) -> Block:
    """Return the block of ``records``, the first of which has the given ``number``."""
    rows: list[list[str]] = []
    used: list[int] = []
    failures: list[Failure] = []
    for i, record in enumerate(records, number):
        given, fault = _check(record, layout.width, layout.texts[layout.inputs])
        if fault or isinstance(record, Fault):
            failures.append(Failure(i, given, "parse", fault))
        else:
            rows.append(record)
            used.append(i)
    texts = {
        name: _text([row[place].strip() for row in rows]) for name, place in layout.texts.items()
    }
    columns = layout.numbers
    numbers, unread = read_texts([row[place] for row in rows for place in columns])
    return Block(
        number,
        np.array(used, np.intp),
        texts,
        numbers.reshape(len(rows), len(columns)),
        {divmod(cell, len(columns)): text for cell, text in unread.items()},
        failures,
        progress=characters,
    )


def _records(text: str, end: int, delimiter: str, width: int) -> tuple[list[Record], int]:
    """Return the records that start in ``text[:end]``, and where the next one starts."""
    lines = [line for line in text[:end].split("\n") if line]
    try:
        rows: list[Record] = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        rows = []
    # Otherwise a field spans lines, or an unclosed quote has swallowed the following lines.
    if len(rows) == len(lines):
        return rows, end + 1
    records = []
    start = 0
    while start < end:
        line, after = _line(text, start)
        start = after
        if line:
            record, start = _record(text, line, after, delimiter, width)
            records.append(record)
    return records, start


def _record(text: str, line: str, after: int, delimiter: str, width: int) -> tuple[Record, int]:
    """Return the record that starts with ``line``, and where the next one starts.

    ``after`` is the position of the next line. A quoted field may go on there. If that does not
    give a record of ``width`` fields, the quote was never closed, and the record ends with its
    line.
    """
    if '"' not in line:
        return line.split(delimiter), after
    record = _quoted(line, delimiter)
    longer, end = line, after
    for _ in range(_MAX_LINES - 1):
        if not _is_unclosed(record) or end >= len(text):
            break
        more, end = _line(text, end)
        longer += f"\n{more}"
        if '"' in more:
            whole = _quoted(longer, delimiter)
            if isinstance(whole, list) and len(whole) == width:
                return whole, end
            if not _is_unclosed(whole):
                break
    return record, after


def _quoted(record: str, delimiter: str) -> Record:
    """Return the fields of one record with quotes, or its fault."""
    try:
        (fields,) = csv.reader([record], delimiter=delimiter, strict=True)
    except csv.Error as error:
        reasons = {
            "unexpected end of data": _UNCLOSED,
            "expected after": "text follows a closing quote",
            "field larger": f"a field has more than {MAX_FIELD} characters",
        }
        found = (reason for words, reason in reasons.items() if words in str(error))
        return Fault(record.strip()[:_SHOWN], next(found, str(error)))
    return fields


def _is_unclosed(record: Record) -> bool:
    return isinstance(record, Fault) and record.reason == _UNCLOSED


def _line(text: str, start: int) -> tuple[str, int]:
    """Return the line at ``start``, and the position of the next one."""
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return text[start:end], end + 1


def _check(record: Record, width: int, inputs: int) -> tuple[str, str]:
    """Return the input of a record, and the fault of the record or ``""``."""
    if isinstance(record, Fault):
        return record
    given = record[inputs].strip() if inputs < len(record) else ""
    if len(record) != width:
        return given, f"the row has {len(record)} fields and the header has {width}"
    if max(map(len, record)) > MAX_FIELD:
        return given, f"a field has more than {MAX_FIELD} characters"
    if not given:
        return given, "the input is missing"
    return given, "the input contains a line break" if "\n" in given else ""
