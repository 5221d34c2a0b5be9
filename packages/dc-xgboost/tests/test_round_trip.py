"""What is stored comes back: predictions, explanations and further training, bit for bit."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost
from xgboost import XGBRegressor

from dc_core.errors import WeightsMismatch
from dc_xgboost import state

examples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("examples.py"))))
KINDS, blank, data, frame, outputs = (
    getattr(examples, name) for name in ("KINDS", "blank", "data", "frame", "outputs")
)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def restored(obj: Any) -> Any:
    other = blank(obj)
    state.restore(other, state.export(obj))
    return other


def assert_same(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> None:
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        assert array.dtype == found[name].dtype, name
        assert array.tobytes() == found[name].tobytes(), name


@EVERY_KIND
def test_everything_that_xgboost_computes_is_the_same(kind: str) -> None:
    obj, X = KINDS[kind](0)
    assert_same(outputs(obj, X), outputs(restored(obj), X))


@EVERY_KIND
def test_what_is_stored_again_is_the_same(kind: str) -> None:
    obj, _ = KINDS[kind](1)
    assert_same(state.export(obj), state.export(restored(obj)))


@EVERY_KIND
def test_the_description_is_that_of_the_arrays(kind: str) -> None:
    obj, _ = KINDS[kind](0)
    arrays = state.export(obj)
    described = state.describe(obj)
    assert list(described) == list(arrays)
    for name, info in described.items():
        assert (info.shape, info.dtype) == (arrays[name].shape, arrays[name].dtype)
    assert len({info.native for info in described.values()}) == len(described)


@pytest.mark.parametrize(
    "kind", [k for k in KINDS if k not in ("booster without trees", "booster of AFT")]
)
def test_an_object_in_use_takes_another_state(kind: str) -> None:
    first, X = KINDS[kind](0)
    second, _ = KINDS[kind](1)
    before = outputs(second, X)
    other = blank(first)
    state.restore(other, state.export(second))
    outputs(other, X)
    try:
        state.restore(other, state.export(first))
    except WeightsMismatch:
        assert_same(before, outputs(other, X))  # its trees have other sizes
    else:
        assert_same(outputs(first, X), outputs(other, X))


@pytest.mark.parametrize(
    "params",
    [
        {"max_depth": 3},
        {"booster": "gblinear"},
        {"tree_method": "exact", "gamma": 1},
        {"multi_strategy": "multi_output_tree"},
    ],
)
def test_training_goes_on_as_from_the_original(params: dict[str, Any]) -> None:
    X, y = data()
    Y = np.stack([y, -y], axis=1) if "multi_strategy" in params else y
    more = XGBRegressor(n_estimators=3, n_jobs=1, **params)
    first = XGBRegressor(n_estimators=3, n_jobs=1, **params).fit(X, Y)
    from_original = state.export(more.fit(X, Y, xgb_model=first))
    from_restored = state.export(more.fit(X, Y, xgb_model=restored(first)))
    assert_same(from_original, from_restored)


@pytest.mark.parametrize(
    "params",
    [
        {"subsample": 0.7, "colsample_bynode": 0.5},
        {"booster": "dart", "rate_drop": 0.5},
    ],
)
def test_random_training_goes_on_as_from_a_file_of_xgboost(params: dict[str, Any]) -> None:
    """From an original in memory it depends on what else was random in the process."""
    X, y = data()
    more = XGBRegressor(n_estimators=3, n_jobs=1, random_state=3, **params)
    first = XGBRegressor(n_estimators=3, n_jobs=1, random_state=3, **params).fit(X, y)
    file = xgboost.Booster(model_file=first.get_booster().save_raw("ubj"))
    from_file = state.export(more.fit(X, y, xgb_model=file))
    from_restored = state.export(more.fit(X, y, xgb_model=restored(first)))
    assert_same(from_file, from_restored)


def test_training_goes_on_with_categories() -> None:
    X, y = frame()
    params = {"n_estimators": 3, "n_jobs": 1, "enable_categorical": True}
    first = XGBRegressor(**params).fit(X, y)
    expected = XGBRegressor(**params).fit(X, y, xgb_model=first)
    found = XGBRegressor(**params).fit(X, y, xgb_model=restored(first))
    assert_same(state.export(expected), state.export(found))


def test_categories_are_found_by_name_in_another_order() -> None:
    X, y = frame()
    model = restored(XGBRegressor(n_estimators=4, enable_categorical=True).fit(X, y))
    other = X.assign(text=X.text.cat.reorder_categories(list("admxcz")))
    assert np.array_equal(model.predict(X), model.predict(other))


def test_the_best_iteration_is_kept() -> None:
    model, X = KINDS["early stopping"](0)
    other = restored(model)
    assert (other.best_iteration, other.best_score) == (model.best_iteration, model.best_score)
    assert other.best_iteration < other.get_booster().num_boosted_rounds() - 1
    assert np.array_equal(model.predict(X), other.predict(X))


def test_attributes_and_names_of_features_are_kept() -> None:
    booster, _ = KINDS["booster"](0)
    other = restored(booster)
    assert other.attributes() == booster.attributes() == {"note": "ε"}
    assert other.feature_names == ["a", "b", "c d", "é"]


def test_predictions_do_not_depend_on_the_number_of_threads() -> None:
    for kind in ("regressor", "three classes", "linear", "dart"):
        model, X = KINDS[kind](0)
        many = np.tile(X, (200, 1))
        found = []
        for threads in (1, 2, 4):
            model.get_booster().set_param({"nthread": threads})
            found.append(model.predict(many).tobytes())
        assert len(set(found)) == 1, kind


def test_the_number_of_threads_is_that_of_the_estimator() -> None:
    model, _ = KINDS["regressor"](0)
    other = XGBRegressor(n_jobs=1)
    state.restore(other, state.export(model))
    assert '"nthread":"1"' in other.get_booster().save_config()


def test_a_booster_that_is_not_trained_has_no_state() -> None:
    assert state.describe(xgboost.Booster()) == {}
    assert state.describe(XGBRegressor()) == {}


def test_a_nan_with_a_payload_survives_in_statistics() -> None:
    booster, _ = KINDS["booster"](0)
    arrays = state.export(booster)
    gains = arrays["trees/loss_changes/0"]
    gains.view(np.uint32)[0] = 0x7F800005
    other = xgboost.Booster()
    state.restore(other, arrays)
    assert state.export(other)["trees/loss_changes/0"].tobytes() == gains.tobytes()


def test_large_trees_are_stored_in_less_than_xgboost_uses() -> None:
    X, y = data()
    booster = XGBRegressor(n_estimators=200, max_depth=6).fit(X, y).get_booster()
    stored = sum(array.nbytes for array in state.export(booster).values())
    assert stored < len(booster.save_raw("ubj"))
