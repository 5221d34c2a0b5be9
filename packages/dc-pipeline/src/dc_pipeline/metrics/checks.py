"""Check labels and predictions before a metric is computed."""

from __future__ import annotations

from typing import Any

import numpy as np

from dc_core import Metric
from dc_core.errors import DatasetError, ParameterError


def values(metric: Metric, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return predicted values, ``(n,)``.

    Raises :class:`DatasetError` for probabilities of classes, and anything infinite or NaN.
    """
    if prediction.ndim != 1:
        raise DatasetError(
            f"{metric.name} needs predicted values; these are probabilities of classes.",
            hint="Use a metric for classification, such as ROCAUC.",
        )
    return _finite(metric, _finite_labels(metric, y, prediction))


def distributions(
    metric: Metric, y: np.ndarray, prediction: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return predicted means and standard deviations, each ``(n,)``, from ``(n, 2)``.

    Raises :class:`DatasetError` for other shapes, anything infinite or NaN, and deviations that are
    not positive.
    """
    if prediction.ndim != 2 or prediction.shape[1] != 2:
        raise DatasetError(
            f"{metric.name} needs means and standard deviations, not {prediction.shape}.",
            hint="Stack them: np.stack([mean, std], axis=-1), of shape (n, tasks, 2).",
        )
    found = _finite(metric, _finite_labels(metric, y, prediction))
    if not np.all(found[:, 1] > 0):
        raise DatasetError(f"{metric.name} needs standard deviations above 0.")
    return found[:, 0], found[:, 1]


def scores(metric: Metric, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return scores or probabilities, ``(n, classes)``, for labels that are classes.

    Raises :class:`DatasetError` for labels that are not, and predictions infinite or NaN.
    """
    if prediction.ndim == 1:
        prediction = np.stack([1 - prediction, prediction], axis=1)
    classes = prediction.shape[1]
    if not np.isin(y, np.arange(classes)).all():
        raise DatasetError(
            f"{metric.name} needs labels that are classes; these are not all in 0 … {classes - 1}.",
            hint="Use a metric for regression, such as RMSE, or number the classes from 0.",
        )
    return _finite(metric, prediction)


def actives(metric: Metric, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return the scores of class 1, ``(n,)``.

    Raises :class:`DatasetError` as :func:`scores` does, and for more than two classes.
    """
    found = scores(metric, y, prediction)
    if found.shape[1] != 2:
        raise DatasetError(
            f"{metric.name} needs two classes; there are {found.shape[1]}.",
            hint="Give the scores of one class, of shape (n, tasks), and labels 0 and 1.",
        )
    return found[:, 1]


def probabilities(metric: Metric, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    """Return probabilities, ``(n, classes)``, for labels that are classes.

    Raises :class:`DatasetError` as :func:`scores` does, and for values that are not from 0 to 1.
    """
    found = scores(metric, y, prediction)
    if found.size and not 0 <= found.min() <= found.max() <= 1:
        raise DatasetError(
            f"{metric.name} needs probabilities; these are from {found.min():.4g} to "
            f"{found.max():.4g}.",
            hint="Use a metric of scores, such as ROCAUC, or convert them.",
        )
    return found


def positive(name: str, value: Any, maximum: float = np.inf) -> float:
    """Return a number above 0 and at most ``maximum``; raises :class:`ParameterError`."""
    number = isinstance(value, int | float | np.number) and not isinstance(value, bool)
    if not number or not 0 < value <= maximum or value == np.inf:
        most = "" if maximum == np.inf else f" and at most {maximum:g}"
        raise ParameterError(f"{name}={value!r} must be a number above 0{most}.")
    return float(value)


def _finite_labels(metric: Metric, y: np.ndarray, prediction: np.ndarray) -> np.ndarray:
    if not np.isfinite(y).all():
        raise DatasetError(
            f"{metric.name} is not defined for infinite labels.",
            hint="Correct them, or set them to NaN: missing labels are left out.",
        )
    return prediction


def _finite(metric: Metric, prediction: np.ndarray) -> np.ndarray:
    if not np.isfinite(prediction).all():
        raise DatasetError(
            f"{metric.name} is not defined for predictions that are NaN or infinite.",
            hint="The training may have diverged: try a smaller learning rate.",
        )
    return prediction.astype(np.float64, copy=False)
