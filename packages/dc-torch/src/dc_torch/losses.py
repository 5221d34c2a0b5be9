"""Losses by name: the loss of each label, and the prediction that an output stands for.

A module's output is ``(b, tasks)``, or ``(b, tasks, classes)`` of logits; with a single task that
axis may be left out. The table is closed, so that a stored model can name its loss.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from dc_core.errors import DatasetError, ParameterError


class Loss(ABC):
    """A loss: its value for each label, and how outputs become predictions."""

    axes: int = 2
    """The number of axes of an output: rows, tasks and, for some losses, classes."""

    predicts_classes: bool = False
    """Whether the predictions are probabilities of classes."""

    @abstractmethod
    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each label, ``(b, tasks)``."""

    def predictions(self, output: Tensor) -> Tensor:
        """Return the predictions for an output: values, or probabilities of classes."""
        return output

    def with_tasks(self, output: object) -> Tensor:
        """Return ``output`` with an axis for the tasks; a module with one task may leave it out.

        Raises :class:`ParameterError` if ``output`` is not a tensor.
        """
        if not isinstance(output, Tensor):
            raise ParameterError(
                f"The module's output is a {type(output).__name__}; it must be a tensor.",
                hint="Wrap it in a module that returns only the predictions.",
            )
        return output.unsqueeze(1) if output.ndim == self.axes - 1 else output

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Raise :class:`DatasetError` unless the shape of ``output`` matches the labels ``y``.

        ``y`` is a NumPy array ``(b, tasks)``; ``labelled`` says which of its entries are labels.
        """
        if output.ndim != self.axes or tuple(output.shape[:2]) != y.shape:
            wanted = ("rows", "tasks", "classes")[: self.axes]
            raise DatasetError(
                f"The module's output has shape {tuple(output.shape)}, the labels {y.shape}.",
                hint=f"The axes must be ({', '.join(wanted)}): change the module or the loss.",
            )


@dataclass(frozen=True, slots=True)
class Regression(Loss):
    """Squared (``mse``) or absolute (``mae``) error, or the Huber loss with a threshold of 1."""

    kind: Literal["mse", "mae", "huber"]

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the error of each label."""
        if self.kind == "mse":
            return functional.mse_loss(output, y, reduction="none")
        if self.kind == "mae":
            return functional.l1_loss(output, y, reduction="none")
        return functional.huber_loss(output, y, reduction="none")


class BinaryCrossEntropy(Loss):
    """Cross entropy of one logit per task; labels are 0 or 1, or probabilities."""

    predicts_classes = True

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        return functional.binary_cross_entropy_with_logits(output, y, reduction="none")

    def predictions(self, output: Tensor) -> Tensor:
        """Return the probabilities of the classes 0 and 1, ``(n, tasks, 2)``."""
        return torch.stack((torch.sigmoid(-output), torch.sigmoid(output)), dim=-1)

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Check the shapes, and that labels are in [0, 1]."""
        super().check(output, y, labelled)
        wrong = labelled & ~((y >= 0) & (y <= 1))
        if wrong.any():
            raise DatasetError(f"The label {y[wrong][0]:g} is not in [0, 1], as 'bce' needs.")


class CrossEntropy(Loss):
    """Cross entropy of one logit per class; labels are the numbers of the classes."""

    axes = 3
    predicts_classes = True

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        return functional.cross_entropy(output.movedim(-1, 1), y.long(), reduction="none")

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


LOSSES: Final[Mapping[str, Loss]] = {
    "mse": Regression("mse"),
    "mae": Regression("mae"),
    "huber": Regression("huber"),
    "bce": BinaryCrossEntropy(),
    "cross_entropy": CrossEntropy(),
}
"""The losses that a config can name."""
