"""Read the columns of a delimited text, one block of lines at a time.

A plain block is of ASCII characters without quotes, and each of its lines has as many fields as the
header: NumPy finds its fields and reads its numbers. Any other block is read record by record, so
that one bad record costs nothing but itself.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from dc_core import Failure
from dc_pipeline.numerals import WINDOW, read_spans, read_texts

MAX_FIELD: Final = 131_072
"""The longest field, in characters. It is the default limit of the csv module."""

_BLOCK: Final = 1 << 18
"""Characters in a block: few enough that it stays in the processor's cache."""

_MAX_LINES: Final = 100
"""The number of lines that one quoted field may span."""

_SPACE: Final = ord(" ")

_NARROW: Final = 64
"""The longest field, in characters, that is copied with others of its column at once."""

_UNCLOSED: Final = "a quote is not closed"

Record = list[str] | str
"""The fields of a record, or what is wrong with it."""


@dataclass(frozen=True, slots=True)
class Layout:
    """What to read of each record.

    ``width`` is the number of fields in the header. ``texts`` and ``numbers`` give the place in a
    record of each column that is read as text or as numbers. ``inputs`` is one of the texts: it
    must not be empty or contain a line break.
    """

    delimiter: str
    width: int
    inputs: str
    texts: Mapping[str, int]
    numbers: Mapping[str, int]


class Block(NamedTuple):
    """Some consecutive records.

    ``records`` are the numbers of the usable ones, ``(n,)``, counted from 0 after the header.
    ``texts`` holds each column of text, ``(n,)``, stripped. ``numbers`` holds for each column of
    numbers what :func:`dc_pipeline.numerals.read_texts` returns. ``failures`` are the records that
    cannot be used.
    """

    records: np.ndarray
    texts: dict[str, np.ndarray]
    numbers: dict[str, tuple[np.ndarray, dict[int, str]]]
    failures: list[Failure]


def read_header(text: str, delimiter: str) -> tuple[Record, int]:
    """Return the first record of ``text``, and the position at which the next one starts."""
    line, after = _line(text, 0)
    return _record(text, line, after, delimiter, width=0)


def read_blocks(text: str, start: int, layout: Layout) -> Iterator[Block]:
    """Yield the records of ``text`` from ``start``.

    Lines end in a newline; blank ones do not count. A record fails (status ``parse``) if it has
    another number of fields than the header, a field longer than :data:`MAX_FIELD` or an unclosed
    quote, or if its input is empty or contains a line break.
    """
    number = 0
    while start < len(text):
        end = text.find("\n", start + _BLOCK)
        end = len(text) if end < 0 else end
        block = _plain_block(text[start:end], number, layout)
        if block is not None:
            number += len(block.records)
            start = end + 1
        else:
            records, start = _records(text, start, end, layout.delimiter, layout.width)
            block = _checked_block(records, number, layout)
            number += len(records)
        yield block


def _plain_block(block: str, number: int, layout: Layout) -> Block | None:
    """Return a block whose first record has the given ``number``, or None if it is not plain."""
    plain = block.isascii() and layout.delimiter.isascii()
    if not plain or '"' in block or "\0" in block:
        return None
    data = b"\0" * WINDOW + block.encode("ascii") + b"\n" + b"\0" * _NARROW
    characters = np.frombuffer(data, np.uint8)
    separators = characters == ord(layout.delimiter)
    separators |= characters == ord("\n")
    places = np.flatnonzero(separators)
    if len(places) % layout.width:
        return None
    ends = places.reshape(-1, layout.width)
    starts = np.concatenate([[WINDOW], places[:-1] + 1]).reshape(-1, layout.width)
    newline = characters[ends] == ord("\n")
    if newline[:, :-1].any() or not newline[:, -1].all() or (ends - starts).max() > MAX_FIELD:
        return None
    texts = {
        name: _stripped(data, starts[:, place], ends[:, place])
        for name, place in layout.texts.items()
    }
    if (texts[layout.inputs] == "").any():
        return None
    numbers = {
        name: read_spans(data, starts[:, place], ends[:, place])
        for name, place in layout.numbers.items()
    }
    return Block(np.arange(number, number + len(ends)), texts, numbers, [])


def _stripped(data: bytes, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Return the ASCII texts ``data[start:end]`` without white space at their ends.

    There have to be at least :data:`_NARROW` bytes after each start.
    """
    characters = np.frombuffer(data, np.uint8)
    lengths = ends - starts
    width = int(lengths.max())
    # All ASCII white space is at or below the space. Empty fields may trigger this needlessly.
    spaces = (characters[starts] <= _SPACE).any() or (characters[ends - 1] <= _SPACE).any()
    if spaces or not 0 < width <= _NARROW:
        text = data.decode("ascii")
        spans = zip(starts.tolist(), ends.tolist(), strict=True)
        fields = [text[start:end] for start, end in spans]
        return _text([field.strip() for field in fields] if spaces else fields)
    windows = np.ndarray((len(data) - width + 1,), f"V{width}", data, strides=(1,))
    cells = windows[starts].view(np.uint8).reshape(-1, width)
    cells *= np.arange(width) < lengths[:, None]  # zeros at the end are not part of the text
    texts: np.ndarray = cells.view(f"S{width}").ravel().astype(np.dtypes.StringDType())
    return texts


def _text(fields: list[str]) -> np.ndarray:
    # Conversion through objects takes three quarters of the time.
    return np.array(fields, dtype=object).astype(np.dtypes.StringDType())


def _checked_block(records: list[Record], number: int, layout: Layout) -> Block:
    """Return the block of ``records``, the first of which has the given ``number``."""
    rows: list[list[str]] = []
    used: list[int] = []
    failures: list[Failure] = []
    for i, record in enumerate(records, number):
        given, fault = _check(record, layout.width, layout.texts[layout.inputs])
        if fault or isinstance(record, str):
            failures.append(Failure(i, given, "parse", fault))
        else:
            rows.append(record)
            used.append(i)
    texts = {
        name: _text([row[place].strip() for row in rows]) for name, place in layout.texts.items()
    }
    numbers = {
        name: read_texts([row[place] for row in rows]) for name, place in layout.numbers.items()
    }
    return Block(np.array(used, np.intp), texts, numbers, failures)


def _records(
    text: str, start: int, end: int, delimiter: str, width: int
) -> tuple[list[Record], int]:
    """Return the records that start in ``text[start:end]``, and where the next one starts."""
    lines = [line for line in text[start:end].split("\n") if line]
    try:
        rows: list[Record] = list(csv.reader(lines, delimiter=delimiter, strict=True))
    except csv.Error:
        rows = []
    # Otherwise a field spans lines, or an unclosed quote has swallowed the following lines.
    if len(rows) == len(lines):
        return rows, end + 1
    records = []
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
        if record != _UNCLOSED or end >= len(text):
            break
        more, end = _line(text, end)
        longer += f"\n{more}"
        if '"' in more:
            whole = _quoted(longer, delimiter)
            if isinstance(whole, list) and len(whole) == width:
                return whole, end
            if whole != _UNCLOSED:
                break
    return record, after


def _quoted(record: str, delimiter: str) -> Record:
    """Return the fields of one record with quotes, or what is wrong with it."""
    try:
        (fields,) = csv.reader([record], delimiter=delimiter, strict=True)
    except csv.Error as error:
        return _UNCLOSED if "unexpected end of data" in str(error) else str(error)
    return fields


def _line(text: str, start: int) -> tuple[str, int]:
    """Return the line at ``start``, and the position of the next one."""
    end = text.find("\n", start)
    end = len(text) if end < 0 else end
    return text[start:end], end + 1


def _check(record: Record, width: int, inputs: int) -> tuple[str, str]:
    """Return the input of a record, and what is wrong with the record or ``""``."""
    if isinstance(record, str):
        return "", record
    given = record[inputs].strip() if inputs < len(record) else ""
    if len(record) != width:
        return given, f"the row has {len(record)} fields and the header has {width}"
    if max(map(len, record)) > MAX_FIELD:
        return given, f"a field has more than {MAX_FIELD} characters"
    if not given:
        return given, "the input is missing"
    return given, "the input contains a line break" if "\n" in given else ""
