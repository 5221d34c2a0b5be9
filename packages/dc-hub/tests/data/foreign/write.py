"""Write the files in this directory, by the libraries that they are named for.

pip install chemprop==2.3.1 keras==3.15.1 lightgbm==4.7.0 torch xgboost==3.2.0
KERAS_BACKEND=torch python write.py
"""

import os
from pathlib import Path

os.environ["KERAS_BACKEND"] = "torch"

import keras
import lightgbm
import numpy as np
import torch
import xgboost
from chemprop import models, nn
from chemprop.models.utils import save_model

here = Path(__file__).parent
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4)).astype("float32")
y = X[:, 0]

keras.utils.set_random_seed(0)
net = keras.Sequential(
    [
        keras.Input((4,)),
        keras.layers.Dense(8, activation="relu", name="hidden"),
        keras.layers.BatchNormalization(),
        keras.layers.Dense(2, name="out"),
    ]
)
net.compile("adam", "mse")
net.fit(X, X[:, :2], verbose=0)
net.save(here / "keras-3.15.1.keras")
np.savez(here / "keras-3.15.1.npz", x=X[:5], y=net.predict(X[:5], verbose=0))

torch.manual_seed(0)
mpnn = models.MPNN(
    nn.BondMessagePassing(d_h=8),
    nn.MeanAggregation(),
    nn.RegressionFFN(input_dim=8, hidden_dim=4),
    batch_norm=True,
    metrics=[nn.metrics.RMSE(), nn.metrics.MAE()],
)
save_model(here / "chemprop-2.3.1.pt", mpnn, ["logS"])

booster = xgboost.train({"max_depth": 2}, xgboost.DMatrix(X, y), 2)
booster.save_model(here / "xgboost-3.2.0.json")
booster.save_model(here / "xgboost-3.2.0.ubj")
options = {"verbose": -1, "num_leaves": 3, "num_threads": 1}
lightgbm.train(options, lightgbm.Dataset(X, y), 2).save_model(here / "lightgbm-4.7.0.txt")
