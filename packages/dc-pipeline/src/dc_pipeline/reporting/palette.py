"""The colours of figures and pages.

Series have the colours of Okabe and Ito's palette that stand out on white as well as on black. They
differ for colour-blind readers too (jfly.uni-koeln.de/color; Wong 2011, doi:10.1038/nmeth.1618).
Sets of points differ in their markers as well.
"""

from __future__ import annotations

from typing import Final

COLOURS: Final = {
    "ink": "#1f2328",
    "muted": "#59636e",
    "line": "#d1d9e0",
    "blue": "#0072b2",
    "vermillion": "#d55e00",
    "green": "#009e73",
    "purple": "#cc79a7",
}
"""Each colour on white paper, by name. On a page it is the CSS variable of that name."""

DARK: Final = {
    "ink": "#e6e9ee",
    "muted": "#9aa4b2",
    "line": "#353c46",
    "blue": "#56b4e9",
    "vermillion": "#e8762c",
    "green": "#1fb58a",
    "purple": "#d98fb8",
}
"""The same on a dark screen."""

SERIES: Final = tuple(COLOURS[name] for name in ("blue", "vermillion", "green", "purple", "ink"))
"""The colours of series, in the order in which they are used."""

MARKERS: Final = ("o", "^", "s", "D", "v")
"""The markers that go with them."""


def part_colour(number: int, parts: int) -> str:
    """Return the colour of a part of a split: the last is blue, as a test set is everywhere."""
    if number == parts - 1:
        return COLOURS["blue"]
    return COLOURS["muted"] if number == 0 else SERIES[1 + (number - 1) % (len(SERIES) - 1)]
