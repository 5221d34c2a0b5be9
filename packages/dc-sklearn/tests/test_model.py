"""SklearnModel: a scikit-learn classifier or regressor as a model of this project."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.calibration import CalibratedClassifierCV
from sklearn.cluster import DBSCAN, KMeans
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (
    BaggingClassifier,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingRegressor,
    VotingClassifier,
)
from sklearn.linear_model import LinearRegression, LogisticRegression, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsRegressor
from sklearn.neural_network import MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.semi_supervised import LabelSpreading, SelfTrainingClassifier
from sklearn.svm import LinearSVC

from dc_core import NumpyDataset, origins_of, plugins, set_origins
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    NotFitted,
    NotSerializable,
    ParameterError,
    StructureError,
)
from dc_sklearn import SklearnModel

Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def regression(diabetes: Data) -> NumpyDataset:
    return NumpyDataset(*diabetes)


@pytest.fixture
def classification(iris: Data) -> NumpyDataset:
    return NumpyDataset(*iris)


def test_a_regressor_predicts_one_column_per_task(regression: NumpyDataset) -> None:
    model = SklearnModel(Ridge()).fit(regression)
    assert model.predict(regression).shape == (120, 1)
    two = NumpyDataset(regression.X, np.hstack((regression.y, -regression.y)))
    assert SklearnModel(Ridge()).fit(two).predict(two).shape == (120, 2)


def test_a_model_that_is_fitted_afresh_does_not_come_from_what_it_was_before(
    regression: NumpyDataset,
) -> None:
    model = SklearnModel(Ridge())
    set_origins(model, ["a link"])
    with pytest.raises(EmptyDataset):
        model.fit(regression[:0])
    assert origins_of(model) == ("a link",)
    assert origins_of(model.fit(regression)) == ()


def test_predictions_are_those_of_the_estimator(diabetes: Data, regression: NumpyDataset) -> None:
    model = SklearnModel(RandomForestRegressor(5, random_state=0)).fit(regression)
    alone = RandomForestRegressor(5, random_state=0).fit(*diabetes)
    assert np.array_equal(model.predict(regression)[:, 0], alone.predict(diabetes[0]))
    assert np.array_equal(model.predict(regression), model.predict(diabetes[0]))


def test_a_classifier_predicts_probabilities(classification: NumpyDataset) -> None:
    model = SklearnModel(RandomForestClassifier(5, random_state=0)).fit(classification)
    found = model.predict(classification)
    assert found.shape == (150, 1, 3)
    assert np.allclose(found.sum(axis=2), 1)


def test_column_c_is_label_c_even_if_training_lacks_labels(iris: Data) -> None:
    rows = iris[1] != 1
    model = SklearnModel(LogisticRegression()).fit(NumpyDataset(iris[0][rows], iris[1][rows]))
    found = model.predict(iris[0])
    assert found.shape == (150, 1, 3)
    assert not found[:, 0, 1].any()
    assert np.array_equal(found[rows, 0].argmax(axis=1), iris[1][rows])


def test_a_classifier_of_one_label_has_two_columns(iris: Data) -> None:
    zeros = NumpyDataset(iris[0], np.zeros(150))
    found = SklearnModel(RandomForestClassifier(2)).fit(zeros).predict(zeros)
    assert np.array_equal(found, np.tile([1.0, 0.0], (150, 1, 1)))


def test_a_classifier_without_probabilities_predicts_one_hot_votes(
    classification: NumpyDataset,
) -> None:
    model = SklearnModel(LinearSVC(random_state=0)).fit(classification)
    found = model.predict(classification)
    assert set(np.unique(found)) == {0.0, 1.0}
    assert np.array_equal(found[:, 0].argmax(axis=1), model.native.predict(classification.X))


def test_tasks_with_fewer_classes_are_padded_with_zeros(iris: Data) -> None:
    dataset = NumpyDataset(iris[0], np.column_stack((iris[1], iris[1] > 0)))
    found = SklearnModel(RandomForestClassifier(3, random_state=0)).fit(dataset).predict(dataset)
    assert found.shape == (150, 2, 3)
    assert not found[:, 1, 2].any()


def test_a_classifier_fitted_to_strings_keeps_its_order_of_classes(iris: Data) -> None:
    names = np.array(["z", "y", "x"])[iris[1]]
    fitted = LogisticRegression(max_iter=500).fit(iris[0], names)
    found = SklearnModel(fitted).predict(iris[0])
    assert np.array_equal(found[:, 0], fitted.predict_proba(iris[0]))


@pytest.mark.parametrize("y", [[0.5, 1.0, 2.0], [-1.0, 0.0, 1.0], [0.0, 1.0, 1e300]])
def test_labels_that_are_not_class_numbers_are_a_typed_error(y: list[float]) -> None:
    with pytest.raises(DatasetError, match="whole numbers"):
        SklearnModel(LogisticRegression()).fit(NumpyDataset(np.eye(3), y))


def test_a_large_label_among_few_is_a_typed_error() -> None:
    with pytest.raises(DatasetError, match=r"largest label is 65535.*return_inverse"):
        SklearnModel(LogisticRegression()).fit(NumpyDataset(np.eye(3), [0, 1, 65535]))


def test_a_large_label_does_not_widen_the_predictions_of_a_given_classifier() -> None:
    fitted = LogisticRegression().fit(np.eye(3), [0, 1, 65535])
    assert SklearnModel(fitted).predict(np.eye(3)).shape == (3, 1, 3)


def test_labels_given_as_text_are_classes_in_the_order_of_the_dataset(iris: Data) -> None:
    dataset = NumpyDataset(iris[0], np.array(["z", "y", "x"])[iris[1]])
    model = SklearnModel(RandomForestClassifier(5, random_state=0)).fit(dataset)
    found = dataset.class_names(model.predict(dataset))[:, 0]
    assert (found == np.array(["z", "y", "x"])[iris[1]]).mean() > 0.9


def test_numpy_integers_are_accepted_as_parameters(diabetes: Data) -> None:
    dataset = NumpyDataset(*diabetes)
    forests = [
        SklearnModel(RandomForestRegressor(number(3), max_depth=number(4), random_state=0))
        for number in (int, np.int64)
    ]
    expected, found = (forest.fit(dataset).predict(dataset) for forest in forests)
    assert np.array_equal(expected, found)
    other = forests[1].unfitted()
    other.set_weights(forests[1].get_weights())
    assert np.array_equal(other.predict(dataset), found)


def test_a_dataframe_without_names_of_columns_is_its_numbers(diabetes):
    pandas = pytest.importorskip("pandas")
    X, y = diabetes
    model = SklearnModel(Ridge()).fit(NumpyDataset(pandas.DataFrame(X), y))
    np.testing.assert_array_equal(model.predict(pandas.DataFrame(X)), model.predict(X))


def test_an_estimator_fitted_to_named_columns_takes_frames_and_arrays(diabetes: Data) -> None:
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(diabetes[0], columns=[*"abcdefghij"])
    model = SklearnModel(Ridge().fit(frame, diabetes[1]))
    expected = model.native.predict(frame)[:, None]
    assert np.array_equal(model.predict(frame), expected)
    assert np.allclose(model.predict(diabetes[0]), expected, rtol=1e-12)
    with pytest.raises(DatasetError, match="feature names"):
        model.predict(frame[[*"jihgfedcba"]])
    with pytest.raises(EmptyDataset):
        model.predict(frame[:0])
    columns = ColumnTransformer([("scaled", StandardScaler(), ["a", "b"])], remainder="drop")
    chain = make_pipeline(columns, Ridge()).fit(frame, diabetes[1])
    assert np.array_equal(SklearnModel(chain).predict(frame)[:, 0], chain.predict(frame))


def test_every_fit_starts_afresh(regression: NumpyDataset) -> None:
    forest = RandomForestRegressor(3, warm_start=True, random_state=0)
    once = SklearnModel(forest).fit(regression).predict(regression)
    half = regression.select(np.arange(60))
    again = SklearnModel(forest).fit(half).fit(regression).predict(regression)
    assert np.array_equal(again, once)


def test_an_unfitted_model_is_made_from_any_estimator(regression: NumpyDataset) -> None:
    for given in (Ridge(), Ridge().fit(regression.X, regression.y[:, 0])):
        model = SklearnModel(given).fit(regression)
        fresh = model.unfitted()
        assert (model.is_fitted, fresh.is_fitted) == (True, False)
        expected = model.predict(regression)
        assert np.array_equal(fresh.fit(regression).predict(regression), expected)
    assert not SklearnModel(GridSearchCV(Ridge(), {"alpha": [1]})).unfitted().is_fitted


def test_a_stack_is_a_model_before_it_is_fitted(regression: NumpyDataset) -> None:
    model = SklearnModel(StackingRegressor([("a", Ridge())])).fit(regression)
    assert model.predict(regression).shape == (120, 1)


def test_fitting_does_not_change_the_given_estimator(regression: NumpyDataset) -> None:
    given = make_pipeline(StandardScaler(), Ridge())
    model = SklearnModel(given).fit(regression)
    assert not hasattr(given[0], "mean_")
    assert model.get_parameters()["estimator"] is given
    assert model.native is not given


def test_a_fitted_estimator_is_copied_with_its_state(diabetes: Data) -> None:
    given = Ridge().fit(*diabetes)
    model = SklearnModel(given)
    expected = given.predict(diabetes[0])
    given.coef_[:] = 0
    assert np.array_equal(model.predict(diabetes[0])[:, 0], expected)


def test_predicting_before_fitting_is_a_typed_error(regression: NumpyDataset) -> None:
    with pytest.raises(NotFitted, match="fit"):
        SklearnModel(Ridge()).predict(regression)


def test_rows_without_a_label_are_ignored(diabetes: Data) -> None:
    y = diabetes[1].copy()
    y[::3] = np.nan
    model = SklearnModel(Ridge()).fit(NumpyDataset(diabetes[0], y))
    kept = ~np.isnan(y)
    alone = Ridge().fit(diabetes[0][kept], y[kept])
    assert np.array_equal(model.native.coef_, alone.coef_)


def test_a_missing_label_in_one_of_several_tasks_is_a_typed_error(diabetes: Data) -> None:
    y = np.column_stack((diabetes[1], diabetes[1]))
    y[0, 1] = np.nan
    with pytest.raises(DatasetError, match="one SklearnModel per task"):
        SklearnModel(Ridge()).fit(NumpyDataset(diabetes[0], y))


def test_an_empty_dataset_is_a_typed_error() -> None:
    for dataset in (
        NumpyDataset(np.zeros((0, 3)), np.zeros(0)),
        NumpyDataset(np.zeros((2, 3)), [np.nan, np.nan]),
        NumpyDataset(np.zeros((2, 3))),
    ):
        with pytest.raises(EmptyDataset):
            SklearnModel(Ridge()).fit(dataset)


def test_predicting_for_no_rows_is_a_typed_error(regression: NumpyDataset) -> None:
    model = SklearnModel(Ridge()).fit(regression)
    for nothing in (regression.select([]), np.zeros((0, 10)), np.zeros((0, 2, 5))):
        with pytest.raises(EmptyDataset, match="no row to predict"):
            model.predict(nothing)


@pytest.mark.parametrize(
    ("X", "reason"),
    [
        (np.zeros((2, 4)), r"Ridge cannot predict for X of shape \(2, 4\).*4 features"),
        (np.full((2, 10), np.nan), "NaN"),
        (np.array([["CCO"] * 10]), "predict for X of shape .* dtype StringDType"),
        (np.array(3.0), "single value"),
        (None, "dtype object"),
    ],
    ids=["narrow", "nan", "text", "scalar", "none"],
)
def test_features_that_do_not_fit_the_estimator_are_a_typed_error(
    regression: NumpyDataset, X: Any, reason: str
) -> None:
    with pytest.raises(DatasetError, match=reason):
        SklearnModel(Ridge()).fit(regression).predict(X)


@pytest.mark.parametrize(
    ("estimator", "y", "reason"),
    [
        (Ridge(alpha=-1), np.arange(120.0), "'alpha' parameter"),
        (Ridge(), np.full(120, np.inf), "infinity"),
        (LogisticRegression(), np.zeros(120), "2 classes"),
    ],
)
def test_data_that_scikit_learn_rejects_is_a_typed_error_and_changes_nothing(
    diabetes: Data, estimator: Any, y: np.ndarray, reason: str
) -> None:
    model = SklearnModel(estimator)
    with pytest.raises(DatasetError, match=f"cannot learn from X.*{reason}"):
        model.fit(NumpyDataset(diabetes[0], y))
    assert list(model) == []
    with pytest.raises(DatasetError, match=r"ndarray was given.*NumpyDataset\(X, y\)"):
        model.fit(diabetes[0])  # type: ignore[arg-type]


def test_threads_do_not_change_predictions(regression: NumpyDataset) -> None:
    forests = [RandomForestRegressor(200, n_jobs=n, random_state=0) for n in (1, 4)]
    alone, threaded = (SklearnModel(forest).fit(regression) for forest in forests)
    expected = alone.predict(regression)
    assert all(np.array_equal(threaded.predict(regression), expected) for _ in range(5))


def test_weights_reach_the_estimator_and_the_last_step_of_a_pipeline(diabetes: Data) -> None:
    w = np.linspace(0.5, 2, 120)
    dataset = NumpyDataset(*diabetes, w=w)
    alone = Ridge().fit(*diabetes, sample_weight=w)
    assert np.array_equal(SklearnModel(Ridge()).fit(dataset).native.coef_, alone.coef_)
    chain = make_pipeline(StandardScaler(), Ridge())
    expected = make_pipeline(StandardScaler(), Ridge()).fit(*diabetes, ridge__sample_weight=w)
    found = SklearnModel(chain).fit(dataset).native
    assert np.array_equal(found[-1].coef_, expected[-1].coef_)


def test_weights_that_the_estimator_cannot_take_are_a_typed_error(diabetes: Data) -> None:
    dataset = NumpyDataset(*diabetes, w=np.linspace(0.5, 2, 120))
    with pytest.raises(DatasetError, match="KNeighborsRegressor takes no weights"):
        SklearnModel(KNeighborsRegressor()).fit(dataset)
    two = NumpyDataset(diabetes[0], np.ones((120, 2)), w=np.tile([1.0, 2.0], (120, 1)))
    with pytest.raises(DatasetError, match="task to task"):
        SklearnModel(Ridge()).fit(two)


def test_anything_but_a_classifier_or_regressor_is_a_typed_error() -> None:
    for given in (Ridge, None, object(), StandardScaler(), KMeans(), DBSCAN()):
        with pytest.raises(ParameterError, match="SklearnModel needs"):
            SklearnModel(given)


@pytest.mark.parametrize(
    ("given", "hint"),
    [
        (Ridge, r"SklearnModel\(Ridge\(\)\)"),
        (StandardScaler(), "dc_sklearn.SklearnTransformer"),
        (KMeans(), "dc_sklearn.SklearnUnsupervisedLearner"),
        (DBSCAN(), "dc_sklearn.SklearnUnsupervisedLearner"),
    ],
)
def test_the_error_says_which_class_fits_the_estimator(given: Any, hint: str) -> None:
    with pytest.raises(ParameterError, match=hint):
        SklearnModel(given)


def test_weights_are_named_for_the_estimator(regression: NumpyDataset) -> None:
    model = SklearnModel(RandomForestRegressor(3)).fit(regression)
    assert "random_forest_regressor/estimators_/feature/0" in model
    info = model.weight_table()["random_forest_regressor/estimators_/feature/0"]
    assert info.native == "estimators_.feature"
    assert len(SklearnModel(RandomForestRegressor())) == 0


def test_weights_move_to_a_model_that_is_not_fitted(regression: NumpyDataset) -> None:
    model = SklearnModel(RandomForestRegressor(3, random_state=0)).fit(regression)
    other = SklearnModel(RandomForestRegressor(3, random_state=0))
    other.set_weights(model.get_weights())
    assert np.array_equal(model.predict(regression), other.predict(regression))


def test_a_weight_that_contradicts_the_others_cannot_be_set(regression: NumpyDataset) -> None:
    model = SklearnModel(LinearRegression()).fit(regression)
    model["linear_regression/coef_/0"] = np.zeros(10)
    assert np.ptp(model.predict(regression)) == 0
    forest = SklearnModel(RandomForestRegressor(3)).fit(regression)
    name = "random_forest_regressor/estimators_/children_left/0"
    hostile = forest[name]
    hostile[0] = 10**9
    with pytest.raises(StructureError):
        forest[name] = hostile


def test_the_backend_wraps_an_estimator(diabetes: Data) -> None:
    model = plugins.backend("sklearn").wrap(Ridge().fit(*diabetes))
    assert isinstance(model, SklearnModel)
    assert model.predict(diabetes[0]).shape == (120, 1)


def test_a_subclass_is_refused_at_save(regression: NumpyDataset) -> None:
    class Mine(Ridge):
        pass

    model = SklearnModel(Mine()).fit(regression)
    with pytest.raises(NotSerializable, match="Mine"):
        model.get_weights()


def test_a_search_is_a_model(regression: NumpyDataset) -> None:
    model = SklearnModel(GridSearchCV(Ridge(), {"alpha": [0.1, 1]})).fit(regression)
    other = model.unfitted()
    other.set_weights(model.get_weights())
    assert np.array_equal(other.predict(regression), model.predict(regression))
    assert other.native.best_params_ == model.native.best_params_


@pytest.mark.parametrize("value", [object(), np.random.RandomState(0), len])
def test_an_attribute_that_cannot_be_stored_is_named(diabetes: Data, value: Any) -> None:
    estimator = Ridge().fit(*diabetes)
    estimator.note_ = value
    with pytest.raises(NotSerializable, match="note_"):
        SklearnModel(estimator).get_weights()


def test_an_unknown_private_attribute_is_named_in_the_error(diabetes: Data) -> None:
    estimator = Ridge().fit(*diabetes)
    estimator._mine = np.ones(3)
    with pytest.raises(NotSerializable, match="_mine"):
        SklearnModel(estimator).get_weights()


@pytest.mark.parametrize(
    "estimator", [LabelSpreading(), SelfTrainingClassifier(LogisticRegression())], ids=repr
)
def test_missing_labels_are_given_to_semi_supervised_classifiers(
    iris: Data, estimator: Any
) -> None:
    labels = np.where(np.arange(150) % 5, np.nan, iris[1])
    model = SklearnModel(estimator).fit(NumpyDataset(iris[0], labels))
    assert len(model.native.transduction_) == 150
    assert np.mean(model.predict(iris[0])[:, 0].argmax(axis=1) == iris[1]) > 0.8
    with pytest.raises(EmptyDataset, match="missing"):
        SklearnModel(estimator).fit(NumpyDataset(iris[0], np.full(150, np.nan)))


@pytest.mark.parametrize(
    "estimator",
    [
        HistGradientBoostingRegressor(max_iter=4),
        HistGradientBoostingRegressor(max_iter=4, early_stopping=True, scoring="r2"),
        HistGradientBoostingRegressor(max_iter=4, loss="absolute_error"),
        MLPRegressor(solver="lbfgs", max_iter=2000, tol=1.0, random_state=0),
    ],
    ids=repr,
)
def test_models_of_weighted_datasets_are_stored(diabetes: Data, estimator: Any) -> None:
    dataset = NumpyDataset(*diabetes, w=np.linspace(0.1, 2, 120)[:, None])
    model = SklearnModel(estimator).fit(dataset)
    other = model.unfitted()
    other.set_weights(model.get_weights())
    assert np.array_equal(other.predict(dataset), model.predict(dataset))


@pytest.mark.parametrize(
    "estimator",
    [
        BaggingClassifier(n_estimators=2, random_state=0),
        HistGradientBoostingClassifier(max_iter=3),
        OneVsRestClassifier(LogisticRegression()),
        VotingClassifier([("a", LogisticRegression())]),
        CalibratedClassifierCV(LogisticRegression(), method="isotonic", cv=3),
    ],
    ids=repr,
)
def test_labels_may_be_booleans(iris: Data, estimator: Any) -> None:
    model = SklearnModel(estimator.fit(iris[0], iris[1] > 0))
    other = model.unfitted()
    other.set_weights(model.get_weights())
    assert other.native.classes_.dtype == bool
    assert np.array_equal(other.predict(iris[0]), model.predict(iris[0]))
