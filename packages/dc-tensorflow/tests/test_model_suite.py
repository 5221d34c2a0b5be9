"""The laws of a model, on trained Keras models."""

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import keras
import numpy as np

from dc_core import NumpyDataset
from dc_core.testing import ModelSuite
from dc_tensorflow import KerasModel


class TestRegressor(ModelSuite):
    def data(self, seed):
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(20, 4)), rng.normal(size=(20, 2)))

    def blank(self):
        layers = [keras.layers.Dense(6, "relu", kernel_initializer=self.initial(1))]
        layers += [keras.layers.BatchNormalization()]
        layers += [keras.layers.Dense(2, kernel_initializer=self.initial(2))]
        network = keras.Sequential([keras.Input((4,)), *layers])
        return KerasModel(network, epochs=2, schedule="cosine")

    def initial(self, seed):
        return keras.initializers.GlorotUniform(seed=seed)

    def make(self, seed):
        return self.blank().fit(self.data(seed), valid=self.data(seed + 1))

    def dataset(self):
        return self.data(7)
