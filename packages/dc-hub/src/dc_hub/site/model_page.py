"""The page of a model: a summary, how to load it, its scores, its content."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from dc_hub.errors import HubError
from dc_hub.format.filenames import SIGNATURE
from dc_hub.format.signatures import parse_signatures
from dc_hub.format.summary import DataSource, Score, Summary
from dc_hub.format.written import as_written
from dc_hub.site.card import render_card
from dc_hub.site.figures import figures
from dc_hub.site.index_page import tag_list
from dc_hub.site.links import page_of
from dc_hub.site.markup import Content, Markup, breakable, element, metric, number, size
from dc_hub.site.page import page
from dc_hub.site.reading import Described

MAX_ROWS: Final = 200
"""A table has so many rows, and says how many more there are."""

_LONG: Final = 600

_SHOWN: Final = frozenset(
    {
        *("title", "description", "task", "tasks", "units", "dataset", "split", "metrics"),
        *("featurizer", "parameters", "licence", "license", "created_with", "derived_from"),
    }
)
"""The metadata that have a place of their own on the page."""


@dataclass(frozen=True, slots=True)
class History:
    """The other things that a hub says about a model.

    ``tags`` are all of them, ``revisions`` the digests of all revisions, and ``summaries`` those of
    the revisions that were read. ``derived`` are the names of models that were made from this one,
    and ``known`` those of the origins that have a page.
    """

    tags: Mapping[str, str]
    revisions: Sequence[str]
    summaries: Mapping[str, Summary]
    derived: Sequence[str] = ()
    known: frozenset[str] = frozenset()


def model_page(title: str, described: Described, history: History, hub: str = "") -> bytes:
    """Return the page of a model in the site called ``title``.

    ``hub`` is the address at which people reach the hub, for the lines that they copy.
    """
    summary = described.summary
    files = [entry.path for entry in described.manifest.entries]
    sections = [
        section
        for section in (
            _metrics(described),
            _card(described, files),
            _arguments(described),
            _weights(described),
            _files(described),
            _revisions(summary, history),
            _lineage(summary, history),
            _signatures(described),
            _versions(summary),
            _others(described),
        )
        if section is not None
    ]
    contents = element(
        "nav",
        element("ul", *(element("li", element("a", s.title, href=f"#{s.id}")) for s in sections)),
        aria_label="On this page",
    )
    return page(
        f"{summary.title or summary.name} – {title}",
        _path(title, summary.name),
        element(
            "main",
            element(
                "header",
                element("h1", summary.title or summary.name),
                summary.title and element("p", summary.name, class_="name"),
                summary.description
                and element("p", summary.description, class_="about", limit=_LONG),
            ),
            _use(summary, hub),
            element(
                "div",
                element("div", _facts(described, history), contents, class_="side"),
                element("div", *(s.html for s in sections), class_="main"),
                class_="body",
            ),
            id="content",
        ),
        script="model.js",
        kind="model",
    )


def unreadable_page(title: str, name: str, reason: str) -> bytes:
    """Return the page of a model that cannot be read, which says why."""
    return page(
        f"{name} – {title}",
        _path(title, name),
        element(
            "main",
            element("header", element("h1", name)),
            element("p", f"This model cannot be read: {reason}", class_="problem", limit=_LONG),
            id="content",
        ),
        kind="model",
    )


@dataclass(frozen=True, slots=True)
class _Section:
    id: str
    title: str
    html: Markup


def _section(id: str, title: str, *contents: Content) -> _Section:
    html = element(
        "section", element("h2", title, id=id), *contents, aria_labelledby=id, limit=_LONG
    )
    return _Section(id, title, html)


def _path(title: str, name: str) -> Markup:
    return element(
        "nav",
        element("a", title, href="../index.html"),
        " / ",
        name,
        class_="path",
        aria_label="Path",
    )


def _use(summary: Summary, hub: str) -> Markup:
    namespace, _, cls = (summary.cls or "").partition("/")
    call = "model = dc_hub.from_pretrained"
    if not namespace:
        call = "dc_hub.load_weights"
    elif namespace == "local":
        call = f"model = {cls}.from_pretrained"
    arguments = [
        f'"{summary.name}@{summary.revision}"',
        *([] if namespace else ["into=module"]),
        *([f'hub="{hub}"'] if hub else []),
    ]
    if len(arguments) > 1:
        arguments = ["", *(f"    {argument}," for argument in arguments), ""]
    given = "\n".join(arguments)
    start = "" if namespace == "local" else "import dc_hub\n\n"
    return element(
        "div",
        element(
            "pre", element("code", *_lines(f"{start}{call}({given})"), id="code", limit=2 * _LONG)
        ),
        element("button", "Copy", id="copy", type="button", hidden=True),
        element("span", id="told", role="status", class_="quiet"),
        class_="use",
    )


def _lines(text: str) -> Iterator[Content]:
    for number_, line in enumerate(text.split("\n")):
        if number_:
            yield Markup("\n")
        yield line


def _facts(described: Described, history: History) -> Markup:
    summary = described.summary
    units = (f"{name}: {unit}" if name else unit for name, unit in summary.units.items())
    pairs: list[tuple[str, Content]] = [
        ("Task", ", ".join(summary.task)),
        ("Outputs", ", ".join(summary.tasks)),
        ("Units", ", ".join(units)),
        ("Data set", [_dataset(source) for source in summary.datasets]),
        ("Split", summary.split),
        ("Featurizer", summary.featurizer),
        ("Licence", summary.licence),
        ("Class", summary.cls),
        ("Backend", summary.backend),
        ("Parameters", summary.parameters and number(summary.parameters)),
        ("Size", size(summary.size or 0)),
        ("Tags", tag_list(sorted(history.tags))),
        ("Revision", element("code", summary.revision[:16], "…", title=summary.revision)),
    ]
    return element(
        "dl",
        *(
            element("div", element("dt", name), element("dd", value))
            for name, value in pairs
            if value
        ),
    )


def _dataset(source: DataSource) -> Markup:
    digest = source.sha256 and element(
        "code", f"SHA-256 {source.sha256[:12]}…", title=source.sha256
    )
    return element("div", source.name, digest and (element("br"), digest))


def _metrics(described: Described) -> _Section | None:
    summary = described.summary
    shown = figures(described)
    if not summary.metrics and not shown:
        return None
    stats = [
        element("div", element("dt", metric(name)), element("dd", _score(score)))
        for name, score in summary.metrics.items()
    ]
    return _section(
        "metrics",
        "Metrics",
        element("dl", *stats, class_="stats") if stats else None,
        element("div", *shown, class_="figures") if shown else None,
        element(
            "p",
            "The figures show the golden rows, which were chosen and stored by those who published "
            "the model.",
        )
        if shown
        else None,
    )


def _score(score: Score) -> Content:
    if score.low is None or score.high is None:
        return number(score.value)
    bounds = f" {number(score.low)} to {number(score.high)}"
    if score.level is not None:
        bounds += f" ({number(100 * score.level)} %)"
    return number(score.value), element("small", bounds)


def _card(described: Described, files: Sequence[str]) -> _Section | None:
    if described.card is None:
        return None
    body = render_card(described.card, files)
    return _section("card", "Model card", element("div", body, class_="card")) if body else None


def _arguments(described: Described) -> _Section | None:
    rows = [
        (element("code", breakable(name)), as_written(value))
        for name, value in described.record.params.items()
    ]
    if not rows:
        return None
    return _section("arguments", "Arguments", _table(("Argument", "Value"), rows))


def _weights(described: Described) -> _Section | None:
    rows = [
        (element("code", breakable(w.name)), w.dtype, " × ".join(map(str, w.shape)) or "scalar")
        for w in described.weights
    ]
    if not rows:
        return None
    table = _table(("Name", "Type", "Shape"), rows, total=described.weight_count, right=(2,))
    return _section("weights", "Weights", table)


def _files(described: Described) -> _Section:
    rows = []
    for entry in described.manifest.entries:
        digest = element("code", entry.sha256, class_="digest")
        rows.append(
            (
                element("code", entry.path, id=f"file-{entry.path}"),
                size(entry.size),
                digest,
            )
        )
    return _section("files", "Files", _table(("File", "Size", "SHA-256"), rows, right=(1,)))


def _revisions(summary: Summary, history: History) -> _Section:
    pointing: dict[str, list[str]] = {}
    for tag, target in history.tags.items():
        pointing.setdefault(target, []).append(tag)
    ordered = sorted(
        history.revisions,
        key=lambda digest: (digest != summary.revision, digest not in pointing, digest),
    )
    names = list(dict.fromkeys(n for s in history.summaries.values() for n in s.metrics))[:3]
    rows = []
    for digest in ordered:
        found = history.summaries.get(digest)
        scores = [
            _score(found.metrics[name]) if found and name in found.metrics else "" for name in names
        ]
        rows.append(
            (
                element("code", digest[:16], "…", title=digest),
                tag_list(pointing.get(digest, [])) or "",
                size(found.size) if found and found.size else "",
                *scores,
            )
        )
    head = ("Revision", "Tags", "Size", *map(metric, names))
    right = tuple(range(2, len(head)))
    return _section("revisions", "Revisions", _table(head, rows, right=right))


def _lineage(summary: Summary, history: History) -> _Section | None:
    origins = [_origin(text, history.known) for text in summary.derived_from]
    derived = [_linked(name, name) for name in history.derived[:MAX_ROWS]]
    if not origins and not derived:
        return None
    parts: list[Content] = []
    if origins:
        parts += [
            element("h3", "Derived from"),
            element("ul", *(element("li", o) for o in origins)),
        ]
    if derived:
        more = len(history.derived) - len(derived)
        items = [element("li", d) for d in derived]
        parts += [
            element("h3", "Models derived from it"),
            element("ul", *items, more > 0 and element("li", f"and {more:,} more")),
        ]
    return _section("lineage", "Lineage", *parts)


def _origin(text: str, known: frozenset[str]) -> Content:
    name, _, digest = text.partition("@")
    shown = element("code", digest[:16], "…", title=digest)
    if not name:
        return "a directory, revision ", shown
    return (_linked(name, name) if name in known else name), ", revision ", shown


def _linked(name: str, text: str) -> Markup:
    return element("a", text, href=page_of(name, inside=True))


def _versions(summary: Summary) -> _Section | None:
    rows = sorted(summary.created_with.items())
    if not rows:
        return None
    return _section("versions", "Created with", _table(("Package", "Version"), rows, narrow=True))


def _signatures(described: Described) -> _Section | None:
    rows: list[tuple[Content, Content]] = []
    for name, data in described.signatures.items():
        if name != SIGNATURE:
            rows.append((element("code", name), "a bundle of sigstore"))
            continue
        try:
            keys = [signature.key_id for signature in parse_signatures(data)]
        except HubError as error:
            rows.append((element("code", name), f"cannot be read: {error.args[0]}"))
        else:
            rows += [(element("code", name), element("code", f"Ed25519 key {key}")) for key in keys]
    if not rows:
        return None
    hint = f"dc-hub verify {described.summary.name}"
    return _section(
        "signatures",
        "Signatures",
        _table(("File", "Signed by"), rows),
        element(
            "p",
            "This page does not check them: ",
            element("code", hint),
            " does, against the keys that you trust.",
        ),
    )


def _others(described: Described) -> _Section | None:
    metadata = described.record.metadata
    rows = [
        (breakable(name), as_written(metadata[name])) for name in sorted(metadata.keys() - _SHOWN)
    ]
    if not rows:
        return None
    return _section("metadata", "Further metadata", _table(("Key", "Value"), rows))


def _table(
    head: Sequence[str],
    rows: Iterable[Sequence[Content]],
    *,
    total: int | None = None,
    right: Sequence[int] = (),
    narrow: bool = False,
) -> Markup:
    """Return a table whose first column names the rows; ``right`` columns hold numbers.

    ``total`` is the number of rows that there are, if it is more than are given. A ``narrow`` table
    is as wide as its content.
    """
    given = list(rows)
    shown = given[:MAX_ROWS]
    more = (len(given) if total is None else total) - len(shown)
    kinds: list[str | None] = ["right" if i in right else None for i in range(len(head))]
    titles = [element("th", text, scope="col", class_=kinds[i]) for i, text in enumerate(head)]
    body = [
        element(
            "tr",
            element("th", cells[0], scope="row"),
            *(
                element("td", cell, class_=kinds[i], limit=_LONG)
                for i, cell in enumerate(cells[1:], 1)
            ),
        )
        for cells in shown
    ]
    table = element(
        "table",
        element("thead", element("tr", *titles)),
        element("tbody", *body),
        class_="narrow" if narrow else None,
    )
    return Markup(
        element("div", table, class_="scroll", tabindex="0")
        + (element("p", f"and {more:,} more") if more > 0 else "")
    )
