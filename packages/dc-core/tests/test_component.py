"""Components: fitted arrays, nesting, and imports that happen whole or not at all."""

import numpy as np
import pytest

from dc_core import Component
from dc_core.errors import NotSerializable, ParameterError, UnknownWeight, WeightsMismatch


class Scale(Component):
    fitted = ("mean", "std")

    def __init__(self, eps=1e-6):
        self.mean = self.std = None

    def fit(self, mean, std):
        self.mean, self.std = np.array(mean), np.array(std)
        return self


class Chain(Component):
    def __init__(self, parts, head=None):
        self.parts, self.head = parts, head


def fitted():
    return Chain({"a": Scale().fit([1.0], [2.0]), "b": [Scale().fit([3.0], [4.0])]})


def unfitted():
    return Chain({"a": Scale(), "b": [Scale()]})


def values(component):
    return {name: array.tolist() for name, array in component.export_weights().items()}


WHOLE = {
    "parts/a/mean/0": [1.0],
    "parts/a/std/0": [2.0],
    "parts/b/0/mean/0": [3.0],
    "parts/b/0/std/0": [4.0],
}


def test_children_are_named_by_their_path_in_the_arguments():
    chain = Chain({"a": Scale()}, head=(Scale(), 3, Scale()))
    assert list(chain.children()) == ["parts/a", "head/0", "head/2"]


def test_a_composite_has_its_parts_weights_under_their_paths():
    assert values(fitted()) == WHOLE
    assert list(fitted().describe_weights()) == list(WHOLE)
    assert fitted().describe_weights()["parts/b/0/std/0"].native == "parts.b.0.std"


def test_a_component_that_is_not_fitted_has_no_weights():
    assert unfitted().describe_weights() == {}
    assert unfitted().export_weights() == {}


def test_an_unfitted_composite_takes_the_complete_state():
    chain = unfitted()
    chain.import_weights(fitted().export_weights())
    assert values(chain) == WHOLE


def test_a_composite_that_is_partly_fitted_takes_the_complete_state():
    chain = Chain({"a": Scale().fit([9.0], [9.0]), "b": [Scale()]})
    chain.import_weights(fitted().export_weights())
    assert values(chain) == WHOLE


def test_a_part_that_is_not_fitted_may_stay_so():
    chain = unfitted()
    part = {name: array for name, array in fitted().export_weights().items() if "/a/" in name}
    chain.import_weights(part)
    assert values(chain) == {name: value for name, value in WHOLE.items() if "/a/" in name}


@pytest.mark.parametrize("make", [fitted, unfitted])
@pytest.mark.parametrize("name", WHOLE)
def test_half_of_a_components_fitted_arrays_is_refused_and_changes_nothing(make, name):
    chain = make()
    before = values(chain)
    part = {n: array + 1 for n, array in fitted().export_weights().items() if n != name}
    with pytest.raises(WeightsMismatch) as caught:
        chain.import_weights(part)
    assert caught.value.missing == (name,)
    assert values(chain) == before


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize(
    "wrong", [np.zeros((1, 1)), np.zeros(1, np.float32), [1.0]], ids=["shape", "dtype", "list"]
)
def test_a_weight_that_does_not_fit_is_refused_and_changes_nothing(name, wrong):
    chain = fitted()
    given = {n: array + 1 for n, array in chain.export_weights().items()}
    with pytest.raises(WeightsMismatch, match=name):
        chain.import_weights({**given, name: wrong})
    assert values(chain) == WHOLE


@pytest.mark.parametrize("make", [fitted, unfitted])
def test_a_surplus_weight_is_refused_and_changes_nothing(make):
    chain = make()
    before = values(chain)
    for surplus in ("parts/c/mean/0", "parts/a/mean/1", "elsewhere", ""):
        with pytest.raises(UnknownWeight) as caught:
            chain.import_weights({**fitted().export_weights(), surplus: np.zeros(1)})
        assert len(caught.value.unexpected) == 1
        assert values(chain) == before


def test_text_is_no_weight():
    with pytest.raises(WeightsMismatch, match="cannot be weights"):
        Scale().import_weights({"mean/0": np.array(["a"]), "std/0": np.zeros(1)})
    with pytest.raises(NotSerializable, match=r"Scale\.mean"):
        Scale().fit(["a"], [1.0]).describe_weights()


def test_exports_are_detached_and_c_ordered():
    scale = Scale()
    scale.mean, scale.std = np.asfortranarray(np.ones((2, 3))), 1.0
    for copy in (True, False):
        assert scale.export_weights(copy=copy)["mean/0"].flags.c_contiguous
    exported = scale.export_weights()["mean/0"]
    exported[:] = 0
    assert scale.mean.all()


def test_imports_copy_unless_told_otherwise():
    given = {"mean/0": np.ones(1), "std/0": np.ones(1)}
    kept, copied = Scale(), Scale()
    kept.import_weights(given, copy=False)
    copied.import_weights(given)
    assert kept.mean is given["mean/0"]
    assert not np.shares_memory(copied.mean, given["mean/0"])


def test_allowed_missing_weights_stay():
    chain = fitted()
    given = {n: a + 1 for n, a in chain.export_weights().items() if n != "parts/a/mean/0"}
    chain.import_weights(given, {"parts/a/mean/0", "no/such/name"})
    assert values(chain) == {
        n: v if n == "parts/a/mean/0" else [v[0] + 1] for n, v in WHOLE.items()
    }


def test_a_fitted_attribute_named_like_a_component_argument_is_ambiguous():
    class Clash(Component):
        fitted = ("head",)

        def __init__(self, head):
            self.head = head

    with pytest.raises(ParameterError, match="'head'"):
        Clash(Scale()).describe_weights()


@pytest.mark.parametrize(
    "parts", [{"a/b": Scale(), "a": {"b": Scale()}}, {1: Scale(), "1": Scale()}]
)
def test_keys_that_give_two_parts_one_path_are_ambiguous(parts):
    with pytest.raises(ParameterError, match="Two parts of"):
        Chain(parts).children()


def test_parts_whose_native_names_would_be_equal_are_ambiguous():
    parts = {"a.b": Scale().fit([1.0], [1.0]), "a": {"b": Scale().fit([1.0], [1.0])}}
    with pytest.raises(ParameterError, match=r"parts\.a\.b\.mean"):
        Chain(parts).describe_weights()


def test_a_key_with_a_slash_names_its_part_all_the_same():
    chain = Chain({"a/b": Scale().fit([1.0], [2.0])})
    twin = Chain({"a/b": Scale()})
    twin.import_weights(chain.export_weights())
    assert values(twin) == values(chain) == {"parts/a/b/mean/0": [1.0], "parts/a/b/std/0": [2.0]}


def test_unknown_names_cannot_be_exported():
    with pytest.raises(UnknownWeight):
        fitted().export_weights(["elsewhere/0"])
