"""Metrics of predicted distributions: means with standard deviations."""

from __future__ import annotations

import numpy as np
from scipy.special import ndtr

from dc_core import check_count
from dc_pipeline.metrics import checks
from dc_pipeline.metrics.weighted import RowMetric, WeightedMetric, divide


class RegressionCalibrationError(WeightedMetric):
    """How far the predicted quantiles of a regression are from the observed frequencies.

    Predictions are ``(n, tasks, 2)``: the mean and the standard deviation of a normal distribution.
    If they are right, a fraction p of the labels is below the predicted p-quantile, for every p
    (Kuleshov et al. 2018, arXiv:1807.00263). The error is the mean absolute difference of p and
    that fraction over ``levels`` values of p between 0 and 1: 0 at best, 0.5 at worst.

    Raises :class:`ParameterError` unless ``levels`` is an integer of at least 1.
    """

    greater_is_better = False
    needs_values = True
    needs_distribution = True

    def __init__(self, levels: int = 99) -> None:
        self.levels = check_count("levels", levels, minimum=1)

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the error for each row of ``weights``, ``(b,)``."""
        mean, std = checks.distributions(self, y, prediction)
        expected = np.arange(1, self.levels + 1) / (self.levels + 1)
        below = (ndtr((y - mean) / std)[:, None] <= expected).astype(float)
        observed = divide(weights @ below, weights.sum(axis=1, keepdims=True))
        return np.asarray(np.abs(observed - expected).mean(axis=1))


class GaussianNLL(RowMetric):
    """The mean negative log-likelihood of the labels under predicted normal distributions, in nats.

    Predictions are ``(n, tasks, 2)``: means and standard deviations.
    """

    greater_is_better = False
    needs_values = True
    needs_distribution = True

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "gaussian_nll"

    def losses(self, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the loss of each row, ``(n,)``."""
        mean, std = checks.distributions(self, y, prediction)
        return np.asarray(np.square((y - mean) / std) / 2 + np.log(std) + np.log(2 * np.pi) / 2)
