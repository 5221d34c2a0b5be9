"""Constructor capture: what a subclass's author never has to write."""

import copy
import dataclasses
import pickle
from collections import OrderedDict
from typing import Generic, NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_core import Component, construct, register_component
from dc_core.errors import MissingParameter, NotSerializable, ParameterError, UnknownParameter
from dc_core.parameters import ATTRIBUTE, check_count, check_flag

T = TypeVar("T")


class Everything(Component):
    def __init__(self, a, /, b, *rest, c, d=4, **options):
        self.seen = (a, b, rest, c, d, options)


class Pair(Component):
    def __init__(self, first, second):
        self.pair = first, second


class Plain(Component):
    pass


class Sized(Component):
    def __init__(self, sizes=(1, 2), rate=0.5):
        sizes = list(sizes)
        sizes.append(99)
        self.sizes = sizes


class Typed(Component, Generic[T]):
    def __init__(self, value: T):
        self.value = value


class Intercepting:
    """Refuses attributes before its own constructor has run, as torch.nn.Module does."""

    def __setattr__(self, name, value):
        if "ready" not in vars(self) and name != "ready":
            raise AttributeError("cannot assign before __init__")
        object.__setattr__(self, name, value)

    def __init__(self):
        object.__setattr__(self, "ready", True)


class Guarded(Intercepting, Component):
    def __init__(self, width=3):
        super().__init__()
        self.width = width


class GuardedLast(Component, Intercepting):
    def __init__(self, width=3):
        super().__init__()
        self.width = width


@dataclasses.dataclass
class Recorded(Component):
    rate: float = 0.1
    layers: list = dataclasses.field(default_factory=lambda: [8, 8])


@dataclasses.dataclass(frozen=True)
class Frozen(Component):
    rate: float = 0.1


class Point(NamedTuple):
    x: list
    y: int


def test_defaults_are_captured():
    assert Sized().get_parameters() == {"sizes": (1, 2), "rate": 0.5}


def test_every_kind_of_parameter_is_captured_and_reconstructed():
    made = Everything(1, 2, 3, 4, c=5, e=6)
    params = made.get_parameters()
    assert params == {"a": 1, "b": 2, "rest": (3, 4), "c": 5, "d": 4, "options": {"e": 6}}
    assert construct(Everything, params).seen == made.seen == (1, 2, (3, 4), 5, 4, {"e": 6})


@given(
    a=st.integers(),
    rest=st.lists(st.integers()),
    options=st.dictionaries(st.text(st.characters(categories=["Ll"]), min_size=3), st.integers()),
)
def test_construct_inverts_capture(a, rest, options):
    made = Everything(a, 0, *rest, c=1, **options)
    assert construct(Everything, made.get_parameters()).seen == made.seen


def test_what_the_constructor_does_to_its_arguments_is_not_recorded():
    sizes, table = [1, 2], np.arange(3)
    made = Typed({"sizes": sizes, "table": table, "point": Point([1], 2)})
    sizes.append(3)
    table[:] = 0
    params = made.get_parameters()["value"]
    assert params["sizes"] == [1, 2]
    assert params["table"].tolist() == [0, 1, 2]
    assert params["point"] == Point([1], 2)
    assert type(params["point"]) is Point


def test_changing_returned_parameters_changes_nothing():
    made = Typed({"sizes": [1]})
    made.get_parameters()["value"]["sizes"].append(2)
    assert made.get_parameters() == {"value": {"sizes": [1]}}


def test_a_subclass_of_dict_keeps_its_class_and_is_copied():
    given = OrderedDict(a=[1])
    made = Typed(given)
    given["a"].append(2)
    kept = made.get_parameters()["value"]
    assert type(kept) is OrderedDict
    assert kept == {"a": [1]}


def test_nested_components_are_kept_as_they_are():
    inner = Sized()
    assert Typed([inner]).get_parameters()["value"][0] is inner


def test_a_generic_alias_constructs_and_captures():
    assert Typed[int](3).get_parameters() == {"value": 3}


@pytest.mark.parametrize("cls", [Guarded, GuardedLast])
def test_a_class_that_intercepts_attributes_is_captured(cls):
    assert cls(width=5).get_parameters() == {"width": 5}


def test_a_dataclass_is_captured_with_its_default_factories():
    made = Recorded()
    assert made.get_parameters() == {"rate": 0.1, "layers": [8, 8]}
    made.layers.append(9)
    assert construct(Recorded, made.get_parameters()) == Recorded(0.1, [8, 8])


def test_a_frozen_dataclass_is_captured():
    assert Frozen(0.2).get_parameters() == {"rate": 0.2}


def test_a_class_without_a_constructor_takes_no_argument():
    assert Plain().get_parameters() == {}
    with pytest.raises(ParameterError, match=r"too many positional.*Its parameters are: none"):
        Plain(1)
    with pytest.raises(UnknownParameter, match="Plain has no parameter 'rate'"):
        Plain(rate=1)


def test_a_parameter_may_be_called_cls():
    class Odd(Component):
        def __init__(self, cls, args=()):
            self.cls = cls

    assert Odd(cls=3).get_parameters() == {"cls": 3, "args": ()}


def test_an_unknown_keyword_is_answered_with_the_nearest_parameter():
    with pytest.raises(UnknownParameter, match="Sized has no parameter 'raet'") as caught:
        Sized(raet=1)
    assert caught.value.hint == "Did you mean 'rate'? Its parameters are: sizes, rate."


@pytest.mark.parametrize(
    ("call", "error"),
    [
        (lambda: Sized(ratio=1), UnknownParameter),
        (lambda: Sized((1,), 0.5, 3), ParameterError),
        (lambda: Sized((1,), sizes=(1,)), ParameterError),
        (lambda: Pair(first=1), MissingParameter),
    ],
    ids=["unknown", "too many", "twice", "missing"],
)
def test_a_call_that_does_not_fit_is_typed_and_names_the_parameters(call, error):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error
    assert "Its parameters are: " in caught.value.hint


@dataclasses.dataclass
class Named(Component):
    name: str


class PairOfPairs(Pair):
    def __init__(self):
        super().__init__()


def test_a_call_without_arguments_names_those_that_are_missing():
    for cls, missing in ((Pair, "first"), (Named, "name"), (Everything, "a")):
        for _ in range(2):
            with pytest.raises(MissingParameter, match=f"{cls.__name__}.*missing.*'{missing}'"):
                cls()
    assert copy.deepcopy(Pair(1, 2)).pair == (1, 2)
    assert pickle.loads(pickle.dumps(Named("x"))).name == "x"
    assert Pair(1, 2).get_parameters() == {"first": 1, "second": 2}
    # A mistake inside a constructor is not the caller's.
    with pytest.raises(TypeError, match=r"missing 2 required") as caught:
        PairOfPairs()
    assert not isinstance(caught.value, ParameterError)


def test_a_constructor_that_takes_any_keyword_sees_them_all():
    class Open(Component):
        def __init__(self, **options):
            self.options = options

    assert Open(anything=1).options == {"anything": 1}


def test_arguments_nested_too_deeply_are_refused():
    deep = []
    for _ in range(10_000):
        deep = [deep]
    looped = []
    looped.append(looped)
    for value in (deep, looped):
        with pytest.raises(ParameterError, match="nested more than 100 levels deep"):
            Typed(value)


@pytest.mark.parametrize(
    "duplicate", [copy.copy, copy.deepcopy, lambda o: pickle.loads(pickle.dumps(o))]
)
def test_copies_and_pickles_keep_parameters_and_state(duplicate):
    made = Sized((5,), rate=0.1)
    twin = duplicate(made)
    assert twin.get_parameters() == {"sizes": (5,), "rate": 0.1}
    assert twin.sizes == made.sizes


def test_a_deep_copy_holds_its_own_nested_components_once():
    made = Typed([Sized()])
    twin = copy.deepcopy(made)
    (child,) = twin.children().values()
    assert child is twin.value[0]
    assert child is not made.value[0]


def test_an_object_made_past_its_class_says_that_nothing_was_captured():
    with pytest.raises(NotSerializable, match="were not captured"):
        object.__new__(Sized).get_parameters()


def test_an_unknown_parameter_is_named_before_anything_is_constructed():
    with pytest.raises(UnknownParameter, match="'ratio'") as caught:
        construct(Sized, {"ratio": 1})
    assert "sizes, rate" in caught.value.hint


def test_a_missing_parameter_is_named():
    with pytest.raises(MissingParameter, match="'value'"):
        construct(Typed, {})


def test_a_registered_class_of_a_framework_is_captured_but_its_subclasses_are_not():
    @register_component("tests/Layer")
    class Layer:
        def __init__(self, width, depth=2):
            self.width = width

    class Deeper(Layer):
        pass

    assert vars(Layer(3))[ATTRIBUTE] == {"width": 3, "depth": 2}
    assert ATTRIBUTE not in vars(Deeper(3))
    assert construct(Layer, {"width": 3, "depth": 1}).width == 3


@pytest.mark.parametrize("value", [0, -1, 1.5, True, "3", None])
def test_a_count_that_is_none_is_named_with_its_least_value(value):
    with pytest.raises(ParameterError, match=r"size=.* of at least 1"):
        check_count("size", value, minimum=1)
    check_count("size", 1, minimum=1)


def test_a_count_has_a_maximum_and_a_vast_one_is_refused_too():
    check_count("size", 7, minimum=1, maximum=7)
    for value in (8, 1 << 20_000):
        with pytest.raises(ParameterError, match=r"size must .* at most 7\."):
            check_count("size", value, minimum=1, maximum=7)


@pytest.mark.parametrize("value", [np.int64(5), np.uint8(5), 5])
def test_integers_of_numpy_are_counts_and_become_plain_ones(value):
    count = check_count("size", value, minimum=1, maximum=9)
    assert type(count) is int
    assert count == 5


@pytest.mark.parametrize("value", [np.True_, True, False, np.False_])
def test_bools_of_numpy_are_flags_and_become_plain_ones(value):
    assert check_flag("counts", value) is bool(value)


@pytest.mark.parametrize("value", [0, 1, None, "True"], ids=repr)
def test_a_flag_is_a_bool(value):
    with pytest.raises(ParameterError, match="counts="):
        check_flag("counts", value)
