"""The laws of a trainer, on modules."""

import numpy as np
from torch import nn

from dc_core import NumpyDataset
from dc_core.testing import TrainerSuite
from dc_torch import MultitaskRegressor, TorchModel
from dc_torch.rng import isolated_rng, seed_rng


class TestNetwork(TrainerSuite):
    def rows(self, seed):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(13, 4)).astype(np.float32)
        return NumpyDataset(X, X[:, :2] + 0.1 * rng.normal(size=(13, 2)))

    def make(self, **options):
        return MultitaskRegressor(2, 4, layer_sizes=(8,), **{"learning_rate": 0.02, **options})

    def without_noise(self, **options):
        settings = {"layer_sizes": (8,), "dropout": 0.0, "learning_rate": 0.02, **options}
        return MultitaskRegressor(2, 4, **settings)

    def dataset(self):
        return self.rows(0)

    def valid(self):
        return self.rows(1)


class TestBatchNorm(TestNetwork):
    def make(self, **options):
        with isolated_rng():
            seed_rng(0)
            module = nn.Sequential(
                nn.Linear(4, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, 2)
            )
        settings = {"learning_rate": 0.05, "optimizer": "sgd", **options}
        return TorchModel(module, optimizer_options={"momentum": 0.9}, **settings)
