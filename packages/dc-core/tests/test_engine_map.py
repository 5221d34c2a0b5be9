"""A function of each of a few items: one result each, in order."""

import math
import os
from pathlib import Path

import numpy as np
import pytest

from dc_core import engines
from dc_core.engines import Result
from dc_core.errors import NotSerializable, RunMismatch, TaskFailed


def half(number):
    return number / 2


def count_calls(path):
    """Leave a line in the file at each call."""
    with Path(path).open("a") as file:
        file.write("called\n")
    return "done"


def abort_at_two(number):
    if number == 2:
        os.abort()
    return number


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_results_are_in_the_order_of_the_items(engine):
    results = engines.map(half, [4, 2, 3], engine=engine)
    assert results == [Result("ok", 2.0), Result("ok", 1.0), Result("ok", 1.5)]


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_an_exception_costs_its_item(engine):
    results = engines.map(half, [4, "two"], engine=engine)
    assert results[0] == Result("ok", 2.0)
    assert results[1].status == "error"
    assert results[1].message.startswith("TypeError: unsupported operand")


def test_a_crash_costs_its_item():
    results = engines.map(abort_at_two, [1, 2, 3], engine="processes", retries=0)
    assert [result.status for result in results] == ["ok", "crash", "ok"]
    assert results[1].message.startswith("Aborted")


def test_everything_crashing_is_reported_item_by_item():
    results = engines.map(abort_at_two, [2, 2], engine="processes", retries=0)
    assert [result.status for result in results] == ["crash", "crash"]


def test_nothing_is_mapped_to_nothing():
    assert engines.map(half, []) == []


@pytest.mark.parametrize(
    ("value", "back"),
    [
        (None, None),
        (True, True),
        ("µ", "µ"),
        ((1, 2.5), [1, 2.5]),
        ({"a": [1, {"b": None}]}, {"a": [1, {"b": None}]}),
        (math.inf, math.inf),
        (2**70, 2**70),
    ],
)
def test_values_are_json(value, back):
    (result,) = engines.map(lambda item: item, [value])
    assert result == Result("ok", back)
    assert type(result.value) is type(back)


def test_not_a_number_comes_back():
    (result,) = engines.map(lambda item: item, [math.nan])
    assert math.isnan(result.value)


@pytest.mark.parametrize(
    ("value", "where"),
    [
        (np.float32(1), "The result is a float32"),
        (np.float64(1), "The result is a float64"),
        (np.zeros(2), "The result is a ndarray"),
        ([1, {"a": {2}}], r"The result\[1\]\['a'\] is a set"),
        ({1: 2}, "The result is a dict"),
    ],
)
def test_other_values_are_a_typed_error_that_says_where(value, where):
    with pytest.raises(TaskFailed, match=where) as caught:
        engines.map(lambda item: item, [value])
    assert isinstance(caught.value.__cause__, NotSerializable)
    assert "float(x)" in str(caught.value.__cause__)


def test_with_a_directory_nothing_is_called_twice(tmp_path):
    items = [str(tmp_path / "one"), str(tmp_path / "two")]
    for engine in ("serial", "processes"):
        results = engines.map(count_calls, items, tmp_path / "run", engine=engine)
        assert results == [Result("ok", "done")] * 2
    assert Path(items[0]).read_text() == "called\n"


def test_a_directory_of_other_items_or_another_function_is_refused(tmp_path):
    engines.map(half, [1, 2], tmp_path / "run")
    for function, items in ((half, [1, 3]), (abort_at_two, [1, 2]), (half, [1, 2, 3])):
        with pytest.raises(RunMismatch):
            engines.map(function, items, tmp_path / "run")


def test_a_nameless_function_cannot_continue_but_can_run(tmp_path):
    assert engines.map(lambda x: x, [1]) == [Result("ok", 1)]
    with pytest.raises(NotSerializable, match="does not say what it is"):
        engines.map(lambda x: x, [1], tmp_path / "run")


def test_temporary_results_are_removed(tmp_path, monkeypatch):
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    engines.map(half, [1, 2])
    with pytest.raises(KeyboardInterrupt):
        engines.map(half, [1, 2], progress=lambda _: (_ for _ in ()).throw(KeyboardInterrupt))
    assert list(tmp_path.iterdir()) == []
