"""Comparing and changing arrays bit by bit, as the conformance kit does."""

import math

import numpy as np
import pytest

from dc_core.dtypes import EXTENDED, NATIVE, dtype_from_name
from dc_core.testing.bits import difference, flip, mutants, peculiar_values, same_bits

RAW = {name: np.dtype([(name, bits)]) for name, bits in EXTENDED.items()}
"""The 8-bit floats and bfloat16 where ml_dtypes is not installed."""

DTYPES = [*map(dtype_from_name, sorted(NATIVE | EXTENDED.keys())), *RAW.values()]
FLOATS = [np.dtype(order + kind) for order in "<>" for kind in ("f2", "f4", "f8", "c8", "c16")]
TEXT = np.dtypes.StringDType()


def filled(dtype, shape, seed=0):
    """Return an array whose bytes are random, or zeros and ones if it is boolean."""
    octets = np.random.default_rng(seed).integers(0, 256, math.prod(shape) * dtype.itemsize)
    octets = octets % 2 if dtype == np.bool_ else octets
    return octets.astype(np.uint8).view(dtype).reshape(shape)


def from_bits(bits, integer, dtype):
    return np.array([bits], integer).view(dtype)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_one_changed_bit_makes_a_difference(dtype):
    array = filled(dtype, (3, 4))
    assert same_bits(array, array.copy())
    for i in range(array.nbytes):
        other = array.copy()
        other.reshape(-1).view(np.uint8)[i] ^= 1
        assert not same_bits(array, other)


@pytest.mark.parametrize(
    ("integer", "dtype", "quiet"),
    [
        ("u2", "float16", 0x7E00),
        ("u4", "float32", 0x7FC00000),
        ("u8", "float64", 0x7FF8 << 48),
        ("<u2", dtype_from_name("bfloat16"), 0x7FC0),
        ("<u2", RAW["bfloat16"], 0x7FC0),
    ],
    ids=str,
)
def test_equal_values_with_other_bits_differ(integer, dtype, quiet):
    sign = 1 << 8 * np.dtype(dtype).itemsize - 1
    nan, payload, negative = (
        from_bits(b, integer, dtype) for b in (quiet, quiet | 5, quiet | sign)
    )
    zero, minus_zero, subnormal = (from_bits(bits, integer, dtype) for bits in (0, sign, 1))
    for a in (nan, payload, negative, zero, minus_zero, subnormal):
        for b in (nan, payload, negative, zero, minus_zero, subnormal):
            assert same_bits(a, b.copy()) == (a is b)


def test_shapes_and_dtypes_must_agree_where_the_bytes_do():
    a = np.zeros((2, 3), np.float32)
    for b in (a.reshape(3, 2), a.reshape(6), a[None], a.view(np.int32), a.view(">f4")):
        assert a.tobytes() == b.tobytes()
        assert not same_bits(a, b)
    assert not same_bits(np.zeros((0, 3)), np.zeros((3, 0)))
    assert not same_bits(np.zeros(()), np.zeros(1))
    assert not same_bits(filled(RAW["bfloat16"], (3,)), filled(np.dtype("<u2"), (3,)))
    assert not same_bits(filled(RAW["float8_e5m2"], (3,)), filled(RAW["float8_e4m3fn"], (3,)))


def test_the_order_in_memory_makes_no_difference():
    array = filled(np.dtype("f4"), (3, 4))
    assert same_bits(array, np.asfortranarray(array))
    assert same_bits(array[:, ::2], array[:, ::2].copy())
    assert not same_bits(array, np.asfortranarray(array[::-1]))


@pytest.mark.parametrize("dtype", [TEXT, np.dtype("O")], ids=str)
def test_text_is_compared_by_value(dtype):
    long, other = "C" * 100, "N" * 100
    array = np.array([long, "C"], dtype)
    assert same_bits(array, np.array(["".join(["C"] * 100), "C"], dtype))
    assert same_bits(array, np.array(["C", long], dtype)[::-1])
    assert not same_bits(array, np.array([other, "C"], dtype))
    assert not same_bits(array, np.array([long, "N"], dtype))
    assert not same_bits(array, array[:, None])
    assert not same_bits(np.array(["C"], TEXT), np.array(["C"], "O"))


def test_the_first_difference_is_described():
    a, b = np.arange(3.0), np.arange(3.0) + 1
    table = {"a": a, "b": b}
    assert difference(table, {"a": a.copy(), "b": b.copy()}) == ""
    assert difference({}, {}) == ""
    assert difference(table, {"a": a}) == "'b' is missing"
    assert difference(table, {"c": a, "b": b}) == "'a' is missing"
    assert difference({"a": a}, table) == "'b' is unexpected"
    assert difference(table, {"b": b, "a": a}) == "the names are in a different order"
    assert difference(table, {"a": a, "b": a}) == "'b' has different values"
    assert (
        difference(table, {"a": a, "b": b[None]}) == "'b' is float64(1, 3) instead of float64(3,)"
    )
    narrow = b.astype(np.float32)
    assert difference(table, {"a": a, "b": narrow}) == "'b' is float32(3,) instead of float64(3,)"


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (2, 3), (0, 3)], ids=str)
def test_flipping_changes_every_value_and_flipping_again_restores_it(dtype, shape):
    array = filled(dtype, shape)
    kept = array.copy()
    flip(array)
    octets = np.frombuffer(array.tobytes(), np.uint8)
    assert np.array_equal(octets, 255 - np.frombuffer(kept.tobytes(), np.uint8))
    flip(array)
    assert same_bits(array, kept)


@pytest.mark.parametrize(
    "reorder",
    [np.asfortranarray, lambda a: a[::-1], lambda a: a[:, ::2], lambda a: a.T],
    ids=["Fortran", "reversed", "strided", "transposed"],
)
def test_flipping_reaches_every_value_in_any_memory_order(reorder):
    array = reorder(np.arange(12.0).reshape(3, 4))
    kept = array.copy()
    flip(array)
    assert not np.any(array == kept)


@pytest.mark.parametrize("dtype", FLOATS, ids=str)
def test_peculiar_values_are_what_they_are_called(dtype):
    values = peculiar_values(dtype)
    assert list(values) == [
        "a NaN with a payload",
        "a signalling NaN",
        "a negative zero",
        "a subnormal",
    ]
    for value in values.values():
        assert (value.shape, value.dtype) == ((), dtype)
    real = np.dtype(dtype.byteorder + f"f{dtype.itemsize // (2 if dtype.kind == 'c' else 1)}")
    payload, signalling, zero, subnormal = (v.reshape(1).view(real) for v in values.values())
    info = np.finfo(real)
    quiet = 1 << info.nmant - 1
    for nan, low in ((payload, quiet | 5), (signalling, 1)):
        assert np.all(np.isnan(nan))
        bits = nan.view(f"{dtype.byteorder}u{real.itemsize}")
        assert np.all(bits & ((1 << info.nmant) - 1) == low)
        assert not np.any(np.signbit(nan))
    assert np.all(zero == 0)
    assert np.all(np.signbit(zero))
    assert np.all(subnormal == info.smallest_subnormal)


@pytest.mark.parametrize("dtype", [dtype_from_name("bfloat16"), RAW["bfloat16"]], ids=str)
def test_bfloat16_has_peculiar_values_too(dtype):
    bits = [int(value.reshape(1).view("u2")[0]) for value in peculiar_values(dtype).values()]
    assert bits == [0x7FC5, 0x7F81, 0x8000, 0x0001]


@pytest.mark.parametrize(
    "dtype", [dtype for dtype in DTYPES if dtype.kind in "biu" or "float8" in str(dtype)], ids=str
)
def test_other_dtypes_have_no_peculiar_values(dtype):
    assert peculiar_values(dtype) == {}


@pytest.mark.parametrize(
    "dtype", [d for d in dict.fromkeys([*DTYPES, *FLOATS]) if d != np.bool_], ids=str
)
def test_a_mutant_is_the_array_with_one_number_changed(dtype):
    array = filled(dtype, (2, 3))
    kept = array.copy()
    size = dtype.itemsize // (2 if dtype.kind == "c" else 1)
    numbers = np.frombuffer(array.tobytes(), f"V{size}")
    found = list(mutants(array))
    for what, mutant in found:
        assert (mutant.shape, mutant.dtype) == (array.shape, dtype)
        (changed,) = np.flatnonzero(np.frombuffer(mutant.tobytes(), numbers.dtype) != numbers)
        assert what.startswith(f"the bits of element {changed} set to 0x")
    assert len({mutant.tobytes() for _, mutant in found}) == len(found)
    assert same_bits(array, kept)


@pytest.mark.parametrize(
    ("dtype", "bits", "changed"),
    [
        ("u1", 5, {0, 1, 4, 6, 0xFA, 0x7F, 0x80, 0xFF}),
        ("i1", 0, {1, 0x7F, 0x80, 0xFF}),
        ("i2", 0xFFFF, {0, 1, 0xFFFE, 0x7FFF, 0x8000}),
        ("f2", 0x3C00, {0, 1, 0x3BFF, 0x3C01, 0xC3FF, 0x7FFF, 0x8000, 0xFFFF, 0x7C00, 0x7BFF}),
        (
            "f4",
            0x7F800000,
            {0, 1, 0x7F7FFFFF, 0x7F800001, 0x807FFFFF, 0x7FFFFFFF, 1 << 31, 2**32 - 1},
        ),
        (">f2", 0x3C00, {0, 1, 0x3BFF, 0x3C01, 0xC3FF, 0x7FFF, 0x8000, 0xFFFF, 0x7C00, 0x7BFF}),
        (RAW["bfloat16"], 5, {0, 1, 4, 6, 0xFFFA, 0x7FFF, 0x8000, 0xFFFF, 0x7F80, 0x7F7F}),
    ],
    ids=str,
)
def test_mutants_hold_neighbours_and_extremes(dtype, bits, changed):
    integer = np.dtype(f"u{np.dtype(dtype).itemsize}").newbyteorder(np.dtype(dtype).byteorder)
    found = [
        (what, int(mutant.view(integer)[0]))
        for what, mutant in mutants(from_bits(bits, integer, dtype))
    ]
    assert found == [(f"the bits of element 0 set to {b:#x}", b) for b in sorted(changed)]


@pytest.mark.parametrize(
    ("count", "places"), [(0, []), (1, [0]), (2, [0, 1]), (3, [0, 1, 2]), (9, [0, 4, 8])]
)
def test_the_first_the_middle_and_the_last_number_are_changed(count, places):
    floats = [what.split()[4] for what, _ in mutants(np.full(count, 0.5))]
    assert list(dict.fromkeys(floats)) == list(map(str, places))
    booleans = list(mutants(np.zeros(count, bool)))
    assert [what for what, _ in booleans] == [f"element {i} inverted" for i in places]
    for i, (_, mutant) in zip(places, booleans, strict=True):
        assert mutant.tolist() == [j == i for j in range(count)]


def test_both_parts_of_a_complex_number_are_changed():
    changed = [mutant[0] for _, mutant in mutants(np.array([1 + 2j]))]
    assert {value.imag for value in changed if value.real == 1} > {0, 5e-324}
    assert {value.real for value in changed if value.imag == 2} > {0, 5e-324}


@pytest.mark.parametrize("value", [True, False])
def test_booleans_are_inverted(value):
    ((_, mutant),) = mutants(np.array(value))
    assert (mutant.shape, mutant.item()) == ((), not value)
