"""Smoke test of the installed wheel: a forest is fitted, restored, and predicts the same."""

import numpy as np
from sklearn.ensemble import RandomForestRegressor

from dc_core import NumpyDataset
from dc_sklearn import SklearnModel

rng = np.random.default_rng(0)
dataset = NumpyDataset(rng.normal(size=(60, 4)), rng.normal(size=60))
model = SklearnModel(RandomForestRegressor(n_estimators=10, random_state=0)).fit(dataset)
other = SklearnModel(RandomForestRegressor(n_estimators=10, random_state=0))
other.set_weights(model.get_weights())
if not np.array_equal(model.predict(dataset), other.predict(dataset)):
    raise SystemExit("a restored forest predicts something else")
