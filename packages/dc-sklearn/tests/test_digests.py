"""Digests of models and estimators, by which runs on engines know whether they are the same."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dc_core import NumpyDataset, engines
from dc_core.errors import NotSerializable
from dc_sklearn import SklearnModel


def test_equal_models_have_equal_digests() -> None:
    one, other = (SklearnModel(make_pipeline(StandardScaler(), Ridge(2.0))) for _ in range(2))
    assert engines.digest(one) == engines.digest(other)


def test_models_of_other_parameters_or_weights_have_other_digests() -> None:
    rows = NumpyDataset(np.eye(3), np.arange(3.0))
    models = [
        SklearnModel(Ridge()),
        SklearnModel(Ridge(2.0)),
        SklearnModel(make_pipeline(Ridge())),
        SklearnModel(Ridge()).fit(rows),
        SklearnModel(Ridge().fit(rows.X, rows.y)),
    ]
    assert len({engines.digest(model) for model in models}) == len(models)


def test_an_estimator_that_cannot_be_stored_has_no_digest() -> None:
    class Own(Ridge):
        pass

    with pytest.raises(NotSerializable):
        engines.digest(Own())
