"""The laws of a model, on trained torch models."""

import numpy as np
import torch
from torch import nn

from dc_core import NumpyDataset
from dc_core.testing import ModelSuite
from dc_torch import MultitaskClassifier, MultitaskRegressor, TorchModel
from dc_torch.rng import isolated_rng, seed_rng


class TestRegressor(ModelSuite):
    def data(self, seed):
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(20, 4)), rng.normal(size=(20, 2)))

    def blank(self):
        return MultitaskRegressor(2, 4, layer_sizes=(8,), epochs=2, schedule="cosine")

    def make(self, seed):
        return self.blank().fit(self.data(seed), valid=self.data(seed + 1))

    def dataset(self):
        return self.data(7)

    def global_state(self):
        return (
            torch.random.get_rng_state().tolist(),
            torch.get_default_dtype(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
        )


class TestClassifier(TestRegressor):
    def data(self, seed):
        rows = super().data(seed)
        return NumpyDataset(rows.X, rows.y > 0)

    def blank(self):
        return MultitaskClassifier(2, 4, n_classes=3, layer_sizes=(8,), epochs=2)


class TestModule(TestRegressor):
    def blank(self):
        with isolated_rng():
            seed_rng(0)
            module = nn.Sequential(nn.Linear(4, 6), nn.BatchNorm1d(6), nn.Linear(6, 2))
        return TorchModel(module, epochs=2, optimizer="sgd", optimizer_options={"momentum": 0.9})
