"""Estimators are described by stored name and parameters, and built from a closed table only."""

from __future__ import annotations

import time
from typing import Any

import numpy as np
import pytest
from sklearn.base import BaseEstimator
from sklearn.decomposition import NMF
from sklearn.ensemble import RandomForestRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, OneHotEncoder, StandardScaler

from dc_core.errors import (
    MissingParameter,
    NotSerializable,
    ParameterError,
    UnknownClass,
    UnknownParameter,
)
from dc_sklearn import SklearnTransformer, components, estimators
from dc_sklearn.plugin import dc_wrap


def test_an_estimator_is_built_from_its_description() -> None:
    given = RandomForestRegressor(n_estimators=7, max_features="sqrt", random_state=3)
    described = components.describe(given)
    assert described is not None
    assert described[0] == "sklearn/RandomForestRegressor"
    assert components.build(*described).get_params() == given.get_params()


def test_whether_to_print_is_not_stored() -> None:
    described = components.describe(NMF(2, verbose=1))
    assert described is not None
    assert "verbose" not in described[1]
    assert components.build("sklearn/NMF", {"n_components": 2, "verbose": 1}).verbose == 0
    with pytest.raises(UnknownParameter, match="verbose"):
        components.build("sklearn/Ridge", {"verbose": 1})


def test_estimators_that_are_nested_too_deep_are_refused_at_once() -> None:
    """scikit-learn's time doubles with each pipeline of one step."""
    nested = StandardScaler()
    for _ in range(7):
        nested = make_pipeline(nested)
    described = components.describe(nested)
    assert described is not None
    components.build(*described)
    started = time.process_time()
    with pytest.raises(ParameterError, match="8 deep"):
        components.build("sklearn/Pipeline", {"steps": [("a", make_pipeline(nested))]})
    for _ in range(60):
        nested = make_pipeline(nested)
    for refuse in (components.describe, SklearnTransformer, dc_wrap):
        with pytest.raises(ParameterError, match="8 deep"):
            refuse(nested)
    assert time.process_time() - started < 1


def test_nested_estimators_stay_objects() -> None:
    scaler, model = StandardScaler(), Ridge()
    described = components.describe(make_pipeline(scaler, model))
    assert described is not None
    assert described[1]["steps"] == [("standardscaler", scaler), ("ridge", model)]


def test_every_class_of_the_table_is_described_by_its_own_name() -> None:
    for name in estimators.names():
        cls = estimators.estimator_class(f"sklearn/{name}")
        assert cls.__name__ == name
        assert cls.__module__.startswith("sklearn.")


def test_a_kernel_is_described_by_its_parts() -> None:
    kernel = RBF(2.0) + WhiteKernel()
    described = components.describe(kernel)
    assert described is not None
    assert described[0] == "sklearn/Sum"
    assert components.build(*described) == kernel
    assert components.describe(described[1]["k1"]) == (
        "sklearn/RBF",
        {"length_scale": 2.0, "length_scale_bounds": (1e-05, 100000.0)},
    )


def test_numpy_types_are_described_as_dtypes() -> None:
    described = components.describe(OneHotEncoder(dtype=np.float32))
    assert described is not None
    assert described[1]["dtype"] == np.dtype(np.float32)
    assert isinstance(described[1]["dtype"], np.dtype)
    built = components.build(*described)
    assert built.fit_transform([["a"]]).dtype == np.float32


def test_scikit_learns_own_scores_are_described_by_name() -> None:
    described = components.describe(SelectKBest(f_regression, k=2))
    assert described is not None
    assert described[1]["score_func"] == "f_regression"
    assert components.build(*described).score_func is f_regression


@pytest.mark.parametrize(
    "name",
    [
        "sklearn/_ConstantPredictor",
        "sklearn/os.system",
        "sklearn/",
        "Ridge",
        "torch/Ridge",
        "sklearn/Ridge/x",
    ],
)
def test_a_name_outside_the_table_is_a_typed_error(name: str) -> None:
    with pytest.raises(UnknownClass):
        components.build(name, {})


def test_an_unknown_parameter_is_a_typed_error() -> None:
    for name in ("__class__", "self", "alfa", "ridge__alpha"):
        with pytest.raises(UnknownParameter, match="alpha"):
            components.build("sklearn/Ridge", {name: 1})


def test_a_missing_parameter_is_a_typed_error() -> None:
    with pytest.raises(MissingParameter, match="steps"):
        components.build("sklearn/Pipeline", {})


@pytest.mark.parametrize("steps", [5, None, [1, 2], [("a",)], [(3, Ridge())]])
def test_malformed_steps_are_a_typed_error(steps: Any) -> None:
    with pytest.raises((ParameterError, NotSerializable)):
        components.build("sklearn/Pipeline", {"steps": steps})


@pytest.mark.parametrize(
    ("estimator", "parameter"),
    [
        (RandomForestRegressor(random_state=np.random.default_rng(0)), "random_state"),
        (FunctionTransformer(lambda x: x), "func"),
        (SelectKBest(lambda x, y: x), "score_func"),
    ],
)
def test_a_parameter_without_a_stored_form_is_refused_by_name(
    estimator: Any, parameter: str
) -> None:
    with pytest.raises(NotSerializable, match=parameter):
        components.describe(estimator)


def test_objects_outside_the_table_have_no_description() -> None:
    class Mine(Ridge):
        pass

    class Ridged(BaseEstimator):
        pass

    Ridged.__name__ = "Ridge"
    for other in (Mine(), Ridged(), object(), None):
        assert components.describe(other) is None


def test_a_step_that_cannot_name_weights_is_refused() -> None:
    with pytest.raises(NotSerializable, match="a/b"):
        components.build("sklearn/Pipeline", {"steps": [("a/b", Ridge())]})
