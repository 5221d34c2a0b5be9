"""The first page: all models of a hub, to be searched and filtered.

The list is complete without a script. With one, a form appears, whose filters are told by a compact
table of numbers: which of the values of each field a model has.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from dc_hub.format.summary import Score, Summary
from dc_hub.hubs.contract import MAIN
from dc_hub.site.links import page_of
from dc_hub.site.markup import Markup, count, element, metric, number, on_one_line, size
from dc_hub.site.page import page

MAX_VALUES: Final = 1000
"""Filters offer so many values of each field, the most frequent ones."""

_FIELDS: Final = {
    "task": "Task",
    "backend": "Backend",
    "dataset": "Data set",
    "licence": "Licence",
    "tag": "Tag",
}
_USUAL: Final = ("rmse", "roc_auc", "auc", "r2", "mae", "accuracy")
_LONG: Final = 240
_FEW: Final = 8


@dataclass(frozen=True, slots=True)
class Row:
    """A model in the list: its item as HTML, and its values of each field of the filters."""

    item: Markup
    values: tuple[tuple[str, ...], ...]


def row(summary: Summary, tags: Iterable[str]) -> Row:
    """Return the row of a model with the ``tags``."""
    named = tuple(tags)
    values = (
        summary.task,
        (summary.backend,) if summary.backend else (),
        tuple(source.name for source in summary.datasets),
        (summary.licence,) if summary.licence else (),
        named,
    )
    shown = tuple(tuple(on_one_line(value, 80) for value in found) for found in values)
    facts = [
        *shown[0],
        *shown[1],
        *shown[2],
        *shown[3],
        *([f"{count(summary.parameters)} parameters"] if summary.parameters else []),
        *([size(summary.size)] if summary.size else []),
    ]
    others = [tag for tag in named if tag != MAIN]
    item = element(
        "li",
        element(
            "div",
            element("h2", element("a", summary.title or summary.name, href=page_of(summary.name))),
            summary.title and element("p", summary.name, class_="name"),
            summary.description and element("p", summary.description, class_="about", limit=_LONG),
            element(
                "ul",
                *(element("li", fact) for fact in facts[:_FEW]),
                others and element("li", tag_list(others)),
                class_="facts",
            ),
        ),
        _best(summary),
    )
    return Row(item, shown)


def unreadable(name: str, reason: str) -> Row:
    """Return the row of a model that cannot be read."""
    item = element(
        "li",
        element(
            "div",
            element("h2", element("a", name, href=page_of(name))),
            element("p", f"This model cannot be read: {reason}", class_="about"),
        ),
    )
    return Row(item, ((),) * len(_FIELDS))


def index_page(title: str, rows: Sequence[Row]) -> bytes:
    """Return the page that lists the ``rows``."""
    total = f"{len(rows):,} model{'s' if len(rows) != 1 else ''}"
    filters = [
        element(
            "label",
            label,
            element("select", element("option", "All", value=""), id=field),
        )
        for field, label in _FIELDS.items()
    ]
    form = element(
        "form",
        element(
            "label", "Search", element("input", id="search", type="search", autocomplete="off")
        ),
        element("div", *filters, element("button", "Clear", type="reset"), class_="filters"),
        id="filters",
        role="search",
        aria_label="Models",
        hidden=True,
    )
    return page(
        title,
        element("header", element("h1", title)),
        element(
            "main",
            form,
            element("output", total, id="count", aria_live="polite"),
            element("ul", *(found.item for found in rows), class_="models"),
            element("p", "No model matches.", id="none", hidden=True),
            id="content",
        ),
        Markup(f'<script type="application/json" id="facts">{safe_json(_facts(rows))}</script>'),
        script="index.js",
        kind="index",
    )


def tag_list(tags: Sequence[str]) -> Markup | None:
    """Return tags as a list; ``main`` comes first."""
    if not tags:
        return None
    ordered = sorted(tags, key=lambda tag: (tag != MAIN, tag))
    items = [element("li", tag) for tag in ordered[:_FEW]]
    if len(ordered) > _FEW:
        items.append(element("li", f"and {len(ordered) - _FEW:,} more"))
    return element("ul", *items, class_="tags", aria_label="Tags")


def safe_json(value: Any) -> str:
    """Return ``value`` as JSON that nothing in it can lead out of an element of a page."""
    text = json.dumps(value, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def headline(summary: Summary) -> tuple[str, Score] | None:
    """Return the metric to show of a model, and its name: a usual one of the test rows first."""

    def order(found: tuple[str, Score]) -> tuple[bool, bool, int]:
        name = found[0].lower()
        usual = [i for i, ending in enumerate(_USUAL) if name.endswith(ending)]
        place = usual[0] if usual else len(_USUAL)
        return not name.startswith("test"), not name.startswith("valid"), place

    return min(summary.metrics.items(), key=order, default=None)


def _best(summary: Summary) -> Markup | None:
    found = headline(summary)
    if found is None:
        return None
    name, score = found
    value = element("b", number(score.value))
    return element("p", value, element("span", metric(name)), class_="score")


def _facts(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the data of the filters: the values of each field, and those of each model."""
    values: list[list[str]] = []
    numbers: list[dict[str, int]] = []
    for i in range(len(_FIELDS)):
        counted = Counter(value for found in rows for value in dict.fromkeys(found.values[i]))
        kept = sorted(value for value, _ in counted.most_common(MAX_VALUES))
        values.append(kept)
        numbers.append({value: n for n, value in enumerate(kept)})
    models = [
        [
            [known[value] for value in dict.fromkeys(mine) if value in known]
            for known, mine in zip(numbers, found.values, strict=True)
        ]
        for found in rows
    ]
    return {"fields": list(_FIELDS), "values": values, "models": models}
