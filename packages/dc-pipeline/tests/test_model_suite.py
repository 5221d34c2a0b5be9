"""The laws of a model, on a pipeline from SMILES to labels."""

import numpy as np

from dc_core import Estimator, NumpyDataset
from dc_core.errors import EmptyDataset, NotFitted
from dc_core.testing import ModelSuite
from dc_pipeline import (
    ECFP,
    BalancingTransformer,
    ClippingTransformer,
    ImputationTransformer,
    LogTransformer,
    MinMaxTransformer,
    NormalizationTransformer,
    Pipeline,
    PowerTransformer,
    QuantileTransformer,
)

SMILES = ["CCO", "CCCO", "c1ccccc1", "CC(=O)O", "CCN", "CCCl"]


class LeastSquares(Estimator):
    fitted = ("coef",)

    def __init__(self):
        self.coef = None

    def fit(self, dataset, *, valid=None):
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to fit to.")
        self.coef = np.linalg.lstsq(dataset.X.astype(float), dataset.y, rcond=None)[0]
        return self

    def predict(self, dataset):
        if self.coef is None:
            raise NotFitted("The coefficients are unknown.", hint="Call fit first.")
        return dataset.X @ self.coef


class TestPipeline(ModelSuite):
    def transformers(self):
        return [NormalizationTransformer("X"), NormalizationTransformer("y")]

    def blank(self):
        return Pipeline(LeastSquares(), ECFP(size=64), self.transformers())

    def make(self, seed):
        return self.blank().fit(self.data(seed))

    def dataset(self):
        return self.data(7)

    def data(self, seed):
        return NumpyDataset(SMILES, np.random.default_rng(seed).normal(size=(6, 2)))


class TestPipelineOfAllTransformers(TestPipeline):
    def transformers(self):
        return [
            BalancingTransformer(),
            ImputationTransformer(indicator=True),
            LogTransformer("X", offset=1),
            ClippingTransformer("X", quantiles=(0.1, 0.9)),
            MinMaxTransformer("X"),
            PowerTransformer("X"),
            QuantileTransformer("X", distribution="uniform"),
            PowerTransformer("y"),
            ClippingTransformer("y", limits=(-1, None)),
            QuantileTransformer("y"),
            MinMaxTransformer("y"),
            LogTransformer("y", offset=1),
        ]

    def data(self, seed):
        y = np.random.default_rng(seed).permutation(np.arange(12) % 3 // 2)
        return NumpyDataset(SMILES, y.reshape(6, 2))
