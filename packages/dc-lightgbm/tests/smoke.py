"""Smoke test of the installed wheel: trees are fitted, restored, and predict the same."""

import numpy as np
from lightgbm import LGBMRegressor

from dc_core import NumpyDataset
from dc_lightgbm import LightGBMModel

rng = np.random.default_rng(0)
dataset = NumpyDataset(rng.normal(size=(60, 4)), rng.normal(size=60))
model = LightGBMModel(LGBMRegressor(n_estimators=10, verbosity=-1)).fit(dataset)
other = LightGBMModel(LGBMRegressor(n_estimators=10, verbosity=-1))
other.set_weights(model.get_weights())
if not np.array_equal(model.predict(dataset), other.predict(dataset)):
    raise SystemExit("restored trees predict something else")
