"""The learning-rate range test: it finds useful rates, and leaves the model as it was."""

import math
import signal

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_torch import MultitaskRegressor, TorchModel


def regressor(**options):
    settings = {"layer_sizes": (16,), "epochs": 5, "batch_size": 16, "optimizer": "sgd"}
    return MultitaskRegressor(1, 8, **{**settings, **options})


def test_the_rates_grow_by_a_constant_factor_until_the_loss_has_risen(rows):
    found = regressor().learning_rate_range(rows, minimum=1e-5, maximum=1e3, steps=80)
    ratios = np.diff(np.log(found.rates))
    np.testing.assert_allclose(ratios, math.log(1e8) / 79)
    assert found.rates[0] == pytest.approx(1e-5)
    assert len(found.rates) == len(found.losses) == len(found.changes) < 80
    assert "suggestion" in repr(found)


def test_the_suggested_rate_is_useful(rows):
    found = regressor(dropout=0.0).learning_rate_range(rows, minimum=1e-5, maximum=1e2)
    assert 1e-3 < found.suggestion < 1
    trained = regressor(dropout=0.0, learning_rate=found.suggestion, epochs=20).fit(rows)
    assert trained.history[-1].loss < 0.5 * found.losses[0]


@pytest.mark.parametrize("options", [{}, {"accumulate": 3, "optimizer": "adam"}])
def test_losses_are_those_of_training_with_such_rates(rows, options):
    model = regressor(batch_size=60, dropout=0.0, **options)
    found = model.learning_rate_range(rows, minimum=0.01, maximum=0.010001, steps=10)
    trained = regressor(batch_size=60, dropout=0.0, learning_rate=0.01, epochs=10, **options).fit(
        rows
    )
    assert found.losses == pytest.approx([epoch.loss for epoch in trained.history], rel=1e-3)


def module_with_statistics():
    return nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.Dropout(0.3), nn.Linear(6, 1))


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("fitted", [True, False])
def test_the_model_and_the_random_numbers_of_the_program_stay_as_they_were(rows, fitted):
    model = TorchModel(module_with_statistics(), epochs=4, batch_size=16)
    if fitted:
        model.fit(rows, valid=rows, epochs=2)
    before = {name: tensor.clone() for name, tensor in model.module.state_dict().items()}
    state, history = model.get_training_state(), model.history
    drawn = torch.random.get_rng_state()
    model.learning_rate_range(rows)
    assert torch.equal(torch.random.get_rng_state(), drawn)
    assert all(torch.equal(t, before[name]) for name, t in model.module.state_dict().items())
    assert model.get_training_state().keys() == state.keys()
    assert same(model.get_training_state(), state)
    assert model.history == history
    assert not model.module.training
    if fitted:
        model.fit(rows, valid=rows, resume=True)


def test_an_interrupted_test_leaves_the_model_as_it_was(rows):
    class Interrupting(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear, self.calls = nn.Linear(8, 1), 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 107:
                signal.raise_signal(signal.SIGINT)
            return self.linear(x)

    model = TorchModel(Interrupting(), learning_rate=0.1)
    before = model.get_weights()
    with pytest.raises(KeyboardInterrupt):
        model.learning_rate_range(rows, minimum=0.01)
    assert model.module.calls == 107
    assert same(model.get_weights(), before)


@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("seed", [1, 2])
def test_the_suggestion_does_not_depend_on_how_hard_the_rows_of_a_step_are(optimizer, seed):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(450, 32)).astype(np.float32)
    y = np.sin(X[:, :1]) + X[:, 1:2] * X[:, 2:3] + 0.1 * rng.normal(size=(450, 1))
    options = {"layer_sizes": (64,), "batch_size": 32, "dropout": 0.1, "seed": seed}
    model = MultitaskRegressor(1, 32, optimizer=optimizer, **options)
    found = model.learning_rate_range(NumpyDataset(X, y))
    assert 1e-4 < found.suggestion < 1
    assert np.abs(found.changes[:20]).max() < 0.01 < np.std(found.losses[:20])


def test_without_a_falling_loss_nothing_is_suggested(rows):
    constant = NumpyDataset(rows.X, np.zeros((60, 1)))
    linear = nn.Linear(8, 1)
    nn.init.zeros_(linear.weight)
    nn.init.zeros_(linear.bias)
    assert TorchModel(linear).learning_rate_range(constant).suggestion is None


@pytest.mark.parametrize(
    "options",
    [{"minimum": 0}, {"maximum": math.inf}, {"minimum": 1, "maximum": 0.1}, {"steps": 3}],
)
def test_rates_that_cannot_be_used_are_refused(rows, options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        regressor().learning_rate_range(rows, **options)


def test_rows_without_labels_are_refused(rows):
    with pytest.raises(EmptyDataset):
        regressor().learning_rate_range(rows.select([]))
    unlabelled = NumpyDataset(rows.X, np.full((60, 1), np.nan))
    with pytest.raises(DatasetError, match="label"):
        regressor().learning_rate_range(unlabelled)
