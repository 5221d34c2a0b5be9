"""A summary of a stored model: the facts that are known without reading its weights.

A summary is made from the record, the manifest and the card, and is stored in a hub's index. All
three may come from anyone, so whatever has the wrong form or is too long is left out or cut, and
never an error: a model with a strange summary can still be found.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import escape
from typing import Any, Final, Self

from dc_hub.errors import UnsafePath
from dc_hub.files.paths import check_any_name
from dc_hub.format.manifest import Manifest
from dc_hub.format.record import Record

_SHORT: Final = 200
_LONG: Final = 600
_FEW: Final = 16
_SOME: Final = 64
METRIC_PARTS: Final = 4
"""How many parts the name of a metric has at most: ``test/rmse`` has two."""

_DIGEST: Final = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
_ORIGIN: Final = re.compile(r"([^@]*)@[0-9a-f]{64}")

BEGIN: Final = "<!-- dc-hub: this part is generated; write above or below it -->"
END: Final = "<!-- dc-hub: end of the generated part -->"
"""The lines around the part of a card that dc-hub writes; the rest is the author's."""


@dataclass(frozen=True, slots=True)
class Score:
    """The value of a metric, and the bounds of its confidence interval where they are known."""

    value: float
    low: float | None = None
    high: float | None = None
    level: float | None = None

    def __str__(self) -> str:
        """Show the value with its bounds."""
        if self.low is None or self.high is None:
            return f"{self.value:.4g}"
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True, slots=True)
class DataSource:
    """The dataset that a model learned from: its name, and the SHA-256 of its rows if known."""

    name: str
    sha256: str | None = None

    def __str__(self) -> str:
        """Show the name, and the first digits of the digest."""
        return f"{self.name} (SHA-256 {self.sha256[:12]}…)" if self.sha256 else self.name


@dataclass(frozen=True, slots=True)
class Summary:
    """The facts about a stored model in its record, manifest and card; no weights are read.

    ``tags`` are those that point at this revision. ``task`` is the kind of problem, ``tasks`` the
    names of the outputs, and ``units`` are by output, or under the name ``""`` those of all.
    ``metrics`` are by name, such as ``"test/rmse"``. ``parameters`` is the number of values in the
    weights, ``size`` the number of bytes of all files. ``derived_from`` names the models that this
    one was made from, as ``name@digest``. ``description`` is the first paragraph of the card.
    Unknown facts are empty or None.
    """

    name: str
    revision: str
    tags: tuple[str, ...] = ()
    cls: str | None = None
    backend: str | None = None
    title: str = ""
    description: str = ""
    task: tuple[str, ...] = ()
    tasks: tuple[str, ...] = ()
    units: Mapping[str, str] = field(default_factory=dict)
    datasets: tuple[DataSource, ...] = ()
    split: str = ""
    metrics: Mapping[str, Score] = field(default_factory=dict)
    featurizer: str = ""
    parameters: int | None = None
    size: int | None = None
    licence: str = ""
    created_with: Mapping[str, str] = field(default_factory=dict)
    derived_from: tuple[str, ...] = ()

    @classmethod
    def of(
        cls,
        name: str,
        revision: str,
        record: Record,
        *,
        tags: Iterable[str] = (),
        manifest: Manifest | None = None,
        card: str = "",
    ) -> Self:
        """Return the summary of a model from its record, its manifest and the text of its card."""
        metadata = record.metadata
        return cls(
            name=name,
            revision=revision,
            tags=tuple(tags),
            cls=record.cls,
            backend=record.backend,
            title=_text(metadata.get("title")),
            description=first_paragraph(card) or _text(metadata.get("description"), _LONG),
            task=_texts(metadata.get("task")),
            tasks=_texts(metadata.get("tasks"), _SOME) or _texts(list(record.classes), _SOME),
            units=_units(metadata.get("units")),
            datasets=tuple(read_datasets(metadata.get("dataset"))),
            split=_split(metadata.get("split")),
            metrics=read_scores(metadata.get("metrics")),
            featurizer=_featurizer(metadata.get("featurizer"), record.params),
            parameters=_count(metadata.get("parameters")),
            size=None if manifest is None else sum(entry.size for entry in manifest.entries),
            licence=_text(metadata.get("licence", metadata.get("license"))),
            created_with=_named_texts(metadata.get("created_with")),
            derived_from=read_origins(metadata.get("derived_from")),
        )

    def to_json(self) -> dict[str, Any]:
        """Return the entry of an index: everything but name, revision, tags and empty facts."""
        value: dict[str, Any] = {
            "class": self.cls,
            "backend": self.backend,
            "title": self.title,
            "description": self.description,
            "task": list(self.task),
            "tasks": list(self.tasks),
            "units": dict(self.units),
            "dataset": [
                {"name": found.name, **({"sha256": found.sha256} if found.sha256 else {})}
                for found in self.datasets
            ],
            "split": self.split,
            "metrics": {name: score_to_json(score) for name, score in self.metrics.items()},
            "featurizer": self.featurizer,
            "parameters": self.parameters,
            "size": self.size,
            "licence": self.licence,
            "created_with": dict(self.created_with),
            "derived_from": list(self.derived_from),
        }
        return {key: item for key, item in value.items() if item not in (None, "", [], {})}

    @classmethod
    def from_json(cls, name: str, revision: str, tags: Iterable[str], value: Any) -> Self:
        """Return the summary that :meth:`to_json` wrote; facts of another form are left out."""
        found = value if isinstance(value, Mapping) else {}
        return cls(
            name=name,
            revision=revision,
            tags=tuple(tags),
            cls=_text(found.get("class")) or None,
            backend=_text(found.get("backend")) or None,
            title=_text(found.get("title")),
            description=_text(found.get("description"), _LONG),
            task=_texts(found.get("task")),
            tasks=_texts(found.get("tasks"), _SOME),
            units=_units(found.get("units")),
            datasets=tuple(read_datasets(found.get("dataset"))),
            split=_text(found.get("split")),
            metrics=read_scores(found.get("metrics")),
            featurizer=_text(found.get("featurizer")),
            parameters=_count(found.get("parameters")),
            size=_count(found.get("size")),
            licence=_text(found.get("licence")),
            created_with=_named_texts(found.get("created_with")),
            derived_from=read_origins(found.get("derived_from")),
        )

    def score(self, metric: str) -> Score | None:
        """Return the score of ``metric``; see :func:`find_score`."""
        return find_score(self.metrics, metric)

    def rows(self) -> list[tuple[str, str]]:
        """Return the facts as pairs of a label and a text, for tables."""
        named = self.units.items()
        rows = [
            ("revision", self.revision),
            ("tags", ", ".join(self.tags)),
            ("class", self.cls or ""),
            ("backend", self.backend or ""),
            ("description", self.description),
            ("task", ", ".join(self.task)),
            ("outputs", ", ".join(self.tasks)),
            ("units", ", ".join(f"{name}: {unit}" if name else unit for name, unit in named)),
            ("dataset", ", ".join(map(str, self.datasets))),
            ("split", self.split),
            *((name, str(score)) for name, score in self.metrics.items()),
            ("featurizer", self.featurizer),
            ("parameters", "" if self.parameters is None else f"{self.parameters:,}"),
            ("size", "" if self.size is None else f"{self.size:,} bytes"),
            ("licence", self.licence),
            ("derived from", ", ".join(self.derived_from)),
            ("created with", ", ".join(f"{k} {v}" for k, v in self.created_with.items())),
        ]
        return [(label, text) for label, text in rows if text]

    def _repr_html_(self) -> str:
        """Show the facts in notebooks."""
        cells = "".join(
            f"<tr><th>{escape(label)}</th><td>{escape(text)}</td></tr>"
            for label, text in self.rows()
        )
        return f"<table><caption>{escape(self.name or self.revision)}</caption>{cells}</table>"


def find_score(metrics: Mapping[str, Score], metric: str) -> Score | None:
    """Return the score of ``metric``, whatever the case of its letters; None without one.

    If no score has exactly that name, it is that of the test rows (``test/rmse`` or ``test_rmse``
    for ``rmse``), else of the validation rows, else the first of that last part.
    """
    wanted = metric.lower()
    found = {name.lower(): score for name, score in metrics.items()}
    for part in ("", "test/", "test_", "valid/", "valid_"):
        if f"{part}{wanted}" in found:
            return found[f"{part}{wanted}"]
    return next((found[name] for name in found if name.endswith(f"/{wanted}")), None)


def score_to_json(score: Score) -> float | dict[str, float]:
    """Return a score as metadata hold it: a number, or an object with its bounds too."""
    bounds = {"low": score.low, "high": score.high, "level": score.level}
    known = {name: bound for name, bound in bounds.items() if bound is not None}
    return {"value": score.value, **known} if known else score.value


def read_scores(value: Any) -> dict[str, Score]:
    """Return the scores in the metadata ``metrics``, those of nested objects as ``test/rmse``.

    Of more than 64, those whose names have the fewest parts are kept.
    """
    found = sorted(_scores("", value, METRIC_PARTS), key=lambda named: named[0].count("/"))
    return dict(found[:_SOME])


def _scores(prefix: str, value: Any, depth: int) -> Iterator[tuple[str, Score]]:
    number = _number(value)
    if number is not None:
        yield prefix, Score(number)
    elif isinstance(value, dict):
        number = _number(value.get("value"))
        if prefix and number is not None:
            low, high, level = (_number(value.get(key)) for key in ("low", "high", "level"))
            yield prefix, Score(number, low, high, level)
        elif depth:
            for key, item in value.items():
                name = _text(key)
                yield from _scores(f"{prefix}/{name}" if prefix else name, item, depth - 1)


def read_datasets(value: Any) -> Iterator[DataSource]:
    """Yield the names in the metadata ``dataset``: a text, an object with a name, or a list."""
    for item in (value if isinstance(value, list) else [value])[:_FEW]:
        if isinstance(item, dict):
            name, digest = _text(item.get("name")), item.get("sha256")
            found = _DIGEST.fullmatch(digest) if isinstance(digest, str) else None
            if name or found:
                yield DataSource(name or "unnamed", found[1] if found else None)
        elif text := _text(item):
            yield DataSource(text)


def read_origins(value: Any) -> tuple[str, ...]:
    """Return the models that the metadata ``derived_from`` names as ``name@digest``."""
    return tuple(filter(_is_origin, _texts(value, _SOME, _SHORT * 2)))


def _is_origin(text: str) -> bool:
    found = _ORIGIN.fullmatch(text)
    if found is None:
        return False
    try:
        return not found[1] or bool(check_any_name(found[1]))
    except UnsafePath:
        return False


def first_paragraph(card: str) -> str:
    """Return the first paragraph that the author of a card wrote on top, as one line.

    Front matter, headings and comments are skipped; a table, code or the generated part ends the
    search.
    """
    lines = iter(card[: 1 << 16].split("\n"))
    found: list[str] = []
    for number, line in enumerate(lines):
        if number == 0 and line.strip() == "---":
            for inner in lines:
                if inner.strip() == "---":
                    break
            continue
        text = line.strip()
        if text.startswith("<!--") and text not in (BEGIN, END):
            while "-->" not in text:
                text = next(lines, "-->")
            continue
        ends = text.startswith(("|", "```", "~~~", "<!--", "## "))
        if ends or (found and (not text or text.startswith("#"))):
            break
        if text and not text.startswith("#"):
            found.append(text)
    text = " ".join(found).replace("&lt;", "<").replace("&amp;", "&")
    return _text(text, _LONG)


def _text(value: Any, limit: int = _SHORT) -> str:
    """Return a text on one line, cut to ``limit`` characters; empty for anything else."""
    if not isinstance(value, str):
        return ""
    text = " ".join((value if len(value) <= limit else value[: 4 * limit]).split())
    return text if len(text) <= limit else f"{text[: limit - 1]}…"


def _texts(value: Any, count: int = _FEW, limit: int = _SHORT) -> tuple[str, ...]:
    if value is None:
        return ()
    items = value if isinstance(value, list) else [value]
    return tuple(filter(None, (_text(item, limit) for item in items[:count])))


def _named_texts(value: Any) -> dict[str, str]:
    items = list(value.items())[:_SOME] if isinstance(value, dict) else []
    texts = ((_text(name), _text(item)) for name, item in items)
    return {name: item for name, item in texts if name and item}


def _units(value: Any) -> dict[str, str]:
    if isinstance(value, dict) and list(value) == [""]:
        value = value[""]
    text = _text(value)
    return {"": text} if text else _named_texts(value)


def _split(value: Any) -> str:
    """Return the split as one text: ``scaffold (seed 0, test 64)``."""
    if not isinstance(value, dict):
        return _text(value)
    name = _text(value.get("name"))
    others = [(key, item) for key, item in value.items() if key != "name"]
    details = [
        f"{_text(key)} {item}"
        for key, item in others[:_FEW]
        if _number(item) is not None or _text(item)
    ]
    listed = ", ".join(details)
    return _text(f"{name} ({listed})" if name and listed else name or listed)


def _featurizer(value: Any, params: Mapping[str, Any]) -> str:
    """Return the featurizer that the metadata or else the arguments name."""
    if text := ", ".join(_texts(value)):
        return text
    match params.get("featurizer"):
        case {"$component": {"class": str(name)}} | {"$model": {"class": str(name)}}:
            return _text(name)
    return ""


def _number(value: Any) -> float | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if math.isfinite(value) else None


def _count(value: Any) -> int | None:
    return value if type(value) is int and value >= 0 else None
