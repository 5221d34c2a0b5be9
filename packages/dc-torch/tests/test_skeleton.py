"""Skeletons: weights without values where that is right, and the real thing where it is not."""

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import byte_budget, plugins
from dc_core.errors import BudgetExceeded, NotFitted, ParameterError
from dc_torch import MultitaskClassifier, MultitaskRegressor, TorchModel
from dc_torch.rng import get_rng_state, isolated_rng, seed_rng


def skeleton(build):
    return plugins.backend("torch").skeleton(build)


def weights_of(module):
    return plugins.claim(module).export_weights()


def on_meta(module):
    return {tensor.is_meta for tensor in module.state_dict().values()}


def net():
    return nn.Sequential(nn.Linear(8, 64), nn.BatchNorm1d(64), nn.GRU(64, 4))


class Rotary(nn.Module):
    """Has a buffer that is not persistent, as rotary position embeddings do."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.register_buffer("angles", torch.arange(4.0) / 3, persistent=False)

    def forward(self, x):
        return self.linear(x) * self.angles


class Attribute(nn.Module):
    """Keeps a tensor in a plain attribute."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.scale = {"all": [torch.full((4,), 3.0)]}

    def forward(self, x):
        return self.linear(x) * self.scale["all"][0]


class Closure(nn.Module):
    """Keeps a tensor where no walk over attributes finds it."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        shift = torch.ones(4)
        self.shifted = lambda x: x + shift

    def forward(self, x):
        return self.shifted(self.linear(x))


class NeedsValues(nn.Module):
    """Computes its layers' rates with torch, as networks with stochastic depth do."""

    def __init__(self):
        super().__init__()
        rates = torch.linspace(0, 0.5, 3).tolist()
        self.layers = nn.Sequential(*(nn.Dropout(rate) for rate in rates), nn.Linear(4, 4))

    def forward(self, x):
        return self.layers(x)


class OnCpu(nn.Module):
    """Initialises a tensor for which it names a device."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.scale = nn.init.constant_(torch.empty(4, device="cpu"), 3.0)

    def forward(self, x):
        return self.linear(x) * self.scale


class Listed(nn.Module):
    """Refers to its parameters a second time, in a list."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.rand(4, 4))
        self.all = [self.weight]

    def forward(self, x):
        return x @ self.all[0]


def test_a_skeleton_allocates_no_weights():
    assert on_meta(skeleton(net)) == {True}


def test_a_skeleton_cannot_be_too_large():
    module = skeleton(lambda: nn.Linear(10**6, 10**6))
    assert module.weight.shape == (10**6, 10**6)


@pytest.mark.parametrize("copy", [True, False])
@pytest.mark.parametrize("build", [Rotary, Attribute, Closure, NeedsValues, OnCpu, Listed])
def test_tensors_that_are_not_weights_keep_their_values(build, copy):
    original, x = build().eval(), torch.linspace(-1, 1, 8).reshape(2, 4)
    module = skeleton(build).eval()
    plugins.claim(module).import_weights(weights_of(original), copy=copy)
    assert torch.equal(module(x), original(x))


@pytest.mark.parametrize("copy", [True, False])
def test_recurrent_layers_run_on_the_weights_they_are_given(copy):
    original, x = nn.LSTM(3, 4, bidirectional=True), torch.ones(2, 1, 3)
    module = skeleton(lambda: nn.LSTM(3, 4, bidirectional=True))
    assert on_meta(module) == {True}
    plugins.claim(module).import_weights(weights_of(original), copy=copy)
    assert torch.equal(module(x)[0], original(x)[0])
    module(x)[0].sum().backward()
    assert module.weight_ih_l0.grad is not None


class Marked(nn.Parameter):
    """A parameter of a class of its own."""


@pytest.mark.parametrize("copy", [True, False])
def test_parameters_keep_their_class_and_attributes(copy):
    def build():
        module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
        module[0].weight.requires_grad_(False)
        module[0].bias = Marked(torch.zeros(2))
        module[0].bias.group = "slow"
        module[1].weight = module[0].weight
        return module

    module = skeleton(build)
    plugins.claim(module).import_weights(weights_of(build()), copy=copy)
    assert on_meta(module) == {False}
    assert module[0].weight is module[1].weight
    assert not module[0].weight.requires_grad
    assert type(module[0].bias) is Marked
    assert module[0].bias.group == "slow"
    assert module[1].bias.requires_grad
    assert module[1].bias.is_leaf
    assert [name for name, _ in module.named_parameters()] == [
        name for name, _ in build().named_parameters()
    ]


def test_a_skeleton_with_copied_weights_is_detached_from_the_arrays():
    module = skeleton(lambda: nn.Linear(2, 1))
    given = {"0": np.ones((1, 2), np.float32), "1": np.ones(1, np.float32)}
    plugins.claim(module).import_weights(given, copy=True)
    given["0"][:] = 7
    assert module.weight.eq(1).all()


class Views(nn.Module):
    """Has weights that are parts of one memory."""

    def __init__(self):
        super().__init__()
        flat = torch.rand(6)
        self.flat = nn.Parameter(flat)
        self.register_buffer("head", flat[:2])


class WithExtraState(nn.Linear):
    def get_extra_state(self):
        return {"steps": 3}


@pytest.mark.parametrize(
    "build", [lambda: nn.LazyLinear(3), lambda: WithExtraState(2, 2)], ids=["lazy", "extra state"]
)
def test_what_cannot_be_stored_can_still_be_built(build):
    assert isinstance(skeleton(build), nn.Linear)


def test_weights_that_share_memory_still_share_it_after_loading():
    original, module = Views(), skeleton(Views)
    plugins.claim(module).import_weights(weights_of(original), copy=False)
    assert torch.equal(module.head, original.head)
    with torch.no_grad():
        module.flat.fill_(3)
    assert module.head.eq(3).all()


def test_a_skeleton_is_trainable_once_it_has_its_weights():
    module = skeleton(lambda: nn.Linear(2, 1))
    plugins.claim(module).import_weights(weights_of(nn.Linear(2, 1)), copy=False)
    module(torch.ones(3, 2)).sum().backward()
    assert module.bias.grad.tolist() == [3.0]


@pytest.mark.parametrize("build", [net, Rotary, NeedsValues, lambda: MultitaskRegressor(1, 4)])
def test_building_a_skeleton_draws_no_random_number(build):
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    skeleton(build)
    assert torch.equal(torch.rand(3), expected)


def test_the_default_device_does_not_change():
    skeleton(net)
    with pytest.raises(ZeroDivisionError):
        skeleton(lambda: 1 // 0)
    assert torch.empty(1).device.type == "cpu"


def test_predicting_without_values_is_a_typed_error():
    model = skeleton(lambda: MultitaskRegressor(1, 8))
    with pytest.raises(NotFitted, match=r"layers\.0\.weight.*set_weights"):
        model.predict(np.zeros((2, 8), np.float32))


def test_a_model_takes_the_weights_of_another():
    model = MultitaskRegressor(2, 8, layer_sizes=(5,))
    other = skeleton(lambda: MultitaskRegressor(2, 8, layer_sizes=(5,)))
    other.set_weights(model.get_weights())
    x = np.ones((3, 8), np.float32)
    assert np.array_equal(model.predict(x), other.predict(x))


def test_a_given_module_is_not_rebuilt():
    module = nn.Linear(2, 1)
    assert skeleton(lambda: TorchModel(module)).native is module
    assert not module.weight.is_meta


@pytest.mark.parametrize("sizes", [[200_000_000, 2**62], [2**62], [2**31 - 1, 2**31 - 1], [2**30]])
def test_layer_sizes_of_a_file_allocate_nothing_beyond_the_budget(sizes):
    try:
        with byte_budget(1 << 20):
            model = skeleton(lambda: MultitaskRegressor(1, 2, layer_sizes=sizes))
    except (BudgetExceeded, ParameterError):
        return
    assert on_meta(model.module) == {True}


class Legacy(nn.Module):
    """Allocates its weight as old code does, where no device is asked for."""

    def __init__(self, n):
        super().__init__()
        self.weight = nn.Parameter(nn.init.zeros_(torch.Tensor(n)))


class OnDevice(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.table = torch.zeros(n, device="cpu")


class Repeated(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.table = torch.ones(1, device="cpu").repeat(n)


class New(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("table", torch.ones(2).new_zeros(n), persistent=False)


class Expanded(nn.Module):
    def __init__(self, n):
        super().__init__()
        self.register_buffer("table", torch.ones(1).expand(n).clone(), persistent=False)


@pytest.mark.parametrize("cls", [Legacy, OnDevice, Repeated, New, Expanded])
def test_tensors_that_do_not_follow_the_meta_device_are_charged_before_they_are_written(cls):
    with byte_budget(1 << 20):
        assert isinstance(skeleton(lambda: cls(1000)), cls)
        with pytest.raises(BudgetExceeded):
            skeleton(lambda: cls(10**8))


def test_a_size_that_overflows_allocates_nothing():
    with pytest.raises(BudgetExceeded, match="No tensor of that size"):
        skeleton(lambda: nn.Linear(2**40, 2**40))


def test_what_is_built_for_real_is_charged_before_it_is_allocated():
    class Table(nn.Module):
        def __init__(self, n):
            super().__init__()
            self.register_buffer("table", torch.zeros(n), persistent=False)

    with byte_budget(1 << 20):
        assert skeleton(lambda: Table(1000)).table.sum() == 0
        with pytest.raises(BudgetExceeded, match="10000000000"):
            skeleton(lambda: Table(10**10))
    assert skeleton(lambda: Table(1 << 20)).table.shape == (1 << 20,)


def test_a_skeleton_restores_the_random_numbers_once_for_nested_isolations(monkeypatch):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            with isolated_rng():
                seed_rng(3)
                self.width = int(np.random.randint(1, 9))  # noqa: NPY002
            self.layer = nn.Linear(self.width, 2)

    saved = []
    monkeypatch.setattr("dc_torch.rng.get_rng_state", lambda: saved.append(1) or get_rng_state())
    before = get_rng_state()
    built = skeleton(Net)
    assert saved == [1]
    after = get_rng_state()
    assert torch.equal(after.torch, before.torch)
    assert repr(after.numpy) == repr(before.numpy)
    assert built.width == Net().width


def test_predictions_of_many_classes_are_charged_to_the_load_that_asks_for_them():
    def build():
        return MultitaskClassifier(1, 2, n_classes=65_535, layer_sizes=(1,))

    with byte_budget(64 << 20), pytest.raises(BudgetExceeded, match="65535 numbers a row"):
        skeleton(build)
    with byte_budget(64 << 20):
        skeleton(lambda: MultitaskClassifier(1310, 2, layer_sizes=(1,)))
    assert build().config.loss == "cross_entropy"
