"""Learning-rate schedules: pure functions of the progress of training and of its losses.

They have no state, so they resume exactly from the records of the epochs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final

from dc_core.errors import ParameterError
from dc_core.parameters import check_choice


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(ABC):
    """A factor for the learning rate; in the fraction ``warmup`` it rises linearly from 0 to 1."""

    warmup: float = 0.0

    def __post_init__(self) -> None:
        _require(0 <= self.warmup < 1, "warmup", self.warmup, "a fraction in [0, 1)")

    def factor(self, progress: float, losses: Sequence[float]) -> float:
        """Return the factor at ``progress``, the finished fraction of the config's epochs.

        ``losses`` has the monitored loss of each finished epoch.
        """
        progress = min(progress, 1.0)
        if progress < self.warmup:
            return progress / self.warmup
        return self.decay((progress - self.warmup) / (1 - self.warmup), losses)

    @abstractmethod
    def decay(self, progress: float, losses: Sequence[float]) -> float:
        """Return the factor after the warm-up, where ``progress`` goes from 0 to 1 again."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Schedule):
    """The factor is 1."""

    def decay(self, progress: float, losses: Sequence[float]) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Schedule):
    """The factor falls linearly from 1 to ``floor``."""

    floor: float = 0.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(0 <= self.floor <= 1, "floor", self.floor, "in [0, 1]")

    def decay(self, progress: float, losses: Sequence[float]) -> float:
        """Return the current factor."""
        return 1 - (1 - self.floor) * progress


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine(Linear):
    """The factor falls from 1 to ``floor`` along a half cosine (Loshchilov & Hutter, ICLR 2017)."""

    def decay(self, progress: float, losses: Sequence[float]) -> float:
        """Return the current factor."""
        return self.floor + (1 - self.floor) * (1 + math.cos(math.pi * progress)) / 2


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Schedule):
    """The factor falls exponentially from 1 to ``floor``."""

    floor: float = 0.01

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(0 < self.floor <= 1, "floor", self.floor, "in (0, 1]")

    def decay(self, progress: float, losses: Sequence[float]) -> float:
        """Return the current factor."""
        return float(self.floor**progress)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau(Schedule):
    """The factor is multiplied by ``by`` after ``patience`` epochs without improvement, repeatedly.

    It never falls below ``floor``.
    """

    by: float = 0.5
    patience: int = 10
    floor: float = 0.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(0 < self.by < 1, "by", self.by, "in (0, 1)")
        _require(self.patience >= 1, "patience", self.patience, "at least 1")
        _require(0 <= self.floor <= 1, "floor", self.floor, "in [0, 1]")

    def decay(self, progress: float, losses: Sequence[float]) -> float:
        """Return the current factor."""
        factor, best, waited = 1.0, math.inf, 0
        for loss in losses:
            if loss < best:
                best, waited = loss, 0
                continue
            waited += 1
            if waited == self.patience:
                factor, waited = max(self.floor, factor * self.by), 0
        return factor


SCHEDULES: Final[Mapping[str, type[Schedule]]] = {
    "constant": Constant,
    "linear": Linear,
    "cosine": Cosine,
    "exponential": Exponential,
    "plateau": Plateau,
}
"""The schedules that a config can name."""


def make_schedule(name: str, options: Mapping[str, Any]) -> Schedule:
    """Return the schedule ``name``; raises :class:`ParameterError` if it is unknown."""
    check_choice("schedule", name, SCHEDULES)
    known = [each.name for each in fields(SCHEDULES[name])]
    for option, value in options.items():
        if option not in known:
            raise ParameterError(
                f"The schedule {name!r} has no option {option!r}.",
                hint=f"Its options are {', '.join(known)}.",
            )
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise ParameterError(f"The schedule's option {option}={value!r} must be a number.")
    return SCHEDULES[name](**options)


def _require(holds: bool, option: str, value: float, rule: str) -> None:
    if not holds:
        raise ParameterError(f"The schedule's option {option}={value!r} must be {rule}.")
