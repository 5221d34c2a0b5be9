"""Read numbers from text, a whole column at a time.

Most cells of a table are short decimals such as ``-3.14``. All cells of at most eight characters
are read at once, each as one 64-bit integer. Python's ``float`` reads the others one by one.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

MISSING: Final = frozenset({"", "na", "n/a", "nan", "none", "null"})
"""The texts, in lower case, that mark a missing value."""

WINDOW: Final = 8
"""The characters of one window: as many as there are bytes in a 64-bit integer."""

_EACH_BYTE: Final = np.uint64(0x0101010101010101)
_ZERO: Final = np.uint64(ord("0"))
_MINUS: Final = np.uint64(ord("-") ^ ord("0"))
_POINT: Final = np.uint64(ord(".") ^ ord("0"))
_POWERS_OF_TEN: Final = 10.0 ** np.arange(WINDOW + 1)


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
    """Return what :func:`read_texts` does for the ASCII texts ``data[start:end]``.

    There have to be at least :data:`WINDOW` bytes before each end.
    """
    lengths = ends - starts
    values, decimal = _short_decimals(data, np.minimum(lengths, WINDOW), ends)
    decimal &= lengths <= WINDOW
    values[~decimal] = np.nan
    unread = {}
    for row in np.flatnonzero(~decimal & (lengths > 0)).tolist():
        text = data[starts[row] : ends[row]].decode("ascii")
        value = read_number(text)
        if value is None:
            unread[row] = text.strip()
        else:
            values[row] = value
    return values, unread


def _short_decimals(
    data: bytes, lengths: np.ndarray, ends: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the numbers that end at ``ends``, and which of them are plain decimals.

    A plain decimal is a minus sign or none, and digits with at most one point. Its digits are an
    integer below 2⁵³ and the power of ten by which that is divided is exact, so that the quotient
    is the float64 nearest to the decimal: the one that ``float`` gives.
    """
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
    plain &= lengths > negative.astype(np.intp) + has_point
    places = np.bitwise_count(fraction) // 8
    # Pairs of digits, then fours, then all eight.
    digits = digits * np.uint64(10) + (digits >> np.uint64(8)) & np.uint64(0x00FF00FF00FF00FF)
    digits = digits * np.uint64(100) + (digits >> np.uint64(16)) & np.uint64(0x0000FFFF0000FFFF)
    digits = digits * np.uint64(10_000) + (digits >> np.uint64(32)) & np.uint64(0xFFFFFFFF)
    values = digits.astype(np.float64) / _POWERS_OF_TEN[places]
    return np.where(negative, -values, values), plain
