"""Plain values come back unchanged, and those without a stored form are refused by name."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import sparse

from dc_core.errors import NotSerializable, StructureError, UnknownWeight, WeightsMismatch
from dc_core.structures import native_name
from dc_sklearn import values
from dc_sklearn.slots import Reader

NUMBERS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.floats(allow_nan=False).map(np.float64)
    | st.floats(allow_nan=False, width=32).map(np.float32)
    | st.integers(0, 2**64 - 1).map(np.uint64)
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)
ARRAYS = hnp.arrays(
    st.sampled_from([np.float64, np.float32, np.int32, np.int64, np.bool_, np.complex64]),
    hnp.array_shapes(min_dims=1, max_dims=3, min_side=0, max_side=3),
    elements={"allow_nan": False},
)
VALUES = st.recursive(
    NUMBERS | TEXT | ARRAYS,
    lambda items: (
        st.lists(items, max_size=3)
        | st.lists(items, max_size=3).map(tuple)
        | st.dictionaries(TEXT.filter(lambda key: "\0" not in key), items, max_size=3)
    ),
    max_leaves=6,
)


def there_and_back(value: Any) -> Any:
    arrays = {name: slot.read(copy=True) for name, slot in values.encode("a", value)}
    for name, slot in values.encode("a", value):
        assert (slot.shape, slot.dtype) == (arrays[name].shape, arrays[name].dtype)
        assert arrays[name].flags.c_contiguous
    assert len({native_name(name) for name in arrays}) == len(arrays)
    reader = Reader(arrays, copy=True)
    found = values.decode(reader, "a")
    reader.finish()
    return found


def equal(a: Any, b: Any) -> bool:
    if isinstance(a, dict):
        return type(b) is dict and list(a) == list(b) and equal(list(a.values()), list(b.values()))
    if isinstance(a, list | tuple):
        return type(a) is type(b) and len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, np.ndarray):
        same_order = a.flags.f_contiguous == b.flags.f_contiguous
        return a.dtype == b.dtype and a.shape == b.shape and np.array_equal(a, b) and same_order
    return type(a) is type(b) and a == b


@given(VALUES)
def test_a_value_comes_back_unchanged(value: Any) -> None:
    assert equal(value, there_and_back(value))


@given(ARRAYS)
def test_an_array_keeps_fortran_order(array: np.ndarray) -> None:
    assert equal(np.asfortranarray(array), there_and_back(np.asfortranarray(array)))


@given(st.lists(TEXT.filter(lambda text: not text.endswith("\0")), max_size=5), st.booleans())
def test_an_array_of_strings_comes_back_with_its_dtype(texts: list[str], objects: bool) -> None:
    array = np.array(texts, dtype=object if objects and texts else str)
    found = there_and_back(array)
    assert found.dtype == array.dtype
    assert found.tolist() == array.tolist()


@pytest.mark.parametrize(
    "value",
    [
        slice(2, 5),
        slice(None, -1, None),
        np.dtype(np.float32),
        {1: -1, 5: 2},
        {np.int64(0): np.ones(2)},
        [],
        (),
        np.array([np.ones(2), None, "x"], dtype=object),
    ],
    ids=repr,
)
def test_uncommon_values_come_back_unchanged(value: Any) -> None:
    assert repr(there_and_back(value)) == repr(value).replace("np.int64(0)", "0")


@pytest.mark.parametrize("kind", [sparse.csr_matrix, sparse.csr_array])
def test_a_sparse_matrix_comes_back_with_the_dtype_of_its_indices(kind: Any) -> None:
    matrix = kind(np.eye(3, 4, dtype=np.float32))
    matrix.indices = matrix.indices.astype(np.int64)
    found = there_and_back(matrix)
    assert type(found) is kind
    assert found.indices.dtype == np.int64
    assert np.array_equal(found.toarray(), matrix.toarray())


@pytest.mark.parametrize(
    "value",
    [object(), len, {1, 2}, 2**63, np.random.RandomState(0), np.array([object()]), {(1, 2): 3}],
    ids=lambda value: type(value).__name__,
)
def test_a_value_without_a_stored_form_is_refused_by_name(value: Any) -> None:
    with pytest.raises(NotSerializable, match=r"step\.thing_"):
        dict(values.encode("step/thing_", value))


HOSTILE: dict[str, dict[str, np.ndarray]] = {
    "two kinds at once": {"a/float/0": np.array(1.0), "a/none/0": np.zeros(0, np.uint8)},
    "a kind that does not exist": {"a/pickle/0": np.zeros(3, np.uint8)},
    "no UTF-8": {"a/str/0": np.array([255], np.uint8)},
    "a dtype of objects with fields": {"a/dtype/0": np.frombuffer(b"i4,O", np.uint8)},
    "a dtype that does not exist": {"a/dtype/0": np.frombuffer(b"<f3", np.uint8)},
    "offsets that fall": {
        "a/text/0": np.zeros(2, np.uint8),
        "a/text/1": np.array([0, 3, 2]),
        "a/text/2": np.array(0),
    },
    "strings of an absurd width": {
        "a/text/0": np.zeros(2, np.uint8),
        "a/text/1": np.array([0, 2]),
        "a/text/2": np.array(2**40),
    },
    "a list of 10^12": {"a/list/0": np.array(10**12)},
    "a list of -1": {"a/list/0": np.array(-1)},
    "objects in a shape of 10^12": {"a/objects/0": np.array([10**6, 10**6])},
    "objects in a negative shape": {"a/objects/0": np.array([-1])},
    "a dictionary without keys": {"a/dict/0": np.array(0)},
    "a dictionary with a key twice": {
        "a/dict/0": np.array(2),
        "a/keys/0": np.array([1, 1]),
        "a/0/0": np.array(3.0),
        "a/1/0": np.array(4.0),
    },
    "a dictionary with keys of another dtype": {
        "a/dict/0": np.array(1),
        "a/keys/0": np.array([1], np.int32),
        "a/0/0": np.array(3.0),
    },
    "an empty dictionary with keys of another dtype": {
        "a/dict/0": np.array(0),
        "a/keys/0": np.zeros(0, np.float32),
    },
    "a number in another byte order": {"a/0": np.array(3, np.dtype(np.int64).newbyteorder())},
    "a sparse matrix with columns outside": {
        "a/csr_matrix/0": np.ones(1),
        "a/csr_matrix/1": np.array([7], np.int32),
        "a/csr_matrix/2": np.array([0, 1], np.int32),
        "a/csr_matrix/3": np.array([1, 4]),
    },
    "a slice of two": {"a/slice/0": np.zeros((2, 2), np.int64)},
    "bytes for a number": {"a/0": np.array([b"x"])},
}


@pytest.mark.parametrize("arrays", HOSTILE.values(), ids=HOSTILE.keys())
def test_malformed_arrays_are_a_typed_error(arrays: dict[str, np.ndarray]) -> None:
    with pytest.raises((StructureError, WeightsMismatch)):
        values.decode(Reader(arrays, copy=True), "a")


def test_an_unread_array_is_a_typed_error() -> None:
    reader = Reader({"a/0": np.ones(2), "a/1": np.ones(2)}, copy=True)
    values.decode(reader, "a")
    with pytest.raises(UnknownWeight, match="a/1"):
        reader.finish()
