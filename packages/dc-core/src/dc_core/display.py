"""How objects are shown: constructor calls as text, and small HTML tables for notebooks.

Every HTML cell is escaped: names and inputs come from files.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any, Final

import numpy as np

_WIDEST: Final = 120
"""How many characters of a value are shown."""

_LONGEST: Final = 20
"""How many items of a list are shown."""


def html_table(title: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return an HTML table with a title; ``header`` and ``rows`` are shown as text."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(str(cell))}</td>" for cell in row) + "</tr>" for row in rows
    )
    return (
        f"<table><caption>{escape(title)}</caption>"
        f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
    )


def shorten(text: str, width: int = 60) -> str:
    """Return ``text``, cut to ``width`` characters with an ellipsis if it is longer."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


def value_text(value: Any) -> str:
    """Return ``value`` as one line of code; arrays are described, and long values cut."""
    if isinstance(value, np.ndarray):
        return f"<array {value.shape} {value.dtype}>"
    if isinstance(value, np.generic) and value.dtype.kind in "biufc":
        value = value.item()
    if type(value) in (list, tuple) and value:
        more = [f"… {len(value) - _LONGEST} more"] if len(value) > _LONGEST else []
        inner = ", ".join([*map(value_text, value[:_LONGEST]), *more])
        return f"[{inner}]" if type(value) is list else f"({inner}{',' * (len(value) == 1)})"
    if type(value) is dict:
        return f"{{{', '.join(f'{key!r}: {value_text(item)}' for key, item in value.items())}}}"
    if hasattr(value, "call_text"):
        return str(value.call_text())
    return shorten(" ".join(repr(value).split()), _WIDEST)
