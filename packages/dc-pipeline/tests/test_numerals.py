"""Numbers read a column at a time are those that Python's float reads one by one."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_pipeline.loaders.numerals import MARGIN, read_number, read_spans, read_texts


def in_one_buffer(texts):
    """Read ``texts`` as spans of one buffer."""
    lengths = np.array([len(text) for text in texts], np.intp)
    ends = np.cumsum(lengths + 1) - 1 + MARGIN
    data = ("0" * MARGIN + "\n".join(texts)).encode("ascii")
    return read_spans(data, ends - lengths, ends)


cells = (
    st.text("0123456789.-", max_size=10)
    | st.floats(allow_nan=False, allow_infinity=False).map(repr)
    | st.decimals(-9999, 9999, places=3).map(str)
    | st.text("019.-+eE_ na<>/:;", max_size=9)
    | st.text("0123456789.-", min_size=9, max_size=17)
    | st.decimals(-9999, 9999, places=9).map(str)
    | st.integers(-(10**16), 10**16).map(str)
)


@given(st.lists(cells, min_size=1, max_size=40))
def test_a_column_gives_the_bits_that_float_gives(texts):
    values, unread = in_one_buffer(texts)
    expected, others = read_texts(texts)
    assert unread == others
    assert values.tobytes() == expected.tobytes()


@pytest.mark.parametrize(
    "text",
    ["-3.140", "0.1", ".5", "5.", "-0.0", "12345678", "1.7e308", "-.123456789", "9007199254740993"],
)
def test_a_number_is_that_of_float(text):
    assert math.copysign(1, read_number(text)) == math.copysign(1, float(text))
    assert read_number(text) == float(text)


@pytest.mark.parametrize("text", ["", " ", "NA", "n/a", "NaN", "None", "null"])
def test_a_missing_value_is_nan(text):
    values, unread = in_one_buffer(["1", text])
    assert values[0] == 1
    assert np.isnan(values[1])
    assert not unread


@pytest.mark.parametrize(
    "text",
    [
        "-",
        ".",
        "-.",
        "1-2",
        "1.2.3",
        "1_000",
        "inf",
        "1e999",
        "9:",
        "1234-56789",
        "1.2345678.9",
        "-" * 9,
    ],
)
def test_other_text_is_not_a_number(text):
    values, unread = in_one_buffer([text, "1"])
    assert np.isnan(values[0])
    assert unread == {0: text}
