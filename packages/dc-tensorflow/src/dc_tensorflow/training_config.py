"""``TrainingConfig``: how a network is trained and run, as plain values that are stored with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from dc_core import training
from dc_core.errors import ParameterError
from dc_tensorflow.frameworks import tf
from dc_tensorflow.losses import Loss, LossFunction, make_loss
from dc_tensorflow.optimizers import OptimizerChoice, make_optimizer, named_optimizer


class TrainingOptions(training.TrainingOptions, total=False):
    """The options of :class:`TrainingConfig`, for constructors that pass them on."""

    loss: str | Loss | LossFunction
    loss_options: Mapping[str, Any]
    optimizer: OptimizerChoice
    optimizer_options: Mapping[str, Any]
    input_dtype: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingConfig(training.TrainingConfig):
    """How a network is trained and run: the options of every trainer, and those of Keras.

    Precision is that of the layers (``dtype="mixed_bfloat16"``), and layers whose ``trainable`` is
    False are not trained. Raises :class:`ParameterError`, naming the option and its possible
    values.
    """

    loss: str | Loss | LossFunction = "mse"
    """``mse``, ``mae``, ``huber``, ``mean_variance``, ``quantile``, ``pairwise_logistic``; on
    logits ``bce``, ``binary_focal``, ``cross_entropy``, ``focal``; or your own: an instance of a
    registered subclass of :class:`dc_tensorflow.Loss`. See :mod:`dc_tensorflow.losses`.

    A function of outputs and labels, ``(b, tasks)``, that returns the loss of each label trains a
    model that cannot be stored. Losses that layers add, such as those of regularizers, are added.
    """

    loss_options: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of a loss by name: ``{"label_smoothing": 0.1}``."""

    optimizer: OptimizerChoice = "adam"
    """``adam``, ``adamw``, ``sgd``, ``nadam``, ``rmsprop``, ``adagrad``, ``adadelta``, ``adamax``,
    ``adafactor``, ``ftrl``, ``lamb``, ``lion``, or your own: a registered subclass of
    :class:`keras.Optimizer`, or its name.

    A class that is not registered trains a model that cannot be stored.
    """

    optimizer_options: Mapping[str, Any] = field(default_factory=dict)
    """Other arguments of the Keras optimizer: ``{"weight_decay": 1e-4}``."""

    input_dtype: str | None = None
    """The dtype that X is converted to (``int32`` for tokens); None is that of the network's input.
    """

    def __post_init__(self) -> None:
        training.TrainingConfig.__post_init__(self)
        self.loss_function()
        object.__setattr__(self, "optimizer", named_optimizer(self.optimizer))
        make_optimizer(self.optimizer, self.learning_rate, self.optimizer_options)
        if self.input_dtype is not None:
            try:
                tf.as_dtype(self.input_dtype)
            except TypeError as error:
                raise ParameterError(
                    f"input_dtype={self.input_dtype!r} is not a dtype of TensorFlow.",
                    hint="Use a name such as 'float32' or 'int32'.",
                ) from error

    def loss_function(self) -> Loss:
        """Return the loss that :attr:`loss` names or is."""
        return make_loss(self.loss, self.loss_options)
