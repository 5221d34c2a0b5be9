"""Schedules agree with torch's own, where torch has them."""

import pytest
import torch
from torch.optim import lr_scheduler

from dc_core.training import Progress, make_schedule

EPOCHS = 30

PAIRS = {
    "linear": (
        {"floor": 0.2},
        lambda o: lr_scheduler.LinearLR(o, 1.0, 0.2, total_iters=EPOCHS),
    ),
    "polynomial": (
        {"power": 1.7},
        lambda o: lr_scheduler.PolynomialLR(o, total_iters=EPOCHS, power=1.7),
    ),
    "cosine": (
        {"floor": 0.1},
        lambda o: lr_scheduler.CosineAnnealingLR(o, T_max=EPOCHS, eta_min=0.1),
    ),
    "cosine_restarts": (
        {"period": 4, "growth": 2, "floor": 0.1},
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=4, T_mult=2, eta_min=0.1),
    ),
    "cosine_restarts of one length": (
        {"period": 7},
        lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, T_0=7),
    ),
    "exponential": (
        {"floor": 0.9**EPOCHS},
        lambda o: lr_scheduler.ExponentialLR(o, gamma=0.9),
    ),
    "step": (
        {"every": 7, "by": 0.3},
        lambda o: lr_scheduler.StepLR(o, step_size=7, gamma=0.3),
    ),
    "multistep": (
        {"milestones": [4, 5, 20], "by": 0.3},
        lambda o: lr_scheduler.MultiStepLR(o, milestones=[4, 5, 20], gamma=0.3),
    ),
    "one_cycle": (
        {"rise": 9 / (EPOCHS - 1)},
        lambda o: lr_scheduler.OneCycleLR(
            o, max_lr=1.0, total_steps=EPOCHS, pct_start=1 / 3, cycle_momentum=False
        ),
    ),
}


@pytest.mark.parametrize("name", PAIRS)
def test_a_schedule_gives_the_factors_of_its_counterpart_in_torch(name):
    options, make = PAIRS[name]
    # Torch's one-cycle policy reaches its end at the last step, not after it.
    total = EPOCHS - 1 if name == "one_cycle" else EPOCHS
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = make(optimizer)
    ours = make_schedule(name.partition(" ")[0], options)
    for epoch in range(EPOCHS):
        factor = ours.factor(Progress(epochs=epoch, total=total), ())
        assert factor == pytest.approx(theirs.get_last_lr()[0], rel=1e-6, abs=1e-9), epoch
        optimizer.step()
        theirs.step()


def test_a_warm_up_in_steps_is_torch_s_linear_one_followed_by_the_schedule():
    steps, warmup, epochs = 5, 10, 6
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1.0)
    theirs = lr_scheduler.SequentialLR(
        optimizer,
        [
            lr_scheduler.LinearLR(optimizer, 1e-9, 1.0, total_iters=warmup),
            lr_scheduler.CosineAnnealingLR(optimizer, T_max=steps * epochs - warmup),
        ],
        milestones=[warmup],
    )
    ours = make_schedule("cosine", {"warmup": warmup})
    for step in range(steps * epochs):
        factor = ours.factor(Progress(epochs=step / steps, total=epochs, steps=steps), ())
        assert factor == pytest.approx(theirs.get_last_lr()[0], rel=1e-6, abs=1e-8), step
        optimizer.step()
        theirs.step()
