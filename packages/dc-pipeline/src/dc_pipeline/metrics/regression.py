"""Metrics of predicted values."""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.stats import kendalltau

from dc_pipeline.metrics import checks
from dc_pipeline.metrics.weighted import (
    Ranking,
    RowMetric,
    WeightedMetric,
    divide,
    is_constant,
    mean,
)

_BLOCK: Final = 512
_MOST_REPEATS: Final = 64


class RMSE(RowMetric):
    """Root mean squared error, in the unit of the labels."""

    greater_is_better = False
    needs_values = True

    def losses(self, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the squared error of each row, ``(n,)``."""
        return np.asarray(np.square(y - checks.values(self, y, prediction)))

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the error for each row of ``weights``, ``(b,)``."""
        return np.asarray(np.sqrt(super().compute_weighted(y, prediction, weights)))


class MAE(RowMetric):
    """Mean absolute error, in the unit of the labels."""

    greater_is_better = False
    needs_values = True

    def losses(self, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the absolute error of each row, ``(n,)``."""
        return np.asarray(np.abs(y - checks.values(self, y, prediction)))


class MaxError(WeightedMetric):
    """The largest absolute error, in the unit of the labels; weights above 0 are all alike."""

    greater_is_better = False
    needs_values = True

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the error for each row of ``weights``, ``(b,)``."""
        errors = np.abs(y - checks.values(self, y, prediction))
        largest = np.where(weights > 0, errors, -1).max(axis=1)
        return np.where(largest < 0, np.nan, largest)


class R2(WeightedMetric):
    """Coefficient of determination: the explained fraction of the labels' variance.

    It is NaN if all labels are equal.
    """

    greater_is_better = True
    needs_values = True

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the coefficient for each row of ``weights``, ``(b,)``."""
        residuals = y - checks.values(self, y, prediction)
        unexplained = divide(mean(np.square(residuals), weights), _variance(y, weights))
        return np.where(is_constant(y, weights), np.nan, 1 - unexplained)


class ExplainedVariance(WeightedMetric):
    """R² without the bias: one minus the variance of the errors over that of the labels.

    It is NaN if all labels are equal.
    """

    greater_is_better = True
    needs_values = True

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the fraction for each row of ``weights``, ``(b,)``."""
        residuals = y - checks.values(self, y, prediction)
        unexplained = divide(_variance(residuals, weights), _variance(y, weights))
        return np.where(is_constant(y, weights), np.nan, 1 - unexplained)


class PearsonR(WeightedMetric):
    """Pearson's correlation coefficient of labels and predictions; NaN if either is constant."""

    greater_is_better = True
    needs_values = True

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the coefficient for each row of ``weights``, ``(b,)``."""
        found = checks.values(self, y, prediction)
        undefined = is_constant(y, weights) | is_constant(found, weights)
        return np.where(undefined, np.nan, _correlation(y, found, weights))


class SpearmanR(WeightedMetric):
    """Spearman's rank correlation: Pearson's of the ranks, ties having their mean rank.

    It is NaN if all labels or predictions are equal.
    """

    greater_is_better = True
    needs_values = True

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the coefficient for each row of ``weights``, ``(b,)``."""
        found = checks.values(self, y, prediction)
        undefined = is_constant(y, weights) | is_constant(found, weights)
        ranks = Ranking(y).ranks(weights), Ranking(found).ranks(weights)
        return np.where(undefined, np.nan, _correlation(*ranks, weights))


class KendallTau(WeightedMetric):
    """Kendall's τ-b: the excess of pairs in the right order, corrected for ties.

    A pair weighs the product of its rows' weights. It is NaN if all labels or predictions are
    equal. The time is that of a sort if the weights are equal or small integers, and else grows
    with the square of the rows.
    """

    greater_is_better = True
    needs_values = True

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the coefficient for each row of ``weights``, ``(b,)``."""
        found = checks.values(self, y, prediction)
        excess, differ_y, differ_p = np.transpose([_pairs(y, found, w) for w in weights])
        return np.asarray(np.clip(divide(excess, np.sqrt(differ_y * differ_p)), -1, 1))


class ConcordanceIndex(WeightedMetric):
    """The fraction of pairs with different labels that are predicted in the right order.

    Equal predictions count half (Harrell et al. 1982, doi:10.1001/jama.1982.03320430047030, without
    censoring). Weights, and the time, are as in :class:`KendallTau`. It is NaN if all labels are
    equal.
    """

    greater_is_better = True
    needs_values = True

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the fraction for each row of ``weights``, ``(b,)``."""
        found = checks.values(self, y, prediction)
        excess, differ_y, _ = np.transpose([_pairs(y, found, w) for w in weights])
        return (divide(excess, differ_y) + 1) / 2


def _variance(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the variance of ``values``, ``(n,)``, by each row of ``weights``, ``(b,)``."""
    return mean(np.square(values - mean(values, weights)[:, None]), weights)


def _correlation(a: np.ndarray, b: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the correlation of ``a`` and ``b``, ``(n,)`` or ``(b, n)``, by each row of weights."""
    a = a - mean(a, weights)[:, None]
    b = b - mean(b, weights)[:, None]
    norm = np.sqrt(mean(np.square(a), weights)) * np.sqrt(mean(np.square(b), weights))
    return np.asarray(np.clip(divide(mean(a * b, weights), norm), -1.0, 1.0))


def _pairs(y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> tuple[float, float, float]:
    """Return the weights of pairs in the right order less those in the wrong one, and of all pairs.

    The latter are those that differ in y, and those that differ in the prediction.
    """
    rows = w > 0
    y, prediction, w = y[rows], prediction[rows], w[rows]
    if not len(w):
        return 0.0, 0.0, 0.0
    repeats = w / w.min()
    if np.all(repeats == np.floor(repeats)) and repeats.max() <= _MOST_REPEATS:
        unit = float(w.min()) ** 2
        y, prediction = (np.repeat(x, repeats.astype(np.intp)) for x in (y, prediction))
        differ_y, differ_p = (_different_pairs(x) for x in (y, prediction))
        if not differ_y or not differ_p:
            return 0.0, unit * differ_y, unit * differ_p
        tau = kendalltau(y, prediction, method="asymptotic").statistic
        excess = round(float(tau) * np.sqrt(differ_y) * np.sqrt(differ_p))
        return unit * excess, unit * differ_y, unit * differ_p
    sums = np.zeros(3)
    for start in range(0, len(w), _BLOCK):
        block = slice(start, start + _BLOCK)
        order_y = np.sign(y[block, None] - y)
        order_p = np.sign(prediction[block, None] - prediction)
        for i, signs in enumerate((order_y * order_p, order_y**2, order_p**2)):
            sums[i] += w[block] @ signs @ w
    excess, differ_y, differ_p = (sums / 2).tolist()
    return excess, differ_y, differ_p


def _different_pairs(values: np.ndarray) -> float:
    _, counts = np.unique(values, return_counts=True)
    n = float(len(values))
    return (n * n - float(np.square(counts, dtype=float).sum())) / 2
