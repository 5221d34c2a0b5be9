"""Hostile structures raise typed errors before LightGBM reads them, and change nothing."""

from __future__ import annotations

import runpy
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np
import pytest

from dc_core.errors import NotSerializable, ParameterError, StructureError, WeightsMismatch
from dc_core.structures import pack_texts
from dc_lightgbm import estimators, state, trees

examples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("examples.py"))))


def refuse(obj: Any, **changes: Any) -> Exception:
    """Check that changed weights are refused by an unfitted and a fitted object, both unchanged.

    ``changes`` maps names, with ``__`` for ``/`` and without the number, to new arrays.
    """
    before = state.export(obj)
    given = dict(before)
    for name, array in changes.items():
        full = name.replace("__", "/")
        full = full if full in before else f"{full}/0"
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
    return examples.regressor(n_estimators=2)(0)[0]


def test_a_shared_child_is_a_typed_error(model: Any) -> None:
    left = state.export(model)["trees/left_child/0"]
    refuse(model, trees__right_child=edited(model, "trees/right_child", 0, left[0]))


def test_a_short_array_is_a_typed_error(model: Any) -> None:
    for name in ("left_child", "threshold", "leaf_value", "leaf_count", "decision_type"):
        refuse(model, **{f"trees__{name}": state.export(model)[f"trees/{name}/0"][:-1]})


def test_an_unknown_kind_of_decision_is_a_typed_error(model: Any) -> None:
    for value in (-1, 12, 127):
        refuse(model, trees__decision_type=edited(model, "trees/decision_type", 0, value))


def test_a_number_that_the_text_cannot_hold_is_a_typed_error(model: Any) -> None:
    for value in (np.nan, np.inf, 5e-324):
        refuse(model, trees__leaf_value=edited(model, "trees/leaf_value", 0, value))
    refuse(model, trees__internal_value=edited(model, "trees/internal_value", 0, 1 / 3))


def test_a_tree_that_is_too_deep_is_a_typed_error(model: Any) -> None:
    arrays = state.export(model)
    n = trees.DEEPEST + 2
    chain = {
        "offsets": np.array([0, n]),
        "left_child": np.array([*range(1, n - 1), ~(n - 1)], np.int32),
        "right_child": ~np.arange(n - 1, dtype=np.int32),
        "cat_offsets": np.zeros(2, np.int64),
        "linear_offsets": np.zeros(n + 1, np.int64),
        "is_linear": np.zeros(1, np.uint8),
        "shrinkage": np.ones(1),
    }
    for name in (*trees._NODES, *trees._LEAVES, "leaf_const"):
        length = n - 1 if name in trees._NODES else n
        chain.setdefault(name, np.zeros(length, arrays[f"trees/{name}/0"].dtype))
    given = {**arrays, **{f"trees/{name}/0": array for name, array in chain.items()}}
    with pytest.raises(StructureError, match="deeper"):
        state.restore(examples.blank(model), given)


@pytest.mark.parametrize(
    "text", ["regresion", "multiclass num_class:3", "binary sigmoid:0", "binary sigmoid:1 x:2"]
)
def test_an_objective_that_does_not_fit_is_a_typed_error(model: Any, text: str) -> None:
    given = state.export(model)
    given["objective/0"] = np.frombuffer(text.encode(), np.uint8)
    with pytest.raises(StructureError, match="objective"):
        state.restore(examples.blank(model), given)


@pytest.mark.parametrize("name", ["a b", "a\nTree=0", "", "a=b,c"])
def test_a_name_that_would_end_the_line_is_a_typed_error(model: Any, name: str) -> None:
    given = state.export(model) | pack_texts("feature_names", [name, "b", "c", "d"])
    with pytest.raises(StructureError, match="name"):
        state.restore(examples.blank(model), given)


@pytest.mark.parametrize(
    ("name", "value"),
    [("machines", "a"), ("data", "x.csv"), ("objective", "binary]\n[data: x"), ("seed", "/etc")],
)
def test_a_parameter_of_another_machine_is_a_typed_error(model: Any, name: str, value: str) -> None:
    given = state.export(model)
    given |= pack_texts("parameters/names", [name]) | pack_texts("parameters/values", [value])
    with pytest.raises(StructureError, match="parameter"):
        state.restore(examples.blank(model), given)


def test_no_name_of_a_file_is_stored(model: Any) -> None:
    names = state.export(model)["parameters/names/0"].tobytes().decode()
    assert "seed" in names
    assert not any(word in names for word in ("filename", "machine", "num_threads", "valid"))


@pytest.mark.parametrize("text", ["[", "{}", "[1]", "[[[]]]", "[[NaN]]", "[ ]", "1"])
def test_categories_that_are_not_lists_are_a_typed_error(text: str) -> None:
    model = examples.categorical(n_estimators=1)(0)[0]
    given = state.export(model)
    given["pandas_categorical/0"] = np.frombuffer(text.encode(), np.uint8)
    with pytest.raises(StructureError, match="pandas"):
        state.restore(examples.blank(model), given)


def test_a_subclass_and_code_are_refused_by_name() -> None:
    class Mine(lightgbm.LGBMRegressor):
        pass

    with pytest.raises(NotSerializable, match="Mine"):
        state.describe(Mine())
    with pytest.raises(NotSerializable, match="objective"):
        estimators.describe(lightgbm.LGBMRegressor(objective=lambda y, p: (p - y, p)))
    with pytest.raises(NotSerializable, match="machines"):
        estimators.describe(lightgbm.LGBMRegressor(machines="a"))


@pytest.mark.parametrize("params", [{"n_jobs": 10**6}, {"objective": 3}, {"input_model": "x"}])
def test_a_parameter_of_a_wrong_kind_is_a_typed_error(params: dict[str, Any]) -> None:
    with pytest.raises(ParameterError, match=next(iter(params))):
        estimators.build("lightgbm/LGBMRegressor", params)
