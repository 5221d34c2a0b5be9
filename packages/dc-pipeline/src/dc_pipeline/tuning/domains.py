"""Domains: the values that a parameter may take."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dc_core.errors import ParameterError

_PLAIN: Final = (bool, int, float, str, type(None))
"""Types of values that are their own labels."""

_WIDEST: Final = 2**53
"""Integers up to here are exact as floats, which samplers compute with."""

_LISTED: Final = 10**6
"""So many values can be listed."""


def label_of(value: Any) -> Any:
    """Return ``value`` if it is a plain number or text, and else the text that stands for it."""
    if type(value) in _PLAIN:
        return value
    if isinstance(value, np.generic):
        return label_of(value.item())
    return str(value.call_text() if hasattr(value, "call_text") else repr(value))


class Domain(ABC):
    """The values that a parameter may take.

    Values of any kind are told apart by labels, which are plain numbers and texts.
    """

    @abstractmethod
    def draw(self, rng: np.random.Generator) -> Any:
        """Return the label of a random value."""

    @abstractmethod
    def labels(self) -> tuple[Any, ...]:
        """Return the labels of all values.

        Raises :class:`ParameterError` if they cannot be listed.
        """

    def value(self, label: Any) -> Any:
        """Return the value of a label; the label itself unless overridden."""
        return label

    @abstractmethod
    def contains(self, label: Any) -> bool:
        """Tell whether a value has this label."""


@dataclass(frozen=True)
class Uniform(Domain):
    """Numbers from ``low`` to ``high``, all equally likely.

    Raises :class:`ParameterError` unless ``low`` is less than ``high`` and both are finite.
    """

    low: float
    high: float

    def __post_init__(self) -> None:
        """Check the bounds."""
        bounds: dict[str, Any] = {"low": self.low, "high": self.high}
        for name, bound in bounds.items():
            number = isinstance(bound, int | float | np.number) and not isinstance(bound, bool)
            if not number or not math.isfinite(bound):
                raise ParameterError(f"{name}={bound!r} must be a finite number.")
            object.__setattr__(self, name, float(bound))
        if self.low >= self.high:
            raise ParameterError(f"low={self.low} must be less than high={self.high}.")

    def draw(self, rng: np.random.Generator) -> float:
        """Return a random number."""
        return float(rng.uniform(self.low, self.high))

    def labels(self) -> tuple[Any, ...]:
        """Raise :class:`ParameterError`: there are too many."""
        raise _too_many(self)

    def contains(self, label: Any) -> bool:
        """Tell whether ``label`` is a number in the range."""
        return type(label) in (int, float) and self.low <= label <= self.high


@dataclass(frozen=True)
class LogUniform(Uniform):
    """Numbers from ``low`` to ``high`` whose logarithms are all equally likely.

    Raises :class:`ParameterError` unless ``low`` is above 0 and less than ``high``.
    """

    def __post_init__(self) -> None:
        """Check the bounds."""
        super().__post_init__()
        if self.low <= 0:
            raise ParameterError(f"low={self.low} must be above 0: its logarithm is taken.")

    def draw(self, rng: np.random.Generator) -> float:
        """Return a random number."""
        drawn = math.exp(rng.uniform(math.log(self.low), math.log(self.high)))
        return min(max(drawn, self.low), self.high)


@dataclass(frozen=True)
class Integer(Domain):
    """Integers from ``low`` to ``high``, both included.

    With ``log``, their logarithms are about equally likely.

    Raises :class:`ParameterError` unless ``low`` is less than ``high``, and with ``log`` above 0.
    """

    low: int
    high: int
    log: bool = False

    def __post_init__(self) -> None:
        """Check the bounds."""
        bounds: dict[str, Any] = {"low": self.low, "high": self.high}
        for name, bound in bounds.items():
            integer = isinstance(bound, int | np.integer) and not isinstance(bound, bool)
            if not integer or abs(bound) > _WIDEST:
                raise ParameterError(f"{name}={bound!r} must be an integer of at most 2**53.")
            object.__setattr__(self, name, int(bound))
        if self.low >= self.high:
            raise ParameterError(f"low={self.low} must be less than high={self.high}.")
        if self.log and self.low < 1:
            raise ParameterError(f"low={self.low} must be at least 1: its logarithm is taken.")

    def draw(self, rng: np.random.Generator) -> int:
        """Return a random integer."""
        if not self.log:
            return int(rng.integers(self.low, self.high, endpoint=True))
        drawn = round(math.exp(rng.uniform(math.log(self.low - 0.5), math.log(self.high + 0.5))))
        return min(max(drawn, self.low), self.high)

    def labels(self) -> tuple[int, ...]:
        """Return all integers.

        Raises :class:`ParameterError` with ``log``, as a grid has equal steps, and if there are
        more than a million.
        """
        if self.log:
            raise ParameterError(
                f"{self!r} has no equal steps for a grid.",
                hint="List the values to try: Choice(64, 256, 1024).",
            )
        if self.high - self.low >= _LISTED:
            raise _too_many(self)
        return tuple(range(self.low, self.high + 1))

    def contains(self, label: Any) -> bool:
        """Tell whether ``label`` is an integer in the range."""
        return type(label) is int and self.low <= label <= self.high


@dataclass(frozen=True, init=False, eq=False, repr=False)
class Choice(Domain):
    """One of the given ``values``: numbers, texts, None, tuples, featurizers, estimators.

    Raises :class:`ParameterError` if there are fewer than two, or two of them look the same.
    """

    values: tuple[Any, ...]

    def __init__(self, *values: Any) -> None:
        if len(values) < 2:
            shown = values[0] if values and isinstance(values[0], list | tuple) else (1, 2)
            raise ParameterError(
                f"A choice needs at least two values; there are {len(values)}.",
                hint=f"Give them one by one: Choice({', '.join(map(repr, shown))}).",
            )
        object.__setattr__(self, "values", values)
        seen = set()
        for label in self.labels():
            if isinstance(label, float) and not math.isfinite(label):
                raise ParameterError(f"{label} cannot be chosen: it is not a finite number.")
            if (type(label), label) in seen:
                raise ParameterError(f"Two of the values look the same: {label!r}.")
            seen.add((type(label), label))

    def draw(self, rng: np.random.Generator) -> Any:
        """Return the label of a random value."""
        return self.labels()[int(rng.integers(len(self.values)))]

    def labels(self) -> tuple[Any, ...]:
        """Return the labels of the values, in their order."""
        return tuple(map(label_of, self.values))

    def value(self, label: Any) -> Any:
        """Return the value that has this label."""
        return next(v for v in self.values if _same(label_of(v), label))

    def contains(self, label: Any) -> bool:
        """Tell whether a value has this label."""
        return any(_same(known, label) for known in self.labels())

    def __eq__(self, other: object) -> bool:
        """Tell whether ``other`` is a choice of the same labels in the same order."""
        return isinstance(other, Choice) and repr(self) == repr(other)

    def __hash__(self) -> int:
        """Return a hash of the labels."""
        return hash(repr(self))

    def __repr__(self) -> str:
        """Return the call that makes it."""
        texts = (repr(v) if type(v) in _PLAIN else str(label_of(v)) for v in self.values)
        return f"Choice({', '.join(texts)})"


def _too_many(domain: Domain) -> ParameterError:
    return ParameterError(
        f"{domain!r} has too many values for a grid.",
        hint="List those to try: Choice(1, 10, 100).",
    )


def _same(label: Any, other: Any) -> bool:
    return type(label) is type(other) and bool(label == other)
