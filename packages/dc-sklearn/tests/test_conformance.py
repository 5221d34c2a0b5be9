"""The conformance kit's laws, on one estimator of each kind of state."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from typing import Any

import numpy as np
import sklearn
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dc_core.testing import BackendSuite


@cache
def _fitted_to_diabetes(suite: type[_Regression], seed: int) -> Any:
    x, y = load_diabetes(return_X_y=True)
    rows = slice(60 * seed, 60 * seed + 60)
    return clone(suite.estimator).fit(x[rows], y[rows])


@cache
def _fitted_to_iris(suite: type[_Classification], seed: int) -> Any:
    x, y = load_iris(return_X_y=True)
    return clone(suite.estimator).fit(x[seed::3], y[seed::3])


class _Sklearn(BackendSuite):
    backend = "sklearn"
    estimator: Any

    def global_state(self) -> object:
        return sklearn.get_config()


class _Regression(_Sklearn):
    def make(self, seed: int) -> Any:
        return deepcopy(_fitted_to_diabetes(type(self), seed))

    def blank(self) -> Any:
        return clone(self.estimator)

    def predict(self, obj: Any) -> np.ndarray:
        return obj.predict(load_diabetes().data[200:230])


class _Classification(_Sklearn):
    def make(self, seed: int) -> Any:
        return deepcopy(_fitted_to_iris(type(self), seed))

    def blank(self) -> Any:
        return clone(self.estimator)

    def predict(self, obj: Any) -> np.ndarray:
        probabilities = hasattr(obj, "predict_proba")
        x = load_iris().data + 0.3
        return obj.predict_proba(x) if probabilities else obj.decision_function(x)


class TestForestOfRegressionTrees(_Regression):
    estimator = RandomForestRegressor(n_estimators=4, max_depth=4, random_state=0)

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        tree = "estimators_/{}/0"
        return {
            "a node that is its own child": _changed(weights, tree.format("children_left"), 0, 0),
            "a child beyond its tree": _changed(weights, tree.format("children_right"), 0, 10**9),
            "a feature that is not there": _changed(weights, tree.format("feature"), 0, 10),
            "trees that overlap": _changed(weights, tree.format("offsets"), 1, 0),
            "an attribute too many": _changed(weights, "attributes/0", (), 99),
        }


class TestHistogramGradientBoosting(_Classification):
    estimator = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=4, random_state=0)

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {
            "a node that is its own child": _changed(weights, "_predictors/left/0", 0, 0),
            "a child beyond its tree": _changed(weights, "_predictors/right/0", 0, 10**9),
            "a feature that is not there": _changed(weights, "_predictors/feature_idx/0", 0, 4),
            "a bitset that is not there": _changed(weights, "_predictors/is_categorical/0", 0, 1),
            "more trees than nodes": _changed(weights, "_predictors/shape/0", 0, 10**6),
        }


class TestSupportVectors(_Classification):
    estimator = SVC()

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {
            "more support vectors than there are": _changed(weights, "_n_support/0", 0, 10**6),
            "a negative number of support vectors": _changed(weights, "_n_support/0", 0, -1),
            "another number of features": _changed(weights, "n_features_in_/0", (), 5),
        }


class TestSearchTree(_Regression):
    estimator = KNeighborsRegressor(algorithm="kd_tree", leaf_size=10)

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {
            "a row that is not there": _changed(weights, "_tree/order/0", 0, 10**9),
            "a row twice": _changed(weights, "_tree/order/0", 0, weights["_tree/order/0"][1]),
            "a radius that is not finite": _changed(weights, "_tree/radius/0", 1, np.nan),
            "a corner that is not finite": _changed(weights, "_tree/bounds/0", (0, 0, 0), np.inf),
            "an unknown number of rows": _changed(weights, "n_samples_fit_/0", (), 61),
        }


class TestLinearModel(_Regression):
    estimator = Ridge(alpha=0.1)

    make_scalar = _Regression.make
    make_empty = _Regression.make

    def make_large(self, seed: int) -> Any:
        estimator = self.make(seed)
        estimator.coef_ = np.full(2**23, seed, np.float64)
        estimator.n_features_in_ = 2**23
        return estimator


class TestPipeline(_Classification):
    estimator = make_pipeline(StandardScaler(), PCA(2), LogisticRegression())


def _changed(
    weights: Mapping[str, np.ndarray], name: str, index: Any, value: float
) -> dict[str, np.ndarray]:
    """Return ``weights`` with one number of the weight ``name`` changed."""
    array = weights[name].copy()
    array[index] = value
    return {**weights, name: array}
