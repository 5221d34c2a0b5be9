"""Structures as arrays: trees are checked, and arrays are read exactly or refused."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_core import structures
from dc_core.errors import StructureError, UnknownWeight, WeightsMismatch


@st.composite
def forests(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw left children, right children and offsets of trees, grown by splitting leaves."""
    lefts: list[int] = []
    rights: list[int] = []
    offsets = [0]
    for splits in draw(st.lists(st.integers(0, 6), min_size=1, max_size=4)):
        left, right = [-1], [-1]
        for _ in range(splits):
            leaves = [i for i, child in enumerate(left) if child == -1]
            node = draw(st.sampled_from(leaves))
            left[node], right[node] = len(left), len(left) + 1
            left += [-1, -1]
            right += [-1, -1]
        lefts += left
        rights += right
        offsets.append(len(lefts))
    return np.array(lefts, np.int32), np.array(rights, np.int32), np.array(offsets)


def walk(left: np.ndarray, right: np.ndarray, start: int, stop: int) -> tuple[list[int], int]:
    """Return the nodes of a tree that a walk from its root meets, and how deep it gets."""
    met, depth, level = [], 0, [0]
    while level:
        met += level
        depth += 1
        level = [
            int(child)
            for node in level
            for child in (left[start + node], right[start + node])
            if child != -1
        ]
        if len(met) > stop - start:
            break
    return met, depth - 1


@given(forests())
def test_every_grown_forest_passes_and_has_the_depths_of_a_walk(forest: Any) -> None:
    left, right, offsets = forest
    parent = structures.check_links("trees", left, right, offsets)
    depths = structures.tree_depths(left, parent, offsets[:-1])
    walked = [walk(left, right, a, b)[1] for a, b in itertools.pairwise(offsets)]
    assert depths.tolist() == walked


@given(forests(), st.data())
def test_a_changed_child_is_refused_unless_each_node_is_still_met_once(
    forest: Any, data: st.DataObject
) -> None:
    left, right, offsets = forest
    side = data.draw(st.sampled_from((left, right)))
    side[data.draw(st.integers(0, len(side) - 1))] = data.draw(st.integers(-3, len(side) + 2))
    if ((left == -1) != (right == -1)).any():
        return
    try:
        structures.check_links("trees", left, right, offsets)
    except StructureError:
        return
    for a, b in itertools.pairwise(offsets):
        assert sorted(walk(left, right, a, b)[0]) == list(range(b - a))


def test_an_unused_node_has_no_place_in_a_tree() -> None:
    left, right = np.array([1, -1, -1, -1]), np.array([2, -1, -1, -1])
    offsets = np.array([0, 4])
    spare = np.array([False, False, False, True])
    structures.check_links("trees", left, right, offsets, spare)
    for wrong in (
        None,
        np.array([False, True, False, False]),
        np.array([True, False, False, True]),
    ):
        with pytest.raises(StructureError):
            structures.check_links("trees", left, right, offsets, wrong)


@given(st.lists(st.text()))
def test_texts_come_back(texts: list[str]) -> None:
    reader = structures.Reader(structures.pack_texts("names", texts), copy=True)
    assert reader.take_texts("names") == texts
    reader.finish()


def test_offsets_whose_differences_overflow_are_a_typed_error() -> None:
    with pytest.raises(StructureError):
        structures.check_offsets("a", np.array([0, 2**63 - 1, -2, 5]), 5)


def test_texts_that_are_not_utf8_are_a_typed_error() -> None:
    arrays = structures.pack_texts("names", ["ab", "é"])
    arrays["names/1"] = np.array([0, 3, 4])
    with pytest.raises(StructureError, match="UTF-8"):
        structures.Reader(arrays, copy=True).take_texts("names")


def test_an_array_that_nothing_asked_for_is_a_typed_error() -> None:
    reader = structures.Reader({"a/0": np.zeros(2), "b/0": np.zeros(2)}, copy=True)
    reader.take("a/0")
    with pytest.raises(UnknownWeight, match="b/0"):
        reader.finish()


@pytest.mark.parametrize(
    "needed", [{"dtype": np.float32}, {"ndim": 1}, {"shape": (2, 4)}, {"shape": (None,)}]
)
def test_an_array_of_another_kind_is_a_typed_error(needed: dict[str, Any]) -> None:
    reader = structures.Reader({"a/0": np.zeros((2, 3))}, copy=True)
    assert reader.take("a/0", shape=(None, 3)).shape == (2, 3)
    with pytest.raises(WeightsMismatch, match="a/0"):
        reader.take("a/0", **needed)


@pytest.mark.parametrize("value", [-1, 11, 2**62])
def test_a_count_outside_its_range_is_a_typed_error(value: int) -> None:
    reader = structures.Reader({"n/0": np.array(value)}, copy=True)
    with pytest.raises(StructureError):
        reader.take_count("n/0", 0, 10)


def test_a_kept_array_is_copied_unless_sharing_is_allowed() -> None:
    array = np.arange(4)
    assert structures.Reader({"a/0": array}, copy=False).take("a/0", keep=True) is array
    copied = structures.Reader({"a/0": array}, copy=True).take("a/0", keep=True)
    assert not np.may_share_memory(copied, array)
