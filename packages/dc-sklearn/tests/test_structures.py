"""Hostile structures raise typed errors before native code runs, and change no estimator."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.ensemble import (
    GradientBoostingClassifier,
    HistGradientBoostingClassifier,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    VotingClassifier,
)
from sklearn.kernel_approximation import RBFSampler
from sklearn.linear_model import LogisticRegression, Perceptron
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier, NearestCentroid, RadiusNeighborsClassifier
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import (
    FunctionTransformer,
    KBinsDiscretizer,
    OneHotEncoder,
    OrdinalEncoder,
    PolynomialFeatures,
    StandardScaler,
)
from sklearn.svm import SVC, LinearSVC

from dc_core import byte_budget
from dc_core.errors import (
    BudgetExceeded,
    NotSerializable,
    ParameterError,
    StructureError,
    WeightsMismatch,
)
from dc_sklearn import components, estimators, state, trees, values

Refused = Callable[..., Exception]
Data = tuple[np.ndarray, np.ndarray]


@pytest.fixture
def forest(diabetes: Data) -> RandomForestRegressor:
    return RandomForestRegressor(n_estimators=3, random_state=0).fit(*diabetes)


@pytest.fixture
def kernel(iris: Data) -> SVC:
    return SVC().fit(*iris)


@pytest.fixture
def categories(iris: Data) -> HistGradientBoostingClassifier:
    x = iris[0].copy()
    x[:, 1] = np.round(x[:, 1])
    model = HistGradientBoostingClassifier(
        max_iter=4, categorical_features=[1], min_samples_leaf=2, random_state=0
    )
    return model.fit(x, iris[1])


def edited(array: np.ndarray, index: Any, value: Any) -> np.ndarray:
    copy = array.copy()
    copy[index] = value
    return copy


def of(estimator: Any, name: str) -> np.ndarray:
    return state.export(estimator, [name])[name]


LEFT, RIGHT = "estimators_/children_left/0", "estimators_/children_right/0"
FEATURE, OFFSETS = "estimators_/feature/0", "estimators_/offsets/0"


def test_a_tree_child_out_of_bounds_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    largest = np.iinfo(np.int32)
    for value in (10**6, -7, largest.max, largest.min):
        refused(forest, {LEFT: edited(of(forest, LEFT), 0, value)})


def test_a_child_in_the_next_tree_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    second = int(of(forest, OFFSETS)[1])
    refused(forest, {RIGHT: edited(of(forest, RIGHT), 0, second)})


def test_a_tree_cycle_is_a_typed_error(forest: RandomForestRegressor, refused: Refused) -> None:
    refused(forest, {LEFT: edited(of(forest, LEFT), 0, 0)})
    refused(forest, {LEFT: edited(of(forest, LEFT), 1, 0)})


def test_a_shared_child_is_a_typed_error(forest: RandomForestRegressor, refused: Refused) -> None:
    right = of(forest, RIGHT)
    error = refused(forest, {LEFT: edited(of(forest, LEFT), 0, right[0])})
    assert "more than one" in str(error)


def test_a_node_with_one_child_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    refused(forest, {RIGHT: edited(of(forest, RIGHT), 0, -1)})


def test_a_feature_out_of_bounds_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    for value in (10, -1, 2**30):
        refused(forest, {FEATURE: edited(of(forest, FEATURE), 0, value)})


def test_a_leaf_with_a_feature_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    leaf = int(np.flatnonzero(of(forest, LEFT) == -1)[0])
    refused(forest, {FEATURE: edited(of(forest, FEATURE), leaf, 3)})


def test_a_short_array_of_nodes_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    for name in (LEFT, RIGHT, FEATURE, "estimators_/threshold/0", "estimators_/value/0"):
        refused(forest, {name: of(forest, name)[:-1]})


def test_a_threshold_that_is_nan_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    name = "estimators_/threshold/0"
    refused(forest, {name: edited(of(forest, name), 0, np.nan)})


def test_a_missing_value_flag_beyond_one_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    name = "estimators_/missing_go_to_left/0"
    refused(forest, {name: edited(of(forest, name), 0, 2)})


def test_offsets_that_do_not_divide_the_nodes_are_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    offsets = of(forest, OFFSETS)
    for index, value in ((0, 1), (-1, offsets[-1] - 1), (1, offsets[2]), (1, -5), (1, 2**62)):
        refused(forest, {OFFSETS: edited(offsets, index, value)})


def test_a_split_on_a_feature_beyond_n_features_in_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    two = np.array(2)
    refused(forest, {"n_features_in_/0": two})
    refused(forest, {"n_features_in_/0": two, "estimators_/n_features_in_/0": two})


def test_an_invalid_number_of_outputs_is_a_typed_error(
    forest: RandomForestRegressor, refused: Refused
) -> None:
    for value in (0, -1, 2, 10**12):
        outputs = np.array(value)
        refused(forest, {"n_outputs_/0": outputs, "estimators_/n_outputs_/0": outputs})


def test_classes_that_do_not_fit_the_trees_are_a_typed_error(iris: Data, refused: Refused) -> None:
    forest = RandomForestClassifier(n_estimators=2, random_state=0).fit(*iris)
    refused(forest, {"n_classes_/0": np.array(2)})
    refused(forest, {"n_classes_/0": np.array(2), "classes_/0": np.array([0, 1])})


def test_an_isolation_forest_with_columns_out_of_bounds_is_a_typed_error(
    diabetes: Data, refused: Refused
) -> None:
    forest = IsolationForest(n_estimators=2, max_features=4, random_state=0).fit(diabetes[0])
    name = "estimators_features_/0/0"
    refused(forest, {name: edited(of(forest, name), 0, 10)})
    refused(forest, {name: of(forest, name)[:-1]})


def test_a_chain_of_nodes_is_checked_in_under_a_second() -> None:
    n = 200_001
    left, right = np.full(n, -1), np.full(n, -1)
    inner = np.arange(0, n - 1, 2)
    left[inner], right[inner] = inner + 1, inner + 2
    nodes = {
        "children_left": left,
        "children_right": right,
        "feature": np.where(left < 0, -2, 0),
        "threshold": np.zeros(n),
        "missing_go_to_left": np.zeros(n, np.uint8),
    }
    started = time.process_time()
    (depth,) = trees.check("chain", nodes, np.array([0, n]), 1)
    assert depth == (n - 1) // 2
    assert time.process_time() - started < 1


@pytest.mark.parametrize("at", [0, 5_461, 5_462, 19_999])
def test_a_fault_in_any_tree_of_a_large_forest_is_refused(at: int) -> None:
    n = 20_000
    nodes = {
        "children_left": np.tile([1, -1, -1], n),
        "children_right": np.tile([2, -1, -1], n),
        "feature": np.tile([0, -2, -2], n),
        "threshold": np.zeros(3 * n),
        "missing_go_to_left": np.zeros(3 * n, np.uint8),
    }
    offsets = np.arange(0, 3 * n + 1, 3)
    assert trees.check("forest", nodes, offsets, 1).tolist() == [1] * n
    for name, value in (
        ("children_left", 0),
        ("children_right", 3),
        ("feature", 1),
        ("threshold", np.nan),
        ("missing_go_to_left", 2),
    ):
        before = nodes[name][3 * at]
        nodes[name][3 * at] = value
        with pytest.raises(StructureError, match="forest"):
            trees.check("forest", nodes, offsets, 1)
        nodes[name][3 * at] = before


def test_a_tree_of_more_samples_than_four_bytes_count_is_refused_at_save(diabetes: Data) -> None:
    forest = RandomForestRegressor(n_estimators=2, random_state=0).fit(*diabetes)
    stored = forest.estimators_[1].tree_.__getstate__()
    stored["nodes"]["n_node_samples"][0] = 2**31
    forest.estimators_[1].tree_.__setstate__(stored)
    with pytest.raises(NotSerializable, match="2147483648 samples"):
        state.export(forest)


def test_the_depth_of_a_rebuilt_tree_is_that_of_the_original(diabetes: Data) -> None:
    for options in ({}, {"max_leaf_nodes": 9}, {"max_depth": 1}):
        forest = RandomForestRegressor(n_estimators=5, random_state=0, **options).fit(*diabetes)
        other = clone(forest)
        state.restore(other, state.export(forest))
        assert [t.get_depth() for t in other.estimators_] == [
            t.get_depth() for t in forest.estimators_
        ]


def test_invalid_support_counts_are_a_typed_error(kernel: SVC, refused: Refused) -> None:
    counts = of(kernel, "_n_support/0")
    for index, value in ((0, counts[0] + 1), (0, 2**30), (0, -1)):
        refused(kernel, {"_n_support/0": edited(counts, index, value)})
    refused(kernel, {"_n_support/0": counts[:-1]})


def test_a_negative_support_count_is_a_typed_error_even_if_the_sum_is_right(
    kernel: SVC, refused: Refused
) -> None:
    counts = of(kernel, "_n_support/0")
    moved = edited(counts, slice(0, 2), [-1, counts[0] + counts[1] + 1])
    refused(kernel, {"_n_support/0": moved})


def test_support_indices_out_of_bounds_are_a_typed_error(kernel: SVC, refused: Refused) -> None:
    for value in (150, -1):
        refused(kernel, {"support_/0": edited(of(kernel, "support_/0"), 0, value)})


def test_short_kernel_arrays_are_a_typed_error(kernel: SVC, refused: Refused) -> None:
    for name in ("support_/0", "support_vectors_/0", "_dual_coef_/0", "_intercept_/0"):
        refused(kernel, {name: of(kernel, name)[:-1]})
    refused(kernel, {"_dual_coef_/0": of(kernel, "_dual_coef_/0")[:, :-1].copy()})
    refused(kernel, {"support_vectors_/0": of(kernel, "support_vectors_/0")[:, :-1].copy()})


def test_probability_parameters_of_another_length_are_a_typed_error(
    kernel: SVC, refused: Refused
) -> None:
    refused(kernel, {"_probA/0": np.zeros(1)})
    refused(kernel, {"_probA/0": np.zeros(3)})


def test_probabilities_without_their_parameters_are_a_typed_error(
    iris: Data, refused: Refused
) -> None:
    kernel = SVC().fit(sparse.csr_matrix(iris[0]), iris[1])
    asking = clone(kernel).set_params(probability=True)
    with pytest.raises(StructureError, match="probabilities"):
        state.restore(asking, state.export(kernel))
    if "_effective_probability/0" in state.describe(kernel):  # newer versions of scikit-learn
        refused(kernel, {"_effective_probability/0": np.array(True)})


def test_a_label_outside_the_classes_is_a_typed_error(iris: Data, refused: Refused) -> None:
    neighbors = KNeighborsClassifier().fit(*iris)
    for value in (3, -1, 2**40):
        refused(neighbors, {"_y/0": edited(of(neighbors, "_y/0"), 0, value)})


def test_rows_that_do_not_fit_the_neighbors_are_a_typed_error(iris: Data, refused: Refused) -> None:
    neighbors = KNeighborsClassifier().fit(*iris)
    rows = of(neighbors, "_fit_X/0")
    refused(neighbors, {"_fit_X/0": rows[:-1]})
    refused(neighbors, {"_fit_X/0": rows[:, :-1].copy()})
    refused(neighbors, {"n_samples_fit_/0": np.array(10**9)})


def test_an_unknown_search_method_is_a_typed_error(iris: Data, refused: Refused) -> None:
    neighbors = KNeighborsClassifier().fit(*iris)
    refused(neighbors, {"_fit_method/str/0": np.frombuffer(b"os.system", np.uint8)})


def test_boosting_with_another_number_of_trees_per_stage_is_a_typed_error(
    iris: Data, refused: Refused
) -> None:
    boosted = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(*iris)
    refused(boosted, {"estimators_/shape/0": np.array([1, 6])})
    refused(boosted, {"estimators_/shape/0": np.array([6, 1])})
    refused(boosted, {"n_trees_per_iteration_/0": np.array(1)})


def test_an_initial_estimator_for_other_classes_is_a_typed_error(
    iris: Data, refused: Refused
) -> None:
    boosted = GradientBoostingClassifier(n_estimators=2, random_state=0).fit(*iris)
    fewer = {
        "init_/class_prior_/0": np.array([0.5, 0.5]),
        "init_/classes_/0": np.array([0, 1]),
        "init_/n_classes_/0": np.array(2),
    }
    refused(boosted, fewer)


def test_malformed_histogram_trees_are_a_typed_error(
    categories: HistGradientBoostingClassifier, refused: Refused
) -> None:
    edits = {
        "_predictors/left/0": (0, (0, 10**6)),
        "_predictors/right/0": (0, (0, 1)),
        "_predictors/feature_idx/0": (0, (4, -1, 2**40)),
        "_predictors/is_leaf/0": (0, (1, 2)),
        "_predictors/offsets/0": (1, (0, 10**6)),
        "_predictors/shape/0": (0, (3, 10**6)),
        "_predictors/bitset_offsets/0": (1, (-1, 10**6)),
    }
    for name, (index, found) in edits.items():
        for value in found:
            refused(categories, {name: edited(of(categories, name), index, value)})


def test_a_bitset_index_out_of_range_is_a_typed_error(
    categories: HistGradientBoostingClassifier, refused: Refused
) -> None:
    tests = np.flatnonzero(of(categories, "_predictors/is_categorical/0"))
    assert tests.size
    index = of(categories, "_predictors/bitset_idx/0")
    refused(categories, {"_predictors/bitset_idx/0": edited(index, tests[0], 10**6)})


def test_a_categorical_split_on_a_numerical_feature_is_a_typed_error(
    categories: HistGradientBoostingClassifier, refused: Refused
) -> None:
    feature = of(categories, "_predictors/feature_idx/0")
    inner = of(categories, "_predictors/is_leaf/0") == 0
    numeric = np.flatnonzero(inner & (feature > 0))[0]
    flags = of(categories, "_predictors/is_categorical/0")
    refused(categories, {"_predictors/is_categorical/0": edited(flags, numeric, 1)})


def test_a_preprocessor_reads_the_columns_that_follow_from_the_categories(iris: Data) -> None:
    """Native code would read beyond the rows if a file could name fewer of them."""
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(iris[0], columns=list("abcd")).round().astype({"b": "category"})
    model = HistGradientBoostingClassifier(max_iter=2).fit(x, iris[1])
    stored = state.export(model)
    assert not any(
        "indices" in name or "columns" in name for name in stored if "output" not in name
    )
    loaded = clone(model)
    state.restore(loaded, stored)
    np.testing.assert_array_equal(loaded.predict_proba(x), model.predict_proba(x))

    part = "_preprocessor/transformers_/1"
    names = dict(values.encode(f"{part}/feature_names_in_", np.array(["a"], dtype=object)))
    fewer = {
        **stored,
        f"{part}/n_features_in_/0": np.array(1),
        **{name: slot.read(copy=True) for name, slot in names.items()},
    }
    shortened = clone(model)
    state.restore(shortened, fewer)
    np.testing.assert_array_equal(shortened.predict_proba(x), model.predict_proba(x))
    for count in (3, 5, 2**40):
        with byte_budget(1 << 20), pytest.raises((StructureError, BudgetExceeded)):
            state.restore(
                clone(model), {**stored, "_preprocessor/n_features_in_/0": np.array(count)}
            )


_COLUMN = FunctionTransformer(lambda column: np.asarray(column)[:, None])
"""A transformer of one column, which is given as a vector."""


@pytest.mark.parametrize("remainder", ["drop", "passthrough"])
@pytest.mark.parametrize(
    "columns",
    [["b", "d"], slice("b", "c"), slice(1, 3), [-1, 0], [True, False, False, True], [], "a", 2],
    ids=str,
)
def test_the_columns_of_a_column_transformer_are_derived_as_fit_derives_them(
    iris: Data, columns: Any, remainder: str
) -> None:
    pandas = pytest.importorskip("pandas")
    x = pandas.DataFrame(iris[0], columns=list("abcd"))
    part = StandardScaler() if np.ndim(columns) or isinstance(columns, slice) else _COLUMN
    model = ColumnTransformer([("part", part, columns)], remainder=remainder).fit(x)
    loaded = clone(model)
    state.restore(loaded, state.export(model))
    for name in ("_columns", "_remainder", "_transformer_to_input_indices"):
        assert str(vars(loaded)[name]) == str(vars(model)[name])
    assert [t[2] for t in loaded.transformers_] == [t[2] for t in model.transformers_]
    np.testing.assert_array_equal(loaded.transform(x), model.transform(x))


def test_outputs_of_columns_that_do_not_adjoin_are_a_typed_error(
    iris: Data, refused: Refused
) -> None:
    model = ColumnTransformer([("a", StandardScaler(), [0]), ("b", StandardScaler(), [1, 2])])
    model.fit(iris[0])
    given = of(model, "output_indices_/1/slice/0")
    for part, value in ((0, 0), (0, 2), (1, 0)):
        refused(model, {"output_indices_/1/slice/0": edited(given, (part, 0), value)})


def test_a_length_other_than_the_number_of_items_is_a_typed_error(
    iris: Data, refused: Refused
) -> None:
    forest = IsolationForest(n_estimators=2, random_state=0).fit(iris[0])
    for value in (10**12, -1, 3):
        refused(forest, {"estimators_features_/list/0": np.array(value)})


@pytest.fixture(scope="module")
def models(iris: Data) -> list[tuple[Any, dict[str, np.ndarray]]]:
    """One fitted estimator for each kind of structure that native code reads, with its weights."""
    fitted = [
        RandomForestClassifier(n_estimators=2, max_depth=3, random_state=0),
        HistGradientBoostingClassifier(max_iter=2, max_depth=3, random_state=0),
        GradientBoostingClassifier(n_estimators=2, max_depth=2, random_state=0),
        SVC(),
        KNeighborsClassifier(),
    ]
    fitted = [model.fit(*iris) for model in fitted]
    fitted.append(SVC().fit(sparse.csr_matrix(iris[0]), iris[1]))
    return [(model, state.export(model)) for model in fitted]


@settings(max_examples=250, deadline=None, derandomize=True)
@given(data=st.data())
def test_an_edited_estimator_predicts_or_is_a_typed_error(
    data: st.DataObject, iris: Data, models: list[tuple[Any, dict[str, np.ndarray]]]
) -> None:
    model, weights = data.draw(st.sampled_from(models), "model")
    name = data.draw(st.sampled_from(sorted(weights)), "name")
    array = weights[name].copy()
    flat = array.reshape(-1)
    if flat.size and data.draw(st.booleans(), "edit"):
        index = data.draw(st.integers(0, flat.size - 1), "index")
        raw = flat[index : index + 1].view(np.uint8)
        raw[:] = data.draw(st.lists(st.integers(0, 255), min_size=len(raw), max_size=len(raw)))
    else:
        array = np.resize(
            array, data.draw(st.sampled_from([(0,), (1,), (3,), (2, 2), ()]), "shape")
        )
    other = clone(model)
    try:
        state.restore(other, {**weights, name: array})
    except (StructureError, WeightsMismatch):
        assert state.describe(other) == {}
        return
    with np.errstate(all="ignore"):
        try:
            other.predict(iris[0])
        except (ArithmeticError, LookupError, TypeError, ValueError):
            return  # scikit-learn's own checks in Python stopped it before native code


def test_an_encoders_number_of_outputs_is_derived_and_never_stored(iris: Data) -> None:
    x = np.round(iris[0])
    encoder = OneHotEncoder(drop="first", min_frequency=5, handle_unknown="ignore").fit(x)
    arrays = state.export(encoder)
    assert not any("_n_features_outs" in name or "mappings" in name for name in arrays)
    loaded = clone(encoder)
    state.restore(loaded, arrays)
    np.testing.assert_array_equal(loaded.transform(x).toarray(), encoder.transform(x).toarray())
    assert loaded._n_features_outs == encoder._n_features_outs
    assert list(loaded.get_feature_names_out()) == list(encoder.get_feature_names_out())


def test_an_encoders_infrequent_and_dropped_categories_are_checked(
    iris: Data, refused: Refused
) -> None:
    encoder = OneHotEncoder(drop="first", min_frequency=5, handle_unknown="ignore")
    encoder.fit(np.round(iris[0]))
    for name, array in state.export(encoder).items():
        if name.startswith(("_infrequent_indices/", "drop_idx_/")) and array.size:
            for value in (-1, 2**40):
                if name.endswith("/0") and "list" not in name and "objects" not in name:
                    refused(encoder, {name: np.full_like(array, value)})


@pytest.mark.parametrize(
    "found", [[2, 1, 0], [0, 1, 1], [np.nan, 1, 2], [0, np.nan, 2], [1, np.nan, np.nan]], ids=str
)
@pytest.mark.parametrize("encoder", [OneHotEncoder(), OrdinalEncoder()], ids=repr)
def test_categories_that_do_not_rise_are_a_typed_error(
    refused: Refused, encoder: Any, found: list[float]
) -> None:
    """A search among them would end beyond the last one, and SciPy would write there."""
    model = clone(encoder).fit(np.array([[0.0], [1.0], [2.0]]))
    refused(model, {"categories_/0/0": np.array(found, float)})


def test_a_missing_category_before_the_last_one_is_a_typed_error() -> None:
    encoder = OneHotEncoder().fit(np.array([["a"], ["b"], [np.nan]], dtype=object))
    stored = state.export(encoder)
    state.restore(clone(encoder), stored)
    del stored["categories_/0/1/str/0"]
    with pytest.raises(StructureError, match="categories_"):
        state.restore(clone(encoder), {**stored, "categories_/0/1/float/0": np.array(np.nan)})


def test_numbers_are_not_searched_among_unordered_categories_of_objects() -> None:
    encoder = OneHotEncoder(categories=[[3.0, 1.0, 2.0]]).fit(np.array([[1.0]], dtype=object))
    loaded = clone(encoder)
    state.restore(loaded, state.export(encoder))
    assert loaded.transform(np.array([[3.0]], dtype=object)).toarray().tolist() == [[1, 0, 0]]
    with pytest.raises(TypeError):
        loaded.transform(np.array([[3.0]]))


@pytest.mark.parametrize(
    "classifier", [LogisticRegression(), Perceptron(), LinearSVC(), LinearDiscriminantAnalysis()]
)
@pytest.mark.parametrize(("classes", "rows"), [(1, 1), (2, 3), (3, 4)])
def test_a_linear_classifier_with_other_rows_than_classes_is_a_typed_error(
    iris: Data, classifier: Any, classes: int, rows: int
) -> None:
    """A row without a class would be an index beyond the classes."""
    model = clone(classifier).fit(iris[0][:100], iris[1][:100])
    changes = {
        "classes_/0": np.arange(classes),
        "coef_/0": np.ones((rows, 4)),
        "intercept_/0": np.ones(rows),
        "means_/0": np.ones((classes, 4)),
        "priors_/0": np.ones(classes),
    }
    stored = state.export(model)
    state.restore(clone(model), stored)
    with pytest.raises(StructureError):
        state.restore(clone(model), {name: changes.get(name, a) for name, a in stored.items()})


@pytest.mark.parametrize(
    "member", [LogisticRegression(), OneVsRestClassifier(LogisticRegression())], ids=repr
)
def test_a_second_decision_per_row_of_one_against_the_rest_is_a_typed_error(
    iris: Data, refused: Refused, member: Any
) -> None:
    """scikit-learn would write it beyond the rows of a sparse matrix."""
    x, kinds = iris
    model = OneVsRestClassifier(member).fit(x, np.c_[kinds == 0, kinds == 1].astype(int))
    below = "estimators_/0/" + ("estimators_/0/" if "One" in type(member).__name__ else "")
    error = refused(
        model,
        {
            f"{below}coef_/0": np.ones((2, 4)),
            f"{below}intercept_/0": np.ones(2),
        },
    )
    assert "decisions" in str(error)
    dense = {
        name: array for name, array in state.export(model).items() if name != f"{below}coef_/0"
    }
    sparse_rows = dict(values.encode(f"{below}coef_", sparse.csr_matrix(np.ones((2, 4)))))
    with pytest.raises(StructureError, match="decisions"):
        state.restore(
            clone(model),
            {
                **dense,
                **{name: slot.read(copy=True) for name, slot in sparse_rows.items()},
                f"{below}intercept_/0": np.ones(2),
            },
        )
    three = {
        f"{below}classes_/0": np.arange(3),
        f"{below}coef_/0": np.ones((3, 4)),
        f"{below}intercept_/0": np.ones(3),
    }
    refused(model, three)


@pytest.mark.parametrize("found", [1, [], [0, 1], "a"], ids=repr)
def test_outliers_without_one_label_per_output_are_a_typed_error(iris: Data, found: Any) -> None:
    model = RadiusNeighborsClassifier(outlier_label=0).fit(*iris)
    stored = state.export(model)
    state.restore(clone(model), stored)
    others = {name: a for name, a in stored.items() if not name.startswith("outlier_label_")}
    changed = {n: slot.read(copy=True) for n, slot in values.encode("outlier_label_", found)}
    with pytest.raises(StructureError, match="outlier_label_"):
        state.restore(clone(model), {**others, **changed})


def test_a_vote_for_a_class_that_does_not_exist_is_a_typed_error(
    iris: Data, refused: Refused
) -> None:
    """Votes are counted in an array as long as the largest of them."""
    model = VotingClassifier([("a", LogisticRegression(max_iter=1000))]).fit(*iris)
    refused(model, {"estimators_/0/classes_/0": np.array([0, 1, 2**40])})
    refused(model, {"estimators_/0/classes_/0": np.array([-1, 0, 1])})
    refused(model, {"estimators_/0/classes_/0": np.array([0.0, 1.0, 2.0])})


@pytest.mark.filterwarnings("ignore:The current default behavior, quantile_method:FutureWarning")
def test_a_number_of_bins_that_contradicts_their_edges_is_a_typed_error(
    iris: Data, refused: Refused
) -> None:
    binner = KBinsDiscretizer(n_bins=3, encode="onehot").fit(iris[0])
    assert not any("_encoder" in name for name in state.export(binner))
    for value in (2, 4, 1 << 24, -1, 2**62):
        refused(binner, {"n_bins_/0": edited(of(binner, "n_bins_/0"), 0, value)})


def test_the_output_counts_of_polynomial_features_are_derived(iris: Data) -> None:
    features = PolynomialFeatures(2).fit(iris[0])
    assert set(state.export(features)) == {"attributes/0", "n_features_in_/0"}
    loaded = PolynomialFeatures(2)
    state.restore(loaded, state.export(features))
    np.testing.assert_array_equal(loaded.transform(iris[0]), features.transform(iris[0]))
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded):
        state.restore(
            PolynomialFeatures(2),
            {**state.export(features), "n_features_in_/0": np.array(2**20)},
        )


@pytest.mark.parametrize(
    ("n", "degree", "interactions"),
    [(3, 2**31, False), (200_000, 200_000, False), (2**40, 2, False), (8_000_000, 2**31, True)],
)
def test_outputs_without_number_of_polynomial_features_are_a_typed_error_at_once(
    n: int, degree: int, interactions: bool
) -> None:
    """Their exact number would take scikit-learn for ever to compute."""
    stored = state.export(PolynomialFeatures(2).fit(np.zeros((1, 2))))
    features = PolynomialFeatures(degree, interaction_only=interactions)
    started = time.process_time()
    with pytest.raises(StructureError, match="outputs"):
        state.restore(features, {**stored, "n_features_in_/0": np.array(n)})
    assert time.process_time() - started < 1


@pytest.mark.parametrize("degree", [1001, (0, 2**80)])
def test_a_file_cannot_make_polynomial_features_count_for_ever(degree: Any) -> None:
    with pytest.raises(ParameterError, match="degree"):
        components.build("sklearn/PolynomialFeatures", {"degree": degree})


@pytest.mark.parametrize("kernel", ["precomputed", lambda a, b: a @ b.T])
def test_sparse_support_vectors_with_a_kernel_that_libsvm_lacks_are_a_typed_error(
    iris: Data, kernel: Any
) -> None:
    arrays = state.export(SVC(kernel="linear").fit(sparse.csr_matrix(iris[0]), iris[1]))
    with pytest.raises(StructureError, match="sparse"):
        state.restore(SVC(kernel=kernel), arrays)


@pytest.mark.parametrize("shape", [(1, 1), (3, 4), (4,), (5, 5)])
def test_a_metric_matrix_of_the_wrong_shape_is_a_typed_error(
    iris: Data, refused: Refused, shape: tuple[int, ...]
) -> None:
    neighbors = KNeighborsClassifier(
        algorithm="brute", metric="mahalanobis", metric_params={"VI": np.eye(4)}
    ).fit(*iris)
    arrays = state.export(neighbors)
    (name,) = (n for n in arrays if arrays[n].shape == (4, 4))
    with pytest.raises(StructureError, match="VI"):
        state.restore(clone(neighbors), {**arrays, name: np.ones(shape)})
    changed = clone(neighbors).set_params(metric_params={"VI": np.ones(shape)})
    with pytest.raises(StructureError, match="VI"):
        state.restore(changed, arrays)


def test_a_part_of_the_preprocessor_cannot_be_dropped(
    categories: HistGradientBoostingClassifier,
) -> None:
    arrays = state.export(categories)
    at = "_preprocessor/transformers_/1/estimator"
    changed = {name: array for name, array in arrays.items() if not name.startswith(f"{at}/")}
    changed[f"{at}/str/0"] = np.frombuffer(b"drop", np.uint8).copy()
    with pytest.raises((StructureError, WeightsMismatch)):
        state.restore(clone(categories), changed)


def test_as_many_features_are_drawn_as_the_parameter_says(iris: Data) -> None:
    stored = state.export(RBFSampler(n_components=5, random_state=0).fit(iris[0]))
    state.restore(RBFSampler(n_components=5), stored)
    for other in (4, 2**80):
        with pytest.raises(StructureError, match="n_components"):
            state.restore(RBFSampler(n_components=other), stored)


def test_centroids_are_not_integers(iris: Data, refused: Refused) -> None:
    model = NearestCentroid().fit(*iris)
    refused(model, {"centroids_/0": of(model, "centroids_/0").astype(np.uint64)})


def test_text_is_charged_to_the_byte_budget(iris: Data) -> None:
    encoder = OrdinalEncoder().fit(np.array([["a"], ["b"]]))
    arrays = state.export(encoder)
    (width,) = (name for name in arrays if name.endswith("text/2"))
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded):
        state.restore(OrdinalEncoder(), {**arrays, width: np.array(1 << 24)})


@pytest.mark.parametrize("estimator", ["sklearn/Pipeline", "sklearn/FeatureAgglomeration"])
def test_a_cache_on_disk_is_refused_from_a_file_and_at_save(estimator: str, tmp_path: Path) -> None:
    steps = {"steps": [("scale", StandardScaler())]} if "Pipe" in estimator else {}
    if estimator.partition("/")[2] not in estimators.names():
        pytest.skip("this estimator has no stored form")
    with pytest.raises(ParameterError, match="memory"):
        components.build(estimator, {**steps, "memory": str(tmp_path)})
    with pytest.raises(NotSerializable, match="memory"):
        components.describe(Pipeline([("scale", StandardScaler())], memory=str(tmp_path)))


@pytest.mark.parametrize("value", [2**53, 1e300, np.int64(2**53), np.float64(1e300)], ids=repr)
def test_a_file_cannot_make_prediction_iterate_forever(value: float) -> None:
    with pytest.raises(ParameterError, match="max_iter"):
        components.build("sklearn/NMF", {"max_iter": value})


@pytest.mark.parametrize("value", [True, np.True_], ids=repr)
def test_a_boolean_is_not_a_number_of_neighbors(value: bool) -> None:
    with pytest.raises(ParameterError, match=r"n_neighbors"):
        components.build("sklearn/KNeighborsClassifier", {"n_neighbors": value})
    assert components.build("sklearn/Ridge", {"fit_intercept": bool(value)}).fit_intercept


def test_an_encoder_without_a_category_of_a_feature_is_a_typed_error() -> None:
    model = OneHotEncoder(handle_unknown="ignore").fit(np.array([[0.0, 1.0], [2.0, 3.0]]))
    stored = state.export(model)
    with pytest.raises(StructureError, match="categories_"):
        state.restore(clone(model), {**stored, "categories_/1/0": np.zeros(0)})


@pytest.mark.parametrize("value", [10**400, np.float64("nan")], ids=["vast", "nan"])
def test_a_limit_rejects_nan_and_integers_beyond_floats(value: float) -> None:
    with pytest.raises(ParameterError, match="max_iter"):
        components.build("sklearn/NMF", {"max_iter": value})


def test_values_nested_too_deeply_are_a_typed_error() -> None:
    path = "categories_" + "/0" * 300
    arrays = {f"{path}/0": np.zeros(1), "n_features_in_/0": np.array(1)}
    for depth in range(300):
        arrays["categories_" + "/0" * depth + "/list/0"] = np.array(1)
    with pytest.raises((StructureError, WeightsMismatch)):
        state.restore(OrdinalEncoder(), arrays)
