"""The steps of an optimizer without what torch does around its kernel, and the finite check."""

import numpy as np
import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, AdamW
from torch.optim.optimizer import register_optimizer_step_pre_hook

from dc_torch import TorchModel
from dc_torch.fused import OptimizerSteps
from dc_torch.stepping import FiniteCheck


def parameters():
    rng = torch.Generator().manual_seed(0)
    shapes = ((3, 2), (2,), ())
    tensors = [torch.randn(shape, generator=rng) for shape in shapes]
    return [nn.Parameter(each) for each in (*tensors, tensors[0].double())]


def made(cls, **options):
    first, *others = parameters()
    groups = [{"params": [first]}, {"params": others, "lr": 0.5, "weight_decay": 0.25}]
    return cls(groups, lr=0.1, **options)


def set_gradients(optimizer, seed, without=()):
    rng = torch.Generator().manual_seed(seed)
    trained = [p for group in optimizer.param_groups for p in group["params"]]
    for i, p in enumerate(trained):
        gradient = torch.randn(p.shape, generator=rng).to(p.dtype)
        p.grad = None if i in without else gradient
    return len(trained) - len(without)


def values(optimizer):
    kept = [p for group in optimizer.param_groups for p in group["params"]]
    states = [optimizer.state[p][name] for p in kept for name in sorted(optimizer.state[p])]
    return [each.detach().clone() for each in (*kept, *states)]


def equal(first, second):
    return len(first) == len(second) and all(map(torch.equal, first, second))


@pytest.mark.parametrize(
    ("cls", "options"),
    [
        (Adam, {}),
        (Adam, {"amsgrad": True, "betas": (0.5, 0.75), "eps": 1e-3}),
        (Adam, {"maximize": True, "weight_decay": 0.1}),
        (Adam, {"foreach": True}),
        (AdamW, {}),
        (AdamW, {"amsgrad": True, "fused": False}),
        (SGD, {"momentum": 0.9}),
    ],
    ids=str,
)
def test_steps_are_those_of_torch_to_the_last_bit(cls, options):
    options = {"fused": True, **options} if "foreach" not in options else options
    ours, theirs = made(cls, **options), made(cls, **options)
    steps = OptimizerSteps(ours)
    absent = [(), (), (1,), (0,), (), (), (0, 1, 2, 3), ()]
    for seed, without in enumerate(absent):
        count = set_gradients(ours, seed, without)
        set_gradients(theirs, seed, without)
        for optimizer in (ours, theirs):
            optimizer.param_groups[0]["lr"] = 0.1 / (1 + seed)
        steps.step(count)
        theirs.step()
        assert equal(values(ours), values(theirs)), seed


@pytest.mark.parametrize("cls", [Adam, AdamW])
def test_a_step_with_a_fault_changes_nothing(cls):
    optimizer = made(cls, fused=True)
    steps = OptimizerSteps(optimizer)
    for seed in range(3):
        steps.step(set_gradients(optimizer, seed), torch.zeros(()))
        before = values(optimizer)
        steps.step(set_gradients(optimizer, seed), torch.ones(()))
        assert equal(values(optimizer), before)


def test_the_hooks_of_all_optimizers_are_called():
    called = []
    optimizer = made(Adam, fused=True)
    hook = register_optimizer_step_pre_hook(lambda *_: called.append(1))
    try:
        steps = OptimizerSteps(optimizer)
        for seed in range(3):
            steps.step(set_gradients(optimizer, seed))
    finally:
        hook.remove()
    assert len(called) == 3


def test_training_goes_on_with_the_moments_of_a_state_that_is_set(rows):
    def model():
        return TorchModel(nn.Linear(8, 1), epochs=2, batch_size=16)

    first = model().fit(rows)
    state = first.get_training_state()
    weights = first.get_weights()
    first.fit(rows, epochs=1, resume=True)
    first.set_weights(weights)
    first.set_training_state(state)
    first.fit(rows, epochs=1, resume=True)
    second = model()
    second.set_weights(weights)
    second.set_training_state(state)
    second.fit(rows, epochs=1, resume=True)
    for weight, expected in zip(first.values(), second.values(), strict=True):
        assert np.array_equal(weight, expected)


@pytest.mark.parametrize(
    ("values", "finite"),
    [
        ([1.0, -1.0], True),
        ([3e38, -3e38], True),  # their norm is infinite
        ([1.0, float("inf")], False),
        ([float("inf"), -float("inf")], False),
        ([1.0, float("nan")], False),
        ([], True),
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16, torch.complex64])
def test_gradients_pass_if_all_values_are_finite(values, finite, dtype):
    check = FiniteCheck(torch.device("cpu"))
    gradients = [torch.zeros(2, dtype=dtype), torch.tensor(values, dtype=dtype)]
    assert check.passes(gradients) is finite
    assert bool(check.faults(gradients)) is not finite
    assert check.passes([each.to_sparse() for each in gradients]) is finite


def test_a_step_without_gradients_passes():
    assert FiniteCheck(torch.device("cpu")).passes([])
