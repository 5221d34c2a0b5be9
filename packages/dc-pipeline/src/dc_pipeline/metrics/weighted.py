"""``WeightedMetric``: a metric for many weightings of the same rows at once."""

from __future__ import annotations

from abc import abstractmethod

import numpy as np

from dc_core import Metric


class WeightedMetric(Metric):
    """A metric that scores many weightings of the same rows at once.

    A subclass writes :meth:`compute_weighted`; :meth:`compute` is the case of one.
    """

    @abstractmethod
    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the metric of one task for each row of ``weights``.

        ``y`` is ``(n,)``, ``prediction`` is ``(n,)`` or ``(n, classes)``. ``weights`` is ``(b, n)``
        and not negative; rows of weight 0 do not count. The result is ``(b,)``, NaN where the
        metric is undefined.
        """

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the metric of one task, NaN if it is undefined."""
        return float(self.compute_weighted(y, prediction, w[None])[0])


class RowMetric(WeightedMetric):
    """A metric that is the weighted mean of a loss of each row."""

    @abstractmethod
    def losses(self, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the loss of each row, ``(n,)``."""

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the mean loss for each row of ``weights``, ``(b,)``."""
        return mean(self.losses(y, prediction), weights)


def mean(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The mean of ``values``, ``(n,)`` or ``(b, n)``, by each row of ``weights``: ``(b,)``."""
    total = weights.sum(axis=1)
    sums = weights @ values if values.ndim == 1 else (weights * values).sum(axis=1)
    return divide(sums, total)


def divide(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return ``a / b``, NaN where ``b`` is 0."""
    a, b = np.broadcast_arrays(np.asarray(a, float), np.asarray(b, float))
    return np.asarray(np.divide(a, b, out=np.full(a.shape, np.nan), where=b != 0))


def is_constant(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Whether all ``values``, ``(n,)``, of positive weight are equal, for each row of weights."""
    counts = weights > 0
    low = np.where(counts, values, np.inf).min(axis=1)
    high = np.where(counts, values, -np.inf).max(axis=1)
    return np.asarray(low >= high)


class Ranking:
    """Scores in an order, with ties: sums over ties and over all before them.

    ``scores`` is ``(n,)``. Ties are in ascending order of their score, or descending.
    """

    def __init__(self, scores: np.ndarray, *, descending: bool = False) -> None:
        keys = -scores if descending else scores
        self.order = np.argsort(keys, kind="stable")
        ordered = keys[self.order]
        new = np.r_[True, ordered[1:] != ordered[:-1]]
        self.starts = np.flatnonzero(new)
        self.tie = np.empty(len(scores), np.intp)
        """The number of each score's tie."""
        self.tie[self.order] = np.cumsum(new) - 1

    def sums(self, weights: np.ndarray) -> np.ndarray:
        """Return the weight of each tie, ``(b, ties)``, for ``weights`` of ``(b, n)``."""
        return np.asarray(np.add.reduceat(weights[:, self.order], self.starts, axis=1))

    def ranks(self, weights: np.ndarray) -> np.ndarray:
        """Return the rank of each score, ``(b, n)``, the mean over its tie, up to a constant."""
        sums = self.sums(weights)
        return np.asarray((np.cumsum(sums, axis=1) - sums / 2)[:, self.tie])
