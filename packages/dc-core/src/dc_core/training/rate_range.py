"""The learning-rate range test: how the loss changes while the rate grows from step to step."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import numpy as np

from dc_core.columns import Columns
from dc_core.dataset import Dataset
from dc_core.errors import DatasetError, ParameterError
from dc_core.interrupts import deferred_signals
from dc_core.parameters import check_count, check_positive
from dc_core.training.batches import Labels, training_batches
from dc_core.training.seeds import step_seed
from dc_core.training.trainer import Trainer

_SMOOTHING: Final = 0.95
_DIVERGED: Final = 4.0
"""The test ends when the smoothed loss is so many times its lowest value."""

_SKIPPED: Final = 5
"""The smoothed loss of the first steps is that of single batches, and says little."""


@dataclass(frozen=True, slots=True)
class LearningRateRange:
    """The result of a range test: a step at each of the ``rates``, and the ``losses`` before it.

    ``smoothed`` is their exponential moving average. ``suggestion`` is the rate at which it falls
    most steeply on a logarithmic scale; None if it never falls.
    """

    rates: tuple[float, ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    smoothed: tuple[float, ...] = field(repr=False)
    suggestion: float | None


def learning_rate_range(
    trainer: Trainer, dataset: Dataset, minimum: float, maximum: float, steps: int
) -> LearningRateRange:
    """Do up to ``steps`` steps with rates from ``minimum`` to ``maximum``, then undo them.

    The rates grow by a constant factor (Smith 2017, doi:10.1109/WACV.2017.58). The test ends early
    when the loss has risen far above its lowest value, or a step cannot be applied. The model gets
    its weights back however it ends; the trainer is of no use afterwards.

    Raises :class:`ParameterError` for rates or a number of steps that cannot be used, and
    :class:`DatasetError` if the data do not fit the model.
    """
    check_positive("minimum", minimum)
    check_positive("maximum", maximum)
    if not minimum < maximum:
        raise ParameterError(f"minimum={minimum!r} must be below maximum={maximum!r}.")
    check_count("steps", steps, minimum=10, maximum=100_000)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    average = 0.0
    with deferred_signals() as signals:
        weights = trainer.copied_weights({})
        try:
            with trainer.isolated(), trainer.training(1):
                batches = _labelled_batches(dataset, trainer)
                for i, rate in enumerate(np.geomspace(minimum, maximum, steps).tolist()):
                    X, labels = next(batches)
                    gradients = trainer.step_gradients(
                        X, labels, float(labels.w.sum()), step_seed(trainer.config.seed, 1, i)
                    )
                    applied = trainer.apply(gradients, rate)
                    loss = applied if isinstance(applied, float) else trainer.read([applied])[0]
                    if math.isnan(loss):
                        break
                    average = _SMOOTHING * average + (1 - _SMOOTHING) * loss
                    rates.append(rate)
                    losses.append(loss)
                    smoothed.append(average / (1 - _SMOOTHING ** (i + 1)))
                    if i >= _SKIPPED and smoothed[-1] > _DIVERGED * min(smoothed):
                        break
                    signals.check()
        finally:
            with signals.whole():
                trainer.set_weights(weights)
    return LearningRateRange(
        tuple(rates), tuple(losses), tuple(smoothed), _steepest(rates, smoothed)
    )


def _labelled_batches(dataset: Dataset, trainer: Trainer) -> Iterator[tuple[Columns, Labels]]:
    """Yield batches with labels, epoch after epoch; end if an epoch has none."""
    config = trainer.config
    for epoch in count(1):
        found = False
        for X, labels in training_batches(dataset, config.batch_size, config.seed, epoch):
            if labels.given.any():
                found = True
                yield X, labels
        if not found:
            raise DatasetError(
                "No row of the dataset has a label with a weight.",
                hint="Check y and w: a label of weight 0 counts as missing.",
            )


def _steepest(rates: list[float], smoothed: list[float]) -> float | None:
    """Return the rate at which the smoothed loss falls most steeply, before its minimum."""
    end = int(np.argmin(smoothed)) + 1 if smoothed else 0
    if end < _SKIPPED + 3:
        return None
    slopes = np.gradient(smoothed[_SKIPPED:end], np.log(rates[_SKIPPED:end]))
    steepest = int(np.argmin(slopes))
    return rates[_SKIPPED + steepest] if slopes[steepest] < 0 else None
