"""Optimizers: torch's by name, and the state of any, as arrays that resume exactly."""

import numpy as np
import pytest
import torch
from torch import nn

from dc_core.errors import ParameterError, TrainingStateError
from dc_torch import MultitaskRegressor
from dc_torch.optimizers import (
    OPTIMIZERS,
    load_optimizer_state,
    make_optimizer,
    named_optimizer,
    optimizer_state,
)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_every_optimizer_resumes_exactly(name, rows):
    def model():
        return MultitaskRegressor(1, 8, layer_sizes=(4,), epochs=2, batch_size=16, optimizer=name)

    whole, first, second = model().fit(rows), model().fit(rows, epochs=1), model()
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(rows, resume=True)
    for weight, expected in zip(second.values(), whole.values(), strict=True):
        assert np.array_equal(weight, expected)


class Counting(torch.optim.Optimizer):
    """Keeps numbers, a tensor of another shape than the parameter's, and a number per group."""

    def __init__(self, params, lr=0.1, decay=0.5, scale=1.0):
        super().__init__(params, {"lr": lr, "decay": decay, "scale": scale})

    def step(self, closure=None):
        for group in self.param_groups:
            group["scale"] *= 0.5
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["step"], state["sum"] = 0, 0.0
                    state["rows"] = torch.zeros(p.shape[0], 1)
                state["step"] += 1
                state["sum"] += float(p.grad.sum())
                state["rows"] = group["decay"] * state["rows"] + p.grad.mean(1, keepdim=True)
                change = state["rows"] * (group["scale"] + state["sum"]) / state["step"]
                p.data -= group["lr"] * change


def steps(optimizer, parameter, numbers):
    for number in numbers:
        parameter.grad = torch.full_like(parameter, number)
        optimizer.step()


def made(**options):
    parameter = nn.Parameter(torch.ones(3, 2))
    return parameter, make_optimizer(Counting, {"w": parameter}, 0.1, options, {})


def test_numbers_and_tensors_of_any_shape_are_state():
    whole, optimizer = made()
    steps(optimizer, whole, (1.0, -2.0, 0.5, 3.0))
    first, optimizer = made()
    steps(optimizer, first, (1.0, -2.0))
    state = dict(optimizer_state(optimizer, {"w": first}))
    assert sorted(state) == ["groups/0/scale", "w/rows", "w/step", "w/sum"]
    second, optimizer = made()
    second.data = first.data.clone()
    load_optimizer_state(optimizer, {"w": second}, state)
    assert type(optimizer.state[second]["step"]) is int
    steps(optimizer, second, (0.5, 3.0))
    assert torch.equal(second, whole)


@pytest.mark.parametrize(
    "change",
    [
        {"w/rows": np.zeros((2, 1), np.float32)},
        {"w/step": np.zeros(2, np.int64)},
        {"w/other": np.zeros((), np.int64)},
        {"groups/0/scale": np.zeros(3)},
        {"groups/0/params": np.zeros(())},
        {"groups/1/scale": np.zeros(())},
        {"groups/0/scale": np.zeros((), np.complex128)},
        {"groups/0/scale": np.array("1")},
        {"w/rows": np.zeros((3, 1), np.int64)},
        {"w/rows": np.zeros((3, 1), np.complex64)},
        {"w/rows": np.full((3, 1), "1")},
    ],
    ids=repr,
)
def test_a_state_that_the_optimizer_does_not_keep_is_refused_and_changes_nothing(change):
    parameter, optimizer = made()
    steps(optimizer, parameter, (1.0,))
    state = dict(optimizer_state(optimizer, {"w": parameter}))
    other, optimizer = made()
    with pytest.raises(TrainingStateError):
        load_optimizer_state(optimizer, {"w": other}, {**state, **change})
    assert not optimizer.state
    assert optimizer.param_groups[0]["scale"] == 1


def test_a_number_that_became_a_float_is_resumed_as_a_float():
    first, optimizer = made(scale=1)
    steps(optimizer, first, (1.0,))
    state = dict(optimizer_state(optimizer, {"w": first}))
    second, optimizer = made(scale=1)
    load_optimizer_state(optimizer, {"w": second}, state)
    assert optimizer.param_groups[0]["scale"] == 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"groups/0/amsgrad": np.array(True)},
        {"groups/0/eps": np.array(1.0)},
        {"w/exp_avg": np.full((3, 2), np.nan, np.float32)},
        {"w/step": np.array(np.nan, np.float32)},
        {"w/exp_avg": np.zeros((3, 2), bool)},
    ],
    ids=repr,
)
def test_a_state_has_no_options_of_torch_and_no_nan(change):
    parameter = nn.Parameter(torch.ones(3, 2))
    optimizer = make_optimizer("adam", {"w": parameter}, 0.1, {}, {}, {})
    steps(optimizer, parameter, (1.0,))
    state = dict(optimizer_state(optimizer, {"w": parameter}))
    with pytest.raises(TrainingStateError):
        load_optimizer_state(optimizer, {"w": parameter}, {**state, **change})
    load_optimizer_state(optimizer, {"w": parameter}, state)


@pytest.mark.parametrize("options", [{}, {"nesterov": True}, {"dampening": 0.5}], ids=repr)
def test_sgd_begins_the_momentum_of_each_parameter_when_it_is_trained(options):
    options = {"momentum": 0.9, "weight_decay": 0.1, **options}
    ours = {"a": nn.Parameter(torch.ones(3)), "b": nn.Parameter(torch.ones(2))}
    theirs = {name: nn.Parameter(each.detach().clone()) for name, each in ours.items()}
    made = make_optimizer("sgd", ours, 0.1, options, {})
    plain = torch.optim.SGD(theirs.values(), lr=0.1, foreach=False, **options)
    for optimizer, parameters in ((made, ours), (plain, theirs)):
        for trained in ("a", "ab", "ab", "b"):
            for name, parameter in parameters.items():
                given = torch.full_like(parameter, len(trained) - 0.3)
                parameter.grad = given if name in trained else None
            optimizer.step()
    for name, parameter in ours.items():
        torch.testing.assert_close(parameter, theirs[name])


def test_state_that_is_no_array_is_refused_by_name():
    parameter, optimizer = made()
    steps(optimizer, parameter, (1.0,))
    optimizer.state[parameter]["past"] = [1, 2]
    with pytest.raises(TrainingStateError, match=r"Counting keeps 'past' as a list"):
        dict(optimizer_state(optimizer, {"w": parameter}))


def test_the_options_of_a_class_are_its_arguments():
    assert made(decay=0.25)[1].param_groups[0]["decay"] == 0.25
    with pytest.raises(ParameterError, match=r"'momentum'.*arguments of Counting"):
        made(momentum=0.9)


def test_a_class_of_torch_has_the_name_of_the_table():
    assert named_optimizer(torch.optim.NAdam) == "nadam"
    assert named_optimizer(Counting) is Counting


@pytest.mark.parametrize(
    ("optimizer", "told"),
    [
        ("lion", "'adam'"),
        (nn.Linear, "subclass of torch.optim.Optimizer"),
        (3, "subclass of torch.optim.Optimizer"),
        (torch.optim.LBFGS, "closure"),
        (made()[1], "optimizer_options"),
    ],
    ids=["name", "class", "number", "closure", "object"],
)
def test_what_is_no_optimizer_is_refused(optimizer, told):
    with pytest.raises(ParameterError, match=told):
        named_optimizer(optimizer)
