"""The laws of a model, on trained models of every library."""

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

import runpy
from pathlib import Path

import jax
import numpy as np

from dc_core import NumpyDataset
from dc_core.testing import ModelSuite
from dc_jax import JaxModel

NETWORKS = runpy.run_path(str(Path(__file__).with_name("networks.py")))
EquinoxNetwork, FlaxNetwork, pytree = (
    NETWORKS[name] for name in ("EquinoxNetwork", "FlaxNetwork", "pytree")
)


class TestFlax(ModelSuite):
    def data(self, seed):
        rng = np.random.default_rng(seed)
        return NumpyDataset(rng.normal(size=(20, 4)), rng.normal(size=(20, 2)))

    def blank(self):
        return JaxModel(FlaxNetwork(4, 2), epochs=2, schedule="cosine")

    def make(self, seed):
        return self.blank().fit(self.data(seed), valid=self.data(seed + 1))

    def dataset(self):
        return self.data(7)

    def global_state(self):
        return jax.config.values["jax_enable_x64"], jax.config.values["jax_default_prng_impl"]


class TestEquinox(TestFlax):
    def blank(self):
        return JaxModel(EquinoxNetwork(4, 2), epochs=2, optimizer="adamw")


class TestPytree(TestFlax):
    def blank(self):
        return JaxModel(pytree(4, 4, function=moments), epochs=2, loss="mean_variance")


def moments(params, x):
    x = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    return (x @ params["output"]["kernel"] + params["output"]["bias"]).reshape(-1, 2, 2)
