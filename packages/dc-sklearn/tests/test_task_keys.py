"""A task that holds a scikit-learn model is recognized when it is resumed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import Ridge

from dc_core import NumpyDataset
from dc_core.engines import Task
from dc_sklearn import SklearnModel


class Train(Task):
    def __init__(self, model: SklearnModel) -> None:
        self.model = model

    def __len__(self) -> int:
        return 1

    def run(self, start: int, stop: int, directory: Path) -> None:
        pass


def test_the_key_is_that_of_the_parameters_and_weights() -> None:
    fitted = SklearnModel(Ridge()).fit(NumpyDataset(np.eye(3), np.arange(3.0)))
    other = SklearnModel(Ridge()).fit(NumpyDataset(np.eye(3), np.arange(3.0) ** 2))
    different = [
        *(SklearnModel(Ridge(alpha)) for alpha in (1, 2)),
        *(SklearnModel(RandomForestRegressor(random_state=seed)) for seed in (0, 1)),
        *(fitted, other),
        *(SklearnModel(model.native) for model in (fitted, other)),
    ]
    keys = [Train(model).key for model in different]
    assert len(set(keys)) == len(keys)
    again = SklearnModel(Ridge()).fit(NumpyDataset(np.eye(3), np.arange(3.0)))
    assert Train(again).key == Train(fitted).key
