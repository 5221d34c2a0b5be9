"""Trials: parameters and their outcomes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

STATUSES: Final = ("ok", "pruned", "error", "crash", "timeout")
"""How a trial can end."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The outcome of a trial, as it is stored.

    ``scores`` are those of the folds, or the one of the validation rows. ``reports`` are the values
    by which it could be pruned, by step, and ``notes`` what the pruner remembers of it.
    """

    status: str
    scores: tuple[float, ...] = ()
    seconds: float = math.nan
    message: str = ""
    reports: Mapping[int, float] = field(default_factory=dict)
    notes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Trial:
    """The parameters of an estimator, and how well it did.

    ``status`` is ``ok``; ``pruned``, if it was given up because it did worse than others;
    ``error``, if it raised an exception; ``crash`` or ``timeout``, if its worker died. ``message``
    says more. ``scores`` are those of the folds, or the one of the validation rows. ``seconds`` is
    how long it took, NaN if it failed.
    """

    number: int
    parameters: Mapping[str, Any]
    status: str
    scores: tuple[float, ...]
    seconds: float
    message: str
    reports: Mapping[int, float] = field(default_factory=dict, repr=False)

    @property
    def score(self) -> float:
        """The mean of the scores; NaN unless the trial is ok."""
        return math.fsum(self.scores) / len(self.scores) if self.status == "ok" else math.nan
