"""The laws of a trainer, on Keras models."""

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import keras
import numpy as np

from dc_core import NumpyDataset
from dc_core.testing import TrainerSuite


def seeded(layers, n_features=4):
    """Return a model of ``layers`` with the same initial weights each time."""
    model = keras.Sequential([keras.Input((n_features,)), *layers])
    rng = np.random.default_rng(0)
    for variable in model.trainable_variables:
        variable.assign(variable + 0.1)
        if variable.name == "kernel":
            variable.assign(rng.normal(size=variable.shape) / np.sqrt(variable.shape[0]))
    return model


class TestNetwork(TrainerSuite):
    def rows(self, seed):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(13, 4)).astype(np.float32)
        return NumpyDataset(X, X[:, :2] + 0.1 * rng.normal(size=(13, 2)))

    def make(self, **options):
        from dc_tensorflow import KerasModel

        layers = keras.layers
        model = seeded([layers.Dense(8, "relu"), layers.Dropout(0.2), layers.Dense(2)])
        return KerasModel(model, **{"learning_rate": 0.02, **options})

    def without_noise(self, **options):
        from dc_tensorflow import KerasModel

        model = seeded([keras.layers.Dense(8, "relu"), keras.layers.Dense(2)])
        return KerasModel(model, **{"learning_rate": 0.02, **options})

    def dataset(self):
        return self.rows(0)

    def valid(self):
        return self.rows(1)


class TestBatchNorm(TestNetwork):
    def make(self, **options):
        from dc_tensorflow import KerasModel

        layers = keras.layers
        model = seeded(
            [
                layers.Dense(8),
                layers.BatchNormalization(),
                layers.ReLU(),
                layers.Dropout(0.2),
                layers.Dense(2),
            ]
        )
        settings = {"learning_rate": 0.05, "optimizer": "sgd", **options}
        return KerasModel(model, optimizer_options={"momentum": 0.9}, **settings)
