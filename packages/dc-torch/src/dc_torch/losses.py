"""Losses: the loss of each label, and the prediction that an output stands for.

A module's output is ``(b, tasks)``, or ``(b, tasks, k)``: logits of classes, quantiles, a mean and
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
import torch
from torch import Tensor
from torch.nn import functional

from dc_core import Component, check_number, guess
from dc_core.errors import DatasetError, ParameterError, Unsupported

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
        return (self._losses_of_labels(output, y) * w).sum()

    def backward(self, output: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """Compute the gradients of :meth:`weighted_sum`, and return it without its graph.

        Raises :class:`ParameterError` if there is nothing to compute the gradients of.
        """
        if type(self).weighted_sum is not Loss.weighted_sum:
            total = _differentiable(self.weighted_sum(output, y, w))
            total.backward()  # type: ignore[no-untyped-call]
            return total.detach()
        losses = _differentiable(self._losses_of_labels(output, y))
        # The product and the sum would be two more nodes of the graph: a tenth of a small step.
        losses.backward(w)  # type: ignore[no-untyped-call]
        return (losses.detach() * w).sum()

    def _losses_of_labels(self, output: Tensor, y: Tensor) -> Tensor:
        losses: Any = self.elementwise(output, y)
        if not isinstance(losses, Tensor) or losses.shape != y.shape:
            found = tuple(losses.shape) if isinstance(losses, Tensor) else type(losses).__name__
            raise ParameterError(
                f"The loss {self.call_text()} returned {found} for labels of shape "
                f"{tuple(y.shape)}; it must return the loss of each label.",
                hint="Do not take the mean: losses of torch have reduction='none' for that.",
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
        """Return ``output`` with an axis for the tasks; a module with one task may leave it out.

        Raises :class:`ParameterError` if ``output`` is not a tensor, and :class:`DatasetError` if
        it has another number of :attr:`outputs` per task.
        """
        if not isinstance(output, Tensor):
            raise ParameterError(
                f"The module's output is a {type(output).__name__}; it must be a tensor.",
                hint="Wrap it in a module that returns only the predictions.",
            )
        if output.ndim == self.axes - 1:
            output = output.unsqueeze(1)
        if self.outputs is not None and (self.axes, self.outputs) != (
            output.ndim,
            output.shape[-1],
        ):
            raise DatasetError(
                f"The module's output has shape {tuple(output.shape)}; the loss "
                f"{self.call_text()} needs (rows, tasks, {self.outputs}).",
                hint="Give the module that many outputs per task.",
            )
        return output

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Raise :class:`DatasetError` unless the shape of ``output`` matches the labels ``y``.

        ``y`` is a NumPy array ``(b, tasks)``; ``labelled`` says which of its entries are labels.
        """
        if output.ndim != self.axes or tuple(output.shape[:2]) != y.shape:
            third = "classes" if self.predicts_classes else "outputs"
            wanted = ("rows", "tasks", third)[: self.axes]
            raise DatasetError(
                f"The module's output has shape {tuple(output.shape)}, the labels {y.shape}.",
                hint=f"The axes must be ({', '.join(wanted)}): change the module or the loss.",
            )


def _differentiable(loss: Tensor) -> Tensor:
    if not loss.requires_grad:
        raise ParameterError(
            "The loss does not depend on any parameter that is trained.",
            hint="Look for detach() and no_grad() in forward(), and at freeze.",
        )
    return loss


@dataclass(frozen=True)
class MeanSquaredError(Loss):
    """Squared error."""

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the squared error of each label."""
        return functional.mse_loss(output, y, reduction="none")


@dataclass(frozen=True)
class MeanAbsoluteError(Loss):
    """Absolute error; the best prediction is the median."""

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the absolute error of each label."""
        return functional.l1_loss(output, y, reduction="none")


@dataclass(frozen=True)
class Huber(Loss):
    """Half the squared error up to ``delta``, and linear in the error beyond (Huber 1964).

    doi:10.1214/aoms/1177703732.
    """

    delta: float = 1.0
    """In the units of the labels."""

    def __post_init__(self) -> None:
        check_number("delta", self.delta, above=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each label."""
        return functional.huber_loss(output, y, reduction="none", delta=self.delta)


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
        check_number("minimum_variance", self.minimum_variance, above=0)

    @property
    def outputs(self) -> int:
        """Two: the mean and the variance."""
        return 2

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the negative log-likelihood of each label."""
        mean, variance = self._moments(output)
        return (torch.log(2 * pi * variance) + (y - mean) ** 2 / variance) / 2

    def predictions(self, output: Tensor) -> Tensor:
        """Return the means."""
        return output[..., 0]

    def distribution(self, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return the means and the standard deviations."""
        mean, variance = self._moments(output)
        return mean, variance.sqrt()

    def _moments(self, output: Tensor) -> tuple[Tensor, Tensor]:
        variance = functional.softplus(output[..., 1]) + self.minimum_variance
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
            check_number("quantiles", value, above=0, below=1)
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
        levels = output.new_tensor(self.quantiles)
        return torch.maximum(levels * error, (levels - 1) * error).mean(dim=-1)

    def predictions(self, output: Tensor) -> Tensor:
        """Return the medians, or the only quantile."""
        place = self.quantiles.index(0.5) if self.outputs > 1 else 0
        return self.quantiles_of(output)[..., place]

    def quantiles_of(self, output: Tensor) -> Tensor:
        """Return the quantiles of each row and task, in rising order."""
        return output.sort(dim=-1).values


class _Binary(Loss):
    """A loss on one logit per task."""

    predicts_classes = True

    def predictions(self, output: Tensor) -> Tensor:
        """Return the probabilities of the classes 0 and 1, ``(n, tasks, 2)``."""
        return torch.stack((torch.sigmoid(-output), torch.sigmoid(output)), dim=-1)

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Check the shapes, and that labels are in [0, 1]."""
        super().check(output, y, labelled)
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
        check_number("label_smoothing", self.label_smoothing, minimum=0, below=1)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        if self.label_smoothing:
            y = y + self.label_smoothing * (0.5 - y)
        return functional.binary_cross_entropy_with_logits(output, y, reduction="none")


@dataclass(frozen=True)
class BinaryFocal(_Binary):
    """Focal loss of one logit per task; labels are 0 or 1, or probabilities.

    The cross entropy, times the ``gamma``-th power of the probability of the other class: what is
    right already counts less (Lin and others 2017, doi:10.1109/ICCV.2017.324). Their α is a
    ``class_weight``.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, minimum=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the focal loss of each label."""
        # Powers of logarithms: 0 ** gamma would have an infinite slope for gamma < 1.
        one, zero = functional.logsigmoid(output), functional.logsigmoid(-output)
        losses = y * torch.exp(self.gamma * zero) * one
        return -(losses + (1 - y) * torch.exp(self.gamma * one) * zero)


class _Multiclass(Loss):
    """A loss on one logit per class; labels are the numbers of the classes."""

    axes = 3
    predicts_classes = True

    def predictions(self, output: Tensor) -> Tensor:
        """Return the classes' probabilities, ``(n, tasks, classes)``."""
        return torch.softmax(output, dim=-1)

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Check the shapes, and that labels are numbers of classes."""
        super().check(output, y, labelled)
        classes = output.shape[-1]
        wrong = labelled & ~((y >= 0) & (y < classes) & (y == np.floor(y)))
        if wrong.any():
            raise DatasetError(
                f"The label {y[wrong][0]:g} is not the number of one of {classes} classes.",
                hint=f"Labels are integers from 0 to {classes - 1}, and a missing one is NaN; for "
                "more classes, give the model more outputs (n_classes=).",
            )


@dataclass(frozen=True)
class CrossEntropy(_Multiclass):
    """Cross entropy of one logit per class; labels are the numbers of the classes.

    ``label_smoothing`` is the fraction of the probability that is shared by all classes (Szegedy
    and others 2016, doi:10.1109/CVPR.2016.308).
    """

    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        check_number("label_smoothing", self.label_smoothing, minimum=0, below=1)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        return functional.cross_entropy(
            output.movedim(-1, 1),
            y.long(),
            reduction="none",
            label_smoothing=self.label_smoothing,
        )


@dataclass(frozen=True)
class Focal(_Multiclass):
    """Focal loss of one logit per class; labels are the numbers of the classes.

    See :class:`BinaryFocal`.
    """

    gamma: float = 2.0

    def __post_init__(self) -> None:
        check_number("gamma", self.gamma, minimum=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the focal loss of each label."""
        chances = functional.log_softmax(output, dim=-1)
        labels = y.long()[..., None]
        others = torch.logsumexp(chances.scatter(-1, labels, -inf), dim=-1)
        return -torch.exp(self.gamma * others) * chances.gather(-1, labels)[..., 0]


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
        check_number("minimum_difference", self.minimum_difference, minimum=0)

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each label if all have the same weight."""
        return self._losses(output, y, torch.ones_like(output))

    def weighted_sum(self, output: Tensor, y: Tensor, w: Tensor) -> Tensor:
        """Return the sum of the losses of the labels times their weights."""
        return (self._losses(output, y, w) * w).sum()

    def _losses(self, output: Tensor, y: Tensor, w: Tensor) -> Tensor:
        difference = y[:, None] - y  # (b, b, tasks)
        weights = w * (difference.abs() > self.minimum_difference)
        losses = functional.softplus(-difference.sign() * (output[:, None] - output))
        totals = weights.sum(dim=1)
        return (weights * losses).sum(dim=1) / torch.where(totals > 0, totals, 1)


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
        hint=f"{guess(loss, LOSSES)}Use one of {', '.join(map(repr, LOSSES))}, or an instance of "
        "your own subclass of dc_torch.Loss.",
    )
