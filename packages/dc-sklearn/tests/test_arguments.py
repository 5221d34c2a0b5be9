"""Constructor arguments that are neither numbers, text nor estimators: stored, and checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from sklearn.cluster import FeatureAgglomeration
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor, make_column_selector
from sklearn.covariance import GraphicalLassoCV
from sklearn.ensemble import GradientBoostingRegressor, RandomForestRegressor
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import ElasticNetCV, LassoCV, LogisticRegressionCV, Ridge, RidgeCV
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneOut,
    PredefinedSplit,
    RandomizedSearchCV,
    RepeatedKFold,
    RepeatedStratifiedKFold,
    ShuffleSplit,
    StratifiedKFold,
    TimeSeriesSplit,
)
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

import dc_hub
from dc_core import Model, NumpyDataset
from dc_core.errors import NotSerializable, ParameterError
from dc_sklearn import SklearnModel, SklearnTransformer, arguments, components, state

Data = tuple[np.ndarray, np.ndarray]


def again(estimator: Any) -> Any:
    described = components.describe(estimator)
    assert described is not None
    return components.build(*described)


@pytest.mark.parametrize("name", arguments._FUNCTIONS)
def test_every_function_of_the_closed_set_is_restored_by_its_name(name: str) -> None:
    function = arguments._FUNCTIONS[name]
    built = again(FunctionTransformer(function, inverse_func=function))
    assert built.func is function
    assert built.inverse_func is function
    assert components.describe(built)[1]["func"] == name


def test_the_target_of_a_regressor_is_transformed_by_named_functions(
    diabetes: Data, tmp_path: Any
) -> None:
    dataset = NumpyDataset(*diabetes)
    model = SklearnModel(TransformedTargetRegressor(Ridge(), func=np.log1p, inverse_func=np.expm1))
    model.fit(dataset).to_pretrained("model", hub=tmp_path)
    loaded = SklearnModel.from_pretrained("model", hub=tmp_path)
    assert np.array_equal(loaded.predict(dataset), model.predict(dataset))


def test_columns_are_transformed_and_pooled_by_named_functions(
    diabetes: Data, tmp_path: Any
) -> None:
    dataset = NumpyDataset(np.abs(diabetes[0]), diabetes[1])
    for i, given in enumerate(
        [
            FunctionTransformer(special.expit, kw_args={"dtype": np.float64}),
            FeatureAgglomeration(3, pooling_func=np.max),
            FeatureAgglomeration(3),
        ]
    ):
        made = SklearnTransformer(given).fit(dataset)
        made.to_pretrained(f"made{i}", hub=tmp_path)
        loaded = SklearnTransformer.from_pretrained(f"made{i}", hub=tmp_path)
        assert np.array_equal(loaded.transform(dataset).X, made.transform(dataset).X)


@pytest.mark.parametrize("name", ["os.system", "numpy.save", "numpy.memmap", "eval", "log1p", ""])
def test_a_function_outside_the_closed_set_is_refused(name: str) -> None:
    with pytest.raises(ParameterError, match="func"):
        components.build("sklearn/FunctionTransformer", {"func": name})
    for function in (np.save, lambda x: x, print):
        with pytest.raises(NotSerializable, match="func"):
            components.describe(FunctionTransformer(function))


SPLITTERS = [
    GroupKFold(3),
    KFold(4, shuffle=True, random_state=3),
    LeaveOneOut(),
    PredefinedSplit([0, 1, -1, 1]),
    RepeatedKFold(n_splits=3, n_repeats=2, random_state=1),
    RepeatedStratifiedKFold(n_splits=3, n_repeats=2, random_state=1),
    ShuffleSplit(5, test_size=0.3, random_state=0),
    StratifiedKFold(3),
    TimeSeriesSplit(3, gap=1),
]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_splitters_are_arguments(splitter: Any, diabetes: Data, tmp_path: Any) -> None:
    assert repr(again(splitter)) == repr(splitter)
    search = GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=splitter)
    dc_hub.publish(search, "search", hub=tmp_path, unfitted=True)
    loaded = Model.from_pretrained("search", hub=tmp_path).native
    assert repr(loaded.cv) == repr(splitter)


def test_splits_that_were_given_as_indices_are_arguments(diabetes: Data, tmp_path: Any) -> None:
    splits = [(np.arange(60), np.arange(60, 120)), (np.arange(60, 120), np.arange(60))]
    model = SklearnModel(GridSearchCV(Ridge(), {"alpha": [1.0, 2.0]}, cv=splits))
    model.fit(NumpyDataset(*diabetes)).to_pretrained("search", hub=tmp_path)
    loaded = SklearnModel.from_pretrained("search", hub=tmp_path)
    assert np.array_equal(loaded.predict(diabetes[0]), model.predict(diabetes[0]))


@pytest.mark.parametrize("params", [{"n_splits": 1}, {"n_splits": "x"}, {"shuffle": 3}])
def test_arguments_that_a_splitter_refuses_are_a_typed_error(params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match="KFold"):
        components.build("sklearn/KFold", params)


def test_a_search_among_distributions_is_restored(diabetes: Data, tmp_path: Any) -> None:
    space = [{"alpha": stats.loguniform(0.01, 10)}, {"fit_intercept": [True, False]}]
    search = RandomizedSearchCV(Ridge(), space, n_iter=6, random_state=0)
    model = SklearnModel(search).fit(NumpyDataset(*diabetes))
    model.to_pretrained("search", hub=tmp_path)
    loaded = SklearnModel.from_pretrained("search", hub=tmp_path)
    assert np.array_equal(loaded.predict(diabetes[0]), model.predict(diabetes[0]))
    assert loaded.native.cv_results_["params"] == model.native.cv_results_["params"]
    refitted = loaded.unfitted().fit(NumpyDataset(*diabetes))
    assert refitted.native.best_params_ == model.native.best_params_


@pytest.mark.parametrize(
    "body",
    [
        {"name": "rv_continuous", "args": [], "kwds": {}},
        {"name": "gaussian_kde", "args": [1.0], "kwds": {}},
        {"name": "norm", "args": ["x"], "kwds": {}},
        {"name": "norm", "args": [], "kwds": {"seed": 1}},
        {"name": "__class__", "args": [], "kwds": {}},
        {},
        None,
    ],
    ids=str,
)
def test_what_is_not_a_distribution_is_a_typed_error(body: Any) -> None:
    space = {"alpha": {"@distribution": body}}
    with pytest.raises(ParameterError, match="param_distributions"):
        components.build(
            "sklearn/RandomizedSearchCV", {"estimator": Ridge(), "param_distributions": space}
        )


FRAME = pd.DataFrame(
    {"a": [1.0, 2, 3, 4], "b": [0.5, 2, 1, 0], "kind": ["x", "y", "x", "z"], "c": [1, 2, 3, 4]}
)


def test_columns_that_a_selector_chose_are_restored(tmp_path: Any) -> None:
    given = ColumnTransformer(
        [
            ("numbers", StandardScaler(), make_column_selector(dtype_include=np.floating)),
            ("names", OneHotEncoder(), make_column_selector(pattern="kind")),
            ("none", StandardScaler(), make_column_selector(pattern="nothing")),
        ],
        remainder="passthrough",
    ).fit(FRAME)
    dc_hub.publish(given, "columns", hub=tmp_path)
    loaded = Model.from_pretrained("columns", hub=tmp_path).native
    assert [columns for *_, columns in loaded.transformers_] == [
        columns for *_, columns in given.transformers_
    ]
    assert np.array_equal(loaded.transform(FRAME), given.transform(FRAME))
    assert np.array_equal(loaded.fit_transform(FRAME), given.transform(FRAME))


@pytest.mark.parametrize(
    "columns", [slice(0, 2), slice("a", "b"), slice(None, -1), slice(3), slice(0, 3, 2)], ids=repr
)
def test_columns_that_a_slice_names_are_restored(columns: slice, tmp_path: Any) -> None:
    frame = FRAME.assign(kind=[1, 2, 3, 5])
    given = ColumnTransformer([("numbers", StandardScaler(), columns)], remainder="passthrough")
    dc_hub.publish(given.fit(frame), "columns", hub=tmp_path)
    loaded = Model.from_pretrained("columns", hub=tmp_path).native
    assert loaded.transformers[0][2] == columns
    assert np.array_equal(loaded.transform(frame), given.transform(frame))


@pytest.mark.parametrize("dtype", ["object", "<U7"])
def test_categories_may_be_arrays_of_text(dtype: str, tmp_path: Any) -> None:
    rows = np.array([["C"], ["N"], ["C"]], dtype=object)
    given = OneHotEncoder(categories=[np.array(["C", "N", "oxygene"], dtype=dtype)]).fit(rows)
    dc_hub.publish(given, "encoder", hub=tmp_path)
    loaded = Model.from_pretrained("encoder", hub=tmp_path).native
    assert loaded.categories[0].dtype == given.categories[0].dtype
    assert np.array_equal(loaded.categories[0], given.categories[0])
    assert np.array_equal(loaded.transform(rows).toarray(), given.transform(rows).toarray())


def test_a_generator_as_random_state_is_restored_in_its_state(
    diabetes: Data, tmp_path: Any
) -> None:
    generator = np.random.RandomState(3)
    generator.normal(size=7)
    fitted = RandomForestRegressor(3, random_state=generator).fit(*diabetes)
    dc_hub.publish(fitted, "forest", hub=tmp_path)
    loaded = Model.from_pretrained("forest", hub=tmp_path).native
    assert np.array_equal(loaded.predict(diabetes[0]), fitted.predict(diabetes[0]))
    assert loaded.random_state.normal() == generator.normal()


def test_a_generator_that_is_shared_with_the_parameters_stays_shared(diabetes: Data) -> None:
    given = GradientBoostingRegressor(
        n_estimators=2, subsample=0.5, random_state=np.random.RandomState(0), warm_start=True
    )
    model = SklearnModel(given.fit(*diabetes))
    other = SklearnModel(again(given))
    other.set_weights(model.get_weights())
    assert other.native._rng is other.native.random_state
    both = [
        m.native.set_params(n_estimators=4).fit(*diabetes).predict(diabetes[0])
        for m in (model, other)
    ]
    assert np.array_equal(*both)


@pytest.mark.parametrize(
    "value",
    [
        {"@RandomState": {"key": np.zeros(3, np.uint32), "position": 1, "has_gauss": 0}},
        {"@RandomState": None},
        {"@slice": [1, 2]},
        {"@slice": [1, 2, [3]]},
        {"@array": {"dtype": "<U9999999", "shape": [1], "items": ["a"]}},
        {"@array": {"dtype": "object", "shape": [2**40], "items": ["a"]}},
        {"@array": {"dtype": "float64", "shape": [1], "items": [1.0]}},
        {"@array": {"dtype": "object", "shape": [1], "items": [Ridge()]}},
        {"@import": "os.system"},
        {"@slice": [1, 2, None], "@array": 1},
    ],
    ids=str,
)
@pytest.mark.parametrize("parameter", ["random_state", "n_estimators"])
def test_a_malformed_tag_is_a_typed_error(value: Any, parameter: str) -> None:
    with pytest.raises(ParameterError, match=parameter):
        components.build("sklearn/RandomForestRegressor", {parameter: value})


def test_a_dictionary_that_looks_like_a_tag_is_refused_at_save() -> None:
    with pytest.raises(NotSerializable, match="@slice"):
        components.describe(FunctionTransformer(np.exp, kw_args={"@slice": 1}))


def test_the_type_that_a_vectorizer_calls_is_a_type() -> None:
    built = again(DictVectorizer(dtype=np.float32))
    assert built.fit_transform([{"a": 1}]).dtype == np.float32


@pytest.mark.parametrize(
    "estimator",
    [
        LassoCV(alphas=[1, 2], cv=3),
        RidgeCV(alphas=[1, 2]),
        ElasticNetCV(alphas=[1, 2], l1_ratio=[1], cv=3),
        GraphicalLassoCV(alphas=[1, 2]),
        LogisticRegressionCV(
            Cs=[1, 2], l1_ratios=(0,), max_iter=1000, use_legacy_attributes=True, scoring="accuracy"
        ),
    ],
    ids=lambda estimator: type(estimator).__name__,
)
@pytest.mark.filterwarnings("ignore:.*use_legacy_attributes:FutureWarning")
def test_candidates_that_were_given_as_integers_are_stored(estimator: Any, iris: Data) -> None:
    fitted = estimator.fit(*iris)
    other = again(fitted)
    state.restore(other, state.export(fitted))
    for name in ("alphas_", "Cs_"):
        assert np.array_equal(vars(other).get(name), vars(fitted).get(name))


def test_a_cross_validated_classifier_takes_labels_that_are_booleans(
    iris: Data, tmp_path: Any
) -> None:
    fitted = LogisticRegressionCV(
        Cs=2, cv=StratifiedKFold(3), l1_ratios=(0,), use_legacy_attributes=False, scoring="accuracy"
    ).fit(iris[0], iris[1] > 0)
    dc_hub.publish(fitted, "flags", hub=tmp_path)
    loaded = Model.from_pretrained("flags", hub=tmp_path)
    assert loaded.native.classes_.dtype == bool
    assert np.array_equal(loaded.native.predict_proba(iris[0]), fitted.predict_proba(iris[0]))
