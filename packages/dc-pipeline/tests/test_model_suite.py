"""The laws of a model, on a pipeline from SMILES to labels."""

import numpy as np

from dc_core import Estimator, NumpyDataset
from dc_core.errors import EmptyDataset, NotFitted
from dc_core.testing import ModelSuite
from dc_pipeline import ECFP, NormalizationTransformer, Pipeline

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
    def blank(self):
        return Pipeline(
            LeastSquares(),
            ECFP(size=64),
            [NormalizationTransformer("X"), NormalizationTransformer("y")],
        )

    def make(self, seed):
        return self.blank().fit(self.data(seed))

    def dataset(self):
        return self.data(7)

    def data(self, seed):
        return NumpyDataset(SMILES, np.random.default_rng(seed).normal(size=(6, 2)))
