"""Averages of the weights during training: what each new set of weights adds to them."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np

from dc_core.errors import TrainingStateError
from dc_core.training.config import TrainingConfig


def next_share(config: TrainingConfig, count: int) -> float:
    """Return the share of the present weights in the average, which is one of ``count`` before.

    That of ``swa`` is the mean (Izmailov et al., UAI 2018). That of ``ema`` is at most
    ``average_decay`` of what was there: less at first, ``(1 + count) / (10 + count)``, so that the
    initial weights are soon forgotten, as TensorFlow's ``ExponentialMovingAverage`` does it.
    """
    if count == 0:
        return 1.0
    if config.average == "swa":
        return 1 / (count + 1)
    return 1 - min(config.average_decay, (1 + count) / (10 + count))


def epochs_averaged(config: TrainingConfig, finished: int) -> int:
    """Return the number of ``finished`` epochs after which ``swa`` takes the weights."""
    return max(0, finished - math.floor(config.average_start * config.epochs))


def count_to_arrays(count: int) -> dict[str, np.ndarray]:
    """Return the number of sets of weights in an average as arrays; none if it is 0."""
    return {"count": np.array(count, dtype=np.int64)} if count else {}


def count_from_arrays(arrays: Mapping[str, np.ndarray]) -> int:
    """Return the number from its arrays; raises :class:`TrainingStateError` if it is not one."""
    if not arrays:
        return 0
    forms = {name: (array.shape, array.dtype) for name, array in arrays.items()}
    if forms != {"count": ((), np.dtype(np.int64))} or arrays["count"] < 1:
        raise TrainingStateError(
            "The number of averaged weights in the training state is malformed.",
            hint="The training state is incomplete, or of another version.",
        )
    return int(arrays["count"])
