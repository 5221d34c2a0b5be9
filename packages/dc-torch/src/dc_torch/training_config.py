"""``TrainingConfig``: how a model is trained and run, as plain values that are stored with it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from typing import Any, Literal, Self, TypedDict

import torch

from dc_core import check_count, check_names
from dc_core.errors import ParameterError, UnknownParameter
from dc_torch.devices import resolve_device
from dc_torch.losses import LOSSES, Loss
from dc_torch.optimizers import OPTIMIZERS
from dc_torch.plain import plain
from dc_torch.schedules import SCHEDULES, Schedule, make_schedule


class TrainingOptions(TypedDict, total=False):
    """The options of :class:`TrainingConfig`, for constructors that pass them on."""

    loss: str
    optimizer: str
    optimizer_options: Mapping[str, Any]
    learning_rate: float
    learning_rate_factors: Mapping[str, float]
    freeze: Sequence[str]
    unfreeze_after: int | None
    schedule: str
    schedule_options: Mapping[str, Any]
    batch_size: int
    epochs: int
    patience: int | None
    gradient_clip: float | None
    precision: Literal["auto", "float32", "bf16-mixed"]
    input_dtype: str | None
    seed: int
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is trained and run, as plain values; all names come from closed sets.

    Raises :class:`ParameterError`, naming the option and its possible values.
    """

    loss: str = "mse"
    """``mse``, ``mae``, ``huber``, ``bce`` (on logits) or ``cross_entropy`` (on logits)."""

    optimizer: str = "adam"
    """``adam``, ``adamw``, ``sgd``, ``rmsprop`` or ``adagrad``."""

    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    """Other arguments of the torch optimizer: ``{"weight_decay": 1e-4}``."""

    learning_rate: float = 1e-3
    """The learning rate, before the schedule's factor."""

    learning_rate_factors: Mapping[str, float] = field(default_factory=dict)
    """Other learning rates for some parameters: ``{"layers.0.*": 0.1}`` is a tenth for these.

    The keys are patterns (:mod:`fnmatch`) of names in the module's state dict; the first that
    matches counts.
    """

    freeze: Sequence[str] = ()
    """Patterns of parameters and buffers that training does not change: ``("layers.0.*",)``.

    A submodule with a frozen buffer, such as a batch norm with frozen statistics, runs in
    evaluation mode.
    """

    unfreeze_after: int | None = None
    """The number of epochs after which frozen parameters are trained too; None means never."""

    schedule: str = "constant"
    """``constant``, ``linear``, ``cosine``, ``exponential`` or ``plateau``."""

    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the schedule's class in :mod:`dc_torch.schedules`: ``{"warmup": 0.1}``."""

    batch_size: int = 64
    """Rows per step, and per call of the module in prediction."""

    epochs: int = 100
    """The number of passes over all rows; schedules span them."""

    patience: int | None = None
    """Stop after this many epochs without a better validation loss; None never stops early."""

    gradient_clip: float | None = None
    """The maximum norm of the gradient; larger gradients are scaled down."""

    precision: Literal["auto", "float32", "bf16-mixed"] = "auto"
    """Precision of training: ``auto`` is ``bf16-mixed`` on GPUs that have bfloat16."""

    input_dtype: str | None = None
    """The dtype that X is converted to (``int64`` for tokens); None is that of the module."""

    seed: int = 0
    """Seed for shuffling, dropout and initial weights."""

    device: str = "auto"
    """A torch device; ``auto`` is a GPU if there is one."""

    def __post_init__(self) -> None:
        for each in fields(self):
            object.__setattr__(self, each.name, plain(getattr(self, each.name)))
        check_choice("loss", self.loss, LOSSES)
        check_choice("optimizer", self.optimizer, OPTIMIZERS)
        check_choice("precision", self.precision, ("auto", "float32", "bf16-mixed"))
        for option in ("learning_rate_factors", "optimizer_options", "schedule_options"):
            value = getattr(self, option)
            if not isinstance(value, dict):
                raise ParameterError(f"{option}={value!r} must map names to values.")
        check_choice("schedule", self.schedule, SCHEDULES)
        make_schedule(self.schedule, self.schedule_options)
        check_positive("learning_rate", self.learning_rate)
        check_names("freeze", self.freeze)
        object.__setattr__(self, "freeze", tuple(self.freeze))
        patterns: tuple[object, ...] = (*self.freeze, *self.learning_rate_factors)
        for pattern in patterns:
            if not isinstance(pattern, str) or not pattern:
                raise ParameterError(
                    f"{pattern!r} is not a pattern of names.",
                    hint="Give names of the state dict, with * for any text: 'layers.0.*'.",
                )
        for pattern, factor in self.learning_rate_factors.items():
            check_positive(f"learning_rate_factors[{pattern!r}]", factor)
        for option in ("batch_size", "epochs", "patience", "unfreeze_after"):
            if option in ("batch_size", "epochs") or getattr(self, option) is not None:
                check_count(option, getattr(self, option), minimum=1)
        check_count("seed", self.seed, minimum=0, maximum=2**63 - 1)
        if self.gradient_clip is not None:
            check_positive("gradient_clip", self.gradient_clip)
        if self.input_dtype is not None:
            named: object = self.input_dtype
            dtype = vars(torch).get(named) if isinstance(named, str) else None
            if not isinstance(dtype, torch.dtype):
                raise ParameterError(
                    f"input_dtype={self.input_dtype!r} is not a torch dtype.",
                    hint="Use a name such as 'float32' or 'int64'.",
                )
        self.resolve_device()

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
                    hint=f"{guess}The options are: {', '.join(known)}.",
                )
        return cls(**options)

    def options(self) -> dict[str, Any]:
        """Return every option with its value, sorted by name; the inverse of :meth:`of`."""
        values = {name: getattr(self, name) for name in sorted(each.name for each in fields(self))}
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}

    def loss_function(self) -> Loss:
        """Return the loss that :attr:`loss` names."""
        return LOSSES[self.loss]

    def make_schedule(self) -> Schedule:
        """Return the schedule that :attr:`schedule` names, with its options."""
        return make_schedule(self.schedule, self.schedule_options)

    def resolve_device(self) -> torch.device:
        """Return the device to work on; raises :class:`ParameterError` if the machine lacks it."""
        return resolve_device(self.device)

    def is_mixed(self, device: torch.device) -> bool:
        """Return whether training on ``device`` uses mixed precision."""
        if self.precision == "auto":
            return device.type == "cuda" and torch.cuda.is_bf16_supported()
        return self.precision == "bf16-mixed"


def check_choice(option: str, value: object, among: Collection[str]) -> None:
    """Raise :class:`ParameterError` unless ``value`` is one of the names in ``among``."""
    if not isinstance(value, str) or value not in among:
        raise ParameterError(
            f"{option}={value!r} is not known.", hint=f"Use one of {', '.join(map(repr, among))}."
        )


def check_positive(option: str, value: Any) -> None:
    """Raise :class:`ParameterError` unless ``value`` is a positive, finite number."""
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or not 0 < value < float("inf")
    ):
        raise ParameterError(f"{option}={value!r} must be a positive number.")
