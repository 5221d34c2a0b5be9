"""Kinds of values: what each accepts and rejects."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

from dc_sklearn.kinds import (
    MISSING,
    ArrayOf,
    Count,
    DictOf,
    Dtype,
    Flag,
    Flags,
    Floats,
    Halves,
    Integers,
    Kind,
    Labels,
    ListOf,
    Number,
    Reals,
    Record,
    Size,
    Sparse,
    Word,
)

OBJECTS = np.array([np.zeros(2), None], dtype=object)
CASES: list[tuple[Kind, list[Any], list[Any]]] = [
    (MISSING, [None], [0, "", np.zeros(0)]),
    (Flag(), [True, np.bool_(False)], [0, 1.0, None, np.array(True)]),
    (Word(), ["", "x"], [None, b"x", np.array("x")]),
    (Word(("a", "b")), ["a"], ["c", ""]),
    (Number(), [1, 1.5, np.float32(2), float("nan"), -(2**70)], [True, "1", None, 1j, np.zeros(1)]),
    (Number(0, 1), [0, 0.5, 1], [-0.1, 1.1, float("nan")]),
    (Count(), [0, np.uint64(7), 2**53], [-1, True, 1.0, 2**53 + 1, None]),
    (Count(1, 3), [1, 3], [0, 4]),
    (Size("n"), [3], [2, 3.0, True, -3]),
    (
        Floats("n"),
        [np.zeros(3), np.ones(3, "f4")],
        [np.zeros(2), np.zeros((3, 1)), np.zeros(3, int)],
    ),
    (Floats("n"), [], [np.zeros(3, "f2"), [0.0] * 3, np.zeros(3, complex), None]),
    (Halves("n"), [np.zeros(3, "f2"), np.zeros(3)], [np.zeros(3, "i2")]),
    (Floats("n", minimum=0), [np.zeros(3)], [np.array([0, -1.0, 0]), np.array([0, np.nan, 1])]),
    (
        Reals("n _"),
        [np.zeros((3, 7), bool), np.zeros((3, 0), int)],
        [np.zeros(3), np.zeros((1, 3))],
    ),
    (Integers("_", below="n"), [np.array([0, 2]), np.zeros(0, int)], [np.array([3]), np.zeros(1)]),
    (Integers("_", minimum=0, below="n"), [np.array([1])], [np.array([-1])]),
    (Integers("_", below="unknown"), [], [np.array([0])]),
    (Flags("n"), [np.ones(3, bool)], [np.ones(3, np.uint8)]),
    (
        Labels("n"),
        [np.arange(3), np.array(["a", "b", "c"]), np.array(["a"] * 3, object)],
        [OBJECTS],
    ),
    (Labels("_", minimum=1), [np.arange(1)], [np.arange(0), np.arange(2.0)[None], 1j * np.ones(2)]),
    (Sparse("_ n"), [sparse.csr_matrix((2, 3)), sparse.csr_array((0, 3))], [np.zeros((2, 3))]),
    (Sparse("_ n"), [], [sparse.csr_matrix((3, 2)), sparse.csc_matrix((2, 3))]),
    (ListOf(Count()), [[], [1, 2]], [(1,), [1.5], None, np.arange(2)]),
    (ListOf(Count(), "n"), [[0, 0, 0]], [[0, 0]]),
    (ListOf(Count(), type=tuple), [(1, 2)], [[1, 2]]),
    (ListOf(Floats("k")), [[np.zeros(1), np.zeros(2)]], [[np.zeros((1, 1))]]),
    (ArrayOf(Floats("_") | MISSING), [OBJECTS], [[None], np.zeros(2), OBJECTS[:, None]]),
    (DictOf(Count()), [{}, {"a": 1}], [{"a": "b"}, [], None]),
    (Record({"a": Count()}), [{"a": 1}], [{}, {"a": 1, "b": 1}, {"a": None}]),
    (Dtype("f"), [np.dtype("f4")], [np.dtype("i4"), np.float32, "f4"]),
    (Count() | Word() | MISSING, [1, "x", None], [1.5, []]),
]


@pytest.mark.parametrize(("kind", "accepted", "refused"), CASES, ids=lambda case: str(case)[:40])
def test_a_kind_accepts_only_its_own_values(
    kind: Kind, accepted: list[Any], refused: list[Any]
) -> None:
    for value in accepted:
        assert kind.accepts(value, {"n": 3}), value
    for value in refused:
        assert not kind.accepts(value, {"n": 3}), value
    assert str(kind)


def test_a_size_is_the_same_in_all_attributes() -> None:
    sizes: dict[str, int] = {}
    assert Floats("rows columns").accepts(np.zeros((2, 5)), sizes)
    assert sizes == {"rows": 2, "columns": 5}
    assert Size("columns").accepts(5, sizes)
    assert not Integers("rows").accepts(np.zeros(5, int), sizes)


def test_a_kind_that_rejects_a_value_sets_no_size() -> None:
    sizes: dict[str, int] = {}
    kind = Floats("a b", minimum=1) | Floats("b a")
    assert kind.accepts(np.zeros((2, 3)), sizes)
    assert sizes == {"b": 2, "a": 3}
