"""``Epoch``: the record of one pass over the training rows."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from dc_core.errors import TrainingStateError


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch.

    ``number`` counts from 1. ``loss`` is the weighted mean over the training labels during the
    epoch; ``valid_loss`` is that of the validation rows after it, NaN if there are none. ``steps``
    has the loss of each step in order; it is not part of the training state.
    """

    number: int
    loss: float
    valid_loss: float
    learning_rate: float
    steps: tuple[float, ...] = field(default=(), repr=False)

    @property
    def monitored(self) -> float:
        """The loss that schedules depend on: the validation loss if there is one, else the loss."""
        return self.loss if math.isnan(self.valid_loss) else self.valid_loss


_COLUMNS = ("loss", "valid_loss", "learning_rate")


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
    rows = zip(*(columns[name].tolist() for name in _COLUMNS), strict=True)
    return [Epoch(i, *row) for i, row in enumerate(rows, start=1)]
