"""Losses by name: what each makes of a module's output, label by label.

A module's output is ``(b, tasks)``, or ``(b, tasks, classes)`` of logits; with a single task that
axis may be left out. The table is closed so that a stored model can name its loss.
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
    """A loss: its value for every label, and the predictions that its outputs stand for."""

    axes: int = 2
    """How many axes an output has: rows, tasks, and perhaps classes."""

    @abstractmethod
    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the loss of each label, ``(b, tasks)``."""

    def predictions(self, output: Tensor) -> Tensor:
        """Return the predictions for an output: values, or probabilities of classes."""
        return output

    def with_tasks(self, output: object) -> Tensor:
        """Return ``output`` with its axis of tasks, where a module of one task left it out.

        Raises :class:`ParameterError` where the module's output is no tensor.
        """
        if not isinstance(output, Tensor):
            raise ParameterError(
                f"The module's output is a {type(output).__name__}, and has to be a tensor.",
                hint="Wrap the module in one that returns the predictions alone.",
            )
        return output.unsqueeze(1) if output.ndim == self.axes - 1 else output

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Raise :class:`DatasetError` unless ``output`` and the labels ``y`` fit each other.

        ``y`` is ``(b, tasks)`` on the host, ``labelled`` says which of its entries count.
        """
        if output.ndim != self.axes or tuple(output.shape[:2]) != y.shape:
            wanted = ("rows", "tasks", "classes")[: self.axes]
            raise DatasetError(
                f"The module's output has shape {tuple(output.shape)}, the labels {y.shape}.",
                hint=f"It needs the axes ({', '.join(wanted)}): change the module or the loss.",
            )


@dataclass(frozen=True, slots=True)
class Regression(Loss):
    """Squared (``mse``), absolute (``mae``) or Huber's error with a threshold of 1."""

    kind: Literal["mse", "mae", "huber"]

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the error of each label."""
        if self.kind == "mse":
            return functional.mse_loss(output, y, reduction="none")
        if self.kind == "mae":
            return functional.l1_loss(output, y, reduction="none")
        return functional.huber_loss(output, y, reduction="none")


class BinaryCrossEntropy(Loss):
    """Cross entropy of one logit per task; labels are probabilities, mostly 0 or 1."""

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        return functional.binary_cross_entropy_with_logits(output, y, reduction="none")

    def predictions(self, output: Tensor) -> Tensor:
        """Return the probabilities of both classes, ``(n, tasks, 2)``."""
        return torch.stack((torch.sigmoid(-output), torch.sigmoid(output)), dim=-1)

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Check the shapes, and that labels are in [0, 1]."""
        super().check(output, y, labelled)
        wrong = labelled & ~((y >= 0) & (y <= 1))
        if wrong.any():
            raise DatasetError(f"The label {y[wrong][0]:g} is not in [0, 1], as 'bce' needs.")


class CrossEntropy(Loss):
    """Cross entropy of a logit per class; labels are the classes' numbers."""

    axes = 3

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        """Return the cross entropy of each label."""
        return functional.cross_entropy(output.movedim(-1, 1), y.long(), reduction="none")

    def predictions(self, output: Tensor) -> Tensor:
        """Return the classes' probabilities, ``(n, tasks, classes)``."""
        return torch.softmax(output, dim=-1)

    def check(self, output: Tensor, y: np.ndarray, labelled: np.ndarray) -> None:
        """Check the shapes, and that labels are classes that the module has."""
        super().check(output, y, labelled)
        classes = output.shape[-1]
        wrong = labelled & ~((y >= 0) & (y < classes) & (y == np.floor(y)))
        if wrong.any():
            raise DatasetError(
                f"The label {y[wrong][0]:g} is none of the {classes} classes.",
                hint=f"Labels are integers from 0 to {classes - 1}; a missing one is NaN.",
            )


LOSSES: Final[Mapping[str, Loss]] = {
    "mse": Regression("mse"),
    "mae": Regression("mae"),
    "huber": Regression("huber"),
    "bce": BinaryCrossEntropy(),
    "cross_entropy": CrossEntropy(),
}
"""The losses that a config can name."""
