"""The laws of a model, on estimators of LightGBM inside ``LightGBMModel``."""

from __future__ import annotations

import numpy as np
from lightgbm import LGBMClassifier, LGBMRegressor

from dc_core import NumpyDataset
from dc_core.testing import ModelSuite
from dc_lightgbm import LightGBMModel

SMALL = {"n_estimators": 2, "min_child_samples": 4, "n_jobs": 1, "verbosity": -1}


class TestRegressor(ModelSuite):
    def data(self, seed: int) -> NumpyDataset:
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(30, 4)), rng.normal(size=30))

    def blank(self) -> LightGBMModel:
        return LightGBMModel(LGBMRegressor(**SMALL))

    def make(self, seed: int) -> LightGBMModel:
        return self.blank().fit(self.data(seed))

    def dataset(self) -> NumpyDataset:
        return self.data(7)


class TestClassifier(TestRegressor):
    def data(self, seed: int) -> NumpyDataset:
        rows = super().data(seed)
        return NumpyDataset(rows.X, (rows.y > 0).astype(float))

    def blank(self) -> LightGBMModel:
        return LightGBMModel(LGBMClassifier(**SMALL))
