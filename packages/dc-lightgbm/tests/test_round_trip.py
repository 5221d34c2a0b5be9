"""What is stored comes back: predictions, explanations and further training, bit for bit."""

from __future__ import annotations

import runpy
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from lightgbm import LGBMRegressor

from dc_lightgbm import state

examples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("examples.py"))))
KINDS, SMALL, blank, data, frame, outputs = (
    getattr(examples, name) for name in ("KINDS", "SMALL", "blank", "data", "frame", "outputs")
)
EVERY_KIND = pytest.mark.parametrize("kind", KINDS)


def restored(obj: Any) -> Any:
    other = blank(obj)
    state.restore(other, state.export(obj))
    return other


def assert_same(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> None:
    assert expected.keys() == found.keys()
    for name, array in expected.items():
        if array.dtype.kind == "U":
            assert array.tolist() == found[name].tolist(), name
            continue
        assert array.dtype == found[name].dtype, name
        assert array.tobytes() == found[name].tobytes(), name


@EVERY_KIND
def test_everything_that_lightgbm_computes_is_the_same(kind: str) -> None:
    obj, X = KINDS[kind](0)
    assert_same(outputs(obj, X), outputs(restored(obj), X))


@EVERY_KIND
def test_what_is_stored_again_is_the_same(kind: str) -> None:
    obj, _ = KINDS[kind](1)
    arrays = state.export(obj)
    assert_same(arrays, state.export(restored(obj)))
    described = state.describe(obj)
    assert [(n, i.shape, i.dtype) for n, i in described.items()] == [
        (n, a.shape, a.dtype) for n, a in arrays.items()
    ]


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"boosting_type": "dart", "drop_rate": 0.5},
        {"subsample": 0.6, "subsample_freq": 1, "random_state": 3},
        {"linear_tree": True},
    ],
)
def test_training_goes_on_as_from_the_original(params: dict[str, Any]) -> None:
    X, y = data()
    first = LGBMRegressor(**SMALL, **params).fit(X, y)
    more = LGBMRegressor(**SMALL, **params)
    expected = state.export(more.fit(X, y, init_model=first))
    assert_same(expected, state.export(more.fit(X, y, init_model=restored(first))))


def test_categories_are_found_by_name_in_another_order() -> None:
    X, _ = frame()
    model = restored(KINDS["categories"](0)[0])
    other = X.assign(text=X.text.cat.reorder_categories(list("éadmxcz".replace("d", ""))))
    assert np.array_equal(model.predict(X), model.predict(other))


def test_the_best_iteration_and_all_later_ones_are_kept() -> None:
    booster, X = KINDS["booster"](0)
    booster.best_iteration = 2
    other = restored(booster)
    assert (other.best_iteration, other.num_trees()) == (2, 4)
    assert np.array_equal(booster.predict(X), other.predict(X))
    assert np.array_equal(booster.predict(X, num_iteration=4), other.predict(X, num_iteration=4))


def test_an_estimator_that_was_stopped_keeps_its_best_iteration() -> None:
    model, _ = KINDS["early stopping"](0)
    assert restored(model).best_iteration_ == model.best_iteration_ > 0


def test_an_object_in_use_takes_another_state() -> None:
    first, X = KINDS["booster"](0)
    second, _ = KINDS["booster"](0)
    arrays = state.export(first)
    arrays["trees/leaf_value/0"] = arrays["trees/leaf_value/0"] * 2
    state.restore(second, arrays)
    assert_same(arrays, state.export(second))
    assert not np.array_equal(second.predict(X), first.predict(X))


def test_predictions_do_not_depend_on_the_number_of_threads() -> None:
    for kind in ("regressor", "three classes", "linear", "dart"):
        model, X = KINDS[kind](0)
        many = np.tile(X, (200, 1))
        found = {model.predict(many, num_threads=threads).tobytes() for threads in (1, 2, 4)}
        assert len(found) == 1, kind


def test_what_is_not_trained_has_no_state() -> None:
    assert state.describe(LGBMRegressor()) == {}
    assert state.describe(blank(KINDS["booster"](0)[0])) == {}
