"""Stored arguments are shown to people as one would write them."""

import pytest

from dc_hub.format.written import as_written


@pytest.mark.parametrize(
    ("stored", "shown"),
    [
        ("auto", "auto"),
        (None, "None"),
        (0.5, "0.5"),
        (["a", 1], '["a", 1]'),
        ({"$tuple": []}, "()"),
        ({"$tuple": [1000]}, "(1000,)"),
        ({"$tuple": [1, "a, b"]}, '(1, "a, b")'),
        ({}, "{}"),
        ({"a": {}, "b": "x"}, '{a: {}, b: "x"}'),
        ({"$dict": [[1, "x"], [{"$tuple": [2]}, []]]}, '{1: "x", (2,): []}'),
        ({"$array": "w.0"}, "array w.0"),
        ({"$float": "nan"}, "nan"),
        ({"$model": {"class": "t/M", "params": {"p": "y", "q": {}}}}, 't/M(p="y", q={})'),
    ],
    ids=str,
)
def test_a_stored_value_is_shown_as_one_would_write_it(stored, shown):
    assert as_written(stored) == shown
