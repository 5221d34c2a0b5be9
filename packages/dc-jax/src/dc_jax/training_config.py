"""``TrainingConfig``: how a module is trained and run, as plain values that are stored with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import jax
import numpy as np

from dc_core import check_names, check_positive, dtype_from_name, training
from dc_core.errors import NotSerializable, ParameterError
from dc_jax.devices import resolve_device
from dc_jax.losses import Loss, LossFunction, make_loss
from dc_jax.optimizers import OptimizerChoice, check_optimizer

MACHINE: Final = ("device",)
"""The options that belong to the machine, and are not stored with a model."""


class TrainingOptions(training.TrainingOptions, total=False):
    """The options of :class:`TrainingConfig`, for constructors that pass them on."""

    loss: str | Loss | LossFunction
    loss_options: Mapping[str, Any]
    optimizer: OptimizerChoice
    optimizer_options: Mapping[str, Any]
    learning_rate_factors: Mapping[str, float]
    freeze: Sequence[str]
    input_dtype: str | None
    device: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(training.TrainingConfig):
    """How a module is trained and run: the options of every trainer, and those of JAX.

    Raises :class:`ParameterError`, naming the option and its possible values.
    """

    may_change = training.TrainingConfig.may_change.union(MACHINE)
    """The options that may be others when training is resumed."""

    loss: str | Loss | LossFunction = "mse"
    """``mse``, ``mae``, ``huber``, ``mean_variance``, ``quantile``, ``pairwise_logistic``; on
    logits ``bce``, ``binary_focal``, ``cross_entropy``, ``focal``; or your own: an instance of a
    registered subclass of :class:`dc_jax.Loss`. See :mod:`dc_jax.losses`.

    A function of outputs and labels, ``(b, tasks)``, that returns the loss of each label trains a
    model that cannot be stored.
    """

    loss_options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of a loss by name: ``{"label_smoothing": 0.1}``."""

    optimizer: OptimizerChoice = "adam"
    """``adam``, ``adamw``, ``sgd``, ``nadam``, ``radam``, ``rmsprop``, ``adagrad``, ``adadelta``,
    ``adamax``, ``lamb``, ``lion``; or your own: an ``optax.GradientTransformation``, made with the
    learning rate 1, because the trainer multiplies the updates with the rate.

    A transformation of your own trains a model that cannot be stored.
    """

    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    """Other arguments of optax's optimizer: ``{"weight_decay": 1e-4}``."""

    learning_rate_factors: Mapping[str, float] = field(default_factory=dict)
    """Other learning rates for some parameters: ``{"layers.0.*": 0.1}`` is a tenth for these.

    The keys are patterns (:mod:`fnmatch`) of native names; the first that matches counts.
    """

    freeze: Sequence[str] = ()
    """Patterns of parameters and statistics that training does not change: ``("layers.0.*",)``."""

    input_dtype: str | None = None
    """The dtype that X is converted to (``int32`` for tokens); None is that of the module."""

    device: str = "auto"
    """A device, such as ``cpu``, ``gpu`` or ``gpu:1``; ``auto`` is JAX's default."""

    def __post_init__(self) -> None:
        training.TrainingConfig.__post_init__(self)
        self.loss_function()
        check_optimizer(self.optimizer, self.optimizer_options)
        if not isinstance(self.learning_rate_factors, dict):
            raise ParameterError(
                f"learning_rate_factors={self.learning_rate_factors!r} must map patterns of names "
                "to numbers."
            )
        check_names("freeze", self.freeze)
        object.__setattr__(self, "freeze", tuple(self.freeze))
        patterns: tuple[object, ...] = (*self.freeze, *self.learning_rate_factors)
        for pattern in patterns:
            if not isinstance(pattern, str) or not pattern:
                raise ParameterError(
                    f"{pattern!r} is not a pattern of names.",
                    hint="Give native names, with * for any text: 'layers.0.*'.",
                )
        for pattern, factor in self.learning_rate_factors.items():
            check_positive(f"learning_rate_factors[{pattern!r}]", factor)
        self.resolve_input_dtype()
        self.resolve_device()

    def loss_function(self) -> Loss:
        """Return the loss that :attr:`loss` names or is."""
        return make_loss(self.loss, self.loss_options)

    def resolve_input_dtype(self) -> np.dtype[Any] | None:
        """Return the dtype that :attr:`input_dtype` names, in JAX's precision; None if it is None.

        Raises :class:`ParameterError` if it is not the name of a dtype.
        """
        if self.input_dtype is None:
            return None
        name: object = self.input_dtype
        try:
            dtype = dtype_from_name(name if isinstance(name, str) else "")
        except ParameterError as error:
            raise ParameterError(
                f"input_dtype={name!r} is not a dtype.",
                hint="Use a name such as 'float32' or 'int32'.",
            ) from error
        canonical: np.dtype[Any] = np.dtype(jax.dtypes.canonicalize_dtype(dtype))
        return canonical

    def resolve_device(self) -> jax.Device:
        """Return the device to work on; raises :class:`ParameterError` if the machine lacks it."""
        return resolve_device(self.device)

    def check_storable(self) -> None:
        """Raise :class:`NotSerializable` if an option is code, which is never stored."""
        training.TrainingConfig.check_storable(self)
        if not isinstance(self.optimizer, str):
            raise NotSerializable(
                "The optimizer is a transformation of optax, which consists of functions, and code "
                "is never stored.",
                hint="Choose one by name, with optimizer_options.",
            )
