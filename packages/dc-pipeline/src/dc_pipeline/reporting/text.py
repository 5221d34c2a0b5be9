"""Show text that comes from data: names, SMILES and messages can hold any character."""

from __future__ import annotations

import math
from html import escape
from typing import Final

_LONGEST: Final = 200


def on_one_line(text: object, width: int = _LONGEST) -> str:
    """Return ``text`` on one line, with whatever cannot be seen as an escape, and cut to ``width``.

    Control characters are not allowed in HTML, and those that change the direction of writing make
    a line read other than it is.
    """
    given = str(text)
    cut = given[:width]
    shown = "".join(c if c.isprintable() else _escaped(c) for c in cut)
    return shown if len(cut) == len(given) else f"{shown}…"


def markup(text: object, width: int = _LONGEST) -> str:
    """Return ``text`` as HTML that shows it as :func:`on_one_line` does."""
    return escape(on_one_line(text, width))


def number(value: float, digits: int = 3, *, signed: bool = False) -> str:
    """Return ``value`` with so many significant digits, and a dash for NaN."""
    if math.isnan(value):
        return "–"
    sign = "+" if signed else ""
    text = f"{value:{sign}#.{digits}g}"
    if "e" in text and 1 <= abs(value) < 1e7:
        text = f"{value:{sign},.0f}"
    return text.removesuffix(".").replace("-", "−")


def _escaped(character: str) -> str:
    return " " if character in "\t\n\r" else character.encode("unicode_escape").decode("ascii")
