"""The laws of a trainer, on modules of every library."""

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

import runpy
from pathlib import Path

import numpy as np

from dc_core import NumpyDataset
from dc_core.testing import TrainerSuite
from dc_jax import JaxModel

NETWORKS = runpy.run_path(str(Path(__file__).with_name("networks.py")))
EquinoxNetwork, FlaxNetwork, apply_without_noise, pytree = (
    NETWORKS[name] for name in ("EquinoxNetwork", "FlaxNetwork", "apply_without_noise", "pytree")
)


class TestFlax(TrainerSuite):
    def rows(self, seed):
        rng = np.random.default_rng(seed)
        X = rng.normal(size=(13, 4)).astype(np.float32)
        return NumpyDataset(X, X[:, :2] + 0.1 * rng.normal(size=(13, 2)))

    def make(self, **options):
        settings = {"learning_rate": 0.05, "optimizer": "sgd", **options}
        return JaxModel(self.network(), optimizer_options={"momentum": 0.9}, **settings)

    def without_noise(self, **options):
        settings = {"learning_rate": 0.02, **options}
        return JaxModel(self.plain_network(), **settings)

    def network(self):
        return FlaxNetwork(4, 2)

    def plain_network(self):
        return FlaxNetwork(4, 2, dropout=0.0, norm=False)

    def dataset(self):
        return self.rows(0)

    def valid(self):
        return self.rows(1)


class TestEquinox(TestFlax):
    def network(self):
        return EquinoxNetwork(4, 2)

    def plain_network(self):
        return EquinoxNetwork(4, 2, dropout=0.0, norm=False)


class TestPytree(TestFlax):
    def network(self):
        return pytree(4, 2)

    def plain_network(self):
        return pytree(4, 2, function=apply_without_noise)
