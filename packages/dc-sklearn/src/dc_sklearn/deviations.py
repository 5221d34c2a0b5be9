"""The standard deviations that regressors predict."""

from __future__ import annotations

from inspect import signature
from typing import Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import is_classifier
from sklearn.ensemble import ExtraTreesRegressor, RandomForestRegressor
from sklearn.pipeline import Pipeline

from dc_core.errors import Unsupported


def check_deviations(estimator: Any) -> None:
    """Raise :class:`Unsupported` unless ``estimator`` predicts standard deviations."""
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    if _is_forest(estimator) or _returns_std(estimator):
        return
    name = type(estimator).__name__
    if is_classifier(estimator):
        raise Unsupported(
            f"{name} predicts probabilities of classes, which have no standard deviation.",
            hint="Use predict: the probabilities say how sure the model is.",
        )
    raise Unsupported(
        f"{name} predicts no standard deviations.",
        hint="Use GaussianProcessRegressor, BayesianRidge, ARDRegression, RandomForestRegressor or "
        "ExtraTreesRegressor, or an ensemble of this model.",
    )


def mean_and_deviation(estimator: Any, X: Any) -> tuple[np.ndarray, np.ndarray]:
    """Return the predictions and their standard deviations, each ``(n,)`` or ``(n, tasks)``."""
    if isinstance(estimator, Pipeline):
        rows = estimator[:-1].transform(X) if len(estimator) > 1 else X
        return mean_and_deviation(estimator[-1], rows)
    if not _is_forest(estimator):
        mean, std = estimator.predict(X, return_std=True)
        return np.asarray(mean), np.asarray(std)
    mean = estimator.predict(X)
    # The trees know no names of columns, and take float32.
    rows = X if issparse(X) else np.asarray(X, np.float32)
    return mean, np.std([tree.predict(rows) for tree in estimator.estimators_], axis=0)


def _is_forest(estimator: Any) -> bool:
    return isinstance(estimator, RandomForestRegressor | ExtraTreesRegressor)


def _returns_std(estimator: Any) -> bool:
    return "return_std" in signature(estimator.predict).parameters
