"""Metrics of predicted classes and probabilities."""

from __future__ import annotations

from abc import abstractmethod
from typing import Final

import numpy as np

from dc_core import check_count
from dc_pipeline.metrics import checks
from dc_pipeline.metrics.weighted import Ranking, RowMetric, WeightedMetric, divide

_EPS: Final = float(np.finfo(np.float64).eps)


class _OneVsRest(WeightedMetric):
    """A metric of two classes; of several, the mean over the classes, each against the rest.

    It is NaN if a class is absent.
    """

    greater_is_better = True

    @abstractmethod
    def binary(self, positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the metric for each row of ``weights``, ``(b,)``; positive is ``(n,)`` of bool."""

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the metric for each row of ``weights``, ``(b,)``."""
        scores = checks.scores(self, y, prediction)
        n = scores.shape[1]
        absent = np.any([~(weights[:, y == c] > 0).any(axis=1) for c in range(n)], axis=0)
        classes = [1] if n == 2 else range(n)
        found = [self.binary(y == c, scores[:, c], weights) for c in classes]
        return np.where(absent, np.nan, np.mean(found, axis=0))


class ROCAUC(_OneVsRest):
    """Area under the receiver operating characteristic.

    For several classes it is the mean of one-vs-rest.
    """

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "roc_auc"

    def binary(self, positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the area for each row of ``weights``, ``(b,)``."""
        ranking = Ranking(score)
        actives, others = (ranking.sums(weights * rows) for rows in (positive, ~positive))
        # Each pair of classes that is ranked right, and half of those that are tied.
        below = np.cumsum(others, axis=1) - others / 2
        return divide((actives * below).sum(axis=1), actives.sum(axis=1) * others.sum(axis=1))


class PRCAUC(_OneVsRest):
    """Area under the precision–recall curve; for several classes, the mean of one-vs-rest.

    The area is summed by trapezoids, as in MoleculeNet (2018, doi:10.1039/C7SC02664A).
    """

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "prc_auc"

    def binary(self, positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the area for each row of ``weights``, ``(b,)``."""
        steps, precision = _precision_recall(positive, score, weights)
        before = np.hstack([np.ones((len(precision), 1)), precision[:, :-1]])
        return np.asarray((steps * (precision + before) / 2).sum(axis=1))


class AveragePrecision(_OneVsRest):
    """The mean precision over the positive rows; for several classes, the mean of one-vs-rest.

    Unlike the trapezoids of :class:`PRCAUC`, it does not interpolate, which is too optimistic
    (Davis and Goadrich 2006, doi:10.1145/1143844.1143874).
    """

    def binary(self, positive: np.ndarray, score: np.ndarray, weights: np.ndarray) -> np.ndarray:
        """Return the precision for each row of ``weights``, ``(b,)``."""
        steps, precision = _precision_recall(positive, score, weights)
        return np.asarray((steps * precision).sum(axis=1))


class _ConfusionMetric(WeightedMetric):
    """A metric of the most probable classes, from the confusion matrix.

    Of equally probable classes the first counts.
    """

    greater_is_better = True

    @abstractmethod
    def of_confusion(self, matrix: np.ndarray) -> np.ndarray:
        """Return the metric, ``(b,)``, of weights ``(b, true class, predicted class)``."""

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the metric for each row of ``weights``, ``(b,)``."""
        scores = checks.scores(self, y, prediction)
        n = scores.shape[1]
        cells = np.eye(n * n)[y.astype(np.intp) * n + scores.argmax(axis=1)]
        return self.of_confusion((weights @ cells).reshape(-1, n, n))


class Accuracy(_ConfusionMetric):
    """Fraction of the rows whose most probable class is correct."""

    def of_confusion(self, matrix: np.ndarray) -> np.ndarray:
        """Return the accuracy of each matrix, ``(b,)``."""
        return divide(_right(matrix).sum(axis=1), matrix.sum(axis=(1, 2)))


class BalancedAccuracy(_ConfusionMetric):
    """Accuracy of each class, averaged over the classes that occur; NaN if it is a single one."""

    def of_confusion(self, matrix: np.ndarray) -> np.ndarray:
        """Return the accuracy of each matrix, ``(b,)``."""
        occurs = matrix.sum(axis=2) > 0
        recall = np.where(occurs, divide(_right(matrix), matrix.sum(axis=2)), 0)
        return np.where(_one_class(matrix), np.nan, divide(recall.sum(axis=1), occurs.sum(axis=1)))


class F1(_ConfusionMetric):
    """The harmonic mean of precision and recall of class 1.

    For several classes, it is the mean over those that occur in labels or predictions. It is NaN if
    there is a single class of labels.
    """

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "f1"

    def of_confusion(self, matrix: np.ndarray) -> np.ndarray:
        """Return the score of each matrix, ``(b,)``."""
        all_ = matrix.sum(axis=1) + matrix.sum(axis=2)
        each = divide(2 * _right(matrix), all_)
        if matrix.shape[1] == 2:
            return np.where(_one_class(matrix), np.nan, each[:, 1])
        occurs = all_ > 0
        mean = divide(np.where(occurs, each, 0).sum(axis=1), occurs.sum(axis=1))
        return np.where(_one_class(matrix), np.nan, mean)


class MCC(_ConfusionMetric):
    """Matthews' correlation coefficient (1975, doi:10.1016/0005-2795(75)90109-9).

    It is 0 if all rows are predicted to be of one class, and NaN if all are of one.
    """

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "mcc"

    def of_confusion(self, matrix: np.ndarray) -> np.ndarray:
        """Return the coefficient of each matrix, ``(b,)``, for any number of classes."""
        # Scaled, because products of large weights would overflow.
        matrix = divide(matrix, matrix.sum(axis=(1, 2), keepdims=True))
        true, predicted = matrix.sum(axis=2), matrix.sum(axis=1)
        covariance = _right(matrix).sum(axis=1) - (true * predicted).sum(axis=1)
        spread = (1 - np.square(true).sum(axis=1)) * (1 - np.square(predicted).sum(axis=1))
        # One class predicted: exactly 1, up to rounding.
        single = (predicted > 0).sum(axis=1) < 2
        found = np.where(single, 0, divide(covariance, np.sqrt(np.where(single, 1, spread))))
        return np.where(_one_class(matrix), np.nan, np.clip(found, -1, 1))


class LogLoss(RowMetric):
    """The mean negative logarithm of the true class's probability, in nats.

    Probabilities of 0 are taken as 2⁻⁵².
    """

    greater_is_better = False

    def losses(self, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the loss of each row, ``(n,)``."""
        found = checks.probabilities(self, y, prediction)
        true = np.take_along_axis(found, y.astype(np.intp)[:, None], axis=1)[:, 0]
        return np.asarray(-np.log(np.clip(true, _EPS, 1 - _EPS)))


class BrierScore(RowMetric):
    """The mean squared error of the probabilities (Brier 1950).

    Of two classes only class 1 counts, so that it is from 0 to 1; of several it is the sum over the
    classes, from 0 to 2.
    """

    greater_is_better = False

    def losses(self, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
        """Return the loss of each row, ``(n,)``."""
        found = checks.probabilities(self, y, prediction)
        errors = np.square(found - np.eye(found.shape[1])[y.astype(np.intp)])
        return np.asarray(errors[:, 1] if found.shape[1] == 2 else errors.sum(axis=1))


class CalibrationError(WeightedMetric):
    """Expected calibration error: the distance of probabilities from observed frequencies.

    Rows are sorted into ``bins`` of equal width by their probability. The error is the mean over
    the rows of the difference, in their bin, of the mean probability and the observed frequency. Of
    two classes it is that of class 1; of several, that of the most probable class (Guo et al. 2017,
    arXiv:1706.04599).

    Raises :class:`ParameterError` unless ``bins`` is an integer of at least 1.
    """

    greater_is_better = False

    def __init__(self, bins: int = 15) -> None:
        self.bins = check_count("bins", bins, minimum=1)

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the error for each row of ``weights``, ``(b,)``."""
        found = checks.probabilities(self, y, prediction)
        class_ = np.ones(len(found), np.intp) if found.shape[1] == 2 else found.argmax(axis=1)
        stated = np.take_along_axis(found, class_[:, None], axis=1)[:, 0]
        bins = np.minimum((stated * self.bins).astype(np.intp), self.bins - 1)
        excess = np.zeros((len(y), self.bins))
        excess[np.arange(len(y)), bins] = (y == class_) - stated
        return divide(np.abs(weights @ excess).sum(axis=1), weights.sum(axis=1))


def _precision_recall(
    positive: np.ndarray, score: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the step in recall, and the precision, at each different score from the highest on."""
    ranking = Ranking(score, descending=True)
    actives = ranking.sums(weights * positive)
    precision = divide(np.cumsum(actives, axis=1), np.cumsum(ranking.sums(weights), axis=1))
    # Before the first row that counts, the curve is at its start.
    precision = np.where(np.isnan(precision), 1, precision)
    return divide(actives, actives.sum(axis=1, keepdims=True)), precision


def _right(matrix: np.ndarray) -> np.ndarray:
    return np.diagonal(matrix, axis1=1, axis2=2)


def _one_class(matrix: np.ndarray) -> np.ndarray:
    return np.asarray((matrix.sum(axis=2) > 0).sum(axis=1) < 2)
