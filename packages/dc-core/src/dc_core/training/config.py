"""``TrainingConfig``: the options that every trainer has, as plain values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from difflib import get_close_matches
from functools import partial
from typing import Any, Final, Literal, Self, TypedDict

from dc_core.component import Component
from dc_core.errors import NotSerializable, ParameterError, UnknownParameter
from dc_core.parameters import check_choice, check_count, check_number, check_positive, plain
from dc_core.training.class_weights import ClassWeight, checked_class_weight
from dc_core.training.schedules import Schedule, make_schedule

_MEANT: Final[Mapping[str, str]] = {
    name: option
    for option, names in {
        "accumulate": "accumulate_grad_batches accumulation_steps gradient_accumulation_steps",
        "batch_size": "batch bs minibatch_size",
        "class_weight": "balanced class_weights pos_weight",
        "device": "cuda gpu use_gpu",
        "epochs": "epoch max_epochs max_iter n_epoch n_epochs nb_epoch num_epochs",
        "gradient_clip": "clip clip_grad_norm clip_norm clipnorm clipping grad_clip "
        "gradient_clip_val max_grad_norm max_norm",
        "gradient_clip_value": "clip_grad_value clip_value clipvalue",
        "input_dtype": "dtype",
        "learning_rate": "lr",
        "loss": "criterion loss_fn loss_function objective",
        "loss_options": "delta focal_gamma gamma huber_delta label_smoothing quantiles",
        "optimizer": "opt optim solver",
        "optimizer_options": "alpha amsgrad betas eps momentum nesterov weight_decay",
        "patience": "early_stop early_stopping early_stopping_patience n_iter_no_change",
        "precision": "amp bf16 fp16 mixed_precision",
        "schedule": "lr_schedule lr_scheduler scheduler",
        "schedule_options": "warmup",
        "seed": "random_seed random_state",
    }.items()
    for name in names.split()
}
"""The options that other libraries' names stand for; those of ``…_options`` are keys there."""

_OF_FIT: Final = frozenset({"callbacks", "metrics", "progress", "resume", "valid"})
"""The arguments of ``fit``."""


class TrainingOptions(TypedDict, total=False):
    """The options of :class:`TrainingConfig`, for constructors that pass them on."""

    learning_rate: float
    schedule: str | Schedule
    schedule_options: Mapping[str, Any]
    class_weight: ClassWeight
    batch_size: int
    accumulate: int
    gradient_clip: float | None
    gradient_clip_value: float | None
    epochs: int
    average: Literal["ema", "swa"] | None
    average_decay: float
    average_start: float
    monitor: str | None
    patience: int | None
    min_delta: float
    seed: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig:
    """How a model is trained, as plain values that are stored with it. A backend's adds its own.

    Raises :class:`ParameterError`, naming the option and its possible values.
    """

    may_change = frozenset({"accumulate", "epochs", "min_delta", "patience"})
    """The options that may be others when training is resumed."""

    learning_rate: float = 1e-3
    """The learning rate, before the schedule's factor."""

    schedule: str | Schedule = "constant"
    """A key of :data:`SCHEDULES` (``constant``, ``linear``, ``cosine``, ``one_cycle``, …), or your
    own: an instance of a registered subclass of :class:`Schedule`.
    """

    schedule_options: Mapping[str, Any] = field(default_factory=dict)
    """Fields of the schedule's class in :mod:`dc_core.training.schedules`: ``{"warmup": 0.1}``."""

    class_weight: ClassWeight = None
    """Factors of the weights of labels: ``[1, 5]`` for the classes 0 and 1, ``"balanced"`` for the
    same total weight of all classes of a task, or either by the name of the task:
    ``{"NR-AR": "balanced"}``.

    Balanced factors are learned from the labels and weights of the training data. The validation
    loss has the same factors; metrics have none.
    """

    batch_size: int = 64
    """Rows per step, and per call of the model in prediction, for which a backend may take more."""

    accumulate: int = 1
    """Into how many parts the rows of a step are divided, to fit the memory of a device.

    The gradient is that of all rows, up to rounding, also with missing labels and weights. Layers
    that depend on other rows, such as batch norm, random ones, such as dropout, and losses of pairs
    see one part at a time. Steps with fewer rows than :attr:`batch_size` have fewer parts.
    """

    gradient_clip: float | None = None
    """The maximum norm of the gradient; larger gradients are scaled down."""

    gradient_clip_value: float | None = None
    """The maximum of each component of the gradient, before its norm is clipped."""

    epochs: int = 100
    """The number of passes over all rows; schedules span them."""

    average: Literal["ema", "swa"] | None = None
    """An average of the weights, which is validated, kept and left instead of the last weights.

    ``ema`` is the exponential moving average over the steps, ``swa`` the mean over the ends of
    epochs. Statistics, such as those of a batch norm, are averaged likewise.
    """

    average_decay: float = 0.999
    """The share of ``ema`` that a step keeps; less in the first steps."""

    average_start: float = 0.75
    """The fraction of the epochs after which ``swa`` begins."""

    monitor: str | None = None
    """The result that early stopping, the best weights and the plateau schedule follow.

    It is ``loss``, ``valid_loss`` or the name of a metric that is passed to ``fit``. None is the
    validation loss; without validation rows, the plateau follows the training loss, and the last
    weights are kept.
    """

    patience: int | None = None
    """Stop after this many epochs without a better :attr:`monitor`; None never stops early."""

    min_delta: float = 0.0
    """What :attr:`patience` counts as better: an improvement by more than this."""

    seed: int = 0
    """Seed for shuffling, dropout and initial weights."""

    def __new__(cls, *unnamed: Any, **options: Any) -> Self:
        """Raise :class:`UnknownParameter` for an unknown option, naming the right one."""
        known = [each.name for each in fields(cls)]
        if unnamed:
            raise ParameterError(
                f"{cls.__name__} takes options by name alone.",
                hint=f"The options are: {', '.join(sorted(known))}.",
            )
        for name in options:
            if name not in known:
                raise UnknownParameter(
                    f"There is no option {name!r}.",
                    hint=f"{_guess(name, known)}The options are: {', '.join(sorted(known))}.",
                )
        return object.__new__(cls)

    def __post_init__(self) -> None:
        for each in fields(self):
            value = plain(getattr(self, each.name))
            if each.name.endswith("_options") and not (
                isinstance(value, dict) and all(isinstance(name, str) for name in value)
            ):
                raise ParameterError(f"{each.name}={value!r} must map names to values.")
            object.__setattr__(self, each.name, value)
        make_schedule(self.schedule, self.schedule_options)
        object.__setattr__(self, "class_weight", checked_class_weight(self.class_weight))
        check_positive("learning_rate", self.learning_rate)
        for option in ("batch_size", "accumulate", "epochs"):
            check_count(option, getattr(self, option), minimum=1)
        for option in ("gradient_clip", "gradient_clip_value"):
            if getattr(self, option) is not None:
                check_positive(option, getattr(self, option))
        if self.patience is not None:
            check_count("patience", self.patience, minimum=1)
        if self.average is not None:
            check_choice("average", self.average, ("ema", "swa"))
        for option in ("average_decay", "average_start"):
            check_number(option, getattr(self, option), minimum=0, below=1)
        if self.monitor is not None and not isinstance(self.monitor, str):
            raise ParameterError(
                f"monitor={self.monitor!r} must be a name, such as 'valid_loss' or 'roc_auc'."
            )
        if check_number("min_delta", self.min_delta, minimum=0) > 0 and self.patience is None:
            raise ParameterError(
                f"min_delta={self.min_delta!r} is for patience, which is None.",
                hint="Set patience to a number of epochs too. The plateau schedule has its own: "
                "schedule_options={'min_delta': ...}.",
            )
        check_count("seed", self.seed, minimum=0, maximum=2**63 - 1)

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> Self:
        """Make a config from options; raises :class:`UnknownParameter` for an unknown one."""
        return cls(**options)

    def options(self) -> dict[str, Any]:
        """Return every option with its value, sorted by name; the inverse of :meth:`of`."""
        values = {name: getattr(self, name) for name in sorted(each.name for each in fields(self))}
        return {name: dict(v) if isinstance(v, Mapping) else v for name, v in values.items()}

    def check_storable(self) -> None:
        """Raise :class:`NotSerializable` if an option is code, which is never stored.

        The error names the option, and says how to register a class.
        """
        for option, value in self.options().items():
            if isinstance(value, type):
                raise NotSerializable(
                    f"The {option} {value.__name__} is a class that is not registered.",
                    hint="Register it: @dc_core.register_component("
                    f"'<namespace>/{value.__name__}').",
                )
            if callable(value) and not isinstance(value, Component):
                function = value.func if isinstance(value, partial) else value
                name = getattr(function, "__name__", type(function).__name__)
                raise NotSerializable(
                    f"The {option} {name} is a function, and code is never stored.",
                    hint="Make it a class that is registered with "
                    "@dc_core.register_component('<namespace>/<Name>'), and pass an instance.",
                )

    def make_schedule(self) -> Schedule:
        """Return the schedule that :attr:`schedule` names, with its options."""
        return make_schedule(self.schedule, self.schedule_options)


def _guess(name: str, known: Sequence[str]) -> str:
    """Return what was meant by ``name``, one of the ``known`` options perhaps; empty if unknown."""
    if name in _OF_FIT:
        return f"It is an argument of fit: model.fit(dataset, {name}=...). "
    nearest = get_close_matches(name, known, n=1)
    option = _MEANT.get(name) or next(iter(nearest), "")
    if option not in known:
        return ""
    if option.endswith("_options") and name in _MEANT:
        return f"Did you mean {option}={{{name!r}: ...}}? "
    return f"Did you mean {option!r}? "
