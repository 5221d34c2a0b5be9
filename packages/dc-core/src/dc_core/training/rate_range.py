"""The learning-rate range test: how the loss changes while the rate grows from step to step."""

from __future__ import annotations

import math
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from itertools import count
from typing import Final

import numpy as np

from dc_core.columns import Columns
from dc_core.dataset import Dataset
from dc_core.errors import DatasetError, ParameterError
from dc_core.interrupts import DeferredSignals, deferred_signals
from dc_core.parameters import check_count, check_positive
from dc_core.training.batches import Labels, training_batches
from dc_core.training.seeds import step_seed
from dc_core.training.trainer import Trainer

_SMOOTHING: Final = 0.9
_DIVERGED: Final = 3.0
"""The test ends when steps have made losses larger by so many times what they were."""


@dataclass(frozen=True, slots=True)
class LearningRateRange:
    """The result of a range test: a step at each of the ``rates``, and the ``losses`` before it.

    ``changes`` says by how much the steps before have changed the loss of the step's rows, smoothed
    by an exponential moving average: it does not depend on which rows are harder than others.
    ``suggestion`` is the rate at which it falls most steeply on a logarithmic scale; None if it
    never falls.
    """

    rates: tuple[float, ...] = field(repr=False)
    losses: tuple[float, ...] = field(repr=False)
    changes: tuple[float, ...] = field(repr=False)
    suggestion: float | None


def learning_rate_range(
    make_trainer: Callable[[], Trainer],
    dataset: Dataset,
    minimum: float,
    maximum: float,
    steps: int,
) -> LearningRateRange:
    """Do up to ``steps`` steps with rates from ``minimum`` to ``maximum``, then undo them.

    The rates grow by a constant factor (Smith 2017, doi:10.1109/WACV.2017.58). The test ends early
    when steps have made the loss much larger, or one cannot be applied. The losses are compared
    with those of the same rows and random numbers without any step. The model gets its weights back
    however it ends.

    Raises :class:`ParameterError` for rates or a number of steps that cannot be used, and
    :class:`DatasetError` if the data do not fit the model.
    """
    check_positive("minimum", minimum)
    check_positive("maximum", maximum)
    if not minimum < maximum:
        raise ParameterError(f"minimum={minimum!r} must be below maximum={maximum!r}.")
    check_count("steps", steps, minimum=10, maximum=100_000)
    tried = np.geomspace(minimum, maximum, steps).tolist()
    losses: list[float] = []
    changes: list[float] = []
    with deferred_signals() as signals:
        trainer = make_trainer()
        weights = trainer.copied_weights({})
        try:
            with trainer.isolated():
                known = list(_losses(trainer, dataset, [0.0] * steps, signals))
                trainer.set_weights(weights)
                limit = _DIVERGED * float(np.mean(known)) if known else 0.0
                change = 0.0
                stepped = closing(_losses(make_trainer(), dataset, tried, signals))
                with stepped as found:
                    for before, loss in zip(known, found, strict=False):
                        change = _SMOOTHING * change + (1 - _SMOOTHING) * (loss - before)
                        losses.append(loss)
                        changes.append(change)
                        if change > limit:
                            break
        finally:
            with signals.whole():
                trainer.set_weights(weights)
    rates = tried[: len(losses)]
    return LearningRateRange(tuple(rates), tuple(losses), tuple(changes), _steepest(rates, changes))


def _losses(
    trainer: Trainer, dataset: Dataset, rates: Sequence[float], signals: DeferredSignals
) -> Generator[float, None, None]:
    """Do a step with each of the rates, and yield its loss; end if one cannot be applied."""
    seed = trainer.config.seed
    with trainer.training(1):
        for i, (rate, (X, labels)) in enumerate(
            zip(rates, _labelled_batches(dataset, trainer), strict=False)
        ):
            loss = math.nan
            while math.isnan(loss):
                gradients = trainer.step_gradients(
                    X, labels, float(labels.w.sum()), step_seed(seed, 1, i)
                )
                applied = trainer.apply(gradients, rate)
                loss = applied if isinstance(applied, float) else trainer.read([applied])[0]
                if math.isnan(loss) and not trainer.recovers():
                    return
            yield loss
            signals.check()


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


def _steepest(rates: Sequence[float], changes: Sequence[float]) -> float | None:
    """Return the rate at which the loss falls most steeply, before its minimum."""
    end = int(np.argmin(changes)) + 1 if changes else 0
    if end < 2:
        return None
    slopes = np.gradient(changes[:end], np.log(rates[:end]))
    steepest = int(np.argmin(slopes))
    return rates[steepest] if slopes[steepest] < 0 else None
