"""Whether a component is fitted, and making it anew from its arguments."""

from importlib import import_module
from types import SimpleNamespace

import numpy as np
import pytest

from dc_core import Component, Model, register_component, register_model, registry
from dc_core.errors import NotSerializable


class Mean(Component):
    fitted = ("mean",)

    def __init__(self, scale=1.0):
        self.scale = scale
        self.mean = None

    def fit(self, values):
        self.mean = np.asarray(values, float).mean(keepdims=True) * self.scale
        return self


class Both(Model):
    def __init__(self, parts, sizes=(1, 2)):
        self.parts, self.sizes = parts, sizes


@register_component("tests/Captured")
class Captured:
    def __init__(self, width):
        self.width = width
        self.trained = False


def test_a_component_that_learns_nothing_is_fitted():
    assert Component().is_fitted
    assert Both([], sizes=(3,)).is_fitted


def test_a_component_is_fitted_when_all_its_parts_are():
    first, second = Mean(), Mean()
    both = Both({"a": first, "b": [second]})
    assert not both.is_fitted
    first.fit([1.0])
    assert not both.is_fitted
    second.fit([2.0])
    assert both.is_fitted


def test_an_unfitted_copy_has_the_arguments_and_nothing_that_was_learned():
    part = Mean(scale=2.0).fit([1.0, 3.0])
    both = Both({"a": part, "b": [Captured(4)]}, sizes=(5, 6))
    both.parts["b"][0].trained = True
    made = both.unfitted()
    assert made.parts["a"].scale == 2.0
    assert made.parts["a"].mean is None
    assert made.parts["b"][0].width == 4
    assert not made.parts["b"][0].trained
    assert made.sizes == (5, 6)
    assert part.mean == [4.0]


def test_plain_values_are_kept():
    namespace = SimpleNamespace(a=1)
    assert Both([namespace]).unfitted().parts == [namespace]


PLUGIN = """
import numpy as np, stone
from dc_core import WeightInfo, errors, hookimpl


@hookimpl
def dc_describe_weights(obj):
    if not isinstance(obj, stone.Net):
        raise errors.NotClaimed("not a net")
    return {"0": WeightInfo("w", (1,), np.dtype(float))}


@hookimpl
def dc_export_weights(obj, names, copy):
    return {"0": np.zeros(1)}


@hookimpl
def dc_import_weights(obj, weights, allow_missing, copy):
    return obj


@hookimpl
def dc_describe_component(obj):
    return ("stone/Known", {"width": obj.width}) if isinstance(obj, stone.Known) else None


@hookimpl
def dc_build_component(name, params):
    return stone.Known(**params)
"""
FRAMEWORK = """
class Net: pass
class Scalar: pass
class Known(Net):
    def __init__(self, width): self.width, self.trained = width, False
"""


@pytest.fixture
def stone(install):
    modules = {"stone": FRAMEWORK, "stone_plugin": PLUGIN}
    install("dc-stone", {"dc.backends.v1": {"stone": "stone_plugin"}}, modules)
    return import_module("stone")


def test_objects_that_their_backend_can_build_are_made_anew(stone):
    known = stone.Known(3)
    known.trained = True
    (made,) = Both([known]).unfitted().parts
    assert (made.width, made.trained) == (3, False)


def test_an_object_that_cannot_be_made_anew_is_named(stone):
    with pytest.raises(NotSerializable, match="This Net cannot be made anew"):
        Both({"nets": (stone.Net(),)}).unfitted()


def test_a_value_of_a_framework_without_weights_is_kept(stone):
    value = stone.Scalar()
    assert Both([value]).unfitted().parts == [value]


@pytest.mark.parametrize("chosen", ["torch", "jax", None])
def test_a_class_that_any_backend_serves_is_described_without_one(chosen):
    @register_model("tests/Anywhere")
    class Anywhere(Model):
        def __init__(self, width):
            self.width, self.backend = width, chosen

    model = Anywhere(3)
    assert model.backend == chosen
    assert registry.describe(model).backend is None
