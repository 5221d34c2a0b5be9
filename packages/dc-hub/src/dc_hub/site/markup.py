"""Make HTML of values: everything is escaped unless it is markup already.

``element("p", "a < b")`` is ``<p>a &lt; b</p>``. What is :class:`Markup` was made here and is put
in as it is.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final

from dc_core import escape_controls

MAX_TEXT: Final = 300
"""So many characters of a value are shown."""

_VOID: Final = frozenset({"br", "col", "hr", "input", "link", "meta", "wbr"})
_UNITS: Final = ("bytes", "kB", "MB", "GB", "TB", "PB")

_METRICS: Final = {
    **{word: word.upper() for word in ("auc", "mae", "mse", "rmse", "roc", "prc", "ap", "bedroc")},
    "r2": "R²",
}

Content = object
"""Text or a number, which is escaped; :class:`Markup`; nothing (None or False); or several."""


class Markup(str):
    """Text that is HTML, made by this module or from constants of the program."""

    __slots__ = ()


def on_one_line(text: object, limit: int = MAX_TEXT) -> str:
    """Return ``text`` on one line, cut after ``limit`` characters, with escapes for controls.

    Control characters are not allowed in HTML, and characters that change the direction of writing
    make a line read other than it is.
    """
    given = str(text)
    cut = given[:limit].replace("\t", " ").replace("\n", " ").replace("\r", " ")
    return escape_controls(cut) + ("…" if len(given) > limit else "")


def markup(content: Content, limit: int = MAX_TEXT) -> Markup:
    """Return ``content`` as markup; text is cut after ``limit`` characters."""
    if isinstance(content, Markup):
        return content
    if content is None or content is False:
        return Markup()
    if isinstance(content, Iterable) and not isinstance(content, str):
        return Markup("".join(markup(part, limit) for part in content))
    return Markup(escape(on_one_line(content, limit)))


def element(tag: str, *contents: Content, limit: int = MAX_TEXT, **attributes: object) -> Markup:
    """Return an element; ``class_`` is the attribute class, and ``aria_label`` is aria-label.

    An attribute that is True has no value; one that is None or False is left out. The text of
    contents is cut after ``limit`` characters.
    """
    given = "".join(
        f" {name.rstrip('_').replace('_', '-')}"
        + ("" if value is True else f'="{_attribute(value)}"')
        for name, value in attributes.items()
        if value is not None and value is not False
    )
    if tag in _VOID:
        return Markup(f"<{tag}{given}>")
    return Markup(f"<{tag}{given}>{markup(contents, limit)}</{tag}>")


def breakable(text: str, limit: int = MAX_TEXT) -> Markup:
    """Return a long name that a browser may break after its dots, slashes and underscores."""
    return Markup(re.sub(r"([./_]+)(?=[^./_])", r"\1<wbr>", escape(on_one_line(text, limit))))


def metric(name: str) -> str:
    """Return the name of a metric as people write it: ``test/roc_auc`` is "test ROC AUC"."""
    words = re.split(r"[/_ ]+", on_one_line(name, 60))
    return " ".join(_METRICS.get(word.lower(), word) for word in words)


def _attribute(value: object) -> str:
    return value if isinstance(value, Markup) else escape(on_one_line(value, 4 * MAX_TEXT))


def number(value: float, digits: int = 4) -> str:
    """Return ``value`` with so many significant digits and a true minus sign."""
    if not math.isfinite(value):
        return str(value).replace("-", "−")
    if isinstance(value, int) or (value == int(value) and abs(value) < 1e15):
        return f"{int(value):,}".replace("-", "−")
    text = f"{value:.{digits}g}"
    mantissa, _, exponent = text.partition("e")
    shown = mantissa.replace("-", "−")
    return f"{shown} × 10^{int(exponent)}".replace("^-", "^−") if exponent else shown


def count(value: int) -> str:
    """Return a large number as people say it: 1.2 million."""
    shown, unit = _scaled(value, ("", " thousand", " million", " billion", " trillion"))
    return f"{value:,}" if value < 10_000 else f"{shown}{unit}"


def size(value: int) -> str:
    """Return a number of bytes as people write it: 1 kB is 1000 bytes."""
    shown, unit = _scaled(value, _UNITS)
    return f"{shown} {unit}"


def _scaled(value: int, units: Sequence[str]) -> tuple[str, str]:
    """Return ``value`` with at most three digits, and the unit of them; a thousand to the next."""
    scaled, unit = float(value), 0
    while scaled >= 999.5 and unit < len(units) - 1:
        scaled, unit = scaled / 1000, unit + 1
    return (f"{scaled:.2g}" if unit and scaled < 99.5 else f"{scaled:,.0f}"), units[unit]
