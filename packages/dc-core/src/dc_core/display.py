"""Small HTML tables for notebooks. Every cell is escaped: names and inputs come from files."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape


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
