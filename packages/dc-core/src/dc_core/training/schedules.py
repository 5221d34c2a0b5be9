"""Learning-rate schedules: pure functions of the progress of training and of its results.

They have no state, so they resume exactly from the records of the epochs.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core.component import Component
from dc_core.errors import ParameterError
from dc_core.parameters import check_choice, check_number, guess
from dc_core.training.history import improvements

_LARGEST: Final = 1e15
"""No epoch, step or factor is as large."""


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
        self.check_number("warmup", minimum=0)
        if self.warmup >= 1:
            self.check_whole("warmup")

    def check_number(self, name: str, **bounds: float) -> None:
        """Raise :class:`ParameterError` unless the field is a number in the range.

        ``bounds`` are ``above``, ``minimum``, ``below`` and ``maximum``.
        """
        number = check_number(name, getattr(self, name), **{"maximum": _LARGEST, **bounds})
        object.__setattr__(self, name, number)  # one of NumPy becomes one of Python

    def check_whole(self, name: str) -> None:
        """Raise :class:`ParameterError` unless the field, a number, is a whole one."""
        number = getattr(self, name)
        if number != math.floor(number):
            raise ParameterError(f"{name}={number!r} must be a whole number.")

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
        self.check_number("floor", minimum=0, maximum=1)

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
        self.check_number("power", above=0)

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
        self.check_number("floor", above=0, maximum=1)

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
        self.check_number("start", minimum=0, maximum=1)
        self.check_number("rise", above=0, below=1)

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
        self.check_number("period", above=0)
        self.check_number("growth", minimum=1)
        self.check_number("floor", minimum=0, maximum=1)

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
        self.check_number("every", minimum=1)
        self.check_whole("every")
        self.check_number("by", above=0, below=1)

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
        given: Any = self.milestones
        values = given.tolist() if isinstance(given, np.ndarray) else given
        if not isinstance(values, list | tuple) or not values:
            raise ParameterError(
                f"milestones={given!r} must be a list of numbers of epochs.",
                hint="Give them in ascending order: [30, 60].",
            )
        numbers = [check_number("milestones", x, above=0, maximum=_LARGEST) for x in values]
        if sorted(set(numbers)) != numbers:
            raise ParameterError(f"milestones={numbers} must ascend, as [30, 60] do.")
        object.__setattr__(self, "milestones", tuple(numbers))
        self.check_number("by", above=0, below=1)

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
        self.check_number("scale", minimum=0)

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
        self.check_number("by", above=0, below=1)
        self.check_number("patience", minimum=1)
        self.check_whole("patience")
        self.check_number("min_delta", minimum=0)
        self.check_number("floor", minimum=0, maximum=1)

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
    for option in options:
        if option not in known:
            raise ParameterError(
                f"The schedule {name!r} has no option {option!r}.",
                hint=f"{guess(option, known)}Its options are {', '.join(known)}.",
            )
    return SCHEDULES[name](**options)


def _half_cosine(fraction: float) -> float:
    """Return the height of a half cosine, which falls from 1 to 0."""
    return (1 + math.cos(math.pi * fraction)) / 2
