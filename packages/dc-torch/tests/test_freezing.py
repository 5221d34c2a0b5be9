"""Frozen parameters, and other learning rates for some of them."""

import pytest
import torch
from torch import nn

from dc_core.errors import DatasetError, ParameterError
from dc_torch import Callback, MultitaskRegressor, TorchModel

BODY = ("0.*", "1.*")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, 1))


def model(**options):
    settings = {"epochs": 4, "batch_size": 16, "learning_rate": 0.05, **options}
    return TorchModel(network(), **settings)


def bits(module):
    return {name: tensor.numpy().tobytes() for name, tensor in module.state_dict().items()}


def changed(before, after):
    return {name for name in before if before[name] != after[name]}


class Keeping(Callback):
    def __init__(self):
        self.epochs = []

    def on_epoch_end(self, model, epoch):
        self.epochs.append(bits(model.module))


@pytest.mark.parametrize("options", [{}, {"optimizer": "adamw", "gradient_clip": 0.1}])
def test_frozen_parameters_and_statistics_stay_bit_for_bit(rows, more_rows, options):
    trained = model(freeze=BODY, optimizer_options={"weight_decay": 0.1}, **options)
    before = bits(trained.module)
    trained.fit(rows, valid=more_rows)
    assert changed(before, bits(trained.module)) == {"3.weight", "3.bias"}


def test_frozen_parameters_are_trained_after_the_epochs_of_unfreeze_after(rows):
    keeping = Keeping()
    trained = model(freeze=BODY, unfreeze_after=2)
    before = bits(trained.module)
    trained.fit(rows, callbacks=[keeping])
    body = {name for name in before if name[0] in "01"}
    assert [bool(changed(before, epoch) & body) for epoch in keeping.epochs] == [
        False,
        False,
        True,
        True,
    ]
    assert changed(before, keeping.epochs[2]) == set(before)


@pytest.mark.parametrize("epochs", [1, 2, 3])
@pytest.mark.parametrize("optimizer", ["adam", "sgd", "adagrad"])
def test_training_that_unfreezes_is_resumed_exactly(rows, epochs, optimizer):
    options = {
        "freeze": BODY,
        "unfreeze_after": 2,
        "learning_rate_factors": {"3.*": 0.5},
        "optimizer": optimizer,
    }
    whole = model(**options).fit(rows)
    first = model(**options).fit(rows, epochs=epochs)
    second = model(**options)
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(rows, resume=True)
    assert bits(second.module) == bits(whole.module)


def test_a_factor_multiplies_the_learning_rate_of_what_it_matches(rows):
    options = {"optimizer": "sgd", "epochs": 1, "batch_size": 60, "gradient_clip": None}
    start = network().state_dict()
    whole, tenth = (
        model(**options, learning_rate_factors=factors).fit(rows).module.state_dict()
        for factors in ({}, {"0.*": 0.1, "*.weight": 0.5})
    )
    for name, factor in {"0.weight": 0.1, "0.bias": 0.1, "3.weight": 0.5, "3.bias": 1.0}.items():
        torch.testing.assert_close(
            tenth[name] - start[name], factor * (whole[name] - start[name]), rtol=1e-4, atol=1e-7
        )


def test_the_recorded_learning_rate_is_that_without_factors(rows):
    trained = model(learning_rate_factors={"0.*": 0.1}, schedule="constant").fit(rows)
    assert [epoch.learning_rate for epoch in trained.history] == [0.05] * 4


def test_gradients_and_modes_are_as_before_after_training_and_after_a_failure(rows):
    trained = model(freeze=BODY).fit(rows, epochs=1)
    assert all(parameter.requires_grad for parameter in trained.module.parameters())
    assert not any(part.training for part in trained.module.modules())
    failing = model(freeze=BODY)
    failing.module[3] = nn.Linear(7, 1)
    with pytest.raises(DatasetError):
        failing.fit(rows)
    assert all(parameter.requires_grad for parameter in failing.module.parameters())


def test_a_pattern_that_matches_no_name_is_an_error(rows):
    with pytest.raises(ParameterError, match=r"layers\.9.*layers\.\d"):
        MultitaskRegressor(1, 8, layer_sizes=(4,), freeze=["layers.9.*"]).fit(rows)
    with pytest.raises(ParameterError, match="body"):
        model(learning_rate_factors={"body.*": 0.1}).fit(rows)


def test_freezing_everything_is_an_error(rows):
    with pytest.raises(ParameterError, match="frozen"):
        model(freeze=["*"], unfreeze_after=1).fit(rows)


@pytest.mark.parametrize(
    "options",
    [
        {"freeze": "0.*"},
        {"freeze": [0]},
        {"freeze": [""]},
        {"unfreeze_after": 0},
        {"learning_rate_factors": ["0.*"]},
        {"learning_rate_factors": {"0.*": 0}},
        {"learning_rate_factors": {0: 1.0}},
    ],
    ids=str,
)
def test_patterns_and_factors_that_cannot_be_used_are_refused(options):
    with pytest.raises(ParameterError):
        model(**options)


class Tied(nn.Module):
    """Two layers that share their weight, which has the names of both."""

    def __init__(self):
        super().__init__()
        self.a, self.b = nn.Linear(8, 8), nn.Linear(8, 8)
        self.b.weight = self.a.weight
        self.out = nn.Linear(8, 1)

    def forward(self, x):
        return self.out(self.b(self.a(x)))


def test_a_shared_parameter_is_matched_by_each_of_its_names(rows):
    factors = {"b.weight": 1e-30, "a.*": 1.0}
    trained = TorchModel(Tied(), epochs=1, optimizer="sgd", learning_rate_factors=factors)
    before = bits(trained.module)
    trained.fit(rows)
    assert changed(before, bits(trained.module)) == {"a.bias", "b.bias", "out.weight", "out.bias"}
    everything = ("b.weight", "a.bias", "b.bias", "out.*")
    with pytest.raises(ParameterError, match="All parameters are frozen"):
        TorchModel(Tied(), freeze=everything).fit(rows)


def test_unfrozen_parameters_begin_with_a_momentum_of_their_own(rows):
    options = {"optimizer": "sgd", "optimizer_options": {"momentum": 0.9}, "learning_rate": 0.01}
    trained = model(freeze=BODY, unfreeze_after=1, **options).fit(rows)
    parts = model(freeze=BODY, unfreeze_after=1, **options).fit(rows, epochs=1)
    assert bits(parts.fit(rows, resume=True).module) == bits(trained.module)


def test_unfreeze_after_needs_parameters_to_freeze():
    with pytest.raises(ParameterError, match="unfreeze_after"):
        model(unfreeze_after=2)
