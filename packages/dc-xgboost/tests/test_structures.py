"""Hostile structures raise typed errors before XGBoost reads them, and change nothing."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import xgboost

from dc_core import byte_budget
from dc_core.errors import (
    BudgetExceeded,
    NotSerializable,
    ParameterError,
    StructureError,
    WeightsMismatch,
)
from dc_xgboost import estimators, state, trees, ubjson

examples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("examples.py"))))


def refuse(obj: Any, **changes: Any) -> Exception:
    """Check that changed weights are refused by an unfitted and a fitted object, both unchanged.

    ``changes`` maps names, with ``__`` for ``/`` and without the number, to new arrays.
    """
    before = state.export(obj)
    given = dict(before)
    for name, array in changes.items():
        full = f"{name.replace('__', '/')}/0"
        assert full in before
        given[full] = array
    blank = examples.blank(obj)
    with pytest.raises((StructureError, WeightsMismatch)) as caught:
        state.restore(blank, given)
    assert state.describe(blank) == {}
    with pytest.raises((StructureError, WeightsMismatch)):
        state.restore(obj, given)
    after = state.export(obj)
    assert all(after[name].tobytes() == array.tobytes() for name, array in before.items())
    return caught.value


def edited(obj: Any, name: str, index: Any, value: Any) -> np.ndarray:
    array = state.export(obj)[f"{name}/0"].copy()
    array[index] = value
    return array


@pytest.fixture(scope="module")
def model() -> Any:
    return examples.regressor(n_estimators=2, max_depth=3)(0)[0]


def test_a_shared_child_is_a_typed_error(model: Any) -> None:
    right = state.export(model)["trees/right_children/0"]
    refuse(model, trees__left_children=edited(model, "trees/left_children", 0, right[0]))


def test_a_right_child_that_does_not_follow_the_left_one_is_a_typed_error(model: Any) -> None:
    arrays = state.export(model)
    left, right = arrays["trees/left_children/0"], arrays["trees/right_children/0"]
    swapped_left, swapped_right = left.copy(), right.copy()
    swapped_left[0], swapped_right[0] = right[0], left[0]
    error = refuse(model, trees__left_children=swapped_left, trees__right_children=swapped_right)
    assert "after the left" in str(error)


def test_a_child_in_the_next_tree_is_a_typed_error(model: Any) -> None:
    second = int(state.export(model)["trees/offsets/0"][1])
    refuse(model, trees__right_children=edited(model, "trees/right_children", 0, second))


def test_a_short_array_of_nodes_is_a_typed_error(model: Any) -> None:
    for name in ("left_children", "split_conditions", "default_left", "base_weights"):
        refuse(model, **{f"trees__{name}": state.export(model)[f"trees/{name}/0"][:-1]})


def test_a_flag_other_than_0_and_1_is_a_typed_error(model: Any) -> None:
    refuse(model, trees__default_left=edited(model, "trees/default_left", 0, 2))
    refuse(model, boost_from_average=np.array(2, np.uint8))


def test_a_tree_that_is_too_deep_is_a_typed_error(model: Any) -> None:
    arrays = state.export(model)
    depth = trees.DEEPEST + 1
    n = 2 * depth + 1
    left = np.full(n, -1, np.int32)
    left[0 : 2 * depth : 2] = np.arange(1, n, 2)
    right = np.where(left >= 0, left + 1, -1).astype(np.int32)
    chain = {
        "offsets": np.array([0, n]),
        "left_children": left,
        "right_children": right,
        **{
            name: np.zeros(n, arrays[f"trees/{name}/0"].dtype)
            for name in ("split_indices", "split_conditions", "default_left")
        },
        **{name: np.zeros(n, np.float32) for name in ("loss_changes", "sum_hessian")},
        "base_weights": np.zeros(n, np.float32),
    }
    given = {**arrays, **{f"trees/{name}/0": array for name, array in chain.items()}}
    given["tree_info/0"] = np.zeros(1, np.int32)
    given["iteration_indptr/0"] = np.array([0, 1], np.int32)
    with pytest.raises(StructureError, match="deeper"):
        state.restore(examples.blank(model), given)


def test_a_removed_root_is_a_typed_error() -> None:
    pruned = examples.KINDS["pruned"](0)[0]
    assert (state.export(pruned)["trees/split_indices/0"] == 2**31 - 1).any()
    refuse(
        pruned,
        trees__split_indices=edited(pruned, "trees/split_indices", 0, 2**31 - 1),
        trees__default_left=edited(pruned, "trees/default_left", 0, 1),
    )


def test_another_number_of_classes_is_a_typed_error() -> None:
    model = examples.classifier(3, n_estimators=1)(0)[0]
    for value in (0, 2, 4, 2**31 - 1):
        refuse(model, n_classes_=np.array(value))
        refuse(model, num_class=np.array(value))
        refuse(model, objective__num_class=np.array(value))
    refuse(model, tree_info=edited(model, "tree_info", 0, 3))


def test_a_best_iteration_that_is_not_there_is_a_typed_error() -> None:
    model = examples.KINDS["early stopping"](0)[0]
    best = str(model.best_iteration)
    packed = state.export(model)["attributes/0"].tobytes().decode()
    assert best in packed
    wrong = packed.replace(f"best_iteration{best}", "best_iteration" + "9" * len(best))
    refuse(model, attributes=np.frombuffer(wrong.encode(), np.uint8))


def test_an_unknown_objective_is_a_typed_error(model: Any) -> None:
    refuse(model, objective__name=np.frombuffer(b"reg:squaredorror", np.uint8))


def test_categories_that_ask_for_much_memory_are_charged() -> None:
    model = examples.categorical(n_estimators=1)(0)[0]
    given = state.export(model)
    last = int(given["trees/categories_offsets/0"][1]) - 1
    given["trees/categories/0"][last] = 2**24 - 1
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded):
        state.restore(examples.blank(model), given)


def test_a_subclass_is_refused_by_name() -> None:
    class Mine(xgboost.XGBRegressor):
        pass

    with pytest.raises(NotSerializable, match="Mine"):
        state.describe(Mine())


def test_code_among_the_parameters_is_refused_by_name() -> None:
    def objective(y: Any, p: Any) -> Any:
        return p - y, np.ones_like(y)

    with pytest.raises(NotSerializable, match="objective"):
        estimators.describe(xgboost.XGBRegressor(objective=objective))
    stopping = xgboost.callback.EarlyStopping(rounds=3)
    with pytest.raises(NotSerializable, match="callbacks"):
        estimators.describe(xgboost.XGBRegressor(callbacks=[stopping]))


def test_a_parameter_that_nobody_knows_is_refused_by_name() -> None:
    with pytest.raises(NotSerializable, match="plugin"):
        estimators.describe(xgboost.XGBRegressor(plugin="x"))
    with pytest.raises(ParameterError, match="plugin"):
        estimators.build("xgboost/XGBRegressor", {"plugin": "x"})


@pytest.mark.parametrize(
    "params", [{"n_jobs": 10**6}, {"missing": "x"}, {"booster": 3}, {"n_estimators": 10**9}]
)
def test_a_parameter_of_a_wrong_kind_is_a_typed_error(params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(params))):
        estimators.build("xgboost/XGBRegressor", params)


def test_a_truncated_document_is_a_typed_error() -> None:
    booster = examples.booster({}, 1)(0)[0]
    data = bytes(booster.save_raw("ubj"))
    assert bytes(ubjson.dumps(ubjson.loads(data))) != b""
    for end in range(0, len(data) - 1, 7):
        with pytest.raises(StructureError):
            ubjson.loads(data[:end])
