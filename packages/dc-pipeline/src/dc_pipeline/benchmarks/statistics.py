"""Means over seeds, how certain they are, and the paired difference of two models.

The confidence intervals and p-values are Student's. If each seed makes a split of its own, the
training sets overlap, and scores are not independent: the variance of the mean is then enlarged as
Nadeau and Bengio (2003, doi:10.1023/A:1024068626366) propose, from ``1/k`` to
``1/k + n_test/n_train`` times the variance of the ``k`` scores.
"""

from __future__ import annotations

import numpy as np
from scipy.special import stdtr, stdtrit

from dc_pipeline.metrics.intervals import Comparison, Interval


def mean_interval(scores: np.ndarray, level: float, ratio: float) -> Interval:
    """Return the mean of the ``scores``, ``(k,)``, with its confidence interval.

    ``ratio`` is ``n_test/n_train`` if each score is that of another split, and else 0. Scores that
    are NaN are left out; with fewer than two others there are no bounds.
    """
    defined = scores[~np.isnan(scores)]
    undefined = len(scores) - len(defined)
    if not len(defined):
        return Interval(np.nan, np.nan, np.nan, level, undefined)
    mean = float(defined.mean())
    half = stdtrit(len(defined) - 1, (1 + level) / 2) * _error(defined, ratio)
    return Interval(mean, float(mean - half), float(mean + half), level, undefined)


def paired_difference(
    scores: np.ndarray, others: np.ndarray, level: float, ratio: float
) -> Comparison:
    """Return how ``others`` differ from ``scores``, both ``(k,)`` and paired by seed.

    The p-value is the two-sided one of the t-test of a mean difference of 0, with ``k - 1`` degrees
    of freedom; it is NaN for fewer than two pairs. ``ratio`` is as in :func:`mean_interval`.
    """
    found = mean_interval(others - scores, level, ratio)
    differences = (others - scores)[~np.isnan(others - scores)]
    error = _error(differences, ratio)
    if error == 0:
        p_value = float(found.value == 0)
    else:
        p_value = float(2 * stdtr(len(differences) - 1, -abs(found.value) / error))
    return Comparison(found.value, found.low, found.high, level, p_value)


def _error(scores: np.ndarray, ratio: float) -> float:
    """Return the standard error of the mean; NaN for fewer than two scores."""
    if len(scores) < 2:
        return np.nan
    return float(np.sqrt((1 / len(scores) + ratio) * scores.var(ddof=1)))
