"""``dc_hub.search``: the models of a hub that words and facts describe."""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import Any, Final, Self

from dc_core import check_count, explained, html_table
from dc_hub.errors import ParamsError
from dc_hub.format.summary import Score, Summary, find_score, read_scores
from dc_hub.hubs.catalogue import Facts, catalogue
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.index import Listed
from dc_hub.hubs.opening import open_hub

_BOUND: Final = re.compile(
    r"\s*([^<>=]{1,200}?)\s*(<=|>=|<|>)\s*([+-]?[0-9.]+(?:[eE][+-]?\d+)?)\s*"
)
_COMPARE: Final[Mapping[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_SHOWN: Final = 3
"""How many metrics of a model a table shows."""

_WIDEST: Final = 80
"""How many characters of a description a table shows."""


class Found(tuple[Summary, ...]):
    """The summaries of the models that a search found, the best first; a table in notebooks."""

    __slots__ = ()

    def _repr_html_(self) -> str:
        """Show one model a row, in notebooks."""
        title = f"{len(self)} model{'s' * (len(self) != 1)}"
        return html_table(title, HEADER, map(table_row, self))


HEADER: Final = ("model", "task", "dataset", "metrics", "class", "licence", "description")
"""The head of a table of models; see :func:`table_row`."""


def table_row(summary: Summary) -> tuple[str, ...]:
    """Return the row of one model in a table."""
    metrics = [f"{name} {score}" for name, score in summary.metrics.items()]
    more = [f"… {len(metrics) - _SHOWN} more"] if len(metrics) > _SHOWN else []
    return (
        summary.name,
        ", ".join(summary.task),
        ", ".join(source.name for source in summary.datasets),
        ", ".join(metrics[:_SHOWN] + more),
        summary.cls or "",
        summary.licence,
        _cut(summary.description or summary.title),
    )


@explained
def search(
    text: str = "",
    *,
    hub: HubLike = None,
    task: str | None = None,
    backend: str | None = None,
    cls: str | None = None,
    licence: str | None = None,
    dataset: str | None = None,
    metrics: str | Iterable[str] = (),
    derived_from: str | None = None,
    limit: int | None = 100,
) -> Found:
    """Return the models of a hub that match, the most relevant first, then by name.

    Args:
        text: Words, each of which the name, class, task, title, dataset or description contains.
        hub: A hub, its path or its URL. Default: ``DEEPCHEM_MODEL_HUB``, then the user's hub.
        task: The kind of problem, such as ``"regression"``, or the name of an output.
        backend: Such as ``"torch"``.
        cls: A registered class, ``"torch/GCN"``, or the last part of its name, ``"GCN"``.
        licence: An SPDX identifier, such as ``"MIT"``.
        dataset: A part of the dataset's name, or at least 12 digits of its digest.
        metrics: Bounds of metrics, all of which hold: ``"rmse<1.0"``, ``["test/r2>=0.5"]``. A name
            alone means the score on the test rows; see :meth:`Summary.score`.
        derived_from: The name of a model that it was made from, or ``name@`` and the first digits
            of its revision.
        limit: The maximum number of models returned; None for all.

    A model is known by its ``main``, or without it by its last tag. Case makes no difference.

    Raises :class:`ParamsError` for a malformed argument, and the errors of :func:`ls`: a hub on the
    web or in a bucket needs an index, which ``dc-hub index`` writes.
    """
    if limit is not None:
        check_count("limit", limit, minimum=1)
    bounds: Any = metrics
    if isinstance(bounds, str) or not isinstance(bounds, Iterable):
        bounds = [bounds]
    query = _Query(
        words=tuple(_lower("text", text).split()),
        task=_lower("task", task),
        backend=_lower("backend", backend),
        cls=_lower("cls", cls),
        licence=_lower("licence", licence),
        dataset=_lower("dataset", dataset),
        bounds=tuple(map(Bound.parse, bounds)),
        derived_from=_origin(derived_from),
    )
    ranked = ((-score, found.name, found) for score, found in _matches(hub, query))
    if limit is None:
        return Found(found for *_, found in sorted(ranked, key=operator.itemgetter(0, 1)))
    best = nsmallest(limit, ranked, key=operator.itemgetter(0, 1))
    return Found(found for *_, found in best)


@dataclass(frozen=True, slots=True)
class Bound:
    """A bound that the score of a metric has to keep."""

    metric: str
    comparison: str
    value: float

    @classmethod
    def parse(cls, text: object) -> Self:
        """Return the bound that ``text`` says, such as ``"rmse<1.0"``; raises ParamsError."""
        found = _BOUND.fullmatch(text) if isinstance(text, str) else None
        try:
            if found is not None:
                return cls(found[1], found[2], float(found[3]))
        except ValueError:  # such as 1.2.3
            pass
        raise ParamsError(
            f"{text!r} is not a bound of a metric.",
            path="metrics",
            hint="Write the metric, one of < <= > >=, and a number: 'rmse<1.0'.",
        )

    def holds(self, metrics: Mapping[str, Score]) -> bool:
        """Tell whether a model with these metrics has this one, and keeps the bound."""
        score = find_score(metrics, self.metric)
        return score is not None and _COMPARE[self.comparison](score.value, self.value)


@dataclass(frozen=True, slots=True)
class _Query:
    """The conditions that a model has to match, in lower case."""

    words: tuple[str, ...]
    task: str
    backend: str
    cls: str
    licence: str
    dataset: str
    bounds: tuple[Bound, ...]
    derived_from: str

    def may_match(self, name: str, model: Listed) -> bool:
        """Tell whether a model can match: cheaply, before a summary is made of its facts.

        Words are looked for in the text of the facts, which need not be parsed for that.
        """
        if not isinstance(model.facts, Facts):
            return True
        text = f"{name}\n{model.facts.text}".lower()
        given = (self.task, self.backend, self.cls, self.licence, self.dataset)
        # JSON writes these two characters as escapes.
        if not all(part in text for part in (*self.words, *given) if not {*'"\\'} & {*part}):
            return False
        return not self.bounds or self._in_bounds(read_scores(model.facts.get("metrics")))

    def score(self, found: Summary) -> int:
        """Return how well a model matches; 0 if it does not."""
        if not self._has_facts(found):
            return 0
        fields = (
            (6, found.name),
            (4, found.title),
            (3, " ".join((*found.task, *found.tasks))),
            (3, found.cls or ""),
            (2, " ".join(source.name for source in found.datasets)),
            (1, found.description),
        )
        texts = [(weight, text.lower()) for weight, text in fields]
        total = 1
        for word in self.words:
            points = [weight * _closeness(word, text) for weight, text in texts]
            if not any(points):
                return 0
            total += max(points)
        return total

    def _has_facts(self, found: Summary) -> bool:
        cls = (found.cls or "").lower()
        sources = found.datasets
        digit = re.fullmatch("[0-9a-f]{12,64}", self.dataset)
        return (
            (not self.task or self.task in map(str.lower, (*found.task, *found.tasks)))
            and (not self.backend or self.backend == (found.backend or "").lower())
            and (not self.cls or self.cls in (cls, cls.rpartition("/")[2]))
            and (not self.licence or self.licence == found.licence.lower())
            and (
                not self.dataset
                or any(self.dataset in source.name.lower() for source in sources)
                or bool(digit and any((s.sha256 or "").startswith(self.dataset) for s in sources))
            )
            and (
                not self.derived_from
                or any(_is_origin(self.derived_from, origin) for origin in found.derived_from)
            )
            and self._in_bounds(found.metrics)
        )

    def _in_bounds(self, metrics: Mapping[str, Score]) -> bool:
        return all(bound.holds(metrics) for bound in self.bounds)


def _matches(hub: HubLike, query: _Query) -> Iterator[tuple[int, Summary]]:
    for name, model in catalogue(open_hub(hub)):
        if query.may_match(name, model):
            summary = model.summary(name)
            score = query.score(summary)
            if score:
                yield score, summary


def _closeness(word: str, text: str) -> int:
    """Return 3 if ``word`` is a word of ``text``, 2 if one begins with it, 1 if it is within."""
    at = text.find(word)
    if at < 0:
        return 0
    if re.search(rf"(?<![^\W_]){re.escape(word)}(?![^\W_])", text):
        return 3
    return 2 if re.search(rf"(?<![^\W_]){re.escape(word)}", text) else 1


def _is_origin(wanted: str, origin: str) -> bool:
    name, _, revision = wanted.partition("@")
    known, _, digest = origin.lower().partition("@")
    return name == known and digest.startswith(revision)


def _lower(argument: str, text: str | None) -> str:
    if not isinstance(text, str | None):
        raise ParamsError(
            f"{argument}={text!r:.200} is not a text.", path=argument, hint="Give a str."
        )
    return (text or "").lower().strip()


def _origin(text: str | None) -> str:
    """Return the argument ``derived_from``, in which a tag could not be looked up."""
    origin = _lower("derived_from", text)
    _, at, revision = origin.partition("@")
    if at and not re.fullmatch("[0-9a-f]{1,64}", revision):
        raise ParamsError(
            f"derived_from={text!r:.200} does not name a revision by its digits.",
            path="derived_from",
            hint="Give the name of a model, or 'name@' and digits of its revision; "
            "`dc-hub tag list` shows those that tags point at.",
        )
    return origin


def _cut(text: str) -> str:
    return text if len(text) <= _WIDEST else f"{text[: _WIDEST - 1]}…"
