"""Losses: the loss of each label, and the prediction that an output stands for.

A network's output is ``(b, tasks)``, or ``(b, tasks, k)``: logits of classes, quantiles, a mean and
a variance. With a single task that axis may be left out. Losses are chosen by name from a closed
table, or are the user's own: a registered subclass of :class:`Loss`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import inf, pi
from typing import Any, Final, TypeAlias

import numpy as np

from dc_core import Component, plain
from dc_core.errors import DatasetError, ParameterError, Unsupported
from dc_tensorflow.frameworks import tf

Tensor: TypeAlias = Any
"""A ``tf.Tensor``, eager or of a graph."""

LossFunction: TypeAlias = Callable[[Tensor, Tensor], Tensor]
"""A function of outputs and labels, ``(b, tasks)``, that returns the loss of each label."""


class Loss(Component, ABC):
    """A loss: its value for each label, and how outputs become predictions.

    A loss of your own is a subclass that writes :meth:`elementwise`. Registered with
    ``@dc_core.register_component("mylab/MyLoss")``, it is stored with the model, by that name and
    the arguments of its constructor.
    """

    axes: int = 2
    """The number of axes of an output: rows, tasks and, for some losses, a third one."""

    predicts_classes: bool = False
    """Whether the predictions are probabilities of classes."""

    @property
    def outputs(self) -> int | None:
        """The size of the third axis of an output; None if there is none, or any will do."""
        return None

    @abstractmethod
    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each label, ``(b, tasks)``, for labels ``y`` of that shape.

        Labels that are missing are 0; what is returned for them has to be finite, and does not
        count.
        """

    def weighted_sum(self, output: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """Return the sum of the losses of the labels times their weights ``w``, ``(b, tasks)``.

        Training divides ``w`` by its sum before, so the sum must grow in proportion to the weights.
        A missing label has weight 0.

        Raises :class:`ParameterError` if :meth:`elementwise` does not return a loss for each label.
        """
        return tf.reduce_sum(self._losses_of_labels(output, y) * w)

    def _losses_of_labels(self, output: Tensor, y: Tensor) -> Tensor:
        losses: Any = self.elementwise(output, y)
        if not tf.is_tensor(losses) or not losses.shape.is_compatible_with(y.shape):
            found = tuple(losses.shape) if tf.is_tensor(losses) else type(losses).__name__
            raise ParameterError(
                f"The loss {self.call_text()} returned {found} for labels of shape "
                f"{tuple(y.shape)}; it must return the loss of each label.",
                hint="Do not take the mean: losses of Keras have reduction='none' for that.",
            )
        return losses

    def predictions(self, output: Tensor) -> Tensor:
        """Return the predictions for an output: values, or probabilities of classes."""
        return output

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return the predicted means, ``(n, tasks)``, and their standard deviations.

        Raises :class:`Unsupported` for a loss that does not learn deviations.
        """
        raise Unsupported(
            f"The loss {self.call_text()} learns no standard deviations.",
            hint="Train with loss='mean_variance', or use an ensemble.",
        )

    def quantiles_of(self, output: Tensor) -> Tensor:
        """Return the predicted quantiles, ``(n, tasks, quantiles)``.

        Raises :class:`Unsupported` for a loss that does not learn quantiles.
        """
        raise Unsupported(
            f"The loss {self.call_text()} learns no quantiles.",
            hint="Train with loss='quantile', loss_options={'quantiles': [0.1, 0.5, 0.9]}.",
        )

    def with_tasks(self, output: object) -> Tensor:
        """Return ``output`` with an axis for the tasks; a network with one task may leave it out.

        Raises :class:`ParameterError` if ``output`` is not a tensor, and :class:`DatasetError` if
        it has another number of :attr:`outputs` per task.
        """
        if not tf.is_tensor(output):
            raise ParameterError(
                f"The network's output is a {type(output).__name__}; it must be a tensor.",
                hint="Wrap it in a model that returns only the predictions.",
            )
        tensor: Tensor = output
        if tensor.shape.rank == self.axes - 1:
            tensor = tf.expand_dims(tensor, 1)
        if self.outputs is not None and (self.axes, self.outputs) != (
            tensor.shape.rank,
            tensor.shape[-1],
        ):
            raise DatasetError(
                f"The network's output has shape {tuple(tensor.shape)}; the loss "
                f"{self.call_text()} needs (rows, tasks, {self.outputs}).",
                hint="Give the network that many outputs per task.",
            )
        return tensor

    def check(self, shape: Sequence[int | None], y: np.ndarray, labelled: np.ndarray) -> None:
        """Raise :class:`DatasetError` unless an output of ``shape`` matches the labels ``y``.

        ``y`` is a NumPy array ``(b, tasks)``; ``labelled`` says which of its entries are labels.
        """
        if len(shape) != self.axes or shape[1] != y.shape[1]:
            third = "classes" if self.predicts_classes else "outputs"
            wanted = ("rows", "tasks", third)[: self.axes]
            raise DatasetError(
                f"The network's output has shape {tuple(shape)}, the labels {y.shape}.",
                hint=f"The axes must be ({', '.join(wanted)}): change the network or the loss.",
            )


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error."""

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the squared error of each label."""
        return (output - y) ** 2


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Absolute error; the best prediction is the median."""

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the absolute error of each label."""
        return tf.abs(output - y)


@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared error up to ``delta``, and linear in the error beyond (Huber 1964).

    doi:10.1214/aoms/1177703732.
    """

    delta: float = 1.0
    """In the units of the labels."""

    def __post_init__(self) -> None:
        _require(self.delta, "delta", above=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each label."""
        error = tf.abs(output - y)
        near = tf.minimum(error, self.delta)  # no square of a large error, whose gradient is 0·∞
        return near**2 / 2 + self.delta * (error - near)


@dataclass(frozen=True)
class MeanVariance(Loss):
    """Negative log-likelihood of a normal distribution (Nix and Weigend 1994).

    doi:10.1109/ICNN.1994.374138. The two outputs of a task are the mean and a number whose softplus
    is the variance, which is at least ``minimum_variance``, in squared units of the labels. The
    predictions are the means.
    """

    minimum_variance: float = 1e-6

    axes = 3

    def __post_init__(self) -> None:
        _require(self.minimum_variance, "minimum_variance", above=0)

    @property
    def outputs(self) -> int:
        """Two: the mean and the variance."""
        return 2

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the negative log-likelihood of each label."""
        mean, variance = self._moments(output)
        return (tf.math.log(2 * pi * variance) + (y - mean) ** 2 / variance) / 2

    def predictions(self, output: Tensor) -> Tensor:
        """Return the means."""
        return output[..., 0]

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and the standard deviations."""
        mean, variance = self._moments(output)
        return mean, tf.sqrt(variance)

    def _moments(self, output: Tensor) -> tuple[Tensor, Tensor]:
        variance = tf.math.softplus(output[..., 1]) + self.minimum_variance
        return output[..., 0], variance


@dataclass(frozen=True)
class Quantile(Loss):
    """Mean of the pinball losses of several quantiles (Koenker and Bassett 1978).

    doi:10.2307/1913643. A task has one output for each of the ``quantiles``, which rise and are
    between 0 and 1. The prediction is the median, which has to be among them; if there is one
    quantile only, it is that. Predicted quantiles are sorted, so that they never cross
    (Chernozhukov, Fernández-Val and Galichon 2010, doi:10.3982/ECTA7880).
    """

    quantiles: Sequence[float] = (0.1, 0.5, 0.9)

    axes = 3

    def __post_init__(self) -> None:
        given: Any = self.quantiles
        values = given.tolist() if isinstance(given, np.ndarray) else given
        if isinstance(values, str) or not isinstance(values, Sequence) or len(values) == 0:
            raise ParameterError(
                f"quantiles={given!r} must be a list of numbers.", hint="Give [0.1, 0.5, 0.9]."
            )
        for value in values:
            _require(value, "quantiles", above=0, below=1)
        object.__setattr__(self, "quantiles", tuple(values))
        if sorted(set(values)) != list(values):
            raise ParameterError(f"quantiles={list(values)} must rise.")
        if len(values) > 1 and 0.5 not in values:
            raise ParameterError(
                f"quantiles={list(values)} lack 0.5: the prediction is the median.",
                hint="Add 0.5, or give a single quantile, which is then the prediction.",
            )

    @property
    def outputs(self) -> int:
        """The number of quantiles."""
        return len(self.quantiles)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the mean pinball loss of each label."""
        error = y[..., None] - output
        levels = tf.constant(self.quantiles, output.dtype)
        return tf.reduce_mean(tf.maximum(levels * error, (levels - 1) * error), axis=-1)

    def predictions(self, output: Tensor) -> Tensor:
        """Return the medians, or the only quantile."""
        place = self.quantiles.index(0.5) if self.outputs > 1 else 0
        return self.quantiles_of(output)[..., place]

    def quantiles_of(self, output: Tensor) -> Tensor:
        """Return the quantiles of each row and task, in rising order."""
        return tf.sort(output, axis=-1)


class _Binary(Loss):
    """A loss on one logit per task."""

    predicts_classes = True

    def predictions(self, output: Tensor) -> Tensor:
        """Return the probabilities of the classes 0 and 1, ``(n, tasks, 2)``."""
        return tf.stack((tf.sigmoid(-output), tf.sigmoid(output)), axis=-1)

    def check(self, shape: Sequence[int | None], y: np.ndarray, labelled: np.ndarray) -> None:
        """Check the shapes, and that labels are in [0, 1]."""
        super().check(shape, y, labelled)
        wrong = labelled & ~((y >= 0) & (y <= 1))
        if wrong.any():
            raise DatasetError(
                f"The label {y[wrong][0]:g} is not in [0, 1].",
                hint="The loss takes labels 0 and 1, or probabilities; a missing one is NaN.",
            )


@dataclass(frozen=True)
class BinaryCrossEntropy(_Binary):
    """Cross entropy of one logit per task; labels are 0 or 1, or probabilities.

    ``label_smoothing`` moves them by that fraction of the way to 1/2.
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        _require(self.label_smoothing, "label_smoothing", minimum=0, below=1)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        if self.label_smoothing:
            y = y + self.label_smoothing * (0.5 - y)
        return tf.nn.sigmoid_cross_entropy_with_logits(y, output)


@dataclass(frozen=True)
class BinaryFocal(_Binary):
    """Focal loss of one logit per task; labels are 0 or 1, or probabilities.

    The cross entropy, times the ``gamma``-th power of the probability of the other class: what is
    right already counts less (Lin and others 2017, doi:10.1109/ICCV.2017.324). Their α is a
    ``class_weight``.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        _require(self.gamma, "gamma", minimum=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the focal loss of each label."""
        # Powers of logarithms: 0 ** gamma would have an infinite slope for gamma < 1.
        one, zero = tf.math.log_sigmoid(output), tf.math.log_sigmoid(-output)
        losses = y * tf.exp(self.gamma * zero) * one
        return -(losses + (1 - y) * tf.exp(self.gamma * one) * zero)


class _Multiclass(Loss):
    """A loss on one logit per class; labels are the numbers of the classes."""

    axes = 3
    predicts_classes = True

    def predictions(self, output: Tensor) -> Tensor:
        """Return the classes' probabilities, ``(n, tasks, classes)``."""
        return tf.nn.softmax(output, axis=-1)

    def check(self, shape: Sequence[int | None], y: np.ndarray, labelled: np.ndarray) -> None:
        """Check the shapes, and that labels are numbers of classes."""
        super().check(shape, y, labelled)
        classes = shape[-1] or 0
        wrong = labelled & ~((y >= 0) & (y < classes) & (y == np.floor(y)))
        if wrong.any():
            raise DatasetError(
                f"The label {y[wrong][0]:g} is not the number of one of {classes} classes.",
                hint=f"Labels are integers from 0 to {classes - 1}, and a missing one is NaN; for "
                "more classes, give the network more outputs.",
            )


@dataclass(frozen=True)
class CrossEntropy(_Multiclass):
    """Cross entropy of one logit per class; labels are the numbers of the classes.

    ``label_smoothing`` is the fraction of the probability that is shared by all classes (Szegedy
    and others 2016, doi:10.1109/CVPR.2016.308).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        _require(self.label_smoothing, "label_smoothing", minimum=0, below=1)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        chances = tf.nn.log_softmax(output, axis=-1)
        losses = -tf.gather(chances, tf.cast(y, tf.int32), axis=-1, batch_dims=2)
        if not self.label_smoothing:
            return losses
        even = -tf.reduce_mean(chances, axis=-1)
        return (1 - self.label_smoothing) * losses + self.label_smoothing * even


@dataclass(frozen=True)
class Focal(_Multiclass):
    """Focal loss of one logit per class; labels are the numbers of the classes.

    See :class:`BinaryFocal`.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        _require(self.gamma, "gamma", minimum=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the focal loss of each label."""
        chances = tf.nn.log_softmax(output, axis=-1)
        labels = tf.cast(y, tf.int32)
        is_label = tf.one_hot(labels, tf.shape(output)[-1], on_value=True, off_value=False)
        lowest = tf.constant(-1e9, output.dtype)  # gradients of -inf would be NaN
        others = tf.reduce_logsumexp(tf.where(is_label, lowest, chances), axis=-1)
        own = tf.gather(chances, labels, axis=-1, batch_dims=2)
        return -tf.exp(self.gamma * others) * own


@dataclass(frozen=True)
class PairwiseLogistic(Loss):
    """Learns the order of the labels of a task, from all pairs of them in a batch.

    For two rows whose labels differ by more than ``minimum_difference``, such as the error of the
    measurement, the loss is ``log(1 + exp(-d))``, with d the output of the row with the higher
    label minus that of the other (RankNet: Burges and others 2005, doi:10.1145/1102351.1102363).
    The loss of a label is the mean over its pairs, with the weights of the other labels; without
    any pair it is 0. Rows of different batches are not compared, nor those of different parts of a
    batch that is divided among processes or by ``accumulate``. Nor are labels of different tasks:
    measurements that cannot be compared, as those of two assays, belong in two tasks.

    Predictions are scores, of which only the order has a meaning. Memory and time per batch grow
    with the square of its rows.
    """

    minimum_difference: float = 0.0

    def __post_init__(self) -> None:
        _require(self.minimum_difference, "minimum_difference", minimum=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each label if all have the same weight."""
        return self._losses(output, y, tf.ones_like(output))

    def weighted_sum(self, output: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """Return the sum of the losses of the labels times their weights."""
        return tf.reduce_sum(self._losses(output, y, w) * w)

    def _losses(self, output: Tensor, y: Tensor, w: Tensor) -> Tensor:
        difference = y[:, None] - y  # (b, b, tasks)
        counts = tf.abs(difference) > self.minimum_difference
        weights = w * tf.cast(counts, output.dtype)
        losses = tf.math.softplus(-tf.sign(difference) * (output[:, None] - output))
        totals = tf.reduce_sum(weights, axis=1)
        sums = tf.reduce_sum(weights * losses, axis=1)
        return sums / tf.where(totals > 0, totals, tf.ones_like(totals))


class FunctionLoss(Loss):
    """The loss that a plain function returns; it trains, and cannot be stored."""

    def __init__(self, function: LossFunction) -> None:
        self.function = function

    def call_text(self) -> str:
        """Return the function's name."""
        return getattr(self.function, "__name__", repr(self.function))

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return what the function returns."""
        return self.function(output, y)


LOSSES: Final[Mapping[str, type[Loss]]] = {
    "mse": MeanSquaredError,
    "mae": MeanAbsoluteError,
    "huber": Huber,
    "mean_variance": MeanVariance,
    "quantile": Quantile,
    "pairwise_logistic": PairwiseLogistic,
    "bce": BinaryCrossEntropy,
    "binary_focal": BinaryFocal,
    "cross_entropy": CrossEntropy,
    "focal": Focal,
}
"""The losses that a config can name."""


def make_loss(loss: Any, options: Mapping[str, Any]) -> Loss:
    """Return ``loss``: made from its name and ``options``, as it is, or around a function.

    Raises :class:`ParameterError` for anything else, for options that it does not have, and for
    options of what is no name.
    """
    if isinstance(loss, str):
        if loss not in LOSSES:
            raise _unknown(loss)
        return LOSSES[loss](**options) if options else _default(loss)
    if options:
        raise ParameterError(
            f"loss_options are for losses by name; {loss!r} has its own arguments.",
            hint="Give them to its constructor: loss=MyLoss(margin=0.2).",
        )
    if isinstance(loss, Loss):
        return loss
    if not callable(loss) or isinstance(loss, type):
        raise _unknown(loss)
    return FunctionLoss(loss)


@lru_cache
def _default(name: str) -> Loss:
    """Return the loss ``name`` with its defaults; every prediction asks for it."""
    return LOSSES[name]()


def _unknown(loss: Any) -> ParameterError:
    if isinstance(loss, type) and issubclass(loss, Loss):
        return ParameterError(
            f"loss={loss.__name__} is a class.", hint=f"Make an instance: {loss.__name__}()."
        )
    return ParameterError(
        f"loss={loss!r} is not known.",
        hint=f"Use one of {', '.join(map(repr, LOSSES))}, or an instance of your own subclass of "
        "dc_tensorflow.Loss.",
    )


def _require(
    value: Any, name: str, *, above: float = -inf, minimum: float = -inf, below: float = inf
) -> None:
    """Raise :class:`ParameterError` unless ``value`` is a number in the range."""
    number = plain(value)
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not (above < number < below and number >= minimum)
    ):
        bounds = [
            text
            for text, bound in (
                (f"greater than {above:g}", above),
                (f"at least {minimum:g}", minimum),
                (f"less than {below:g}", below),
            )
            if abs(bound) != inf
        ]
        raise ParameterError(f"{name}={value!r} must be a number {' and '.join(bounds)}.")
