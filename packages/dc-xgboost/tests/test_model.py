"""``XGBoostModel`` learns from datasets as XGBoost does, and says what it cannot use."""

from __future__ import annotations

import numpy as np
import pytest
import xgboost
from xgboost import XGBClassifier, XGBRanker, XGBRegressor

from dc_core import NumpyDataset, Ragged, plugins
from dc_core.errors import DatasetError, NotFitted, ParameterError, Unsupported
from dc_xgboost import XGBoostModel

SMALL = {"n_estimators": 3, "max_depth": 3, "n_jobs": 1}
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
Y = X[:, :1] + rng.normal(size=(60, 1)) / 10


def test_it_predicts_what_xgboost_predicts() -> None:
    model = XGBoostModel(XGBRegressor(**SMALL)).fit(NumpyDataset(X, Y))
    expected = XGBRegressor(**SMALL).fit(X, Y[:, 0]).predict(X)
    assert np.array_equal(model.predict(X), expected[:, None])


def test_probabilities_are_those_of_xgboost() -> None:
    labels = np.searchsorted([-0.5, 0.5], Y[:, 0])
    model = XGBoostModel(XGBClassifier(**SMALL)).fit(NumpyDataset(X, labels))
    expected = XGBClassifier(**SMALL).fit(X, labels).predict_proba(X)
    assert np.array_equal(model.predict(X), expected[:, None])


@pytest.mark.parametrize("tasks", [2, 3])
def test_several_binary_tasks_have_two_classes_each(tasks: int) -> None:
    labels = (X[:, :tasks] > 0).astype(float)
    model = XGBoostModel(XGBClassifier(**SMALL)).fit(NumpyDataset(X, labels))
    found = model.predict(X)
    assert found.shape == (60, tasks, 2)
    assert np.allclose(found.sum(axis=2), 1)
    assert np.mean(found.argmax(axis=2) == labels) > 0.95


def test_rows_of_weight_0_have_no_influence() -> None:
    w = np.ones(60)
    w[::3] = 0
    wrong = Y.copy()
    wrong[::3] = 1e6
    model = XGBoostModel(XGBRegressor(**SMALL)).fit(NumpyDataset(X, wrong, w))
    expected = XGBRegressor(**SMALL).fit(X[w > 0], Y[w > 0, 0]).predict(X)
    assert np.array_equal(model.predict(X), expected[:, None])


def test_weights_are_passed_on() -> None:
    w = rng.uniform(1, 5, 60)
    model = XGBoostModel(XGBRegressor(**SMALL)).fit(NumpyDataset(X, Y, w))
    expected = XGBRegressor(**SMALL).fit(X, Y[:, 0], sample_weight=w).predict(X)
    assert np.array_equal(model.predict(X), expected[:, None])


def test_validation_data_stop_the_training_early() -> None:
    estimator = XGBRegressor(n_estimators=200, early_stopping_rounds=3, n_jobs=1)
    train, valid = NumpyDataset(X[:40], Y[:40]), NumpyDataset(X[40:], Y[40:])
    model = XGBoostModel(estimator).fit(train, valid=valid)
    rounds = model.native.get_booster().num_boosted_rounds()
    assert rounds == model.native.best_iteration + 4 < 200
    with pytest.raises(DatasetError, match="held out"):
        XGBoostModel(estimator).fit(train)


def test_rankers_learn_from_queries_in_any_order() -> None:
    grades = np.searchsorted([-0.5, 0.5], Y[:, 0])
    queries = np.arange(60) % 6
    model = XGBoostModel(XGBRanker(**SMALL)).fit(NumpyDataset(X, grades), groups=queries)
    order = np.argsort(queries, kind="stable")
    expected = XGBRanker(**SMALL).fit(X[order], grades[order], qid=queries[order])
    assert np.array_equal(model.predict(X)[:, 0], expected.predict(X))
    with pytest.raises(DatasetError, match="query"):
        model.fit(NumpyDataset(X, grades))
    with pytest.raises(ParameterError, match="ranker"):
        XGBoostModel(XGBRegressor()).fit(NumpyDataset(X, Y), groups=queries)


def test_quantiles_have_a_column_each() -> None:
    estimator = XGBRegressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.9], **SMALL)
    found = XGBoostModel(estimator).fit(NumpyDataset(X, Y)).predict(X)
    assert found.shape == (60, 2)
    assert np.mean(found[:, 0] < found[:, 1]) > 0.9


@pytest.mark.parametrize("rows", [["CCO", "CC"], Ragged([1.0, 2.0, 3.0], [0, 1, 3]), {"a": [1, 2]}])
def test_what_is_not_an_array_of_numbers_is_a_typed_error(rows: object) -> None:
    with pytest.raises(DatasetError):
        XGBoostModel(XGBRegressor(**SMALL)).fit(NumpyDataset(rows, [1.0, 2.0]))


def test_labels_that_are_not_0_1_2_are_a_typed_error() -> None:
    for labels in ([0, 2] * 30, [0.5, 1] * 30, [-1, 1] * 30):
        with pytest.raises(DatasetError):
            XGBoostModel(XGBClassifier(**SMALL)).fit(NumpyDataset(X, labels))


def test_missing_labels_of_several_tasks_are_a_typed_error() -> None:
    labels = np.hstack([Y, Y])
    labels[0, 1] = np.nan
    with pytest.raises(DatasetError, match="one model per task"):
        XGBoostModel(XGBRegressor(**SMALL)).fit(NumpyDataset(X, labels))


def test_rows_of_another_width_are_a_typed_error() -> None:
    model = XGBoostModel(XGBRegressor(**SMALL)).fit(NumpyDataset(X, Y))
    with pytest.raises(DatasetError, match="shape"):
        model.predict(X[:, :3])


def test_a_booster_predicts_and_cannot_be_fitted() -> None:
    booster = xgboost.train({"nthread": 1}, xgboost.DMatrix(X, Y), 3)
    model = plugins.backend("xgboost").wrap(booster)
    assert np.array_equal(model.predict(X)[:, 0], booster.inplace_predict(X))
    assert model.predicts_classes is None
    with pytest.raises(Unsupported):
        model.fit(NumpyDataset(X, Y))
    with pytest.raises(NotFitted):
        model.unfitted().predict(X)


@pytest.mark.parametrize("wrong", [XGBRegressor, object(), "name"])
def test_what_is_not_an_estimator_of_xgboost_is_a_typed_error(wrong: object) -> None:
    with pytest.raises(ParameterError, match="XGBoostModel"):
        XGBoostModel(wrong)


def test_the_given_estimator_is_left_alone() -> None:
    estimator = XGBClassifier(**SMALL)
    XGBoostModel(estimator).fit(NumpyDataset(X, np.searchsorted([-0.5, 0.5], Y)))
    assert not estimator.__sklearn_is_fitted__()
    assert estimator.objective == "binary:logistic"
