"""as_sklearn: models of this project as estimators of scikit-learn."""

from __future__ import annotations

import pickle
from typing import Any, Self

import numpy as np
import pandas as pd
import pytest
from sklearn.base import clone, is_classifier, is_regressor
from sklearn.cluster import KMeans
from sklearn.compose import ColumnTransformer
from sklearn.decomposition import PCA
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from dc_core import Dataset, Estimator, NumpyDataset
from dc_core.errors import ParameterError, UnknownParameter
from dc_sklearn import (
    SklearnModel,
    SklearnTransformer,
    SklearnUnsupervisedLearner,
    as_sklearn,
)

Data = tuple[np.ndarray, np.ndarray]


@parametrize_with_checks(
    [
        as_sklearn(SklearnModel(Ridge())),
        as_sklearn(SklearnModel(LogisticRegression())),
        as_sklearn(SklearnTransformer(StandardScaler())),
        as_sklearn(SklearnUnsupervisedLearner(KMeans(2, n_init=1, random_state=0))),
    ]
)
@pytest.mark.filterwarnings("ignore")
def test_the_adapters_pass_every_check_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_model_becomes_what_it_predicts() -> None:
    assert is_regressor(as_sklearn(SklearnModel(Ridge())))
    assert is_classifier(as_sklearn(SklearnModel(LogisticRegression())))
    assert hasattr(as_sklearn(SklearnTransformer(PCA())), "transform")


def test_predictions_are_those_of_the_model(diabetes: Data) -> None:
    x, y = diabetes
    fitted = as_sklearn(SklearnModel(Ridge(2.0))).fit(x, y)
    assert np.array_equal(fitted.predict(x), Ridge(2.0).fit(x, y).predict(x))
    two = fitted.fit(x, np.c_[y, -y]).predict(x)
    assert two.shape == (120, 2)


def test_weights_reach_the_model(diabetes: Data) -> None:
    x, y = diabetes
    w = np.arange(120.0) + 1
    fitted = as_sklearn(SklearnModel(Ridge())).fit(x, y, sample_weight=w)
    assert np.array_equal(fitted.predict(x), Ridge().fit(x, y, sample_weight=w).predict(x))


def test_classes_may_have_names(iris: Data) -> None:
    x, kinds = iris
    names = np.array(["setosa", "versicolor", "ἴρις"])[kinds]
    fitted = as_sklearn(SklearnModel(LogisticRegression(max_iter=500))).fit(x, names)
    alone = LogisticRegression(max_iter=500).fit(x, names)
    assert fitted.classes_.tolist() == alone.classes_.tolist()
    assert np.array_equal(fitted.predict(x), alone.predict(x))
    np.testing.assert_allclose(fitted.predict_proba(x), alone.predict_proba(x), rtol=1e-9)


def test_a_search_sets_parameters_of_the_model(diabetes: Data) -> None:
    grid = {"model__estimator__ridge__alpha": [0.1, 1000.0], "model__estimator__ridge__tol": [1e-3]}
    estimator = as_sklearn(SklearnModel(make_pipeline(StandardScaler(), Ridge())))
    plain = {"ridge__alpha": [0.1, 1000.0]}
    expected = GridSearchCV(make_pipeline(StandardScaler(), Ridge()), plain).fit(*diabetes)
    with pytest.raises(UnknownParameter):
        estimator.set_params(**grid)
    steps = {"model__estimator": [make_pipeline(StandardScaler(), Ridge(a)) for a in (0.1, 1000.0)]}
    found = GridSearchCV(estimator, steps).fit(*diabetes)
    assert np.array_equal(
        found.cv_results_["mean_test_score"], expected.cv_results_["mean_test_score"]
    )
    direct = GridSearchCV(as_sklearn(SklearnModel(Ridge())), {"model__estimator__alpha": [0.1, 9]})
    assert direct.fit(*diabetes).best_params_["model__estimator__alpha"] in (0.1, 9)


def test_scores_of_cross_validation_are_those_of_the_estimator(diabetes: Data) -> None:
    found = cross_val_score(as_sklearn(SklearnModel(Ridge())), *diabetes, cv=3)
    assert np.array_equal(found, cross_val_score(Ridge(), *diabetes, cv=3))


def test_a_clone_is_not_fitted_and_has_the_same_parameters(diabetes: Data) -> None:
    fitted = as_sklearn(SklearnModel(Ridge(3.0))).fit(*diabetes)
    copy = clone(fitted)
    assert copy.get_params()["model__estimator__alpha"] == 3.0
    with pytest.raises(NotFittedError):
        copy.predict(diabetes[0])


def test_a_fitted_model_predicts_until_it_is_fitted_again(iris: Data) -> None:
    x, kinds = iris
    names = np.array(["a", "b", "c"])[kinds]
    model = SklearnModel(LogisticRegression(max_iter=500)).fit(NumpyDataset(x, names))
    given = as_sklearn(model)
    assert np.mean(given.predict(x) == names) > 0.9
    assert given.classes_.tolist() == ["a", "b", "c"]
    numbered = SklearnModel(LogisticRegression(max_iter=500)).fit(NumpyDataset(x, kinds))
    assert np.mean(as_sklearn(numbered).predict(x) == kinds) > 0.9
    assert not clone(given).model.is_fitted
    given.fit(x[:100], kinds[:100])
    assert model.is_fitted
    assert given.classes_.tolist() == [0, 1]


def test_models_are_steps_of_a_column_transformer() -> None:
    frame = pd.DataFrame(
        {"text": ["a cat", "a dog", "two dogs", "cats"] * 3, "x": np.arange(12.0), "y": 1.0}
    )
    columns = ColumnTransformer(
        [
            ("words", as_sklearn(SklearnTransformer(TfidfVectorizer())), "text"),
            ("scaled", as_sklearn(SklearnTransformer(StandardScaler())), ["x", "y"]),
        ]
    )
    made = columns.fit_transform(frame)
    assert np.array_equal(made[:, -2:], StandardScaler().fit_transform(frame[["x", "y"]]))
    words = TfidfVectorizer().fit_transform(frame["text"]).toarray()
    assert np.array_equal(made[:, :-2], words)
    assert len(columns.get_feature_names_out()) == made.shape[1]


def test_a_fitted_adapter_can_be_pickled(diabetes: Data) -> None:
    fitted = as_sklearn(SklearnModel(Ridge())).fit(*diabetes)
    other = pickle.loads(pickle.dumps(fitted))
    assert np.array_equal(other.predict(diabetes[0]), fitted.predict(diabetes[0]))


class _Unknown(Estimator):
    """An estimator that does not say whether it predicts classes, and knows its sizes."""

    def __init__(self, n_features: int = 1, n_classes: int = 2) -> None:
        self.n_features = n_features
        self.n_classes = n_classes

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None) -> Self:
        return self

    def predict(self, dataset: Dataset) -> np.ndarray:
        return np.full((len(dataset), 1, self.n_classes), 1 / self.n_classes)


def test_the_sizes_of_a_model_follow_the_data(iris: Data) -> None:
    with pytest.raises(ParameterError, match="classifier=True"):
        as_sklearn(_Unknown())
    fitted = as_sklearn(_Unknown(), classifier=True).fit(*iris)
    assert fitted.model_.get_parameters() == {"n_features": 4, "n_classes": 3}
    assert fitted.predict_proba(iris[0]).shape == (150, 3)
    assert fitted.model.get_parameters() == {"n_features": 1, "n_classes": 2}


@pytest.mark.parametrize("given", [Ridge(), None, SklearnModel, NumpyDataset(np.eye(2))])
def test_anything_but_a_model_is_a_typed_error(given: Any) -> None:
    with pytest.raises(ParameterError, match="as_sklearn takes"):
        as_sklearn(given)


def test_an_unknown_parameter_is_a_typed_error() -> None:
    estimator = as_sklearn(SklearnModel(Ridge()))
    for name in ("alpha", "model__alpha", "model__estimator__alfa", "model__"):
        with pytest.raises(UnknownParameter):
            estimator.set_params(**{name: 1})
