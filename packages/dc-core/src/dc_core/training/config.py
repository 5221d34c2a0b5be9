"""``TrainingConfig``: the options that every trainer has, as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Self, TypedDict

from dc_core.errors import ParameterError, UnknownParameter
from dc_core.parameters import check_count, check_positive, plain
from dc_core.training.schedules import Schedule, make_schedule


class TrainingOptions(TypedDict, total=False):
    """The options of :class:`TrainingConfig`, for constructors that pass them on."""

    learning_rate: float
    schedule: str
    schedule_options: Mapping[str, Any]
    batch_size: int
    epochs: int
    patience: int | None
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is trained, as plain values that are stored with it. A backend's adds its own.

    Raises :class:`ParameterError`, naming the option and its possible values.
    """

    learning_rate: float = 1e-3
    """The learning rate, before the schedule's factor."""

    schedule: str = "constant"
    """A key of :data:`SCHEDULES`: ``constant``, ``linear``, ``cosine``, ``one_cycle``, …"""

    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the schedule's class in :mod:`dc_core.training.schedules`: ``{"warmup": 0.1}``."""

    batch_size: int = 64
    """Rows per step, and per call of the model in prediction."""

    epochs: int = 100
    """The number of passes over all rows; schedules span them."""

    patience: int | None = None
    """Stop after this many epochs without a better validation loss; None never stops early."""

    seed: int = 0
    """Seed for shuffling, dropout and initial weights."""

    def __post_init__(self) -> None:
        for each in fields(self):
            value = plain(getattr(self, each.name))
            if each.name.endswith("_options") and not isinstance(value, dict):
                raise ParameterError(f"{each.name}={value!r} must map names to values.")
            object.__setattr__(self, each.name, value)
        make_schedule(self.schedule, self.schedule_options)
        check_positive("learning_rate", self.learning_rate)
        for option in ("batch_size", "epochs"):
            check_count(option, getattr(self, option), minimum=1)
        if self.patience is not None:
            check_count("patience", self.patience, minimum=1)
        check_count("seed", self.seed, minimum=0, maximum=2**63 - 1)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Make a config from options; raises :class:`UnknownParameter` for an unknown one."""
        known = [each.name for each in fields(cls)]
        for name in options:
            if name not in known:
                nearest = get_close_matches(name, known, n=1)
                guess = f"Did you mean {nearest[0]!r}? " if nearest else ""
                raise UnknownParameter(
                    f"There is no option {name!r}.",
                    hint=f"{guess}The options are: {', '.join(sorted(known))}.",
                )
        return cls(**options)

    def options(self) -> dict[str, Any]:
        """Return every option with its value, sorted by name; the inverse of :meth:`of`."""
        values = {name: getattr(self, name) for name in sorted(each.name for each in fields(self))}
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}

    def make_schedule(self) -> Schedule:
        """Return the schedule that :attr:`schedule` names, with its options."""
        return make_schedule(self.schedule, self.schedule_options)
