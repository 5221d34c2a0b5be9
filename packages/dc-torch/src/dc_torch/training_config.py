"""``TrainingConfig``: how a module is trained and run, as plain values that are stored with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final, Literal

import torch
from torch import nn

from dc_core import check_choice, check_count, check_names, check_positive, training
from dc_core.errors import ParameterError
from dc_torch.compilation import MODES, CompileMode
from dc_torch.devices import resolve_device
from dc_torch.losses import Loss, LossFunction, make_loss
from dc_torch.optimizers import OptimizerChoice, named_optimizer
from dc_torch.process_group import place

MACHINE: Final = ("compile", "device", "devices", "strategy")
"""The options that belong to the machine, and are not stored with a model."""

_PRECISIONS: Final[Mapping[str, torch.dtype | None]] = {
    "auto": None,
    "float32": None,
    "bf16-mixed": torch.bfloat16,
    "fp16-mixed": torch.float16,
}


class TrainingOptions(training.TrainingOptions, total=False):
    """The options of :class:`TrainingConfig`, for constructors that pass them on."""

    loss: str | Loss | LossFunction
    loss_options: Mapping[str, Any]
    optimizer: OptimizerChoice
    optimizer_options: Mapping[str, Any]
    learning_rate_factors: Mapping[str, float]
    weight_decay_factors: Mapping[str, float]
    freeze: Sequence[str]
    unfreeze_after: int | None
    precision: Literal["auto", "float32", "bf16-mixed", "fp16-mixed"]
    compile: bool | CompileMode
    input_dtype: str | None
    device: str
    devices: int
    strategy: Literal["auto", "ddp", "fsdp"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(training.TrainingConfig):
    """How a module is trained and run: the options of every trainer, and those of torch.

    Raises :class:`ParameterError`, naming the option and its possible values.
    """

    may_change = training.TrainingConfig.may_change.union(MACHINE)
    """The options that may be others when training is resumed."""

    loss: str | Loss | LossFunction = "mse"
    """``mse``, ``mae``, ``huber``, ``mean_variance``, ``quantile``, ``pairwise_logistic``; on
    logits ``bce``, ``binary_focal``, ``cross_entropy``, ``focal``; or your own: an instance of a
    registered subclass of :class:`dc_torch.Loss`. See :mod:`dc_torch.losses`.

    A function of outputs and labels, ``(b, tasks)``, that returns the loss of each label trains a
    model that cannot be stored.
    """

    loss_options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of a loss by name: ``{"label_smoothing": 0.1}``."""

    optimizer: OptimizerChoice = "adam"
    """``adam``, ``adamw``, ``sgd``, ``nadam``, ``radam``, ``rmsprop``, ``adagrad``, ``adadelta``,
    ``adamax``, or your own: a registered subclass of :class:`torch.optim.Optimizer`, or its name.

    A class that is not registered trains a model that cannot be stored.
    """

    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    """Other arguments of the torch optimizer: ``{"weight_decay": 1e-4}``."""

    learning_rate_factors: Mapping[str, float] = field(default_factory=dict)
    """Other learning rates for some parameters: ``{"layers.0.*": 0.1}`` is a tenth for these.

    The keys are patterns (:mod:`fnmatch`) of names in the module's state dict; the first that
    matches counts.
    """

    weight_decay_factors: Mapping[str, float] = field(default_factory=dict)
    """Other weight decays for some parameters: ``{"*.bias": 0, "norm.*": 0}`` is none for these.

    The keys are patterns as in :attr:`learning_rate_factors`.
    """

    freeze: Sequence[str] = ()
    """Patterns of parameters and buffers that training does not change: ``("layers.0.*",)``.

    A submodule with a frozen buffer, such as a batch norm with frozen statistics, runs in
    evaluation mode.
    """

    unfreeze_after: int | None = None
    """The number of epochs after which frozen parameters are trained too; None means never."""

    precision: Literal["auto", "float32", "bf16-mixed", "fp16-mixed"] = "auto"
    """Precision of training and its validation: ``auto`` is ``bf16-mixed`` on GPUs with bfloat16.

    Predictions have the module's own. With ``fp16-mixed`` the loss is scaled, so that small
    gradients are not 0 in float16. The scale is halved when a gradient overflows; that step is not
    applied, and training goes on.
    """

    compile: bool | CompileMode = False
    """Whether ``torch.compile`` compiles the module for training and its validation, or the mode.

    The modes are ``default``, ``reduce-overhead`` and ``max-autotune``, which use CUDA graphs, and
    ``max-autotune-no-cudagraphs``. Compiling takes from seconds to minutes, and once more for a
    batch of another size. It needs a C++ compiler on the CPU, and Triton on a GPU.
    """

    input_dtype: str | None = None
    """The dtype that X is converted to (``int64`` for tokens); None is that of the module."""

    device: str = "auto"
    """A torch device; ``auto`` is a GPU if there is one."""

    devices: int = 1
    """The number of processes that train together on each machine, each on a device of its own.

    ``batch_size`` is that of all of them together, so that losses do not depend on their number.
    """

    strategy: Literal["auto", "ddp", "fsdp"] = "auto"
    """How they share the training: with ``ddp`` each has all weights, with ``fsdp`` (PyTorch's
    ``fully_shard``) a part of the weights, gradients and moments. ``auto`` is ``ddp``.

    If it is not ``auto``, processes that a launcher has started train together with ``devices=1``
    too, one on each machine.
    """

    def __post_init__(self) -> None:
        training.TrainingConfig.__post_init__(self)
        if isinstance(self.loss, nn.Module):
            # As an argument it would be taken for a module that is trained and stored.
            object.__setattr__(self, "loss", partial(self.loss))
        self.loss_function()
        object.__setattr__(self, "optimizer", named_optimizer(self.optimizer))
        check_choice("precision", self.precision, tuple(_PRECISIONS))
        if not isinstance(self.compile, bool):
            check_choice("compile", self.compile, MODES)
        for option in ("learning_rate_factors", "weight_decay_factors"):
            if not isinstance(getattr(self, option), dict):
                raise ParameterError(
                    f"{option}={getattr(self, option)!r} must map patterns of names to numbers."
                )
        check_names("freeze", self.freeze)
        object.__setattr__(self, "freeze", tuple(self.freeze))
        patterns: tuple[object, ...] = (
            *self.freeze,
            *self.learning_rate_factors,
            *self.weight_decay_factors,
        )
        for pattern in patterns:
            if not isinstance(pattern, str) or not pattern:
                raise ParameterError(
                    f"{pattern!r} is not a pattern of names.",
                    hint="Give names of the state dict, with * for any text: 'layers.0.*'.",
                )
        for pattern, factor in self.learning_rate_factors.items():
            check_positive(f"learning_rate_factors[{pattern!r}]", factor)
        for pattern, factor in self.weight_decay_factors.items():
            if factor != 0:
                check_positive(f"weight_decay_factors[{pattern!r}]", factor)
        if self.unfreeze_after is not None:
            check_count("unfreeze_after", self.unfreeze_after, minimum=1)
            if not self.freeze:
                raise ParameterError(
                    "unfreeze_after is for frozen parameters, and freeze names none.",
                    hint="Give patterns of their names: freeze=['layers.0.*'].",
                )
        check_count("devices", self.devices, minimum=1)
        check_choice("strategy", self.strategy, ("auto", "ddp", "fsdp"))
        if self.compile is not False and self.strategy == "fsdp":
            raise ParameterError(
                "A module that is spread over processes is not compiled.",
                hint="Use compile=False with strategy='fsdp', or strategy='ddp'.",
            )
        if self.input_dtype is not None:
            named: object = self.input_dtype
            dtype = vars(torch).get(named) if isinstance(named, str) else None
            if not isinstance(dtype, torch.dtype):
                raise ParameterError(
                    f"input_dtype={self.input_dtype!r} is not a torch dtype.",
                    hint="Use a name such as 'float32' or 'int64'.",
                )
        self.resolve_device()

    def loss_function(self) -> Loss:
        """Return the loss that :attr:`loss` names or is."""
        return make_loss(self.loss, self.loss_options)

    def resolve_device(self) -> torch.device:
        """Return the device to work on; raises :class:`ParameterError` if the machine lacks it.

        Of processes that a launcher has started, each has a GPU of its own.
        """
        device = resolve_device(self.device)
        if self.is_parallel and str(device) == "cuda":
            found = place(self.devices)
            if found is not None:
                return torch.device("cuda", found.local_rank % torch.cuda.device_count())
        return device

    @property
    def is_parallel(self) -> bool:
        """Whether several processes train together, if there are several."""
        return self.devices > 1 or self.strategy != "auto"

    @property
    def is_sharded(self) -> bool:
        """Whether each of several processes holds a part of the weights during training."""
        return self.strategy == "fsdp" and (self.devices > 1 or place() is not None)

    def mixed_dtype(self, device: torch.device) -> torch.dtype | None:
        """Return the dtype of mixed precision in training on ``device``; None without."""
        if self.precision == "auto" and device.type == "cuda" and torch.cuda.is_bf16_supported():
            return torch.bfloat16
        return _PRECISIONS[self.precision]
