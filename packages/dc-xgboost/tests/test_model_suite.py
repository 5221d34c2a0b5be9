"""The laws of a model, on estimators of XGBoost inside ``XGBoostModel``."""

from __future__ import annotations

import numpy as np
from xgboost import XGBClassifier, XGBRegressor, XGBRFRegressor

from dc_core import NumpyDataset
from dc_core.testing import ModelSuite
from dc_xgboost import XGBoostModel


class TestRegressor(ModelSuite):
    def data(self, seed: int) -> NumpyDataset:
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(30, 4)), rng.normal(size=(30, 2)))

    def blank(self) -> XGBoostModel:
        return XGBoostModel(XGBRegressor(n_estimators=3, max_depth=3, n_jobs=1))

    def make(self, seed: int) -> XGBoostModel:
        return self.blank().fit(self.data(seed))

    def dataset(self) -> NumpyDataset:
        return self.data(7)


class TestForest(TestRegressor):
    def blank(self) -> XGBoostModel:
        return XGBoostModel(XGBRFRegressor(n_estimators=3, n_jobs=1, random_state=1))


class TestClassifier(TestRegressor):
    def data(self, seed: int) -> NumpyDataset:
        rows = super().data(seed)
        return NumpyDataset(rows.X, (rows.y[:, :1] > 0).astype(float))

    def blank(self) -> XGBoostModel:
        return XGBoostModel(XGBClassifier(n_estimators=3, n_jobs=1))
