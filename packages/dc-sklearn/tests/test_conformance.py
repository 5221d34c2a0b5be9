"""The conformance kit's laws, on one estimator of each kind of state."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    RandomForestRegressor,
)
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

from dc_core.testing import BackendSuite


class _Regression(BackendSuite):
    backend = "sklearn"
    estimator: Any

    def make(self, seed: int) -> Any:
        x, y = load_diabetes(return_X_y=True)
        rows = slice(60 * seed, 60 * seed + 60)
        return clone(self.estimator).fit(x[rows], y[rows])

    def blank(self) -> Any:
        return clone(self.estimator)

    def predict(self, obj: Any) -> np.ndarray:
        return obj.predict(load_diabetes().data[200:230])


class _Classification(BackendSuite):
    backend = "sklearn"
    estimator: Any

    def make(self, seed: int) -> Any:
        x, y = load_iris(return_X_y=True)
        return clone(self.estimator).fit(x[seed::3], y[seed::3])

    def blank(self) -> Any:
        return clone(self.estimator)

    def predict(self, obj: Any) -> np.ndarray:
        probabilities = hasattr(obj, "predict_proba")
        x = load_iris().data + 0.3
        return obj.predict_proba(x) if probabilities else obj.decision_function(x)


class TestForestOfRegressionTrees(_Regression):
    estimator = RandomForestRegressor(n_estimators=4, max_depth=4, random_state=0)


class TestHistogramGradientBoosting(_Classification):
    estimator = HistGradientBoostingClassifier(max_iter=3, min_samples_leaf=4, random_state=0)


class TestSupportVectors(_Classification):
    estimator = SVC()


class TestLinearModel(_Regression):
    estimator = Ridge(alpha=0.1)

    make_scalar = _Regression.make
    make_empty = _Regression.make


class TestPipeline(_Classification):
    estimator = make_pipeline(StandardScaler(), PCA(2), LogisticRegression())
