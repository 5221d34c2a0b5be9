"""The records of training: of each epoch that has ended, and of the steps of one that has not."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any, Final, Self

import numpy as np

from dc_core.errors import TrainingStateError

_MAX_STEPS: Final = 1 << 48
"""No epoch has as many steps."""


@dataclass(frozen=True, slots=True)
class Epoch:
    """One finished epoch.

    ``number`` counts from 1. ``loss`` is the weighted mean over the training labels during the
    epoch; ``valid_loss`` is that of the validation rows after it, NaN if there are none, and
    ``metrics`` has the value of each metric on them, by its name.
    ``skipped`` is the number of steps that were not applied, because their loss or gradient was not
    finite. ``steps`` has the loss of each step with labels in order, NaN for those that were not
    applied; it is not part of the training state.
    """

    number: int
    loss: float
    valid_loss: float
    learning_rate: float
    skipped: int = 0
    metrics: Mapping[str, float] = field(default_factory=dict, hash=False)
    steps: tuple[float, ...] = field(default=(), repr=False)


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
        if not self.losses or not math.isnan(self.losses[-1]):
            return 0
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
            or not (count[0] <= arrays["steps"] < _MAX_STEPS)
            or not (np.isfinite(arrays["weights"]) & (arrays["weights"] > 0)).all()
            or np.isinf(arrays["losses"]).any()
        ):
            raise TrainingStateError(
                "The record of the unfinished epoch in the training state is malformed.",
                hint="The training state is incomplete, or of another version.",
            )
        losses, weights = (arrays[name].tolist() for name in ("losses", "weights"))
        return cls(int(arrays["steps"]), losses, weights)


_COLUMNS: Final = ("loss", "valid_loss", "learning_rate", "skipped")
_METRICS: Final = "metrics/"
_MEASURED: Final = "measured/"


def to_arrays(history: Sequence[Epoch]) -> dict[str, np.ndarray]:
    """Return the records as one array per column; metrics are ``metrics/<name>``.

    ``measured/<name>`` says which epochs have the metric: its value can be NaN.
    """
    names = dict.fromkeys(name for epoch in history for name in epoch.metrics)
    columns = {name: [getattr(epoch, name) for epoch in history] for name in _COLUMNS}
    for name in names:
        columns[_METRICS + name] = [epoch.metrics.get(name, math.nan) for epoch in history]
    arrays = {name: np.array(values, dtype=np.float64) for name, values in columns.items()}
    for name in names:
        arrays[_MEASURED + name] = np.array([name in epoch.metrics for epoch in history])
    return arrays


def from_arrays(columns: Mapping[str, np.ndarray]) -> list[Epoch]:
    """Return the records from the columns of :func:`to_arrays`; their steps are not known.

    Raises :class:`TrainingStateError` if the columns are not those, differ in length, or have
    values that no epoch has.
    """
    names = [name.removeprefix(_METRICS) for name in columns if name.startswith(_METRICS)]
    numbers = [*_COLUMNS, *(_METRICS + name for name in names)]
    dtypes: dict[str, np.dtype[Any]] = dict.fromkeys(numbers, np.dtype(np.float64))
    dtypes |= dict.fromkeys((_MEASURED + name for name in names), np.dtype(np.bool_))
    shapes = {column.shape for column in columns.values()}
    if (
        {name: column.dtype for name, column in columns.items()} != dtypes
        or len(shapes) != 1
        or len(next(iter(shapes))) != 1
    ):
        raise TrainingStateError(
            f"The training history needs columns {', '.join(_COLUMNS)} of one length; it has "
            f"{', '.join(columns) or 'none'}.",
            hint="The training state is incomplete, or of another version.",
        )
    loss, valid_loss, rate, skipped = (columns[name] for name in _COLUMNS)
    possible = {
        "loss": np.isfinite(loss) | (np.isnan(loss) & (skipped > 0)),
        "valid_loss": ~np.isinf(valid_loss),
        "learning_rate": np.isfinite(rate) & (rate >= 0),
        "skipped": (skipped >= 0) & (skipped < _MAX_STEPS) & (skipped == np.floor(skipped)),
    }
    for name, holds in possible.items():
        if not holds.all():
            raise TrainingStateError(
                f"The training history has {columns[name][~holds][0]} as a {name}.",
                hint="The training state was damaged or edited.",
            )
    return [
        Epoch(
            number=i + 1,
            loss=float(loss[i]),
            valid_loss=float(valid_loss[i]),
            learning_rate=float(rate[i]),
            skipped=int(skipped[i]),
            metrics={
                name: float(columns[_METRICS + name][i])
                for name in names
                if columns[_MEASURED + name][i]
            },
        )
        for i in range(len(loss))
    ]


def improvements(results: Iterable[float], minimum: float = 0.0) -> Iterator[bool]:
    """Yield whether each result is smaller by more than ``minimum`` than the last that was.

    Those that are NaN are not; before the first number, nothing is yielded for them.
    """
    best = math.inf
    for result in results:
        if result < best - minimum:
            best = result
            yield True
        elif best < math.inf:
            yield False


def epochs_waited(results: Iterable[float], minimum: float = 0.0) -> int:
    """Return the number of epochs since the last of the :func:`improvements`."""
    waited = 0
    for improved in improvements(results, minimum):
        waited = 0 if improved else waited + 1
    return waited
