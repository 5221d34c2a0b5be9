"""Models: mappings of named weights, composites, training state, and the way to a hub."""

import copy
import pickle

import numpy as np
import pytest

from dc_core import Estimator, Model, Transformer
from dc_core.errors import (
    BackendNotInstalled,
    HubNotInstalled,
    ParameterError,
    StructureError,
    TrainingStateError,
    UnknownWeight,
    WeightsMismatch,
)
from dc_core.plugins import BACKENDS, PRETRAINED


class Scaler(Transformer):
    fitted = ("mean",)

    def __init__(self):
        self.mean = None

    def fit(self, dataset):
        return self

    def transform(self, dataset):
        return dataset


class LinearNet(Estimator):
    fitted = ("coef", "bias")

    def __init__(self, width=2):
        self.coef = np.arange(width, dtype=np.float32)
        self.bias = np.zeros((), np.float32)
        self.step = 0

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return dataset

    def get_training_state(self):
        return {"step": np.array(self.step)}

    def set_training_state(self, state):
        if set(state) != {"step"}:
            raise TrainingStateError("no step")
        self.step = int(state["step"])


class Chain(Model):
    def __init__(self, model, transformers=()):
        self.model, self.transformers = model, transformers


class Holder(Model):
    def __init__(self, native):
        self._native = native

    @property
    def native(self):
        return self._native


@pytest.fixture
def tiny(install, graveyard):
    install("tiny-backend", {"dc.backends.v1": {"tiny": "tiny_backend.plugin"}})
    return graveyard("tiny")


def test_names_begin_with_the_model_s_name():
    assert list(LinearNet()) == ["linear_net/coef/0", "linear_net/bias/0"]
    assert len(LinearNet()) == 2


@pytest.mark.parametrize(
    ("cls", "name"),
    [("GCN", "gcn"), ("MyNet", "my_net"), ("DMPNNModel", "dmpnn_model"), ("Net2Net", "net2_net")],
)
def test_a_class_s_name_becomes_snake_case(cls, name):
    assert type(cls, (Model,), {})().name == name


def test_weights_are_read_and_set_by_name():
    model = LinearNet()
    model["linear_net/coef/0"] = np.array([5, 6], np.float32)
    assert model["linear_net/coef/0"].tolist() == [5, 6]
    assert model.get_weight("linear_net/bias/0").shape == ()
    assert "linear_net/coef/0" in model
    assert "coef/0" not in model
    assert None not in model


@pytest.mark.parametrize("name", ["coef/0", "linear_net/none/0", "linear_net/", "linear_net", ""])
def test_an_unknown_name_is_a_key_error_in_words(name):
    model = LinearNet()
    for attempt in (lambda: model[name], lambda: model.set_weight(name, np.zeros(1))):
        with pytest.raises(KeyError, match="LinearNet has no weight") as caught:
            attempt()
        assert isinstance(caught.value, UnknownWeight)


def test_a_model_is_a_mapping_of_its_weights():
    model = LinearNet()
    assert list(model.keys()) == list(model)
    for mapping in (
        dict(model),
        dict(model.items()),
        dict(zip(model, model.values(), strict=True)),
    ):
        assert list(mapping) == list(model.get_weights())
        assert all(np.array_equal(mapping[name], model[name]) for name in model)


@pytest.mark.parametrize("name", [0, None, ("linear_net/coef/0",)])
def test_a_name_that_is_no_text_is_an_unknown_weight(name):
    model = LinearNet()
    assert name not in model
    with pytest.raises(UnknownWeight, match="LinearNet has no weight"):
        model[name]
    with pytest.raises(UnknownWeight):
        model[name] = np.zeros(2)
    with pytest.raises(UnknownWeight):
        model.set_weights({name: np.zeros(2)})


def test_errors_name_the_weight_as_the_caller_does():
    chain = Chain(LinearNet(), [Scaler()])
    weights = chain.get_weights()
    weights["chain/model/coef/0"] = np.zeros(3, np.float32)
    with pytest.raises(WeightsMismatch, match="'chain/model/coef/0' has shape"):
        chain.set_weights(weights)
    del weights["chain/model/coef/0"]
    with pytest.raises(WeightsMismatch, match="missing: 'chain/model/coef/0'"):
        chain.set_weights(weights)


def test_a_model_without_weights_is_true_and_empty():
    model = Holder(None)
    assert model
    assert (len(model), list(model), model.get_weights()) == (0, [], {})


def test_a_composite_with_an_unfitted_part_takes_a_whole_state():
    fitted, blank = Chain(LinearNet(), [Scaler()]), Chain(LinearNet(), [Scaler()])
    fitted.transformers[0].mean = np.array([7.0])
    fitted.model.bias = np.array(3, np.float32)
    blank.set_weights(fitted.get_weights())
    assert {n: a.tolist() for n, a in blank.get_weights().items()} == {
        "chain/model/coef/0": [0, 1],
        "chain/model/bias/0": 3,
        "chain/transformers/0/mean/0": [7.0],
    }


def test_a_scalar_weight_can_be_computed_with():
    model = LinearNet()
    model["linear_net/bias/0"] = model["linear_net/bias/0"] + 2
    assert model["linear_net/bias/0"] == 2
    assert model["linear_net/bias/0"].shape == model.bias.shape == ()


def test_allow_missing_keeps_what_is_there():
    model = LinearNet()
    model.set_weights({"linear_net/bias/0": np.array(2, np.float32)}, model)
    assert model["linear_net/coef/0"].tolist() == [0, 1]
    assert model["linear_net/bias/0"] == 2


@pytest.mark.parametrize("make", [LinearNet, lambda: Chain(LinearNet())])
def test_allow_missing_given_as_one_name_is_refused_and_changes_nothing(make):
    model = make()
    before = {name: array.tolist() for name, array in model.items()}
    (name, array), *_ = model.items()
    with pytest.raises(ParameterError, match=r"\['linear_net/coef/0'\]"):
        model.set_weights({name: array + 1}, "linear_net/coef/0")
    assert {name: array.tolist() for name, array in model.items()} == before


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies_are_models_of_their_own(duplicate):
    chain = Chain(LinearNet())
    twin = duplicate(chain)
    twin["chain/model/bias/0"] = np.ones((), np.float32)
    assert chain["chain/model/bias/0"] == 0
    assert twin["chain/model/bias/0"] == twin.model.bias == 1


def test_a_nested_model_s_training_state_carries_its_path():
    chain = Chain(LinearNet())
    chain.model.step = 5
    assert chain.get_training_state() == {"model/step": 5}
    twin = Chain(LinearNet())
    twin.set_training_state(chain.get_training_state())
    assert twin.model.step == 5


def test_a_foreign_training_state_changes_no_nested_model():
    chain = Chain(LinearNet())
    with pytest.raises(TrainingStateError, match="'other/step'"):
        chain.set_training_state({"model/step": np.array(9), "other/step": np.array(1)})
    assert chain.model.step == 0


def test_a_training_state_that_a_later_model_refuses_changes_no_earlier_one():
    both = Chain(LinearNet(), [LinearNet()])
    both.model.step = 3
    with pytest.raises(TrainingStateError, match="no step"):
        both.set_training_state({"model/step": np.array(9), "transformers/0/pace": np.array(1)})
    assert both.model.step == 3


def test_a_framework_s_object_is_a_model_s_weights(tiny):
    model = Holder(tiny.Net(1))
    assert "holder/dense/0" in model
    assert model.weight_table()["holder/dense/0"].native == "dense.weight"
    other = Holder(tiny.Net(2))
    other.set_weights(model.get_weights())
    assert np.array_equal(other.native(tiny.INPUTS), model.native(tiny.INPUTS))


def test_a_missing_backend_is_named_when_weights_are_asked_for(monkeypatch):
    module = type("Module", (), {"__module__": "jax.nn"})()
    monkeypatch.setattr(BACKENDS, "_entries", {})
    with pytest.raises(BackendNotInstalled, match=r"pip install (--upgrade )?dc-jax"):
        Holder(module).get_weights()


@pytest.fixture
def picky(tiny):
    """Return a class of networks that refuse a negative weight, as a bad structure is refused."""
    from tiny_backend import plugin

    class Picky(tiny.Scaler):
        @property
        def mean_(self):
            return vars(self).get("mean")

        @mean_.setter
        def mean_(self, value):
            if (value < 0).any():
                raise StructureError("A mean is negative.")
            vars(self)["mean"] = value

    assert plugin.arrays_of(Picky()) == {}
    return Picky


def means(chain):
    return [array.tolist() for name, array in chain.get_weights().items() if name.endswith("/0")]


@pytest.mark.parametrize("fitted", [(), (0,), (1,), (0, 1)], ids=str)
@pytest.mark.parametrize("refusing", [0, 1])
def test_when_one_part_refuses_its_structure_no_part_has_changed(picky, fitted, refusing):
    def parts(value):
        return [Holder(picky().fit(np.full((2, 3), value))) for _ in range(2)]

    chain = Chain(None, [Holder(picky()), Holder(picky())])
    for i in fitted:
        chain.transformers[i].native.fit(np.full((2, 3), 1.0))
    before = {name: array.tolist() for name, array in chain.get_weights().items()}
    given = Chain(None, parts(5.0)).get_weights()
    given[f"chain/transformers/{refusing}/0"][:] = -1
    with pytest.raises(StructureError):
        chain.set_weights(given)
    assert {name: array.tolist() for name, array in chain.get_weights().items()} == before


@pytest.mark.parametrize("wrong", ["0", "7"])
def test_what_an_unfitted_part_cannot_take_leaves_a_framework_s_object_alone(tiny, wrong):
    chain = Chain(Holder(tiny.Net(1)), [Scaler()])
    before = chain.get_weights()
    given = Chain(Holder(tiny.Net(2))).get_weights()
    given[f"chain/transformers/0/mean/{wrong}"] = [1.0]
    with pytest.raises(WeightsMismatch):
        chain.set_weights(given)
    after = chain.get_weights()
    assert list(after) == list(before)
    assert all(np.array_equal(after[name], before[name]) for name in before)


def test_a_framework_s_object_that_is_given_nothing_is_left_alone(picky):
    chain = Chain(LinearNet(), [Holder(picky())])
    chain.set_weights(Chain(LinearNet()).get_weights())
    assert "chain/transformers/0/0" not in chain


def test_without_a_hub_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(PRETRAINED, "_entries", {})
    with pytest.raises(HubNotInstalled, match="pip install dc-hub"):
        LinearNet().to_pretrained("mine/net")
    with pytest.raises(HubNotInstalled, match="pip install dc-hub"):
        LinearNet.from_pretrained("mine/net")
