"""Weights: their names, and the one check that all of them pass."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_core import WeightInfo, check_weights, number_by_layer
from dc_core.errors import ParameterError, UnknownWeight, WeightsMismatch

TABLE = {
    "a/0": WeightInfo("a.w", (2, 3), np.dtype(np.float32)),
    "b/0": WeightInfo("b.w", (), np.dtype(np.int64)),
}
FITTING = {"a/0": np.zeros((2, 3), np.float32), "b/0": np.array(1)}

parts = st.text(st.characters(categories=["Ll", "Nd"], include_characters="_"), min_size=1)


def test_weights_are_numbered_within_their_layer():
    natives = ["conv1.weight", "conv1.bias", "scale", "conv2.weight", "shift"]
    assert number_by_layer(natives) == {
        "conv1.weight": "conv1/0",
        "conv1.bias": "conv1/1",
        "scale": "0",
        "conv2.weight": "conv2/0",
        "shift": "1",
    }


@given(st.lists(st.lists(parts, min_size=1).map(".".join), unique=True))
def test_every_native_name_gets_a_name_of_its_own(natives):
    names = number_by_layer(natives)
    assert list(names) == natives
    assert len(set(names.values())) == len(natives)
    for native, name in names.items():
        assert name.split("/")[:-1] == native.split(".")[:-1]


def test_another_separator_divides_other_names():
    assert number_by_layer(["dense/kernel", "dense/bias"], "/") == {
        "dense/kernel": "dense/0",
        "dense/bias": "dense/1",
    }


def test_a_composite_s_path_goes_before_native_names_and_aliases():
    info = WeightInfo("w", (1,), np.dtype(float), ("v",)).within("parts/0/")
    assert (info.native, info.aliases) == ("parts.0.w", ("parts.0.v",))
    assert info.within("") == info


def test_what_fits_passes():
    check_weights(TABLE, FITTING)
    check_weights(TABLE, {}, allow_missing=TABLE)


def test_missing_and_unexpected_names_are_carried_by_the_error():
    with pytest.raises(WeightsMismatch) as missing:
        check_weights(TABLE, {}, {"b/0"})
    assert missing.value.missing == ("a/0",)
    with pytest.raises(UnknownWeight) as unexpected:
        check_weights(TABLE, {**FITTING, "c/0": np.zeros(1)})
    assert unexpected.value.unexpected == ("c/0",)


@pytest.mark.parametrize(
    "value",
    [
        np.zeros((3, 2), np.float32),
        np.zeros((2, 3)),
        np.zeros((2, 3), ">f4"),
        np.zeros((1, 2, 3), np.float32),
        np.zeros((), np.float32),
        np.zeros((2, 3), object),
        [[0.0] * 3] * 2,
        None,
    ],
)
def test_what_does_not_fit_is_named(value):
    with pytest.raises(WeightsMismatch, match="'a/0'"):
        check_weights(TABLE, {**FITTING, "a/0": value})


def test_a_long_list_of_names_is_cut_short():
    table = {f"layer/{i}": TABLE["a/0"] for i in range(1000)}
    with pytest.raises(WeightsMismatch, match="and 995 more") as caught:
        check_weights(table, {})
    assert len(str(caught.value)) < 300
    assert len(caught.value.missing) == 1000


@pytest.mark.parametrize(
    "allow_missing",
    ["b/0", b"b/0", None, 5, iter(["b/0"])],
    ids=["str", "bytes", "None", "int", "iterator"],
)
def test_what_may_be_missing_is_no_text_but_a_collection(allow_missing):
    with pytest.raises(ParameterError, match=r"allow_missing=.* a list of names") as caught:
        check_weights(TABLE, FITTING, allow_missing)
    if isinstance(allow_missing, str):
        assert caught.value.hint == "Give a list: allow_missing=['b/0']."


def test_a_weight_of_any_form_may_have_another_shape_and_dtype_but_must_be_an_array():
    table = {"a/0": WeightInfo("a.state", (3,), np.dtype(np.uint8), any_form=True)}
    check_weights(table, {"a/0": np.zeros((2, 5))})
    with pytest.raises(WeightsMismatch, match="missing"):
        check_weights(table, {})
    with pytest.raises(WeightsMismatch, match="NumPy array"):
        check_weights(table, {"a/0": [1]})
