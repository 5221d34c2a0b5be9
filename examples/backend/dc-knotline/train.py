"""Train a model and publish it: python train.py."""

import numpy as np
from dc_knotline import KnotlineModel
from knotline import AdditiveRegressor

from dc_core import NumpyDataset

X = np.random.default_rng(0).uniform(-3, 3, size=(500, 2))
y = np.sin(X[:, 0]) + 0.3 * X[:, 1] ** 2

model = KnotlineModel(AdditiveRegressor(knots=12)).fit(NumpyDataset(X, y))
print(model.to_pretrained("demo/waves"))
print("predicts", model.predict([[1.0, 2.0]]).item())
