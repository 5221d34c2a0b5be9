"""Read numbers from text, a whole column at a time.

Most cells of a table are decimals such as ``-3.14``. All cells of at most eight characters are read
at once, each as one 64-bit integer, and those of at most sixteen as two. Python's ``float`` reads
the others one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

MISSING: Final = frozenset({"", "na", "n/a", "nan", "none", "null"})
"""The texts, in lower case, that mark a missing value."""

WINDOW: Final = 8
"""The characters of one window: as many as there are bytes in a 64-bit integer."""

MARGIN: Final = 2 * WINDOW
"""The bytes that there have to be before the end of a cell: those of two windows."""

_EACH_BYTE: Final = np.uint64(0x0101010101010101)
_ZERO: Final = np.uint64(ord("0"))
_MINUS: Final = np.uint64(ord("-") ^ ord("0"))
_POINT: Final = np.uint64(ord(".") ^ ord("0"))
_POWERS_OF_TEN: Final = 10.0 ** np.arange(MARGIN + 1)
_EXACT: Final = np.uint64(1 << 53)
"""All integers up to this one are float64."""

_TEXT: Final = np.ones(256, bool)
"""Which bytes do not begin a number."""
_TEXT[list(b"0123456789+-.")] = False


def read_number(text: str) -> float | None:
    """Return a finite number, NaN for a missing value, and None for any other text."""
    text = text.strip()
    if text.lower() in MISSING:
        return math.nan
    try:
        value = float(text)
    except ValueError:
        return None
    # Python reads 1_000 as a number; in a file it is more likely to be a name.
    return value if math.isfinite(value) and "_" not in text else None


def read_texts(texts: Sequence[str]) -> tuple[np.ndarray, dict[int, str]]:
    """Return the numbers in ``texts``, ``(n,)`` of float64, and the texts that are not numbers.

    The numbers are NaN where a value is missing and where the text is not a number.
    """
    values = np.empty(len(texts))
    unread = {}
    for row, text in enumerate(texts):
        value = read_number(text)
        values[row] = math.nan if value is None else value
        if value is None:
            unread[row] = text.strip()
    return values, unread


def read_spans(
    data: bytes, starts: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, dict[int, str]]:
    """Return the result of :func:`read_texts` for the ASCII texts ``data[start:end]``.

    There have to be at least :data:`MARGIN` bytes before each end.
    """
    lengths = ends - starts
    values, decimal = _short_decimals(data, np.minimum(lengths, WINDOW), ends)
    decimal &= lengths <= WINDOW
    long = np.flatnonzero((lengths > WINDOW) & (lengths <= MARGIN))
    if len(long):
        values[long], decimal[long] = _long_decimals(data, lengths[long], ends[long])
    values[~decimal] = np.nan
    rest = np.flatnonzero(~decimal & (lengths > 0))
    return values, _read_one_by_one(data, starts, ends, rest, values)


def _read_one_by_one(
    data: bytes, starts: np.ndarray, ends: np.ndarray, rows: np.ndarray, values: np.ndarray
) -> dict[int, str]:
    """Set the ``values`` of the cells ``rows``, and return the texts that are not numbers."""
    text = _TEXT[np.frombuffer(data, np.uint8)[starts[rows]]]
    likely = rows[~text]
    spans = zip(starts[likely].tolist(), ends[likely].tolist(), strict=True)
    cells = [data[start:end] for start, end in spans]
    try:
        numbers = np.array(list(map(float, cells)))
    except ValueError:
        pass  # at least one is not a number
    else:
        if np.isfinite(numbers).all() and b"_" not in b"".join(cells):
            values[likely] = numbers
            rows = rows[text]
    unread = {}
    for row in rows.tolist():
        given = data[starts[row] : ends[row]].decode("ascii")
        value = read_number(given)
        if value is None:
            unread[row] = given.strip()
        else:
            values[row] = value
    return unread


def _short_decimals(
    data: bytes, lengths: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers of at most eight characters, and which of them are plain decimals.

    A plain decimal is a minus sign or none, and digits with at most one point. Its digits are an
    integer below 2⁵³ and the power of ten by which that is divided is exact, so that the quotient
    is the float64 nearest to the decimal: the one that ``float`` gives.
    """
    window = _read_window(data, lengths, ends)
    values = window.digits.astype(np.float64) / _POWERS_OF_TEN[window.places]
    return np.where(window.negative, -values, values), window.plain & (window.length > 0)


def _long_decimals(
    data: bytes, lengths: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the result of :func:`_short_decimals` for numbers of nine to sixteen characters."""
    low = _read_window(data, np.full_like(lengths, WINDOW), ends)
    high = _read_window(data, lengths - WINDOW, ends - WINDOW)
    digits = high.digits * _POWERS_OF_TEN[low.length].astype(np.uint64) + low.digits
    places = np.where(low.point, low.places, np.where(high.point, high.places + WINDOW, 0))
    plain = high.plain & low.plain & ~low.negative & ~(high.point & low.point) & (digits <= _EXACT)
    values = digits.astype(np.float64) / _POWERS_OF_TEN[places]
    return np.where(high.negative, -values, values), plain


class _Window(NamedTuple):
    """Cells of at most eight characters, each ``(n,)``.

    ``digits`` is the integer of all digits, ``length`` their number, and ``places`` the number of
    those after the ``point``. Cells that are ``plain`` have nothing else but a minus sign before.
    """

    digits: np.ndarray
    length: np.ndarray
    places: np.ndarray
    point: np.ndarray
    negative: np.ndarray
    plain: np.ndarray


def _read_window(data: bytes, lengths: np.ndarray, ends: np.ndarray) -> _Window:
    """Read the cells of at most eight characters that end at ``ends``."""
    windows = np.ndarray((len(data) - WINDOW + 1,), f"V{WINDOW}", data, strides=(1,))
    # Little-endian: the last character is the highest byte. Digits become 0 to 9.
    text = windows[ends - WINDOW].view("<u8").astype(np.uint64) ^ (_EACH_BYTE * _ZERO)
    before = (8 * np.minimum(WINDOW - lengths, WINDOW - 1)).astype(np.uint64)
    text = (text >> before) << before
    negative = (text >> before) & np.uint64(0xFF) == _MINUS
    text &= ~(np.where(negative, np.uint64(0xFF), np.uint64(0)) << before)
    # The lowest byte that is a point: the lowest bit of this is exact, and the others may not be.
    differs = text ^ (_EACH_BYTE * _POINT)
    points = (differs - _EACH_BYTE) & ~differs & (_EACH_BYTE << np.uint64(7))
    point = (points & (~points + np.uint64(1))) >> np.uint64(7)
    has_point = point != 0
    whole = point - np.uint64(1)  # the bytes below the point, or all if there is none
    fraction = ~(whole | (point * np.uint64(0xFF)))
    # Close the gap that the point leaves.
    digits = np.where(has_point, ((text & whole) << np.uint64(8)) | (text & fraction), text)
    too_large = (digits + _EACH_BYTE * np.uint64(0x76)) | digits
    plain = too_large & (_EACH_BYTE << np.uint64(7)) == 0
    places = np.bitwise_count(fraction) // 8
    # Pairs of digits, then fours, then all eight.
    digits = digits * np.uint64(10) + (digits >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    digits = digits * np.uint64(100) + (digits >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    digits = digits * np.uint64(10_000) + (digits >> np.uint64(32)) & np.uint64(0xFFFFFFFF)
    length = lengths - negative.astype(np.intp) - has_point
    return _Window(digits, length, places, has_point, negative, plain)
