"""The key of a task: equal for equal work in every process, and different for different work."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from dc_core import Component, register_component
from dc_core.engines import Task
from dc_core.engines.identity import identity
from dc_core.errors import NotSerializable
from dc_core.testing.fresh import fresh_interpreter
from dc_core.testing.tasks import Squares


class Scale(Component):
    fitted = ("factor",)

    def __init__(self, power=1):
        self.power = power
        self.factor = None


def scale(power, factor):
    component = Scale(power)
    component.factor = np.array(factor)
    return component


@register_component("test/Bond")
class Bond:
    def __init__(self, order):
        self.order = order


@dataclass(frozen=True)
class Settings:
    size: int
    names: tuple[str, ...] = ()


DIFFERENT = [
    None,
    True,
    1,
    1.0,
    "1",
    b"1",
    0.0,
    -0.0,
    Path("1"),
    [1],
    [[1]],
    {1},
    {"a": 1},
    {"a": 2},
    {1: "a"},
    np.array([1]),
    np.array([1.0]),
    np.array([[1]]),
    np.array([2]),
    np.array(["1"]),
    np.array([1], np.dtypes.StringDType()),
    np.zeros((0, 2)),
    np.zeros((2, 0)),
    np.float32(1),
    np.dtype("f4"),
    np.dtype("f8"),
    np.float64,
    len,
    scale,
    functools.partial(scale, 1),
    functools.partial(scale, 2),
    functools.partial(scale, power=2),
    Settings(1),
    Settings(2),
    Settings(1, ("a",)),
    Scale(),
    Scale(2),
    scale(2, 1.0),
    scale(2, 1.5),
    Bond(1),
    Bond(2),
    [Bond(1)],
]


def test_different_values_have_different_identities():
    texts = [json.dumps(identity(value), sort_keys=True) for value in DIFFERENT]
    same = [
        (DIFFERENT[i], DIFFERENT[j])
        for i in range(len(texts))
        for j in range(i)
        if texts[i] == texts[j]
    ]
    assert same == []


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ({"x", "y", "z"}, {"z", "y", "x"}),
        ((1, 2), [1, 2]),
        (np.arange(6).reshape(2, 3).T, np.arange(6).reshape(2, 3).T.copy()),
        (scale(2, 1.0), scale(2, 1.0)),
        (Bond(1), Bond(1)),
    ],
)
def test_equal_values_have_one_identity(one, other):
    assert identity(one) == identity(other)


@pytest.mark.parametrize("value", [object(), lambda x: x, iter([]), [{"a": object()}]])
def test_what_does_not_say_what_it_is_is_refused(value):
    with pytest.raises(NotSerializable, match="does not say what it is"):
        identity(value)


def test_a_key_is_the_same_in_every_process():
    task = Squares(10, {3: "abort", 1: "hang"}, "notes", 0.5)
    code = (
        "from dc_core.testing.tasks import Squares\n"
        "print(Squares(10, {1: 'hang', 3: 'abort'}, 'notes', 0.5).key)"
    )
    assert fresh_interpreter(code).strip() == task.key


def test_a_key_depends_on_the_class_and_every_attribute():
    class Cubes(Squares):
        pass

    tasks = [Squares(10), Squares(11), Squares(10, seconds=1), Squares(10, notes="n"), Cubes(10)]
    assert len({task.key for task in tasks}) == len(tasks)


def test_a_task_can_name_its_own_key(tmp_path):
    class Named(Task):
        key = "mine"

        def __len__(self):
            return 1

        def run(self, start, stop, directory):
            pass

    from dc_core.engines import run

    assert run(Named(), tmp_path).complete
    assert json.loads((tmp_path / "run.json").read_bytes())["key"] == "mine"
