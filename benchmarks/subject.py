"""A subject: the ways compared, the targets, and notes for the reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from measure import Figures, Metric, Start, Way


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of one way, as a ratio to or difference from a peer's, with an optional bound.

    ``kind`` is ``ratio`` (ours / peer), ``difference`` (ours − peer) or ``value`` (ours alone).
    ``otherwise`` is the peer's figure from another day, used if the peer is not in this run.
    """

    metric: Metric
    ours: str
    peer: str = ""
    kind: str = "ratio"
    at_most: float = inf
    at_least: float = -inf
    otherwise: float | None = None

    def value(self, figures: Mapping[str, Figures]) -> float | None:
        """Return the figure that the bound applies to, or None if a part was not measured."""
        ours = _figure(figures, self.ours, self.metric)
        peer = _figure(figures, self.peer, self.metric)
        peer = self.otherwise if peer is None else peer
        if self.kind == "value" or ours is None:
            return ours
        if peer is None:
            return None
        return ours / peer if self.kind == "ratio" else ours - peer

    @property
    def bounded(self) -> bool:
        """Whether there is a bound; without one the figure is only shown."""
        return self.at_most < inf or self.at_least > -inf

    def measured(self, figures: Mapping[str, Figures]) -> bool:
        """Tell whether both sides are in this run."""
        return self.ours in figures and (not self.peer or self.peer in figures)

    def met(self, value: float) -> bool:
        """Tell whether ``value`` is within the bound, to the three digits that the table shows."""
        return self.at_least <= float(f"{value:.3g}") <= self.at_most


@dataclass(frozen=True, slots=True)
class Subject:
    """One table of the benchmark.

    ``prepare(folder, quick=…)`` returns the action that creates the files all ways read; it runs
    once, in its own process. ``calls`` is the number of calls per process; ``unit`` is the unit of
    the times shown. ``things`` names the items counted by an action that returns a number.
    """

    title: str
    ways: tuple[Way, ...]
    targets: tuple[Target, ...] = ()
    prepare: Start | None = None
    calls: int = 1
    repeats: int = 7
    memory: bool = False
    unit: str = "s"
    things: str = ""
    versions: tuple[str, ...] = ()
    note: str = ""


def _figure(figures: Mapping[str, Figures], way: str, metric: Metric) -> float | None:
    found: Any = figures.get(way)
    value: float | None = getattr(found, metric) if found is not None else None
    return value
