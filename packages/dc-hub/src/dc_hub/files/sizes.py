"""Sizes in bytes, as people write and read them."""

from __future__ import annotations

import re
from typing import Final

from dc_core.errors import ParameterError

_UNITS: Final = {
    "": 1,
    **{f"{letter}": 1000**i for i, letter in enumerate("KMGT", 1)},
    **{f"{letter}I": 1024**i for i, letter in enumerate("KMGT", 1)},
}
_SIZE: Final = re.compile(r"\s*([0-9]{1,18}(?:\.[0-9]{1,9})?)\s*([KMGT]?I?)B?\s*", re.IGNORECASE)


def parse_size(text: str, *, what: str) -> int:
    """Return the bytes that ``text`` says: ``"20GB"``, ``"1.5 TiB"``, ``"500M"``, ``"1048576"``.

    Raises :class:`ParameterError`, which names ``what`` was given, for anything else.
    """
    found = _SIZE.fullmatch(text)
    unit = _UNITS.get(found[2].upper()) if found is not None else None
    if found is None or unit is None:
        raise ParameterError(
            f"{what} is {text!r}, which is not a size.",
            hint="Write a number of bytes, or a number and a unit: 20GB, 1.5TiB.",
        )
    return int(float(found[1]) * unit) if "." in found[1] else int(found[1]) * unit


def show_size(size: int) -> str:
    """Return a size for people: ``"1.50 GB"``, ``"812 bytes"``."""
    for letter in "TGMK":
        unit = _UNITS[letter]
        if size >= unit:
            return f"{size / unit:.3g} {'k' if letter == 'K' else letter}B"
    return f"{size} bytes"
