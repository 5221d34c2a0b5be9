"""The laws of a model, on scikit-learn estimators inside ``SklearnModel``."""

from __future__ import annotations

import numpy as np
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dc_core import NumpyDataset
from dc_core.testing import ModelSuite
from dc_sklearn import SklearnModel


class TestForest(ModelSuite):
    def data(self, seed: int) -> NumpyDataset:
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(30, 4)), rng.normal(size=(30, 2)))

    def blank(self) -> SklearnModel:
        return SklearnModel(RandomForestRegressor(20, n_jobs=2, random_state=0))

    def make(self, seed: int) -> SklearnModel:
        return self.blank().fit(self.data(seed))

    def dataset(self) -> NumpyDataset:
        return self.data(7)


class TestPipeline(TestForest):
    def blank(self) -> SklearnModel:
        return SklearnModel(make_pipeline(StandardScaler(), Ridge()))


class TestClassifier(TestForest):
    def data(self, seed: int) -> NumpyDataset:
        rows = super().data(seed)
        return NumpyDataset(rows.X, (rows.y[:, :1] > 0).astype(float))

    def blank(self) -> SklearnModel:
        return SklearnModel(RandomForestClassifier(5, random_state=0))
