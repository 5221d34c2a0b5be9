"""Losses, optimizers and schedules of the user's own: used, stored by name, or refused in time."""

import math
from dataclasses import dataclass
from functools import partial

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from dc_core import construct, register_component
from dc_core.errors import NotSerializable, ParameterError, UnknownClass
from dc_core.training import Schedule
from dc_torch import Checkpoint, Loss, MultitaskRegressor, TorchModel


@register_component("dc-torch-tests/Tolerant")
class Tolerant(Loss):
    """Absolute error beyond a margin."""

    def __init__(self, margin):
        self.margin = margin

    def elementwise(self, output, y):
        return (output - y).abs().sub(self.margin).clamp(min=0)


class Nameless(Tolerant):
    """A loss that is not registered."""


@register_component("dc-torch-tests/Lion")
class Lion(torch.optim.Optimizer):
    """Steps by the sign of a momentum (Chen and others 2023, arXiv:2302.06675)."""

    def __init__(self, params, lr=1e-4, beta=0.9):
        super().__init__(params, {"lr": lr, "beta": beta})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                if p.grad is not None:
                    momentum = self.state[p].setdefault("momentum", torch.zeros_like(p))
                    momentum.lerp_(p.grad, 1 - group["beta"])
                    p.sub_(momentum.sign(), alpha=group["lr"])


class NamelessLion(Lion):
    """An optimizer that is not registered."""


@register_component("dc-torch-tests/Steps")
@dataclass(frozen=True)
class Steps(Schedule):
    """Multiplies the learning rate by ``by`` after half of the training."""

    by: float = 0.1

    def decay(self, at, warmup, results):
        return 1.0 if at.epochs < at.total / 2 else self.by


class NamelessSteps(Steps):
    """A schedule that is not registered."""


def regressor(**options):
    return MultitaskRegressor(1, 8, layer_sizes=(4,), epochs=2, batch_size=20, **options)


def absolute(output, y):
    return (output - y).abs()


def losses(model):
    return [epoch.steps for epoch in model.history]


def test_a_loss_of_ones_own_is_what_training_minimises(rows):
    model = regressor(loss=Tolerant(margin=0.0)).fit(rows)
    assert losses(model) == losses(regressor(loss="mae").fit(rows))
    assert losses(model) != losses(regressor(loss=Tolerant(margin=0.5)).fit(rows))


def test_a_function_is_a_loss(rows):
    expected = losses(regressor(loss="mae").fit(rows))
    assert losses(regressor(loss=absolute).fit(rows)) == expected
    torchs = partial(functional.l1_loss, reduction="none")
    assert losses(regressor(loss=torchs).fit(rows)) == expected
    assert losses(regressor(loss=nn.L1Loss(reduction="none")).fit(rows)) == expected


def test_a_function_leaves_missing_labels_out(rows):
    w = np.ones((60, 1))
    w[::2] = 0
    expected = regressor(loss="mae").fit(type(rows)(rows.X, rows.y, w))
    found = regressor(loss=absolute).fit(type(rows)(rows.X, rows.y, w))
    assert losses(found) == losses(expected)


def test_a_loss_that_takes_the_mean_is_refused(rows):
    with pytest.raises(ParameterError, match="reduction='none'"):
        regressor(loss=functional.l1_loss).fit(rows)


def test_an_optimizer_of_ones_own_makes_the_steps(rows):
    model = regressor(optimizer=Lion, learning_rate=0.01, dropout=0.0)
    before = model.get_weights()
    model.fit(rows, epochs=1)
    n_steps = sum(map(len, losses(model)))
    for name, weight in model.items():
        changes = (weight - before[name]) / 0.01
        np.testing.assert_allclose(changes, changes.round(), atol=1e-4)
        assert np.abs(changes).max() <= n_steps + 1e-4
        assert changes.any()


def test_an_optimizer_has_its_options(rows):
    first, second = (
        regressor(optimizer=Lion, optimizer_options={"beta": beta}).fit(rows)
        for beta in (0.0, 0.99)
    )
    assert losses(first) != losses(second)
    with pytest.raises(ParameterError, match="arguments of Lion"):
        regressor(optimizer=Lion, optimizer_options={"betas": 1}).fit(rows)


def test_a_class_of_torch_outside_the_table_trains(rows):
    assert math.isfinite(regressor(optimizer=torch.optim.Rprop).fit(rows).history[-1].loss)


def test_an_optimizer_of_ones_own_resumes_exactly(rows):
    whole = regressor(optimizer=Lion).fit(rows)
    first = regressor(optimizer=Lion).fit(rows, epochs=1)
    second = regressor(optimizer=Lion)
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(rows, resume=True)
    assert [e.loss for e in second.history] == [e.loss for e in whole.history]
    for weight, expected in zip(second.values(), whole.values(), strict=True):
        assert np.array_equal(weight, expected)


def test_a_schedule_of_ones_own_sets_the_learning_rate(rows):
    model = regressor(schedule=Steps(by=0.25), learning_rate=0.01).fit(rows)
    assert [epoch.learning_rate for epoch in model.history] == [0.01, 0.0025]


OWN = {
    "loss": Tolerant(0.25),
    "optimizer": Lion,
    "schedule": Steps(by=0.5),
}
STORED = {
    "loss": "dc-torch-tests/Tolerant",
    "optimizer": "dc-torch-tests/Lion",
    "schedule": "dc-torch-tests/Steps",
}
NAMELESS = {
    "loss": Nameless(0.25),
    "optimizer": NamelessLion,
    "schedule": NamelessSteps(by=0.5),
}


def test_a_registered_optimizer_is_an_option_by_its_name(rows):
    stored = regressor(optimizer=Lion).get_parameters()["options"]["optimizer"]
    assert stored == "dc-torch-tests/Lion"
    assert losses(regressor(optimizer=stored).fit(rows)) == losses(
        regressor(optimizer=Lion).fit(rows)
    )


def test_a_name_that_no_class_is_registered_as_is_refused():
    with pytest.raises(UnknownClass, match="nobody/Optimizer"):
        regressor(optimizer="nobody/Optimizer")


@pytest.mark.parametrize("name", ["dc-torch-tests/Tolerant", "dc-torch-tests/Steps"])
def test_a_registered_name_of_something_else_is_not_an_optimizer(name):
    with pytest.raises(ParameterError, match="is not known"):
        regressor(optimizer=name)


@pytest.mark.parametrize("option", OWN)
def test_what_is_registered_makes_an_equal_model_again(option, rows):
    model = regressor(**{option: OWN[option]})
    assert "cannot be stored" not in repr(model)
    expected = losses(model.fit(rows))
    assert losses(construct(MultitaskRegressor, model.get_parameters()).fit(rows)) == expected
    assert losses(model.unfitted().fit(rows)) == expected


class Recorder(Checkpoint):
    def __init__(self):
        super().__init__("nowhere")

    def on_epoch_end(self, model, epoch):
        raise AssertionError("training began")


@pytest.mark.parametrize("option", NAMELESS)
def test_what_is_not_registered_trains_and_is_refused_before_training_if_it_is_to_be_stored(
    option, rows
):
    model = regressor(**{option: NAMELESS[option]})
    shown = NAMELESS[option]
    name = shown.__name__ if isinstance(shown, type) else type(shown).__name__
    assert f"cannot be stored: The {option} {name}" in repr(model)
    with pytest.raises(NotSerializable, match=r"@dc_core\.register_component"):
        model.fit(rows, callbacks=[Recorder()])
    assert not model.history
    assert len(model.fit(rows).history) == 2
    assert len(model.unfitted().fit(rows).history) == 2


@pytest.mark.parametrize(
    "function", [absolute, partial(absolute), nn.L1Loss(reduction="none")], ids=str
)
def test_a_function_is_refused_before_training_if_the_model_is_to_be_stored(function, rows):
    model = TorchModel(nn.Linear(8, 1), loss=function, epochs=1)
    assert "code is never stored" in repr(model)
    with pytest.raises(NotSerializable, match=r"register_component.*pass an instance"):
        model.fit(rows, callbacks=[Recorder()])
    assert not model.history
    assert len(model.fit(rows).history) == 1
    assert len(model.unfitted().fit(rows).history) == 1


def test_a_loss_module_is_neither_trained_nor_made_anew(rows):
    model = regressor(loss=nn.L1Loss(reduction="none"))
    assert not model.is_fitted
    assert not model.fit(rows).unfitted().is_fitted


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"loss": Tolerant(0.1), "loss_options": {"margin": 0.2}}, "its own arguments"),
        ({"schedule": Steps(), "schedule_options": {"by": 0.2}}, "its own arguments"),
        ({"loss": Tolerant}, r"Make an instance: Tolerant\(\)"),
    ],
)
def test_options_of_an_object_are_refused(options, told):
    with pytest.raises(ParameterError, match=told):
        regressor(**options)
