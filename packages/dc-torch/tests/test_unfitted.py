"""A model made anew learns what the first fit learned, whatever happened to the first one since."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset, register_component
from dc_core.errors import NotSerializable
from dc_torch import MultitaskRegressor, TorchModel


class Unregistered(nn.Linear):
    """A layer of a class without a name."""


@register_component("dc-torch-tests/Scaled")
class Scaled(nn.Module):
    def __init__(self, encoder, width):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(width, 1)
        self.register_buffer("scale", torch.rand(1))
        self.register_buffer("shift", torch.rand(1), persistent=False)

    def forward(self, x):
        return self.head(self.encoder(x)) * self.scale + self.shift


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in {*first, *second})


MODULES = {
    "layers": lambda: nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 1)),
    "registered": lambda: Scaled(nn.Sequential(nn.Linear(8, 4), nn.Tanh()), 4),
    "unregistered": lambda: Unregistered(8, 1),
    "frozen": lambda: nn.Sequential(nn.Linear(8, 4).requires_grad_(False), nn.Linear(4, 1)),
}


@pytest.mark.parametrize("kind", MODULES)
def test_fitting_anew_equals_the_first_fit_from_any_initial_weights(kind, rows):
    torch.manual_seed(11)  # other than the config's seed
    model = TorchModel(MODULES[kind](), epochs=2)
    start = model.get_weights()
    first = model.fit(rows).get_weights()
    model.fit(rows)
    anew = model.unfitted()
    assert same(anew.get_weights(), start)
    assert same(anew.fit(rows).get_weights(), first)
    assert same(anew.unfitted().fit(rows).get_weights(), first)
    assert same(copy.deepcopy(model).unfitted().get_weights(), start)
    assert [p.requires_grad for p in anew.module.parameters()] == [
        p.requires_grad for p in model.module.parameters()
    ]
    if kind == "registered":
        assert torch.equal(anew.module.shift, model.module.shift)


def test_an_unfitted_copy_shares_nothing_with_the_model(rows):
    model = TorchModel(nn.Linear(8, 1))
    anew = model.unfitted()
    before = model.get_weights()
    anew.fit(rows)
    assert same(model.get_weights(), before)


def test_a_model_whose_weights_were_set_is_made_anew_from_the_seed(rows):
    model = TorchModel(MODULES["layers"](), epochs=1)
    model.set_weights(TorchModel(MODULES["layers"](), epochs=1).fit(rows).get_weights())
    first, second = model.unfitted(), model.unfitted()
    assert not same(first.get_weights(), model.get_weights())
    assert same(first.get_weights(), second.get_weights())
    assert np.isfinite(first.fit(rows).predict(rows)).all()


def test_a_module_that_cannot_be_made_anew_is_refused_once_its_weights_were_set():
    model = TorchModel(Unregistered(8, 1))
    model.set_weights(model.get_weights())
    with pytest.raises(NotSerializable, match="Register its class"):
        model.unfitted()


def test_equal_arguments_and_seeds_give_equal_first_weights():
    first, second = (MultitaskRegressor(1, 8, layer_sizes=(4,), seed=3) for _ in range(2))
    assert same(first.get_weights(), second.get_weights())
    assert same(first.unfitted().get_weights(), first.get_weights())


def test_training_or_setting_weights_makes_a_model_fitted(rows):
    model = MultitaskRegressor(1, 8, layer_sizes=(4,), epochs=1)
    assert not model.is_fitted
    assert not model.unfitted().is_fitted
    other = MultitaskRegressor(1, 8, layer_sizes=(4,))
    other.set_weights(model.get_weights())
    assert other.is_fitted
    assert copy.deepcopy(other).is_fitted
    assert model.fit(rows).is_fitted
    assert not model.unfitted().is_fitted


def test_a_second_fit_continues_from_the_present_weights(rows):
    model = MultitaskRegressor(1, 8, layer_sizes=(4,), epochs=1, dropout=0.0)
    model.fit(rows)
    (first,) = model.history
    model.fit(rows)
    (second,) = model.history
    assert second.loss < first.loss
    assert isinstance(rows, NumpyDataset)
