"""Constructor arguments, encoded and decoded."""

from __future__ import annotations

import contextlib
import enum
import functools
import math
import pathlib
from collections import OrderedDict
from typing import NamedTuple

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dc_core import register_component
from dc_core.dtypes import EXTENDED, NATIVE, dtype_from_name
from dc_hub.errors import NotSerializable, ParamsError, UnknownClass
from dc_hub.format import strict_json, values


@register_component("values/Colour")
class Colour(enum.Enum):
    RED = 1
    GREEN = "g"


@register_component("values/Thing")
class Thing:
    def __init__(self, **params):
        self.params = params

    def __eq__(self, other):
        return type(other) is Thing and self.params == other.params

    __hash__ = None


class Unregistered(enum.Enum):
    ONE = 1


class Point(NamedTuple):
    x: int
    y: int


def describe(obj):
    if isinstance(obj, Thing):
        body = {"class": "values/Thing", "class_version": 1, "backend": None, "params": obj.params}
        return {"$component": body}
    return None


def build(kind, body, path):
    assert kind == "component"
    assert body["class"] == "values/Thing"
    return Thing(**body["params"])


def encoded(value, arrays=None):
    arrays = {} if arrays is None else arrays
    return values.encode(value, path="layers", arrays=arrays, component=describe)


def decoded(json, arrays=None):
    return values.decode(json, path="layers", arrays=arrays or {}, build=build)


def there_and_back(value):
    arrays = {}
    text = strict_json.dumps(encoded(value, arrays))
    return decoded(strict_json.loads(text, what="x"), arrays)


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        return list(a) == list(b) and all(same(a[key], b[key]) for key in a)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, float | complex):
        return repr(a) == repr(b)
    return a == b


PLAIN = (
    st.none()
    | st.booleans()
    | st.integers(-(2**1000), 2**1000)
    | st.floats()
    | st.complex_numbers()
    | st.text(st.characters(exclude_categories=("Cs",)), max_size=5)
    | st.binary(max_size=5)
)
KEYED = st.text(st.characters(exclude_categories=("Cs",)), max_size=3) | st.integers() | st.none()
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(KEYED, inner, max_size=3)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_whatever_is_encoded_comes_back_with_its_type_and_order(value):
    assert same(there_and_back(value), value)


@given(VALUES)
def test_encoding_what_was_decoded_gives_the_same_json(value):
    assert strict_json.dumps(encoded(there_and_back(value))) == strict_json.dumps(encoded(value))


@pytest.mark.parametrize("name", sorted(NATIVE | EXTENDED.keys()))
def test_dtypes_scalars_and_their_classes_come_back(name):
    dtype = dtype_from_name(name)
    scalar = np.ones((), dtype)[()]
    assert there_and_back(dtype) == dtype
    assert there_and_back(dtype.type) is dtype.type
    assert type(there_and_back(scalar)) is dtype.type
    assert there_and_back(scalar) == scalar


@pytest.mark.parametrize(
    "value",
    [np.float32(0.1), np.float64(0.1), np.uint64(2**64 - 1), np.int64(-(2**63)), np.complex64(1j),
     np.float32("inf"), ml_dtypes.bfloat16(1.5), np.bool_(True), bool, float, str, Colour.GREEN,
     -0.0, math.inf, 2**53, -(2**53)],
    ids=repr,
)  # fmt: skip
def test_scalars_are_exact(value):
    back = there_and_back(value)
    assert type(back) is type(value)
    assert repr(back) == repr(value)


@pytest.mark.parametrize("scalar", [np.float32("nan"), np.float64("nan"), math.nan], ids=repr)
def test_nan_comes_back(scalar):
    back = there_and_back(scalar)
    assert type(back) is type(scalar)
    assert back != back


def test_arrays_are_stored_with_the_weights_under_the_name_of_the_argument():
    arrays = {}
    mean, scale = np.arange(3.0), np.array(2.0)
    json = encoded([{"mean": mean}, (scale,)], arrays)
    assert json == [
        {"mean": {"$array": "params.layers.0.mean"}},
        {"$tuple": [{"$array": "params.layers.1.0"}]},
    ]
    assert arrays["params.layers.0.mean"] is mean
    back = decoded(json, arrays)
    assert back[0]["mean"] is mean
    assert back[1][0] is scale


def test_two_arrays_never_share_a_name():
    arrays = {"params.layers.0": np.zeros(1)}
    json = encoded({"0": np.ones(1), "é": np.full(1, 2.0), ("x",): np.full(1, 3.0)}, arrays)
    assert len(arrays) == 4
    assert [float(v[0]) for v in decoded(json, arrays).values()] == [1, 2, 3]
    assert arrays["params.layers.0"][0] == 0


def test_nested_objects_come_back_with_their_arguments():
    array = np.arange(2)
    thing = Thing(inner=Thing(sizes=(1, 2), table={"b": array, "a": None}), rate=0.1)
    arrays = {}
    back = decoded(encoded([thing], arrays), arrays)
    assert back == [thing]
    assert list(arrays) == ["params.layers.0.inner.table.b"]


def test_dicts_keep_the_order_of_their_keys():
    assert list(there_and_back({"b": 1, "a": 2})) == ["b", "a"]


def test_a_dict_that_looks_like_a_tag_is_a_dict():
    for value in ({"$tuple": [1]}, {"$array": "x"}, {"$": 1, "a": 2}):
        assert there_and_back(value) == value


REFUSED = {
    "a lambda": lambda: 1,
    "a function": math.sin,
    "a partial": functools.partial(int, base=2),
    "a class": Thing,
    "dict itself": dict,
    "an abstract class of NumPy": np.floating,
    "a path": pathlib.Path("/tmp"),
    "a set": {1, 2},
    "a frozenset": frozenset((1,)),
    "a bytearray": bytearray(b"x"),
    "a range": range(3),
    "a slice": slice(1),
    "an object": object(),
    "an OrderedDict": OrderedDict(a=1),
    "a named tuple": Point(1, 2),
    "a module": math,
    "an exception": ValueError("x"),
    "an array of strings": np.array(["a"]),
    "an array of objects": np.array([None]),
    "a NumPy string": np.str_("a"),
    "a long double": np.longdouble(1),
    "a dtype of strings": np.dtype("U3"),
    "a dtype of foreign byte order": np.dtype(">f4"),
    "a date": np.datetime64("2020-01-01"),
    "an enumeration that is not registered": Unregistered.ONE,
    "an integer of 2 001 bits": 2**2000,
    "a dict of 1 001 numbers": dict.fromkeys(range(1001)),
    "a generator": np.random.default_rng(0),
    "a subclass of str": type("S", (str,), {})("x"),
    "a subclass of list": type("L", (list,), {})([1]),
}


@pytest.mark.parametrize("case", REFUSED)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [0, {"k": (x,)}]], ids=["bare", "deep"])
def test_what_has_no_stored_form_is_refused_by_the_arguments_name(case, wrap):
    with pytest.raises(NotSerializable, match="layers") as caught:
        encoded(wrap(REFUSED[case]))
    assert caught.value.path in ("layers", "layers.1.k.0")
    assert caught.value.hint


def test_a_list_that_contains_itself_is_refused():
    loop: list = []
    loop.append(loop)
    with pytest.raises(NotSerializable, match="contains itself"):
        encoded(loop)


def body(**changes):
    return {"class": "values/Thing", "class_version": 1, "backend": None, "params": {}, **changes}


MALFORMED = {
    "an unknown tag": {"$exec": "print(1)"},
    "a path": {"$path": "/etc/passwd"},
    "Python's own tag": {"$py/object": "os.system"},
    "a tag with company": {"$tuple": [], "x": 1},
    "two tags": {"$tuple": [], "$float": "nan"},
    "an array that is not there": {"$array": "params.layers"},
    "an array with no name": {"$array": ["a"]},
    "bytes that are not base64": {"$bytes": "?"},
    "bytes that are no text": {"$bytes": 7},
    "a number as $float": {"$float": "1.5"},
    "an unknown $float": {"$float": "NaN"},
    "a $float that is a list": {"$float": []},
    "an $int of 5 000 digits": {"$int": "7" * 5000},
    "an $int of code": {"$int": "__import__('os')"},
    "a small $int": {"$int": "7"},
    "an $int of other digits": {"$int": "\u0661" * 20},
    "a $complex of one": {"$complex": [1.0]},
    "a $complex of strings": {"$complex": ["1", "2"]},
    "a $tuple of nothing": {"$tuple": None},
    "a $tuple of a tag": {"$tuple": {"$bytes": ""}},
    "a $dict of no pairs": {"$dict": [[1]]},
    "a $dict with a key twice": {"$dict": [[1, 2], [1, 3]]},
    "a $dict with equal keys": {"$dict": [[1, 2], [True, 3]]},
    "a $dict of 1 001 numbers": {"$dict": [[i, 0] for i in range(1001)]},
    "a $dict of 50 000 keys of one hash": {
        "$dict": [[{"$int": str((i + 10**6) * (2**61 - 1))}, 0] for i in range(50_000)]
    },
    "a $dict with a list as key": {"$dict": [[[1], 2]]},
    "an object dtype": {"$dtype": "object"},
    "a dtype by code": {"$dtype": "O"},
    "a dtype of fields": {"$dtype": [["x", "f4"]]},
    "a type by import path": {"$type": "os.system"},
    "a type that is none": {"$type": "builtins.eval"},
    "a $type that is a list": {"$type": ["python.int"]},
    "a scalar too large": {"$scalar": {"dtype": "uint8", "value": 300}},
    "a negative unsigned scalar": {"$scalar": {"dtype": "uint8", "value": -1}},
    "a scalar of text": {"$scalar": {"dtype": "float32", "value": "1"}},
    "a scalar of another kind": {"$scalar": {"dtype": "int64", "value": 1.5}},
    "a scalar that is not exact": {"$scalar": {"dtype": "float32", "value": 0.1}},
    "a scalar of a list": {"$scalar": {"dtype": "float32", "value": [1.0]}},
    "a scalar without dtype": {"$scalar": {"value": 1}},
    "a member that is none": {"$enum": {"class": "values/Colour", "member": "__class__"}},
    "a member of no enumeration": {"$enum": {"class": "values/Thing", "member": "RED"}},
    "an $enum that is text": {"$enum": "values.Colour.RED"},
    "an object without params": {"$component": {"class": "values/Thing"}},
    "an object with more": {"$component": body(trust_remote_code=True)},
    "an object whose class is a list": {"$component": body(**{"class": ["x"]})},
    "an object of version True": {"$component": body(class_version=True)},
    "an object of version 0": {"$component": body(class_version=0)},
    "an object of no version": {"$component": body(class_version=None)},
    "a backend that steers the terminal": {"$component": body(backend="\x1b[31m")},
    "an object whose params are a list": {"$model": body(params=[])},
}


@pytest.mark.parametrize("case", MALFORMED)
@pytest.mark.parametrize("wrap", [lambda x: x, lambda x: [0, {"k": x}]], ids=["bare", "deep"])
def test_json_that_was_never_written_is_a_typed_error_naming_the_argument(case, wrap):
    with pytest.raises(ParamsError, match=r"layers"):
        decoded(wrap(MALFORMED[case]))


@pytest.mark.parametrize("name", ["os/system", "enum.Enum", "builtins:eval", None, ["x"]])
def test_an_enumeration_is_named_by_its_registered_name_alone(name):
    with pytest.raises(UnknownClass):
        decoded({"$enum": {"class": name, "member": "RED"}})


def test_json_nested_too_deep_is_a_typed_error():
    value: object = 1
    for _ in range(5000):
        value = [value]
    with pytest.raises(ParamsError, match="deep"):
        decoded(value)


TAGS = st.sampled_from(sorted(values._Decoder({}, None).tags))
HOSTILE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=3)
    | st.sampled_from(["nan", "float32", "python.int", "values/Colour", "RED", "params.x"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.text(max_size=2), inner, max_size=2)
        | st.builds(lambda tag, item: {tag: item}, TAGS, inner)
        | st.builds(lambda d, v: {"$scalar": {"dtype": d, "value": v}}, inner, inner)
        | st.builds(lambda p: {"$component": body(params={"p": p})}, inner)
    ),
    max_leaves=15,
)


@given(HOSTILE)
@settings(max_examples=500)
def test_any_json_is_decoded_or_a_typed_error(json):
    with contextlib.suppress(ParamsError, UnknownClass):
        decoded(json, {"params.x": np.ones(2)})
