"""The records of training: of each epoch that has ended, and of the steps of one that has not."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Self

import numpy as np

from dc_core.errors import TrainingStateError


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch.

    ``number`` counts from 1. ``loss`` is the weighted mean over the training labels during the
    epoch; ``valid_loss`` is that of the validation rows after it, NaN if there are none.
    ``skipped`` is the number of steps that were not applied, because their loss or gradient was not
    finite. ``steps`` has the loss of each step with labels in order, NaN for those that were not
    applied; it is not part of the training state.
    """

    number: int
    loss: float
    valid_loss: float
    learning_rate: float
    skipped: int = 0
    steps: tuple[float, ...] = field(default=(), repr=False)

    @property
    def monitored(self) -> float:
        """The loss that schedules depend on: the validation loss if there is one, else the loss."""
        return self.loss if math.isnan(self.valid_loss) else self.valid_loss


@dataclass(slots=True)
class Partial:
    """An epoch that has not ended: how many steps are done, and their losses.

    Of each step with labels, ``losses`` has the loss, NaN if it was not applied, and ``weights``
    the total weight of its labels.
    """

    steps: int = 0
    losses: list[float] = field(default_factory=list)
    weights: list[float] = field(default_factory=list)

    @property
    def skipped(self) -> int:
        """The number of steps that were not applied."""
        return sum(map(math.isnan, self.losses))

    @property
    def skipped_last(self) -> int:
        """The number of steps in a row that were not applied, up to the last step."""
        return sum(1 for _ in takewhile(math.isnan, reversed(self.losses)))

    def mean(self) -> float:
        """Return the weighted mean of the losses of the steps that were applied; NaN without any.

        Equal sums are equal to the last bit: they are taken in the order of the steps.
        """
        applied = [(x, w) for x, w in zip(self.losses, self.weights, strict=True) if x == x]
        if not applied:
            return math.nan
        losses, weights = zip(*applied, strict=True)
        return float(np.average(losses, weights=weights))

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the record as arrays."""
        return {
            "steps": np.array(self.steps, dtype=np.int64),
            "losses": np.array(self.losses, dtype=np.float64),
            "weights": np.array(self.weights, dtype=np.float64),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the record from the arrays of :meth:`to_arrays`.

        Raises :class:`TrainingStateError` if the arrays are not those.
        """
        shapes = {name: array.shape for name, array in arrays.items()}
        kinds = {name: array.dtype for name, array in arrays.items()}
        count = shapes.get("losses", ())
        if (
            shapes != {"steps": (), "losses": count, "weights": count}
            or kinds != {"steps": np.int64, "losses": np.float64, "weights": np.float64}
            or len(count) != 1
            or not (count[0] <= arrays["steps"])
            or not (np.isfinite(arrays["weights"]) & (arrays["weights"] > 0)).all()
        ):
            raise TrainingStateError(
                "The record of the epoch that has begun is not one.",
                hint="The training state is incomplete, or of another version.",
            )
        losses, weights = (arrays[name].tolist() for name in ("losses", "weights"))
        return cls(int(arrays["steps"]), losses, weights)


_COLUMNS = ("loss", "valid_loss", "learning_rate", "skipped")


def to_arrays(history: Sequence[Epoch]) -> dict[str, np.ndarray]:
    """Return the records as one array per column."""
    return {
        name: np.array([getattr(epoch, name) for epoch in history], dtype=np.float64)
        for name in _COLUMNS
    }


def from_arrays(columns: Mapping[str, np.ndarray]) -> list[Epoch]:
    """Return the records from the columns of :func:`to_arrays`; their steps are not known.

    Raises :class:`TrainingStateError` if the columns are not those, or differ in length.
    """
    lengths = {columns[name].shape for name in _COLUMNS if name in columns}
    if columns.keys() != set(_COLUMNS) or len(lengths) != 1 or len(next(iter(lengths))) != 1:
        raise TrainingStateError(
            f"The training history needs columns {', '.join(_COLUMNS)} of one length; it has "
            f"{', '.join(columns) or 'none'}.",
            hint="The training state is incomplete, or of another version.",
        )
    *losses, skipped = (columns[name] for name in _COLUMNS)
    if not (np.isfinite(skipped) & (skipped >= 0) & (skipped == np.floor(skipped))).all():
        raise TrainingStateError("The history has epochs with no number of skipped steps.")
    rows = zip(*(column.tolist() for column in losses), map(int, skipped.tolist()), strict=True)
    return [Epoch(i, *row) for i, row in enumerate(rows, start=1)]
