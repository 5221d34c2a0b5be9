"""Metrics, computed by scikit-learn from labels, predictions and weights.

Regression metrics take predictions ``(n,)``. Classification metrics take probabilities
``(n, classes)`` of the classes 0, 1, …, or ``(n,)`` of class 1. A metric that is undefined for its
rows (a single class, a constant y) is NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from sklearn import metrics as sk

from dc_core import Metric
from dc_core.errors import DatasetError


class RMSE(Metric):
    """Root mean squared error, in the unit of the labels."""

    greater_is_better = False
    needs_values = True

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the error of one task."""
        values = _values(self, y, prediction)
        return float(sk.root_mean_squared_error(y, values, sample_weight=w))


class MAE(Metric):
    """Mean absolute error, in the unit of the labels."""

    greater_is_better = False
    needs_values = True

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the error of one task."""
        return float(sk.mean_absolute_error(y, _values(self, y, prediction), sample_weight=w))


class R2(Metric):
    """Coefficient of determination: the explained fraction of the labels' variance."""

    greater_is_better = True
    needs_values = True

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the coefficient of one task; NaN if all labels are equal."""
        values = _values(self, y, prediction)
        if np.ptp(y) == 0:
            return float("nan")
        return float(sk.r2_score(y, values, sample_weight=w))


class PearsonR(Metric):
    """Pearson's correlation coefficient of labels and predictions."""

    greater_is_better = True
    needs_values = True

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the coefficient of one task; NaN if all labels or predictions are equal."""
        values = _values(self, y, prediction)
        covariance = np.cov(y, values, aweights=w, ddof=0)
        one, other = np.sqrt(np.diag(covariance))
        if np.ptp(y) == 0 or np.ptp(values) == 0 or one == 0 or other == 0:
            return float("nan")
        return float(np.clip(covariance[0, 1] / one / other, -1.0, 1.0))


class ROCAUC(Metric):
    """Area under the receiver operating characteristic.

    For several classes it is the mean of one-vs-rest.
    """

    greater_is_better = True

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "roc_auc"

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the area of one task; NaN if a class is absent."""

        def area(y: np.ndarray, score: np.ndarray) -> float:
            return float(sk.roc_auc_score(y, score, sample_weight=w))

        return _one_vs_rest(y, _probabilities(self, y, prediction), area)


class PRCAUC(Metric):
    """Area under the precision–recall curve; for several classes, the mean of one-vs-rest.

    The area is summed by trapezoids, as in MoleculeNet (2018, doi:10.1039/C7SC02664A).
    """

    greater_is_better = True

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "prc_auc"

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the area of one task; NaN if a class is absent."""

        def area(y: np.ndarray, score: np.ndarray) -> float:
            precision, recall, _ = sk.precision_recall_curve(y, score, sample_weight=w)
            return float(sk.auc(recall, precision))

        return _one_vs_rest(y, _probabilities(self, y, prediction), area)


class Accuracy(Metric):
    """Fraction of the rows whose most probable class is correct."""

    greater_is_better = True

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the accuracy of one task."""
        classes = _probabilities(self, y, prediction).argmax(axis=1)
        return float(sk.accuracy_score(y.astype(int), classes, sample_weight=w))


class BalancedAccuracy(Metric):
    """Accuracy of each class, averaged over the classes that occur."""

    greater_is_better = True

    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the balanced accuracy of one task; NaN if there is a single class."""
        right = _probabilities(self, y, prediction).argmax(axis=1) == y
        if np.ptp(y) == 0:
            return float("nan")
        return float(np.mean([np.average(right[y == c], weights=w[y == c]) for c in np.unique(y)]))


def _values(metric: Metric, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    if prediction.ndim != 1:
        raise DatasetError(
            f"{metric.name} needs predicted values; these are probabilities of classes.",
            hint="Use a metric for classification, such as ROCAUC.",
        )
    if not np.isfinite(y).all():
        raise DatasetError(
            f"{metric.name} is not defined for infinite labels.",
            hint="Correct them, or set them to NaN: missing labels are left out.",
        )
    return _finite(metric, prediction)


def _probabilities(metric: Metric, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return probabilities ``(n, classes)`` for labels that are classes."""
    if prediction.ndim == 1:
        prediction = np.stack([1 - prediction, prediction], axis=1)
    classes = prediction.shape[1]
    if not np.isin(y, np.arange(classes)).all():
        raise DatasetError(
            f"{metric.name} needs labels that are classes; these are not all in 0 … {classes - 1}.",
            hint="Use a metric for regression, such as RMSE, or number the classes from 0.",
        )
    return _finite(metric, prediction)


def _finite(metric: Metric, prediction: np.ndarray) -> np.ndarray:
    if not np.isfinite(prediction).all():
        raise DatasetError(
            f"{metric.name} is not defined for predictions that are NaN or infinite.",
            hint="The training may have diverged: try a smaller learning rate.",
        )
    return prediction


def _one_vs_rest(
    y: np.ndarray, probabilities: np.ndarray, score: Callable[[np.ndarray, np.ndarray], float]
) -> float:
    """Return the mean of ``score`` over the classes, each against the rest; for two, that of 1."""
    n = probabilities.shape[1]
    if len(np.unique(y)) < n:
        return float("nan")
    classes = [1] if n == 2 else range(n)
    return float(np.mean([score(y == c, probabilities[:, c]) for c in classes]))
