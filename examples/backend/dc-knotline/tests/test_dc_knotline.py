"""The laws of dc-core, for a backend and for a model."""

import numpy as np
from dc_knotline import KnotlineModel
from hypothesis import strategies as st
from knotline import AdditiveRegressor

from dc_core import NumpyDataset
from dc_core.testing import BackendSuite, ModelSuite


def rows(seed, features=3, count=40):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(count, features))
    return X, np.sin(X).sum(axis=1) + rng.normal(scale=0.1, size=count)


class TestBackend(BackendSuite):
    backend = "knotline"
    kit_version = "0.1"

    def make(self, seed):
        return self.blank().fit(*rows(seed))

    def blank(self):
        return AdditiveRegressor(knots=5)

    def predict(self, obj):
        X, _ = rows(seed=2, features=len(obj.heights_))
        return obj.predict(X)

    def corrupt(self, weights):
        backwards = weights["positions_/0"][:, ::-1].copy()
        level = np.zeros_like(backwards)
        return {
            "knots in the wrong order": {**weights, "positions_/0": backwards},
            "all knots in one place": {**weights, "positions_/0": level},
        }

    def make_scalar(self, seed):
        return self.make(seed)  # the intercept

    def make_large(self, seed):
        # One feature with 2**23 knots; fitting it would take a while.
        large = AdditiveRegressor(knots=2**23)
        large.positions_ = np.linspace(0, 1, large.knots)[np.newaxis]
        large.heights_ = np.full_like(large.positions_, seed)
        large.intercept_ = np.array(0.0)
        return large

    def architectures(self):
        def builder(features, knots):
            return lambda seed: AdditiveRegressor(knots).fit(*rows(seed, features))

        return st.builds(builder, st.integers(1, 5), st.integers(3, 9))


class TestModel(ModelSuite):
    def make(self, seed):
        X, y = rows(seed)
        return self.blank().fit(NumpyDataset(X, y))

    def blank(self):
        return KnotlineModel(AdditiveRegressor(knots=5))

    def dataset(self):
        X, y = rows(seed=2)
        return NumpyDataset(X, y)
