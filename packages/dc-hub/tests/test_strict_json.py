"""JSON as the format allows it."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_hub.errors import LimitExceeded, NotSerializable, ParamsError
from dc_hub.format.strict_json import dumps, loads

TEXT = st.text(st.characters(exclude_categories=("Cs",)))
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**18), 10**18)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_and_written_the_same_again(value):
    data = dumps(value)
    back = loads(data, what="x")
    assert back == value
    assert dumps(back) == data


def test_canonical_json_is_sorted_indented_utf8_and_ends_with_a_line_feed():
    assert dumps({"b": [1, 2.0], "a": "é"}) == (
        '{\n  "a": "é",\n  "b": [\n    1,\n    2.0\n  ]\n}\n'.encode()
    )


REFUSED = {
    "nothing": b"",
    "a byte-order mark": b"\xef\xbb\xbf{}",
    "UTF-16": "{}".encode("utf-16-le"),
    "bytes that are no UTF-8": b'"\xff"',
    "a surrogate in UTF-8": b'"\xed\xa0\x80"',
    "a lone surrogate by an escape": b'"\\ud800"',
    "a lone surrogate in upper case": b'{"\\uDFFF": 1}',
    "carriage returns": b'{\r\n"a": 1}',
    "a duplicate key": b'{"class": 1, "class": 2}',
    "a duplicate key by an escape": b'{"class": 1, "cl\\u0061ss": 2}',
    "a duplicate key far inside": b'[{"x": {"a": 1, "b": 2, "a": 1}}]',
    "NaN": b"[NaN]",
    "Infinity": b"[Infinity]",
    "-Infinity": b"[-Infinity]",
    "a float that overflows": b"[1e999]",
    "a negative float that overflows": b"[-1e999]",
    "an integer of 5 000 digits": b"[" + b"7" * 5000 + b"]",
    "an integer of 21 digits": b"[100000000000000000000]",
    "two values": b"{} {}",
    "a trailing comma": b"[1,]",
    "a comment": b"[1] // one",
    "single quotes": b"{'a': 1}",
    "a control character": b'"\x01"',
    "a leading zero": b"[01]",
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_parsers_disagree_on_is_a_typed_error(case):
    with pytest.raises(ParamsError, match=r"params\.json") as caught:
        loads(REFUSED[case], what="params.json")
    assert caught.value.path == "params.json"


def test_a_pair_of_surrogates_is_one_character():
    assert loads(b'"\\ud83d\\ude00"', what="x") == "\U0001f600"


@pytest.mark.parametrize(
    "data",
    [
        b"[" * 200_000 + b"]" * 200_000,
        b"[" * 200_000,
        b'{"a":' * 200_000,
        b"[" * 33 + b"]" * 33,
        b'["[",' * 33 + b'"]"' + b"]" * 33,
        b'["\\"[",' * 33 + b"1" + b"]" * 33,
        b'["\\\\",' * 33 + b"1" + b"]" * 33,
    ],
)
def test_deep_nesting_is_refused_before_it_is_parsed(data):
    started = time.process_time()
    with pytest.raises(LimitExceeded, match="deep"):
        loads(data, what="x")
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize(
    "value", ["[" * 100, '"[' * 50, "\\[\\" * 40, ["]"] * 40, {"{": "}" * 50}, "\\" * 51]
)
def test_brackets_in_strings_do_not_nest(value):
    assert loads(json.dumps([value]).encode(), what="x") == [value]


def test_nesting_up_to_the_limit_is_read():
    assert loads(b"[" * 32 + b"]" * 32, what="x") == loads(
        dumps(loads(b"[" * 32 + b"]" * 32, what="x")), what="x"
    )


def test_an_unterminated_string_of_quotes_takes_linear_time():
    started = time.process_time()
    with pytest.raises(ParamsError):
        loads(b'"' + b'\\"' * 500_000, what="x")
    assert time.process_time() - started < 0.5


def test_a_text_beyond_its_limit_is_refused_unread():
    with pytest.raises(LimitExceeded, match="1048577"):
        loads(b" " * ((1 << 20) + 1), what="x")


def test_a_text_of_too_many_values_is_refused():
    assert loads(b"[0,0,0]", what="x", tokens=4) == [0, 0, 0]
    with pytest.raises(LimitExceeded, match="too many values"):
        loads(b"[0,0,0,0]", what="x", tokens=4)


CIRCULAR: list = []
CIRCULAR.append(CIRCULAR)


@pytest.mark.parametrize(
    "value",
    [{1: 2}, {None: 1}, (1,), {1}, b"x", float("nan"), float("inf"), 10**20, "\ud800",
     {"\ud800": 1}, object(), CIRCULAR, 1j],
    ids=repr,
)  # fmt: skip
def test_what_json_cannot_say_is_refused_by_its_place(value):
    with pytest.raises(NotSerializable, match=r"^metadata\.a\.1"):
        dumps({"a": [0, value]}, what="metadata")
