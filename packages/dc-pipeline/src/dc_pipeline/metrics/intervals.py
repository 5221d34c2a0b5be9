"""How certain a score is: bootstrap intervals, and the paired comparison of two models.

The rows of a dataset are the sample. All tasks see the same resamples, because they were measured
on the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from scipy.special import ndtr, ndtri

from dc_core import Dataset, Metric, check_count, check_dataset, score_all
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline.metrics import checks
from dc_pipeline.metrics.weighted import WeightedMetric

Method = Literal["bca", "percentile"]
Statistic = Callable[[np.ndarray], np.ndarray]
"""From weights ``(b, n)`` of the rows to scores ``(s, b)``: the mean over tasks, and each task."""

_METHODS: Final = ("bca", "percentile")
_CELLS: Final = 1 << 21
"""Weights that are held at a time, 16 MiB."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A score with the bounds of its confidence interval, NaN where they are undefined.

    ``undefined`` is the number of resamples for which the metric was undefined, and which were left
    out: if they are many, the bounds are not to be trusted.
    """

    value: float
    low: float
    high: float
    level: float
    undefined: int = 0

    def __str__(self) -> str:
        """Show the score with its bounds."""
        return f"{self.value:.4g} ({self.low:.4g} to {self.high:.4g})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """The difference of two models' scores, second minus first, with its confidence interval.

    ``p_value`` is the two-sided one of the hypothesis that the models are exchangeable.
    """

    difference: float
    low: float
    high: float
    level: float
    p_value: float

    def __str__(self) -> str:
        """Show the difference with its bounds and the p-value."""
        bounds = f"({self.low:+.4g} to {self.high:+.4g})"
        return f"{self.difference:+.4g} {bounds}, p = {self.p_value:.3g}"


def score_intervals(
    metrics: Iterable[Metric],
    dataset: Dataset,
    prediction: np.ndarray,
    *,
    level: float = 0.95,
    method: Method = "bca",
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Interval]:
    """Return the scores of a ``prediction`` for ``dataset``, with bootstrap confidence intervals.

    The names are those of :meth:`dc_core.Estimator.evaluate`: each metric's mean over the tasks,
    and with several tasks each task's. ``prediction`` is what ``model.predict(dataset)`` returned.
    Missing labels are left out.

    ``method`` is ``"bca"``, which corrects for bias and skewness (Efron 1987,
    doi:10.1080/01621459.1987.10478410) and leaves out each row once for that, or ``"percentile"``,
    which is faster for many rows but too narrow for few. Equal seeds give equal intervals.

    The intervals say how the score varies with the rows that are tested on, and not with those that
    the model learned from.

    Raises :class:`EmptyDataset` if there is no row, :class:`DatasetError` if the shapes do not fit
    or a metric needs quantities and the labels are classes, and :class:`ParameterError` for
    anything but a list of metrics, and for options out of range.
    """
    level, seed = _checked(level, method, resamples, seed)
    found = {}
    for metric, names in _names(metrics, dataset, prediction):
        statistic = _statistic(metric, dataset, prediction)
        samples = _over(statistic, _resamples(len(dataset), resamples, seed))
        values = statistic(np.ones((1, len(dataset))))[:, 0]
        bounds = _bounds(statistic, values, samples, level, method, len(dataset))
        for name, value, sample, (low, high) in zip(names, values, samples, bounds, strict=True):
            undefined = int(np.isnan(sample).sum())
            found[name] = Interval(float(value), low, high, level, undefined)
    return found


def compare(
    metrics: Iterable[Metric],
    dataset: Dataset,
    prediction: np.ndarray,
    other: np.ndarray,
    *,
    level: float = 0.95,
    method: Method = "bca",
    resamples: int = 2000,
    seed: int = 0,
) -> dict[str, Comparison]:
    """Return how the scores of ``other`` differ from those of ``prediction``, on the same rows.

    Both are predictions for ``dataset`` by two models. Differences are ``other`` minus
    ``prediction``; names, methods and errors are as in :func:`score_intervals`. The bounds are
    those of a paired bootstrap: both models are scored on each resample. The p-value is that of a
    permutation test, which exchanges the two predictions of rows at random; the smallest possible
    is ``1 / (resamples + 1)``.
    """
    level, seed = _checked(level, method, resamples, seed)
    named = _names(metrics, dataset, prediction)
    _names([metric for metric, _ in named], dataset, other)
    n = len(dataset)
    found = {}
    for metric, names in named:
        one, two = (_statistic(metric, dataset, given) for given in (prediction, other))

        def difference(
            weights: np.ndarray, one: Statistic = one, two: Statistic = two
        ) -> np.ndarray:
            return two(weights) - one(weights)

        both = _statistic(metric, dataset, prediction, other)

        def exchanged(swaps: np.ndarray, both: Statistic = both) -> np.ndarray:
            # With weights of 0 and 1, the rows of both are those of a model that has some of each.
            return both(np.hstack([swaps, 1 - swaps])) - both(np.hstack([1 - swaps, swaps]))

        values = difference(np.ones((1, n)))[:, 0]
        samples = _over(difference, _resamples(n, resamples, seed))
        bounds = _bounds(difference, values, samples, level, method, n)
        permuted = np.abs(_over(exchanged, _swaps(n, resamples, seed)))
        for name, value, (low, high), null in zip(names, values, bounds, permuted, strict=True):
            null = null[~np.isnan(null)]
            # Sums in another order may differ in the last bits.
            extreme = int((null >= abs(value) * (1 - 1e-9)).sum())
            p_value = (extreme + 1) / (len(null) + 1) if np.isfinite(value) else np.nan
            found[name] = Comparison(float(value), low, high, level, p_value)
    return found


def _checked(level: float, method: str, resamples: int, seed: int) -> tuple[float, int]:
    level = checks.positive("level", level, 1)
    if level == 1:
        raise ParameterError("level=1 has no bounds.", hint="Choose a level below 1, such as 0.95.")
    if method not in _METHODS:
        raise ParameterError(f"method={method!r} must be one of {', '.join(_METHODS)}.")
    check_count("resamples", resamples, minimum=2)
    return level, check_count("seed", seed, minimum=0)


def _names(
    metrics: Iterable[Metric], dataset: Dataset, prediction: np.ndarray
) -> list[tuple[Metric, list[str]]]:
    """Return each metric with the names of its scores, after checking that all can be computed."""
    check_dataset(dataset)
    if len(dataset) == 0:
        raise EmptyDataset("The dataset has no rows to evaluate on.")
    metrics = list(metrics) if isinstance(metrics, Iterator) else metrics
    parts = (dataset.y, np.asarray(prediction), dataset.w, dataset.tasks)
    score_all(metrics, *parts, dataset.classes)
    return [(metric, list(metric.score(*parts))) for metric in metrics]


def _statistic(metric: Metric, dataset: Dataset, *predictions: np.ndarray) -> Statistic:
    """Return the function from weights of the rows to the scores of the metric.

    With several predictions, the rows are those of the dataset once for each of them.
    """
    y, w = (np.concatenate([part] * len(predictions)) for part in (dataset.y, dataset.w))
    prediction = np.concatenate([np.asarray(given) for given in predictions])
    known = (w > 0) & ~np.isnan(y)

    def statistic(weights: np.ndarray) -> np.ndarray:
        tasks = np.full((known.shape[1], len(weights)), np.nan)
        for t, rows in enumerate(known.T):
            if rows.any():
                parts = (y[rows, t], prediction[rows, t], w[rows, t])
                tasks[t] = _score(metric, *parts, weights[:, rows])
        defined = ~np.isnan(tasks)
        total = np.where(defined, tasks, 0).sum(axis=0)
        count = defined.sum(axis=0)
        average = np.where(count > 0, total / np.maximum(count, 1), np.nan)
        return np.array([average, *(tasks if len(tasks) > 1 else [])])

    return statistic


def _score(
    metric: Metric, y: np.ndarray, prediction: np.ndarray, w: np.ndarray, weights: np.ndarray
) -> np.ndarray:
    """Return the score of one task for each row of ``weights``, ``(b,)``, integers as floats."""
    if isinstance(metric, WeightedMetric):
        return metric.compute_weighted(y, prediction, weights * w)
    found = []
    for counts in weights:
        rows = np.repeat(np.arange(len(y)), counts.astype(np.intp))
        found.append(metric.compute(y[rows], prediction[rows], w[rows]) if len(rows) else np.nan)
    return np.array(found, float)


def _resamples(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield how often each row is in each resample, ``(b, n)``."""
    rng = np.random.default_rng(seed)
    for b in _chunks(n, resamples):
        rows = rng.integers(0, n, (b, n)) + np.arange(b)[:, None] * n
        yield np.bincount(rows.ravel(), minlength=b * n).reshape(b, n).astype(float)


def _swaps(n: int, resamples: int, seed: int) -> Iterator[np.ndarray]:
    """Yield which rows' predictions are exchanged, ``(b, n)`` of 0 and 1."""
    rng = np.random.default_rng([seed, 1])
    for b in _chunks(n, resamples):
        yield rng.integers(0, 2, (b, n)).astype(float)


def _without_one(n: int) -> Iterator[np.ndarray]:
    """Yield weights that leave out each row once, ``(b, n)``."""
    start = 0
    for b in _chunks(n, n):
        weights = np.ones((b, n))
        weights[np.arange(b), start + np.arange(b)] = 0
        start += b
        yield weights


def _chunks(n: int, total: int) -> Iterator[int]:
    size = max(1, _CELLS // n)
    for start in range(0, total, size):
        yield min(size, total - start)


def _over(statistic: Statistic, weights: Iterator[np.ndarray]) -> np.ndarray:
    """Return the scores for all the ``weights``, ``(s, b)``."""
    return np.concatenate([statistic(chunk) for chunk in weights], axis=1)


def _bounds(
    statistic: Statistic,
    values: np.ndarray,
    samples: np.ndarray,
    level: float,
    method: Method,
    n: int,
) -> list[tuple[float, float]]:
    """Return the bounds of each score."""
    tails = np.array([(1 - level) / 2, (1 + level) / 2])
    left_out = _over(statistic, _without_one(n)) if method == "bca" else None
    bounds = []
    for i, (value, sample) in enumerate(zip(values, samples, strict=True)):
        defined = sample[~np.isnan(sample)]
        if np.isnan(value) or len(defined) < 2:
            bounds.append((np.nan, np.nan))
            continue
        at = tails if left_out is None else _corrected(tails, value, defined, left_out[i])
        low, high = np.quantile(defined, at).tolist()
        bounds.append((low, high))
    return bounds


def _corrected(
    tails: np.ndarray, value: float, sample: np.ndarray, left_out: np.ndarray
) -> np.ndarray:
    """Return the probabilities at which BCa takes the quantiles of the ``sample``."""
    below = ((sample < value).mean() + (sample <= value).mean()) / 2
    left_out = left_out[~np.isnan(left_out)]
    influence = left_out.mean() - left_out if len(left_out) else np.zeros(1)
    spread = float((influence**2).sum())
    if spread == 0 or not 0 < below < 1:
        return tails  # all resamples score alike, or on one side: there is nothing to correct by
    bias = ndtri(below)
    acceleration = float((influence**3).sum()) / (6 * spread**1.5)
    z = bias + ndtri(tails)
    return np.asarray(ndtr(bias + z / (1 - acceleration * z)))
