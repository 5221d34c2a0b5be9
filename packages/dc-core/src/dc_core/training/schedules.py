"""Learning-rate schedules: pure functions of the progress of training and of its results.

They have no state, so they resume exactly from the records of the epochs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

from dc_core.component import Component
from dc_core.errors import ParameterError
from dc_core.parameters import check_choice
from dc_core.training.history import improvements


class Progress(NamedTuple):
    """How far training has come; schedules span ``total`` epochs of ``steps`` steps each."""

    epochs: float
    """The epochs that are finished, with the finished part of the present one."""

    total: int
    """The epochs of the config."""

    steps: int = 1
    """The steps of an epoch."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Schedule(Component, ABC):
    """A factor for the learning rate, which rises linearly from 0 to 1 in the ``warmup``.

    ``warmup`` is a fraction of the config's epochs, or a number of steps if it is 1 or more.

    A schedule of your own is a subclass that writes :meth:`decay`. Registered with
    ``@dc_core.register_component("mylab/MySchedule")``, it is stored with the model, by that name
    and the arguments of its constructor.
    """

    warmup: float = 0.0

    def __post_init__(self) -> None:
        _require(
            self.warmup >= 0 and (self.warmup < 1 or float(self.warmup).is_integer()),
            "warmup",
            self.warmup,
            "a fraction in [0, 1), or a number of steps",
        )

    def factor(self, at: Progress, results: Sequence[float]) -> float:
        """Return the factor at that progress.

        ``results`` has the monitored result of each finished epoch, smaller being better.
        """
        warmup = self.warmup * at.total if self.warmup < 1 else self.warmup / at.steps
        if at.epochs < warmup:
            return at.epochs / warmup
        return self.decay(at, warmup, results)

    @abstractmethod
    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return the factor after the warm-up, which took ``warmup`` epochs."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Constant(Schedule):
    """The factor is 1."""

    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return 1."""
        return 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Curve(Schedule):
    """The factor is a function of the finished fraction of training; it falls to ``floor``."""

    floor: float = 0.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(0 <= self.floor <= 1, "floor", self.floor, "in [0, 1]")

    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return the current factor."""
        left = at.total - warmup
        return self.curve(min(1.0, (at.epochs - warmup) / left) if left > 0 else 1.0)

    @abstractmethod
    def curve(self, fraction: float) -> float:
        """Return the factor after that fraction, in [0, 1], of the training after the warm-up."""

    def above_floor(self, share: float) -> float:
        """Return the factor between ``floor`` and 1 that is ``share`` of the way up."""
        return self.floor + (1 - self.floor) * share


@dataclass(frozen=True, slots=True, kw_only=True)
class Linear(Curve):
    """The factor falls linearly from 1 to ``floor``."""

    def curve(self, fraction: float) -> float:
        """Return the factor."""
        return self.above_floor(1 - fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class Polynomial(Curve):
    """The factor falls from 1 to ``floor`` as the ``power`` of the fraction that is left."""

    power: float = 2.0

    def __post_init__(self) -> None:
        Curve.__post_init__(self)
        _require(self.power > 0, "power", self.power, "positive")

    def curve(self, fraction: float) -> float:
        """Return the factor."""
        return self.above_floor(float((1 - fraction) ** self.power))


@dataclass(frozen=True, slots=True, kw_only=True)
class Cosine(Curve):
    """The factor falls from 1 to ``floor`` along a half cosine (Loshchilov & Hutter, ICLR 2017)."""

    def curve(self, fraction: float) -> float:
        """Return the factor."""
        return self.above_floor(_half_cosine(fraction))


@dataclass(frozen=True, slots=True, kw_only=True)
class Exponential(Curve):
    """The factor falls exponentially from 1 to ``floor``."""

    floor: float = 0.01

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(0 < self.floor <= 1, "floor", self.floor, "in (0, 1]")

    def curve(self, fraction: float) -> float:
        """Return the factor."""
        return float(self.floor**fraction)


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCycle(Curve):
    """The factor rises from ``start`` to 1 and falls to ``floor``, along half cosines.

    It is 1 after the fraction ``rise`` of training (Smith & Topin 2018, arXiv:1708.07120). The
    momentum stays as it is.
    """

    start: float = 0.04
    rise: float = 0.3
    floor: float = 4e-6

    def __post_init__(self) -> None:
        Curve.__post_init__(self)
        _require(0 <= self.start <= 1, "start", self.start, "in [0, 1]")
        _require(0 < self.rise < 1, "rise", self.rise, "in (0, 1)")

    def curve(self, fraction: float) -> float:
        """Return the factor."""
        if fraction < self.rise:
            return 1 - (1 - self.start) * _half_cosine(fraction / self.rise)
        return self.above_floor(_half_cosine((fraction - self.rise) / (1 - self.rise)))


@dataclass(frozen=True, slots=True, kw_only=True)
class Restarts(Schedule):
    """Cosines from 1 to ``floor`` of ``period`` epochs, each ``growth`` times as long as the last.

    They begin after the warm-up (Loshchilov & Hutter, ICLR 2017).
    """

    period: float = 10.0
    growth: float = 1.0
    floor: float = 0.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(self.period > 0, "period", self.period, "a positive number of epochs")
        _require(self.growth >= 1, "growth", self.growth, "at least 1")
        _require(0 <= self.floor <= 1, "floor", self.floor, "in [0, 1]")

    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return the current factor."""
        periods, growth = (at.epochs - warmup) / self.period, self.growth
        if growth == 1:
            fraction = periods % 1
        else:
            restarts = math.floor(math.log1p(periods * (growth - 1)) / math.log(growth))
            length = growth**restarts
            fraction = (periods - (length - 1) / (growth - 1)) / length
        return self.floor + (1 - self.floor) * _half_cosine(min(max(fraction, 0.0), 1.0))


@dataclass(frozen=True, slots=True, kw_only=True)
class Step(Schedule):
    """The factor is multiplied by ``by`` after each ``every`` epochs."""

    every: int = 10
    by: float = 0.1

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        whole = self.every >= 1 and float(self.every).is_integer()
        _require(whole, "every", self.every, "a number of epochs, at least 1")
        _require(0 < self.by < 1, "by", self.by, "in (0, 1)")

    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return the current factor."""
        return float(self.by ** (at.epochs // self.every))


@dataclass(frozen=True, slots=True, kw_only=True)
class MultiStep(Schedule):
    """The factor is multiplied by ``by`` after each of the ``milestones``, in epochs."""

    milestones: Sequence[float] = ()
    by: float = 0.1

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        ascending = all(x > 0 for x in self.milestones) and sorted(set(self.milestones)) == [
            *self.milestones
        ]
        _require(
            bool(self.milestones) and ascending,
            "milestones",
            self.milestones,
            "ascending numbers of epochs, such as [30, 60]",
        )
        _require(0 < self.by < 1, "by", self.by, "in (0, 1)")

    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return the current factor."""
        return float(self.by ** sum(at.epochs >= milestone for milestone in self.milestones))


@dataclass(frozen=True, slots=True, kw_only=True)
class InverseSquareRoot(Schedule):
    """The factor falls as ``1 / sqrt(steps)`` after the warm-up (Vaswani et al., NeurIPS 2017).

    It is ``sqrt(scale / (scale + s))`` after ``s`` more steps. ``scale`` is the number of steps of
    the warm-up unless given; without either, that of an epoch.
    """

    scale: float = 0.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(self.scale >= 0, "scale", self.scale, "a number of steps, or 0")

    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return the current factor."""
        scale = self.scale / at.steps or warmup or 1.0
        return math.sqrt(scale / (scale + at.epochs - warmup))


@dataclass(frozen=True, slots=True, kw_only=True)
class Plateau(Schedule):
    """The factor is multiplied by ``by`` after ``patience`` epochs without improvement, repeatedly.

    It never falls below ``floor``. An improvement is by more than ``min_delta``.
    """

    by: float = 0.5
    patience: int = 10
    floor: float = 0.0
    min_delta: float = 0.0

    def __post_init__(self) -> None:
        Schedule.__post_init__(self)
        _require(0 < self.by < 1, "by", self.by, "in (0, 1)")
        _require(self.patience >= 1, "patience", self.patience, "at least 1")
        _require(self.min_delta >= 0, "min_delta", self.min_delta, "at least 0")
        _require(0 <= self.floor <= 1, "floor", self.floor, "in [0, 1]")

    def decay(self, at: Progress, warmup: float, results: Sequence[float]) -> float:
        """Return the current factor."""
        factor, waited = 1.0, 0
        for improved in improvements(results, self.min_delta):
            waited = 0 if improved else waited + 1
            if waited == self.patience:
                factor, waited = max(self.floor, factor * self.by), 0
        return factor


SCHEDULES: Final[Mapping[str, type[Schedule]]] = {
    "constant": Constant,
    "linear": Linear,
    "polynomial": Polynomial,
    "cosine": Cosine,
    "cosine_restarts": Restarts,
    "exponential": Exponential,
    "step": Step,
    "multistep": MultiStep,
    "inverse_sqrt": InverseSquareRoot,
    "one_cycle": OneCycle,
    "plateau": Plateau,
}
"""The schedules that a config can name."""

_LARGE: Final = 1e15
"""No epoch, step or factor is as large."""


def make_schedule(schedule: str | Schedule, options: Mapping[str, Any]) -> Schedule:
    """Return ``schedule``: made from its name and ``options``, or as it is.

    Raises :class:`ParameterError` for a name that is not known and for options that it does not
    have.
    """
    if isinstance(schedule, Schedule):
        if options:
            raise ParameterError(
                f"schedule_options are for schedules by name; {schedule!r} has its own arguments.",
                hint="Give them to its constructor.",
            )
        return schedule
    name = schedule
    check_choice("schedule", name, SCHEDULES)
    known = [each.name for each in fields(SCHEDULES[name])]
    for option, value in options.items():
        if option not in known:
            raise ParameterError(
                f"The schedule {name!r} has no option {option!r}.",
                hint=f"Its options are {', '.join(known)}.",
            )
        listed = option == "milestones" and isinstance(value, list | tuple)
        for number in value if listed else (value,):
            if isinstance(number, bool) or not isinstance(number, int | float):
                raise ParameterError(
                    f"The schedule's option {option}={value!r} must be a number.",
                    hint="milestones=[30, 60] are numbers of epochs." if listed else "",
                )
            if not abs(number) < _LARGE:
                raise ParameterError(f"The schedule's option {option} is too large.")
        if option == "milestones" and not listed:
            raise ParameterError(
                f"milestones={value!r} must be a list of numbers of epochs, such as [30, 60]."
            )
    return SCHEDULES[name](**options)


def _half_cosine(fraction: float) -> float:
    """Return the height of a half cosine, which falls from 1 to 0."""
    return (1 + math.cos(math.pi * fraction)) / 2


def _require(holds: bool, option: str, value: Any, rule: str) -> None:
    if not holds:
        raise ParameterError(f"The schedule's option {option}={value!r} must be {rule}.")
