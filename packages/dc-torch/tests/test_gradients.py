"""Gradients of a step: in parts, clipped, and with weight decay for some parameters."""

import signal

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, ParameterError, TrainingDiverged
from dc_torch import Callback, MultitaskRegressor, TorchModel


def regressor(tasks=2, **options):
    settings = {"layer_sizes": (16,), "epochs": 4, "batch_size": 20, "dropout": 0.0}
    return MultitaskRegressor(tasks, 8, **{**settings, **options})


@pytest.fixture
def sparse(rows):
    """Two tasks: few labels in the second, and weights that differ widely."""
    rng = np.random.default_rng(0)
    y = np.hstack([rows.y, 3 * rows.y])
    y[rng.random(y.shape) < [0.1, 0.8]] = np.nan
    return NumpyDataset(rows.X, y, 10.0 ** rng.integers(-2, 3, size=y.shape))


class Probe(nn.Module):
    """A linear layer that notes the rows and random numbers of each call, and may fail at one."""

    def __init__(self, fails_at=None, spoils_at=None):
        super().__init__()
        self.linear, self.norm = nn.Linear(8, 1), nn.BatchNorm1d(8)
        self.fails_at, self.spoils_at = fails_at, spoils_at
        self.calls = []

    def forward(self, x):
        if self.training:
            self.calls.append((len(x), torch.rand(()).item()))
        if len(self.calls) == self.fails_at and self.training:
            self.norm(x)
            raise RuntimeError("out of patience")
        out = self.linear(self.norm(x))
        if len(self.calls) == self.spoils_at and self.training:
            out = out * torch.inf
        return out


def tensors(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


@pytest.mark.parametrize("accumulate", [2, 3, 1000])
def test_the_parts_of_a_step_give_the_gradient_of_all_its_rows(sparse, accumulate):
    whole = regressor().fit(sparse)
    parts = regressor(accumulate=accumulate).fit(sparse)
    for found, known in zip(parts.history, whole.history, strict=True):
        assert found.steps == pytest.approx(known.steps, rel=1e-4)
    for name, weight in whole.get_weights().items():
        np.testing.assert_allclose(parts.get_weights()[name], weight, rtol=1e-3, atol=1e-5)


def test_no_part_has_more_rows_than_its_share_and_each_draws_its_own_numbers(rows):
    probe = Probe()
    TorchModel(probe, batch_size=20, accumulate=4, epochs=1).fit(rows)
    assert [count for count, _ in probe.calls] == [5] * 12
    assert len({drawn for _, drawn in probe.calls}) == 12


@pytest.mark.parametrize(
    ("rows_given", "batch_size", "accumulate", "parts"),
    [(23, 20, 4, [5, 5, 5, 5, 3]), (27, 20, 4, [5, 5, 5, 5, 3, 4]), (11, 8, 4, [2, 2, 2, 2, 3])],
)
def test_the_last_step_has_fewer_parts_and_none_of_a_single_row(
    rows, rows_given, batch_size, accumulate, parts
):
    probe = Probe()
    model = TorchModel(probe, batch_size=batch_size, accumulate=accumulate, epochs=1)
    model.fit(rows.select(range(rows_given)))
    assert [count for count, _ in probe.calls] == parts


def test_a_part_that_fails_leaves_the_whole_step_undone(rows):
    probe = Probe(fails_at=4)
    model = TorchModel(probe, batch_size=20, accumulate=3, epochs=1)
    before = tensors(probe)
    with pytest.raises(DatasetError, match="out of patience"):
        model.fit(rows, callbacks=[Keeping(probe, before)])
    assert model.position == (0, 1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in tensors(probe).items())


class Keeping(Callback):
    """Keeps the tensors after the last step."""

    def __init__(self, module, kept):
        self.module, self.kept = module, kept

    def on_step(self, model, step, steps):
        self.kept.update(tensors(self.module))


def test_a_part_that_is_not_finite_skips_the_whole_step(rows):
    probe = Probe(spoils_at=2)
    before = tensors(probe)
    model = TorchModel(probe, batch_size=60, accumulate=3, epochs=2, learning_rate=0.1)
    seen = []

    class Noting(Callback):
        def on_step(self, model, step, steps):
            seen.append(tensors(probe))

    with pytest.raises(TrainingDiverged, match="not finite"):
        model.fit(rows, epochs=1, callbacks=[Noting()])
    assert all(torch.equal(tensor, before[name]) for name, tensor in seen[0].items())


def test_accumulated_steps_are_resumed_exactly(sparse):
    options = {"accumulate": 3, "dropout": 0.3, "gradient_clip": 0.1}
    whole = regressor(**options).fit(sparse)

    class Interrupting(Callback):
        def on_step(self, model, step, steps):
            if len(model.history) == 1 and step == 2:
                signal.raise_signal(signal.SIGINT)

    model = regressor(**options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(sparse, callbacks=[Interrupting()])
    model.fit(sparse, resume=True)
    assert [e.steps for e in model.history] == [e.steps for e in whole.history]
    assert same(model.get_weights(), whole.get_weights())


def one_step(rows, **options):
    """Return the gradient that one step of SGD with a learning rate of 1 has used."""
    linear = nn.Linear(8, 1)
    with torch.no_grad():
        linear.weight.zero_()
        linear.bias.zero_()
    model = TorchModel(linear, optimizer="sgd", learning_rate=1.0, batch_size=60, **options)
    model.fit(rows, epochs=1)
    return torch.cat([-linear.weight.ravel(), -linear.bias]).detach().numpy()


def test_components_are_clipped_before_the_norm(rows):
    gradient = one_step(rows)
    assert np.abs(gradient).max() > 0.5
    by_value = one_step(rows, gradient_clip_value=0.5)
    np.testing.assert_allclose(by_value, gradient.clip(-0.5, 0.5), rtol=1e-6)
    both = one_step(rows, gradient_clip_value=0.5, gradient_clip=0.1)
    np.testing.assert_allclose(both, 0.1 * by_value / np.linalg.norm(by_value), rtol=1e-4)
    parts = one_step(rows, gradient_clip_value=0.5, gradient_clip=0.1, accumulate=7)
    np.testing.assert_allclose(parts, both, rtol=1e-4)


def test_clipping_does_not_hide_an_infinite_gradient(rows):
    class Steep(nn.Module):
        """Its output is finite, and its slope at 0 is not."""

        def __init__(self):
            super().__init__()
            self.root = nn.Parameter(torch.zeros(1))

        def forward(self, x):
            return self.root.sqrt().expand(len(x), 1)

    module = Steep()
    model = TorchModel(module, batch_size=60, epochs=1, gradient_clip_value=1.0)
    with pytest.raises(TrainingDiverged, match="not finite"):
        model.fit(rows)
    assert module.root.item() == 0


def test_weight_decay_factors_are_torch_s_groups_of_parameters(rows):
    torch.manual_seed(0)
    ours, theirs = nn.Linear(8, 1), nn.Linear(8, 1)
    theirs.load_state_dict(ours.state_dict())
    model = TorchModel(
        ours,
        optimizer="adamw",
        optimizer_options={"weight_decay": 0.5},
        weight_decay_factors={"bias": 0, "*": 0.5},
        learning_rate=0.1,
        batch_size=60,
    ).fit(rows, epochs=5)
    groups = [
        {"params": [theirs.weight], "weight_decay": 0.25},
        {"params": [theirs.bias], "weight_decay": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, lr=0.1)
    X, y = torch.from_numpy(rows.X), torch.from_numpy(rows.y).float()
    for _ in range(5):
        optimizer.zero_grad()
        ((theirs(X) - y) ** 2).mean().backward()
        optimizer.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())
    assert len(model.history) == 5


def test_weight_decay_factors_are_resumed_exactly(rows):
    options = {"optimizer": "adamw", "weight_decay_factors": {"*.bias": 0}, "epochs": 4}
    whole = regressor(tasks=1, **options).fit(rows)
    first = regressor(tasks=1, **options).fit(rows, epochs=2)
    second = regressor(tasks=1, **options)
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(rows, resume=True)
    assert same(second.get_weights(), whole.get_weights())


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"optimizer": "adamw", "weight_decay_factors": {"*.bias": -1}}, "weight_decay_factors"),
        ({"optimizer": "adamw", "weight_decay_factors": {"bios": 0}}, "bios"),
        ({"accumulate": 1.5}, "accumulate"),
        ({"gradient_clip_value": 0}, "gradient_clip_value"),
    ],
)
def test_options_that_cannot_be_used_are_refused(rows, options, says):
    with pytest.raises(ParameterError, match=says):
        regressor(tasks=1, **options).fit(rows)


def test_weight_decay_factors_need_an_optimizer_with_weight_decay(rows):
    class Plain(torch.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            pass

    for optimizer in (Plain, "adam"):  # torch's Adam has a weight decay of 0
        with pytest.raises(ParameterError, match="weight decay"):
            regressor(tasks=1, optimizer=optimizer, weight_decay_factors={"*.bias": 0}).fit(rows)
