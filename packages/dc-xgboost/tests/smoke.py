"""Smoke test of the installed wheel: trees are fitted, restored, and predict the same."""

import numpy as np
from xgboost import XGBRegressor

from dc_core import NumpyDataset
from dc_xgboost import XGBoostModel

rng = np.random.default_rng(0)
dataset = NumpyDataset(rng.normal(size=(60, 4)), rng.normal(size=60))
model = XGBoostModel(XGBRegressor(n_estimators=10)).fit(dataset)
other = XGBoostModel(XGBRegressor(n_estimators=10))
other.set_weights(model.get_weights())
if not np.array_equal(model.predict(dataset), other.predict(dataset)):
    raise SystemExit("restored trees predict something else")
