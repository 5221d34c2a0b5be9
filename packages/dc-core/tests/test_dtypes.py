"""Dtypes by name, with and without ml_dtypes."""

import subprocess
import sys

import ml_dtypes
import numpy as np
import pytest

from dc_core import dtype_from_name, dtype_name, raw_bits
from dc_core.dtypes import EXTENDED, NATIVE
from dc_core.errors import ParameterError

WITHOUT = """
import sys
sys.modules["ml_dtypes"] = None
import numpy as np
from dc_core import dtype_name, dtype_from_name, raw_bits
dtype = dtype_from_name("bfloat16")
assert dtype == np.dtype([("bfloat16", "<u2")]), dtype
assert dtype_name(dtype) == "bfloat16"
array = np.array([(1,), (2,)], dtype)
assert raw_bits(array).tolist() == [[1], [2]]
assert array.copy().tobytes() == array.tobytes()
assert dtype != np.dtype(np.uint16)
"""


@pytest.mark.parametrize("name", sorted(NATIVE | EXTENDED.keys()))
def test_a_name_and_its_dtype_lead_to_each_other(name):
    dtype = dtype_from_name(name)
    assert dtype_name(dtype) == name


@pytest.mark.parametrize("name", sorted(NATIVE | EXTENDED.keys()))
def test_raw_bits_are_the_memory_as_unsigned_integers(name):
    octets = np.random.default_rng(0).integers(0, 256, (3, 4, 16), np.uint8)
    array = octets.view(dtype_from_name(name))[..., 0].T
    bits = raw_bits(array)
    assert bits.dtype.kind == "u"
    assert bits.shape == (4, 3, 2 if array.dtype.kind == "c" else 1)
    assert np.shares_memory(bits, array)
    assert np.ascontiguousarray(bits).tobytes() == array.tobytes()


def test_raw_bits_keep_the_byte_order():
    assert raw_bits(np.array([1.0], ">f8")).tolist() == raw_bits(np.array([1.0])).tolist()
    assert raw_bits(np.array(2j, ">c8")).tolist() == raw_bits(np.array(2j, "c8")).tolist()


@pytest.mark.parametrize("name", ["float16", "float32", "float64", "complex64", "complex128"])
def test_equal_raw_bits_mean_equal_in_every_bit(name):
    values = np.array([np.nan, -0.0, 1], name)
    np.testing.assert_array_equal(raw_bits(values), raw_bits(values.copy()))
    differs = (raw_bits(values) != raw_bits(np.array([0, 0.0, 1], name))).any(axis=-1)
    assert differs.tolist() == [True, True, False]


def test_extended_dtypes_are_those_of_ml_dtypes_where_it_is_installed():
    assert dtype_from_name("bfloat16") == np.dtype(ml_dtypes.bfloat16)
    assert dtype_from_name("float8_e4m3fn") == np.dtype(ml_dtypes.float8_e4m3fn)


def test_without_ml_dtypes_the_raw_bits_keep_their_logical_dtype():
    subprocess.run([sys.executable, "-W", "error", "-c", WITHOUT], check=True)


@pytest.mark.parametrize(
    "dtype", ["O", "U3", "S3", "M8[s]", "m8[s]", "V4", [("a", "f4")], [("bfloat16", "<u4")], "g"]
)
def test_what_is_no_number_of_fixed_size_cannot_be_a_weight(dtype):
    with pytest.raises(ParameterError, match="cannot be weights"):
        dtype_name(np.dtype(dtype))


@pytest.mark.parametrize("name", ["float128", "object", "bf16", "", "float32 ", "O"])
def test_an_unknown_name_lists_the_known_ones(name):
    with pytest.raises(ParameterError, match="bfloat16"):
        dtype_from_name(name)
