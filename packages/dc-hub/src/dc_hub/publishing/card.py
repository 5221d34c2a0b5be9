"""The model card: a README.md for people, with the front matter that Hugging Face's hub reads.

A card has a part that dc-hub writes, between two comments, from the record and the packages that
the model needs; title, description, limitations and whatever else is around it is the author's.
:func:`with_author` puts the author's text around a generated part that is written again. Equal
models have equal cards: a card names neither the hub nor the day.

Text from metadata is escaped, and so is what goes into the front matter. The author's own front
matter is kept if it is of a simple form that every YAML parser reads in the same way.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Self

from dc_core import escape_controls
from dc_hub.errors import LimitExceeded, ParamsError
from dc_hub.format.summary import BEGIN, END, Summary
from dc_hub.publishing import licences

if TYPE_CHECKING:
    import numpy as np

    from dc_hub.format.record import Record

MAX_CHARACTERS: Final = 1 << 18
"""The largest text of an author that is accepted."""

_NAME: Final = re.compile(r"[\w.-]+(/[\w.-]+)?", re.ASCII)
"""Names of datasets and models that Hugging Face's hub accepts."""

_LIMITATIONS: Final = (
    "## Limitations\n\n"
    "<!-- For what inputs and decisions is this model not meant? Whom can one ask? -->\n"
)
_OURS: Final = (
    "library_name",
    "license",
    "license_name",
    "tags",
    "datasets",
    "metrics",
    "base_model",
)
_KEY: Final = re.compile(r"([A-Za-z_][A-Za-z0-9_-]*):(?: +(.*))?")
_ITEM: Final = re.compile(r"( *)- +(.+)")
_FLOW: Final = re.compile(r"\[[\w ,./+-]*\]")
_PLAIN: Final = re.compile(r"[\w./+(][\w ,./+()=@%-]*", re.ASCII)
_FACTS: Final = "converted_from / facts"


def model_card(
    record: Record, weights: Mapping[str, np.ndarray], install: str, *, is_model: bool = True
) -> str:
    """Return the card of a model, or of a component that is not one.

    ``weights`` are its arrays by the names in the file, ``install`` is the command that installs
    what it needs.
    """
    summary = Summary.of("", "", record)
    title = str(record.metadata.get("title") or record.cls or "Weights")
    count = sum(array.size for array in weights.values())
    size = sum(array.nbytes for array in weights.values())
    facts = [
        ("class", record.cls or "not registered"),
        ("backend", record.backend or "none"),
        ("weights", f"{len(weights)} arrays, {count:,} values, {size:,} bytes"),
        *((f"classes of {task}", list(names)) for task, names in record.classes.items()),
        *_known(summary),
        *_rows(_others(record.metadata, summary)),
    ]
    generated = [
        BEGIN,
        "",
        "| | |",
        "|---|---|",
        *(f"| {_cell(label)} | {_cell(value)} |" for label, value in facts),
        "",
        *_scores(summary),
        "To load it, verified to the last byte, install what it needs:",
        "",
        "```sh",
        install,
        "```",
        "",
        "```python",
        *_usage(record, is_model=is_model),
        "```",
        "",
        "`params.json` describes the model, `MANIFEST.json` holds the digest of every file; the",
        "weights are plain safetensors. Nothing in these files can execute.",
        "",
        END,
    ]
    description = record.metadata.get("description")
    text = [_text(description), ""] if isinstance(description, str) else []
    return str(
        Card(
            _front_matter(record, summary),
            "\n".join([f"# {_cell(title)}", "", *text]),
            "\n".join(generated),
            _LIMITATIONS,
        )
    )


def with_author(card: str, author: str) -> str:
    """Return ``card`` with the ``author``'s text in the place of its own around the generated part.

    The text is a whole card, of which the generated part is left out, or just what comes before it.
    Keys of its front matter that dc-hub does not write are kept. Raises :class:`ParamsError` for
    text with control characters or front matter that is not simple, and :class:`LimitExceeded`.
    """
    if not isinstance(author, str):
        raise ParamsError(
            f"card={author!r:.200} is not a text.", path="card", hint="Give Markdown."
        )
    if len(author) > MAX_CHARACTERS:
        raise LimitExceeded(
            f"The card has {len(author)} characters; {MAX_CHARACTERS} are allowed.", path="card"
        )
    lines = author.replace("\r\n", "\n").expandtabs(4).split("\n")
    for number, line in enumerate(lines, 1):
        if escape_controls(line.replace("\xa0", " ")) != line.replace("\xa0", " "):
            raise ParamsError(
                f"Line {number} of the card has invisible characters: {escape_controls(line):.200}",
                path="card",
                hint="Remove control and format characters.",
            )
    generated, given = Card.parse(card), Card.parse("\n".join(lines))
    if (author.count(BEGIN), author.count(END)) != ((1, 1) if given.generated else (0, 0)):
        raise ParamsError(
            "The card does not have both comments around the generated part, once each.",
            path="card",
            hint="Leave both as they are, each on a line of its own, or remove both with what is "
            "between them.",
        )
    kept = {key: block for key, block in given.front.items() if key not in _OURS}
    for block in kept.values():
        _check_simple(block)
    above = given.above.strip("\n")
    heading = generated.above.strip("\n").partition("\n")[0]
    if heading.startswith("# ") and not re.search(r"^# ", above, re.MULTILINE):
        above = f"{heading}\n\n{above}".rstrip("\n")
    below = given.below if given.generated else generated.below
    return str(Card({**generated.front, **kept}, f"{above}\n\n", generated.generated, below))


@dataclass(frozen=True, slots=True)
class Card:
    """The parts of a card: the front matter by key, and the text around the generated part."""

    front: Mapping[str, tuple[str, ...]]
    above: str
    generated: str
    below: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Return the parts of ``text``; without the two comments all of it is ``above``.

        Raises :class:`ParamsError` for front matter that is not closed or has a key twice.
        """
        front, body = _split_front(text)
        before, begin, rest = body.partition(f"{BEGIN}\n")
        inside, end, below = rest.partition(f"\n{END}")
        if not begin or not end:
            return cls(front, body, "", "")
        return cls(front, before, f"{BEGIN}\n{inside}\n{END}", below)

    def __str__(self) -> str:
        """Return the card as text."""
        front = "\n".join(line for block in self.front.values() for line in block)
        parts = (self.above.strip("\n"), self.generated, self.below.strip("\n"))
        return f"---\n{front}\n---\n\n" + "\n\n".join(filter(None, parts)) + "\n"


def _split_front(text: str) -> tuple[dict[str, tuple[str, ...]], str]:
    """Return the front matter as lines by key, and the rest of the card."""
    lines = text.split("\n")
    if lines[0].rstrip() != "---":
        return {}, text
    front: dict[str, tuple[str, ...]] = {}
    key = ""
    for number, line in enumerate(lines[1:], 1):
        if line.rstrip() == "---":
            return front, "\n".join(lines[number + 1 :])
        found = _KEY.fullmatch(line.rstrip())
        if found is not None:
            key = found[1]
            if key in front:
                raise _not_simple(line, f"the key {key} appears twice")
            front[key] = (line.rstrip(),)
        elif line.strip() and not line.lstrip().startswith("#"):
            if not key:
                raise _not_simple(line, "it belongs to no key")
            front[key] += (line.rstrip(),)
    raise _not_simple(lines[0], "the front matter has no end")


def _check_simple(block: tuple[str, ...]) -> None:
    """Raise unless every YAML parser reads a key's lines in the same way."""
    found = _KEY.fullmatch(block[0])
    value = "" if found is None else (found[2] or "")
    if value and (len(block) > 1 or not _is_scalar(value)) and not _FLOW.fullmatch(value):
        raise _not_simple(block[0])
    indents = set()
    for line in block[1:]:
        item = _ITEM.fullmatch(line)
        if value or item is None or not _is_scalar(item[2]):
            raise _not_simple(line)
        indents.add(len(item[1]))
    if len(indents) > 1:
        raise _not_simple(block[0])


def _is_scalar(text: str) -> bool:
    """Tell whether ``text`` is a plain word or sentence, or a string that JSON could have."""
    if _PLAIN.fullmatch(text):
        return True
    try:
        return text.startswith('"') and isinstance(json.loads(text), str)
    except ValueError:
        return False


def _not_simple(line: str, why: str = "it is not 'key: value', or a list of values") -> ParamsError:
    return ParamsError(
        f"The front matter of the card has the line {escape_controls(line):.200}: {why}.",
        path="card",
        hint="Write 'key: value', 'key: \"value\"', or 'key:' and lines of '- value'.",
    )


def _front_matter(record: Record, summary: Summary) -> dict[str, tuple[str, ...]]:
    metadata = record.metadata
    tags = ["dc-model", *filter(None, [record.backend, record.cls]), *_strings(metadata, "task")]
    names = [source.name for source in summary.datasets]
    bases = [origin.partition("@")[0].removeprefix("hf://") for origin in summary.derived_from]
    metrics = [name.rpartition("/")[2] if "/" in name else name for name in _metric_names(summary)]
    blocks = {
        "library_name": ('library_name: "dc-hub"',),
        "tags": _sequence("tags", tags),
        "datasets": _sequence("datasets", [name for name in names if _NAME.fullmatch(name)]),
        "metrics": _sequence("metrics", metrics),
        "base_model": _sequence("base_model", filter(_NAME.fullmatch, bases)),
    }
    licence = metadata.get("licence", metadata.get("license"))
    if isinstance(licence, str):
        identifier, name = licences.in_card(licence)
        blocks["license"] = (f"license: {_quoted(identifier)}",)
        blocks["license_name"] = (f"license_name: {_quoted(name)}",) if name else ()
    return {key: blocks[key] for key in _OURS if blocks.get(key)}


def _metric_names(summary: Summary) -> Iterable[str]:
    """Return the names of the metrics without those of single outputs."""
    return (name for name in summary.metrics if name.rpartition("/")[2] not in summary.tasks)


def _sequence(key: str, items: Iterable[Any]) -> tuple[str, ...]:
    lines = [f"- {_quoted(str(item))}" for item in dict.fromkeys(items)]
    return (f"{key}:", *lines) if lines else ()


def _quoted(text: str) -> str:
    """Return a YAML double-quoted scalar: every JSON string of printable characters is one."""
    return json.dumps(escape_controls(text), ensure_ascii=False)


def _strings(metadata: Mapping[str, Any], key: str) -> list[str]:
    value = metadata.get(key)
    items = value if isinstance(value, list) else [value]
    return [item for item in items if isinstance(item, str)]


def _known(summary: Summary) -> list[tuple[str, str]]:
    """Return the rows of the table that shows a summary, the most important first."""
    units = ", ".join(f"{name}: {unit}" if name else unit for name, unit in summary.units.items())
    sources = (f"{s.name}, SHA-256 {s.sha256}" if s.sha256 else s.name for s in summary.datasets)
    rows = [
        ("task", ", ".join(summary.task)),
        ("outputs", ", ".join(summary.tasks)),
        ("units", units),
        ("dataset", "; ".join(sources)),
        ("split", summary.split),
        ("featurizer", summary.featurizer),
        ("licence", summary.licence),
        ("derived from", ", ".join(summary.derived_from)),
        ("created with", ", ".join(f"{k} {v}" for k, v in sorted(summary.created_with.items()))),
    ]
    return [(label, text) for label, text in rows if text]


def _scores(summary: Summary) -> list[str]:
    """Return the table of the metrics, with their intervals where they are known."""
    if not summary.metrics:
        return []
    rows = ["| metric | value | interval |", "|---|---|---|"]
    for name, score in summary.metrics.items():
        bounds = ""
        if score.low is not None and score.high is not None:
            level = f" ({score.level:.0%})" if score.level is not None else ""
            bounds = f"{score.low:.4g} to {score.high:.4g}{level}"
        rows.append(f"| {_cell(name)} | {score.value:.6g} | {bounds} |")
    return [*rows, ""]


def _others(metadata: Mapping[str, Any], summary: Summary) -> dict[str, Any]:
    """Return the metadata that the summary leaves out, whatever the reason."""
    known = {
        "title": True,
        "description": True,
        "task": summary.task,
        "tasks": summary.tasks,
        "units": summary.units,
        "dataset": summary.datasets,
        "split": summary.split,
        "metrics": summary.metrics,
        "featurizer": summary.featurizer,
        "parameters": True,
        "licence": summary.licence,
        "license": summary.licence,
        "derived_from": summary.derived_from,
        "created_with": summary.created_with,
    }
    return {key: value for key, value in metadata.items() if not known.get(key)}


def _rows(metadata: Mapping[str, Any], prefix: str = "") -> Iterable[tuple[str, Any]]:
    """Flatten the other metadata into rows of a table.

    The plain data of a converted file, which may be long, are left to params.json.
    """
    for key, value in sorted(metadata.items()):
        if prefix + key == _FACTS:
            continue
        if isinstance(value, dict):
            yield from _rows(value, f"{prefix}{key} / ")
        else:
            yield prefix + key, value


def _usage(record: Record, *, is_model: bool) -> list[str]:
    if record.cls is None and record.backend is None:
        return ["import dc_hub", "", 'dc_hub.read_tensors("<directory>/model.safetensors")']
    if record.cls is None:
        return ["import dc_hub", "", 'dc_hub.load_weights("<name or ./directory>", into=module)']
    namespace, _, cls = record.cls.partition("/")
    if not is_model:
        return ["import dc_hub", "", f'dc_hub.from_pretrained("<name or ./directory>", cls={cls})']
    if namespace == "local":
        return [f'model = {cls}.from_pretrained("<name or ./directory>")']
    return ["import dc_hub", "", 'model = dc_hub.from_pretrained("<name or ./directory>")']


def _cell(value: Any) -> str:
    """Return a value as the text of one table cell, whatever characters it contains."""
    if isinstance(value, list):
        value = ", ".join(map(str, value))
    return _text(" ".join(str(value).split())).replace("|", "\\|")


def _text(text: str) -> str:
    """Return ``text`` as Markdown without HTML, and without invisible characters."""
    lines = text.replace("\r", "").expandtabs(4).split("\n")
    return "\n".join(map(escape_controls, lines)).replace("&", "&amp;").replace("<", "&lt;")
