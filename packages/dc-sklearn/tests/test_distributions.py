"""SklearnModel.predict_distribution: the deviations are those of the estimator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.ensemble import (
    ExtraTreesRegressor,
    GradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import ARDRegression, BayesianRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, Unsupported
from dc_sklearn import SklearnModel

Data = tuple[np.ndarray, np.ndarray]


def gaussian_process() -> GaussianProcessRegressor:
    return GaussianProcessRegressor(RBF() + WhiteKernel(), normalize_y=True, optimizer=None)


@pytest.mark.parametrize(
    "estimator",
    [
        gaussian_process(),
        BayesianRidge(),
        ARDRegression(),
        make_pipeline(StandardScaler(), BayesianRidge()),
        make_pipeline(StandardScaler(), make_pipeline(StandardScaler(), gaussian_process())),
    ],
    ids=["process", "ridge", "ard", "pipeline", "nested"],
)
def test_deviations_are_those_that_the_estimator_returns(diabetes: Data, estimator: Any) -> None:
    model = SklearnModel(estimator).fit(NumpyDataset(*diabetes))
    mean, std = model.native.predict(diabetes[0], return_std=True)
    found = model.predict_distribution(NumpyDataset(*diabetes))
    assert np.array_equal(found.mean[:, 0], mean)
    assert np.array_equal(found.std[:, 0], std)
    assert np.array_equal(found.mean, model.predict(diabetes[0]))


@pytest.mark.parametrize("forest", [RandomForestRegressor, ExtraTreesRegressor])
@pytest.mark.parametrize("tasks", [1, 2])
def test_the_deviations_of_a_forest_are_the_spread_of_its_trees(
    diabetes: Data, forest: Any, tasks: int
) -> None:
    X, y = diabetes
    labels = np.column_stack([y, -3 * y])[:, :tasks]
    model = SklearnModel(forest(7, random_state=0)).fit(NumpyDataset(X[:60], labels[:60]))
    trees = np.array([tree.predict(X).reshape(len(X), tasks) for tree in model.native.estimators_])
    found = model.predict_distribution(X)
    np.testing.assert_allclose(found.mean, trees.mean(axis=0), rtol=1e-12)
    np.testing.assert_allclose(found.std, trees.std(axis=0), rtol=1e-12)
    assert np.array_equal(found.mean, model.predict(X))
    assert found.std.min() >= 0 < found.std.max()


def test_deviations_of_several_tasks_are_in_the_order_of_the_tasks(diabetes: Data) -> None:
    X, y = diabetes
    both = SklearnModel(gaussian_process()).fit(NumpyDataset(X, np.column_stack([y, 10 * y])))
    one = SklearnModel(gaussian_process()).fit(NumpyDataset(X, y)).predict_distribution(X)
    found = both.predict_distribution(X)
    assert found.mean.shape == found.std.shape == (len(X), 2)
    np.testing.assert_allclose(found.std, np.hstack([one.std, 10 * one.std]), rtol=1e-9)


def test_a_gaussian_process_is_as_unsure_as_its_prior_far_from_the_data() -> None:
    model = SklearnModel(GaussianProcessRegressor(RBF(1.0), optimizer=None))
    model.fit(NumpyDataset(np.arange(5.0)[:, None], np.arange(5.0)))
    near, far = model.predict_distribution(np.array([[2.0], [1000.0]])).std[:, 0]
    assert near < 1e-4
    assert far == pytest.approx(1.0)


def test_named_columns_give_the_deviations_of_their_array(diabetes: Data) -> None:
    frame = pd.DataFrame(diabetes[0]).rename(columns=str)
    forest = RandomForestRegressor(5, random_state=0).fit(frame, diabetes[1])
    model = SklearnModel(make_pipeline(forest))
    found = model.predict_distribution(frame).std
    np.testing.assert_allclose(found, model.predict_distribution(diabetes[0]).std, rtol=1e-12)


@pytest.mark.parametrize(
    ("estimator", "reason"),
    [
        (GradientBoostingRegressor(), "GradientBoostingRegressor predicts no standard"),
        (make_pipeline(StandardScaler(), GradientBoostingRegressor()), "predicts no standard"),
        (RandomForestClassifier(), "probabilities of classes"),
    ],
)
def test_estimators_without_deviations_are_a_typed_error(
    diabetes: Data, estimator: Any, reason: str
) -> None:
    with pytest.raises(Unsupported, match=reason):
        SklearnModel(estimator).predict_distribution(NumpyDataset(*diabetes))


def test_distributions_have_the_errors_of_predict(diabetes: Data) -> None:
    model = SklearnModel(BayesianRidge())
    with pytest.raises(NotFitted):
        model.predict_distribution(diabetes[0])
    model.fit(NumpyDataset(*diabetes))
    with pytest.raises(EmptyDataset):
        model.predict_distribution(diabetes[0][:0])
    with pytest.raises(DatasetError, match="features"):
        model.predict_distribution(diabetes[0][:, :2])
