"""Schemas: only declared attributes are stored and loaded, and derived ones are rebuilt."""

from __future__ import annotations

import ast
import inspect
import runpy
import textwrap
from collections.abc import Iterator
from contextlib import suppress
from functools import cache
from itertools import permutations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import SelectFromModel
from sklearn.linear_model import Lasso, Ridge
from sklearn.multiclass import OneVsRestClassifier
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR

from dc_core.errors import (
    NotSerializable,
    ParameterError,
    StructureError,
    UnknownWeight,
    WeightsMismatch,
)
from dc_sklearn import components, estimators, state

ROUND_TRIP = runpy.run_path(str(Path(__file__).with_name("test_round_trip.py")))
NAMES = [name for name in estimators.names() if ROUND_TRIP["is_estimator"](name)]
fitted = cache(ROUND_TRIP["fitted"])
SLICE = np.array([[0, 1], [1, 1], [1, 0]])

pytestmark = ROUND_TRIP["pytestmark"]


def declared(estimator: Any) -> set[str]:
    schema = estimators.schema_of(estimator)
    return {
        *(*schema.required, *schema.optional, *state.COMMON),
        *(*schema.training, *schema.rebuilt, *schema.derived),
        *estimators.constructed(estimator),
    }


@cache
def assigned(cls: type) -> frozenset[str]:
    """Return the attributes of ``self`` that the code of a scikit-learn class assigns."""
    if not cls.__module__.startswith("sklearn."):
        return frozenset()
    tree = ast.parse(textwrap.dedent(inspect.getsource(cls)))
    return frozenset(
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name)
        and node.value.id == "self"
    )


UNSTORED = {
    # Removed before fit ends, or set only for a subclass that is not supported.
    *("_callback_fit_ctx", "_skl_callbacks", "_skl_callbacks_to_teardown", "__Xfit"),
    *("estimator", "estimator_params", "offset_"),
}


def test_every_attribute_that_scikit_learn_sets_is_declared() -> None:
    """At least one of the classes that run the assignment has to declare the attribute."""
    known: dict[type, set[str]] = {}
    for name in NAMES:
        cls = estimators.estimator_class(f"sklearn/{name}")
        names = declared(fitted(name)[0]) | {
            parameter
            for base in cls.__mro__
            if base.__module__.startswith("sklearn.")
            for parameter in inspect.signature(base).parameters
        }
        for base in cls.__mro__:
            known.setdefault(base, set()).update(names)
    missing = {
        f"{base.__name__}.{name}"
        for base, names in known.items()
        for name in assigned(base) - names - UNSTORED
    }
    assert missing == set()


@pytest.mark.parametrize("name", NAMES)
def test_derived_attributes_are_rebuilt_and_never_stored(name: str) -> None:
    estimator, _ = fitted(name)
    stored = state.export(estimator)
    blank = clone(estimator)
    state.restore(blank, stored)
    for original, loaded in pairs(estimator, blank):
        # Some derived attributes are needed, and rebuilt, with certain parameters only.
        both = vars(loaded).keys() & vars(original).keys()
        schema = estimators.schema_of(loaded)
        for derived in (schema.rebuilt | schema.derived.keys()) & both:
            assert type(vars(loaded)[derived]) is type(vars(original)[derived]), derived
        for derived in schema.derived.keys() & both:
            assert state._same(vars(loaded)[derived], vars(original)[derived]), derived
    schema = estimators.schema_of(estimator)
    unstored = schema.rebuilt | schema.training | schema.derived.keys()
    assert not unstored & {path.partition("/")[0] for path in stored}


def pairs(a: Any, b: Any) -> Iterator[tuple[Any, Any]]:
    """Yield an estimator with its copy, and each nested estimator with its copy."""
    yield a, b
    for name, value in vars(a).items():
        other = vars(b).get(name)
        if type(value) is not type(other):
            continue
        items = zip(value, other, strict=True) if isinstance(value, list) else [(value, other)]
        for one, two in items:
            if estimators.stored_name(one) and hasattr(one, "fit") and name.endswith("_"):
                yield from pairs(one, two)


UNSEARCHED = {
    # Settings, columns and seeds that the data of the tests have in order.
    *("Cs_", "cv_alphas_", "keys", "estimators_features_", "random_state", "support_", "_y"),
    # Any order of these is as good as another: which rows lie where, which features are read.
    *("order", "neighbors", "idf_"),
    # What happened in training.
    *("iter", "n_resources", "mean_fit_time", "mean_score_time", "std_fit_time", "std_score_time"),
    *("_num_iter", "n_iter_", "train_score_", "validation_score_"),
}


def test_an_array_that_every_fit_leaves_in_order_is_refused_in_another() -> None:
    """Native code searches such arrays, or takes them for offsets, and trusts the order."""
    found: dict[tuple[str, str], list[tuple[Any, dict[str, np.ndarray], str]]] = {}
    for name in (*NAMES, *ROUND_TRIP["OPTIONS"]):
        estimator = fitted(name)[0] if name in NAMES else option(name)[0]
        stored = state.export(estimator)
        for path, array in stored.items():
            if array.ndim == 1 and len(array) > 1 and array.dtype.kind in "iuf":
                attribute = [p for p in path.split("/") if p not in KINDS and not p.isdecimal()][-1]
                key = (type(estimator).__name__, attribute)
                found.setdefault(key, []).append((estimator, stored, path))
    trusted = set()
    for (_, attribute), places in found.items():
        arrays = [stored[path] for _, stored, path in places]
        rising = all(np.all(a[1:] >= a[:-1]) and a[0] < a[-1] for a in arrays)
        if rising and max(map(len, arrays)) > 2 and attribute not in UNSEARCHED:
            trusted.add(attribute)
            for estimator, stored, path in places:
                for changed in disordered(stored[path]):
                    with pytest.raises((StructureError, WeightsMismatch)):
                        state.restore(clone(estimator), {**stored, path: changed})
    assert trusted >= {"classes_", "categories_", "bin_edges_", "offsets", "X_thresholds_"}


FUNCTIONS = {
    "equal": lambda a: a,
    "negative": lambda a: -a,
    "square": lambda a: a**2,
    "missing": np.isnan,
    "not all missing": lambda a: ~np.isnan(a).all(axis=0),
    "not zero": lambda a: np.where(a == 0, 1, a),
    "best": lambda a: a == 1,
    "precision": lambda a: a @ np.swapaxes(a, -1, -2),
}
INDEPENDENT = {
    # Two records of training that are equal with the parameters or the data of the tests.
    *("train_score_", "validation_score_", "y_loadings_", "y_weights_", "x_scores_", "y_scores_"),
}


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("name", NAMES)
def test_an_attribute_that_follows_from_others_is_not_stored(name: str) -> None:
    """A file could give the two different values, one to show and one to compute with."""
    estimator, usual = ROUND_TRIP["data"](name)
    fits = [fitted(name)[0]]
    for given in ROUND_TRIP["other_data"](*usual).values():
        with suppress(ArithmeticError, NotImplementedError, TypeError, ValueError):
            fits.append(clone(estimator).fit(*(part for part in given if part is not None)))
    schema = estimators.schema_of(estimator)
    arrays = [
        {
            n: a
            for n, a in vars(fit).items()
            if n in {*schema.required, *schema.optional} and many(a)
        }
        for fit in fits
    ]
    shared = sorted(set.intersection(*map(set, arrays)) - INDEPENDENT)
    followed = {
        (name, function, other)
        for name, other in permutations(shared, 2)
        for function, of in FUNCTIONS.items()
        if all(equal(found[name], of, found[other]) for found in arrays)
    }
    followed |= {
        (name, one, other)
        for name, one, other in permutations(shared, 3)
        if all(equal(found[name], np.subtract, found[one], found[other]) for found in arrays)
    }
    assert followed == set()


def many(value: Any) -> bool:
    """Tell whether ``value`` is a numeric array of at least two different values."""
    numeric = isinstance(value, np.ndarray) and value.dtype.kind in "fiub"
    return numeric and value.size > 1 and len(np.unique(value)) > 1


def equal(value: np.ndarray, function: Any, *arguments: np.ndarray) -> bool:
    """Tell whether ``function`` of the arguments, if it takes them, is ``value``."""
    try:
        found = function(*arguments)
    except (TypeError, ValueError):
        return False
    return np.array_equal(found, value, equal_nan=value.dtype.kind == "f")


def test_a_derived_attribute_that_was_changed_after_fitting_is_refused_at_save(
    diabetes: tuple[np.ndarray, np.ndarray],
) -> None:
    model = SVR().fit(*diabetes)
    model.intercept_ = model.intercept_ + 1
    with pytest.raises(NotSerializable, match="intercept_"):
        state.export(model)


@pytest.mark.parametrize("name", ["VotingClassifier", "StackingClassifier", "MLPClassifier"])
def test_classes_other_than_those_of_the_encoder_are_a_typed_error(name: str, refused: Any) -> None:
    estimator, _ = fitted(name)
    refused(estimator, {"classes_/0": state.export(estimator)["classes_/0"] + 1})


GETTERS = {
    Lasso(0.1): "coef_",
    SVR(kernel="linear"): "coef_",
    RandomForestRegressor(3, random_state=0): "feature_importances_",
    make_pipeline(StandardScaler(), Lasso(0.1)): "named_steps.lasso.coef_",
}


@pytest.mark.parametrize(("estimator", "getter"), GETTERS.items(), ids=str)
def test_the_attribute_that_a_selection_reads_is_one_of_its_estimator(
    estimator: Any, getter: str, diabetes: tuple[np.ndarray, np.ndarray]
) -> None:
    selection = SelectFromModel(estimator, importance_getter=getter).fit(*diabetes)
    stored = state.export(selection)
    again = clone(selection)
    state.restore(again, stored)
    np.testing.assert_array_equal(again.transform(diabetes[0]), selection.transform(diabetes[0]))
    other = clone(selection).set_params(importance_getter="pandas")
    with pytest.raises(StructureError, match="reads 'pandas' of"):
        state.restore(other, stored)
    assert state.describe(other) == {}


KINDS = {"fortran", "text", "csr_matrix", "csr_array", "list", "tuple", "objects"}


def disordered(array: np.ndarray) -> Iterator[np.ndarray]:
    """Yield the array reversed and, if it can hold it, with NaN before the end."""
    yield array[::-1].copy()
    if array.dtype.kind == "f":
        yield np.where(np.arange(len(array)) == len(array) // 2 - 1, np.nan, array)


@pytest.mark.parametrize("name", NAMES)
def test_an_attribute_of_another_kind_is_a_typed_error(name: str) -> None:
    estimator, _ = fitted(name)
    stored = state.export(estimator)
    attributes = {path.partition("/")[0] for path in stored} - {"attributes"}
    for attribute in attributes - estimators.schema_of(estimator).parts(estimator).keys():
        others = {n: a for n, a in stored.items() if n.partition("/")[0] != attribute}
        blank = clone(estimator)
        with pytest.raises((StructureError, WeightsMismatch)):
            state.restore(blank, {**others, f"{attribute}/slice/0": SLICE})
        assert state.describe(blank) == {}


@pytest.mark.parametrize("attribute", ["note_", "n_iter_", "_private", "coef", "fit", "solver"])
def test_an_attribute_that_is_not_declared_is_refused_at_load(
    diabetes: tuple[np.ndarray, np.ndarray], attribute: str
) -> None:
    model = make_pipeline(StandardScaler()).fit(*diabetes)
    stored = state.export(model)
    path = "standardscaler"
    added = {f"{path}/{attribute}/0": np.array(1), f"{path}/attributes/0": np.array(6)}
    blank = clone(model)
    with pytest.raises((UnknownWeight, WeightsMismatch)):
        state.restore(blank, {**stored, **added})
    assert state.describe(blank) == {}


def test_an_attribute_that_is_not_declared_is_refused_at_save(
    diabetes: tuple[np.ndarray, np.ndarray],
) -> None:
    for name in ("note_", "_note"):
        model = Ridge().fit(*diabetes)
        setattr(model, name, 1)
        with pytest.raises(NotSerializable, match=name):
            state.export(model)


def test_an_attribute_that_was_changed_after_fitting_is_refused_at_save(
    diabetes: tuple[np.ndarray, np.ndarray],
) -> None:
    model = Ridge().fit(*diabetes)
    model.coef_ = model.coef_[:-1]
    with pytest.raises(NotSerializable, match="coef_"):
        state.export(model)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("KNeighborsClassifier", {"n_neighbors": "x"}),
        ("KNeighborsClassifier", {"n_jobs": "x"}),
        ("FeatureUnion", {"n_jobs": {}, "transformer_list": [("a", "drop")]}),
        ("GaussianMixture", {"covariance_type": {}}),
        ("RandomForestRegressor", {"n_estimators": 0}),
        ("MissingIndicator", {"features": None}),
        ("SVC", {"cache_size": "linear"}),
    ],
)
def test_a_parameter_that_fit_would_refuse_is_refused_at_load(
    name: str, params: dict[str, Any]
) -> None:
    with pytest.raises(ParameterError, match=next(iter(params))):
        components.build(f"sklearn/{name}", params)


@pytest.mark.parametrize(
    ("name", "params"),
    [
        ("RandomForestRegressor", {"n_jobs": 10**6}),
        ("RandomForestRegressor", {"n_jobs": -(2**31)}),
        ("NMF", {"max_iter": 10**6}),
        ("SVC", {"degree": 2**80}),
        ("BaggingClassifier", {"n_estimators": 2**40}),
    ],
)
def test_values_of_parameters_that_bound_the_work_are_limited(
    name: str, params: dict[str, Any]
) -> None:
    with pytest.raises(ParameterError, match=next(iter(params))):
        components.build(f"sklearn/{name}", params)


def test_parameters_of_every_fitted_estimator_are_accepted() -> None:
    for name in NAMES:
        estimator, _ = fitted(name)
        described = components.describe(estimator)
        assert described is not None
        built = components.build(*described)
        again = components.describe(built)
        assert again is not None
        assert str(again) == str(described)


def test_another_number_of_outputs_is_a_typed_error(
    iris: tuple[np.ndarray, np.ndarray], refused: Any
) -> None:
    x, y = iris
    forest = RandomForestRegressor(n_estimators=2, random_state=0).fit(x, y)
    for value in (2, 7):
        refused(forest, {"n_outputs_/0": np.array(value)})


def test_a_missing_row_of_a_neighbor_search_is_refused(
    iris: tuple[np.ndarray, np.ndarray], refused: Any
) -> None:
    model = OneVsRestClassifier(KNeighborsClassifier()).fit(*iris)
    rows = state.export(model)["estimators_/0/_fit_X/0"]
    refused(model, {"estimators_/0/_fit_X/0": rows[:-1]})


@pytest.mark.parametrize("name", [*NAMES, *ROUND_TRIP["OPTIONS"]])
def test_an_attribute_that_prediction_reads_cannot_be_left_out(name: str) -> None:
    estimator, x = fitted(name) if name in NAMES else option(name)
    stored = state.export(estimator)
    for attribute in estimators.schema_of(estimator).optional.keys() & vars(estimator).keys():
        fewer = {n: a for n, a in stored.items() if n.partition("/")[0] != attribute}
        blank = clone(estimator)
        try:
            state.restore(blank, {**fewer, "attributes/0": np.array(stored["attributes/0"] - 1)})
        except (StructureError, WeightsMismatch):
            continue
        assert ROUND_TRIP["outputs"](blank, x), attribute


def option(name: str) -> tuple[Any, Any]:
    estimator, x, y = ROUND_TRIP["OPTIONS"][name]
    return clone(estimator).fit(x, y), x
