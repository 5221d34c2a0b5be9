"""What callbacks ask of training, and the learning rate that follows: a part of its state."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Self

import numpy as np

from dc_core.errors import TrainingStateError

MAX_FACTOR: Final = 1e6
"""The largest factor of the learning rate: more is a mistake, or a damaged state."""


@dataclass(slots=True)
class Control:
    """What callbacks asked for, and the learning rate of the last step.

    ``factor`` multiplies the schedule's rate. ``stopped`` tells whether a callback ended training.
    """

    rate: float
    factor: float = 1.0
    stopped: bool = False

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Return the values as arrays."""
        return {
            "rate": np.array(self.rate),
            "factor": np.array(self.factor),
            "stopped": np.array(self.stopped),
        }

    @classmethod
    def from_arrays(cls, arrays: Mapping[str, np.ndarray]) -> Self:
        """Return the values of :meth:`to_arrays`; raises :class:`TrainingStateError` for others."""
        forms = {name: (array.shape, array.dtype) for name, array in arrays.items()}
        number = ((), np.dtype(np.float64))
        expected = {"rate": number, "factor": number, "stopped": ((), np.dtype(np.bool_))}
        values = [arrays[name] for name in expected] if forms == expected else []
        if not values or not (0 <= values[0] < np.inf and 0 < values[1] <= MAX_FACTOR):
            raise TrainingStateError(
                "The learning rate in the training state, or its factor, is malformed or too "
                "large.",
                hint="The training state is incomplete, or of another version.",
            )
        return cls(*(value.item() for value in values))
