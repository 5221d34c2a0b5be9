"""``LightGBMModel`` learns from datasets as LightGBM does, and says what it cannot use."""

from __future__ import annotations

import lightgbm
import numpy as np
import pytest
from lightgbm import LGBMClassifier, LGBMRanker, LGBMRegressor

from dc_core import NumpyDataset, Ragged, plugins
from dc_core.errors import DatasetError, NotFitted, ParameterError, Unsupported
from dc_lightgbm import LightGBMModel

SMALL = {"n_estimators": 3, "min_child_samples": 4, "n_jobs": 1, "verbosity": -1}
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
Y = X[:, :1] + rng.normal(size=(60, 1)) / 10


def test_it_predicts_what_lightgbm_predicts() -> None:
    w = rng.uniform(1, 5, 60)
    w[::3] = 0
    model = LightGBMModel(LGBMRegressor(**SMALL)).fit(NumpyDataset(X, Y, w))
    kept = w > 0
    expected = LGBMRegressor(**SMALL).fit(X[kept], Y[kept, 0], sample_weight=w[kept])
    assert np.array_equal(model.predict(X), expected.predict(X)[:, None])


def test_probabilities_are_those_of_lightgbm() -> None:
    for edges in ([0], [-0.5, 0.5]):
        labels = np.searchsorted(edges, Y[:, 0])
        model = LightGBMModel(LGBMClassifier(**SMALL)).fit(NumpyDataset(X, labels))
        expected = LGBMClassifier(**SMALL).fit(X, labels).predict_proba(X)
        assert np.array_equal(model.predict(X), expected[:, None])


def test_validation_data_stop_the_training_early() -> None:
    options = {**SMALL, "n_estimators": 200, "early_stopping_round": 3}
    train, valid = NumpyDataset(X[:40], Y[:40]), NumpyDataset(X[40:], Y[40:])
    model = LightGBMModel(LGBMRegressor(**options)).fit(train, valid=valid)
    assert 0 < model.native.best_iteration_ < 200
    with pytest.raises(DatasetError, match="held out"):
        LightGBMModel(LGBMRegressor(**options)).fit(train)


def test_rankers_learn_from_queries_in_any_order() -> None:
    grades = np.searchsorted([-0.5, 0.5], Y[:, 0])
    queries = np.arange(60) % 6
    model = LightGBMModel(LGBMRanker(**SMALL)).fit(NumpyDataset(X, grades), groups=queries)
    order = np.argsort(queries, kind="stable")
    expected = LGBMRanker(**SMALL).fit(X[order], grades[order], group=[10] * 6)
    assert np.array_equal(model.predict(X)[:, 0], expected.predict(X))
    with pytest.raises(DatasetError, match="query"):
        model.fit(NumpyDataset(X, grades))
    with pytest.raises(ParameterError, match="ranker"):
        LightGBMModel(LGBMRegressor(**SMALL)).fit(NumpyDataset(X, Y), groups=queries)


@pytest.mark.parametrize("rows", [["CCO", "CC"], Ragged([1.0, 2.0, 3.0], [0, 1, 3]), {"a": [1, 2]}])
def test_what_is_not_an_array_of_numbers_is_a_typed_error(rows: object) -> None:
    with pytest.raises(DatasetError):
        LightGBMModel(LGBMRegressor(**SMALL)).fit(NumpyDataset(rows, [1.0, 2.0]))


def test_labels_that_do_not_fit_are_a_typed_error() -> None:
    for labels in ([0, 2] * 30, [0.5, 1] * 30, [-1, 1] * 30):
        with pytest.raises(DatasetError):
            LightGBMModel(LGBMClassifier(**SMALL)).fit(NumpyDataset(X, labels))
    with pytest.raises(DatasetError, match="one task"):
        LightGBMModel(LGBMRegressor(**SMALL)).fit(NumpyDataset(X, np.hstack([Y, Y])))


def test_rows_of_another_width_are_a_typed_error() -> None:
    model = LightGBMModel(LGBMRegressor(**SMALL)).fit(NumpyDataset(X, Y))
    with pytest.raises(DatasetError, match="features"):
        model.predict(X[:, :3])


def test_a_booster_predicts_and_cannot_be_fitted() -> None:
    options = {"num_threads": 1, "verbosity": -1}
    booster = lightgbm.train(options, lightgbm.Dataset(X, Y[:, 0]), 3)
    model = plugins.backend("lightgbm").wrap(booster)
    assert np.array_equal(model.predict(X)[:, 0], booster.predict(X))
    with pytest.raises(Unsupported):
        model.fit(NumpyDataset(X, Y))
    with pytest.raises(NotFitted):
        model.unfitted().predict(X)


@pytest.mark.parametrize("wrong", [LGBMRegressor, object(), "name"])
def test_what_is_not_an_estimator_of_lightgbm_is_a_typed_error(wrong: object) -> None:
    with pytest.raises(ParameterError, match="LightGBMModel"):
        LightGBMModel(wrong)
