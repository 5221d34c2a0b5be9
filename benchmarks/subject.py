"""What is compared: the ways, the targets, and what a reader should know of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Any

from measure import Figures, Metric, Start, Way


@dataclass(frozen=True, slots=True)
class Target:
    """A figure of one way, as a ratio to a peer's or as a difference, and its bound, if any.

    ``kind`` is ``ratio`` (ours / peer), ``difference`` (ours − peer) or ``value`` (ours alone).
    ``otherwise`` is the peer's figure measured on another day, for when the peer did not take part.
    """

    metric: Metric
    ours: str
    peer: str = ""
    kind: str = "ratio"
    at_most: float = inf
    at_least: float = -inf
    otherwise: float | None = None

    def value(self, figures: Mapping[str, Figures]) -> float | None:
        """Return the figure that the bound is for, None where a part of it was not measured."""
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
        """Whether there is a bound: without one the figure is only shown."""
        return self.at_most < inf or self.at_least > -inf

    def measured(self, figures: Mapping[str, Figures]) -> bool:
        """Tell whether both sides took part in this run."""
        return self.ours in figures and (not self.peer or self.peer in figures)

    def met(self, value: float) -> bool:
        """Tell whether ``value`` is within the bound, to the three digits that the table shows."""
        return self.at_least <= float(f"{value:.3g}") <= self.at_most


@dataclass(frozen=True, slots=True)
class Subject:
    """One table of the benchmark.

    ``prepare(folder, quick=…)`` returns the action that makes what all the ways read; it runs once,
    in a process of its own. ``calls`` is how often a process makes the action; ``unit`` is what the
    times are shown in. ``things`` names what an action counts when it returns how many it did.
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
