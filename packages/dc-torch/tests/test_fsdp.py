"""Training with a part of the weights in each process (``strategy="fsdp"``), over gloo."""

import os
import signal
import time

import numpy as np
import pytest
import torch
from parallel_training import At, Failing, assert_same, dataset, die, fail, model
from torch import nn

from dc_core import MappedDataset, NumpyDataset
from dc_core.engines import stop_isolated
from dc_core.errors import DatasetError, ParameterError, TrainingDiverged, TrainingStateError
from dc_torch import TorchModel
from dc_torch.errors import RankFailed

pytest.importorskip("lightning_fabric", reason="Lightning Fabric is not installed")

WIDTH = 300
"""Layers between so many units are gathered on their own."""


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left():
    yield
    stop_isolated("test_fsdp")


def net():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Linear(8, WIDTH), nn.Tanh(), nn.Linear(WIDTH, WIDTH), nn.Tanh(), nn.Linear(WIDTH, 2)
    )


def sharded(devices=2, module=None, **options):
    return model(devices, module or net(), strategy="fsdp", **options)


def plain(module=None, **options):
    return model(1, module or net(), **options)


def assert_same_state(first, second):
    """Compare two training states, to rounding."""
    assert list(first) == list(second)
    for name, array in first.items():
        assert array.dtype == second[name].dtype
        np.testing.assert_allclose(array, second[name], rtol=1e-7, atol=1e-10, err_msg=name)


@pytest.mark.parametrize("devices", [2, 3])
def test_losses_weights_and_state_are_those_of_one_process(devices):
    valid = dataset(21, seed=1)
    many, one = sharded(devices).fit(dataset(), valid=valid), plain().fit(dataset(), valid=valid)
    assert_same(many, one)
    assert_same_state(many.get_training_state(), one.get_training_state())


@pytest.mark.parametrize(
    "options",
    [
        {"average": "ema", "gradient_clip": 0.1},
        {"average": "swa", "gradient_clip_value": 0.01, "accumulate": 2},
        {"optimizer": "sgd", "optimizer_options": {"momentum": 0.9}},
        {"optimizer": "adamw", "optimizer_options": {"amsgrad": True, "weight_decay": 0.1}},
        {"optimizer": "rmsprop", "weight_decay_factors": {}, "schedule": "one_cycle"},
        {"optimizer": "nadam"},
        {"optimizer": "radam"},
        {"optimizer": "adagrad"},
        {"optimizer": "adadelta"},
        {"optimizer": "adamax", "learning_rate_factors": {"4.*": 0.1}},
    ],
    ids=lambda options: "-".join(map(str, options.values())),
)
def test_every_option_means_what_it_means_in_one_process(options):
    valid = dataset(21, seed=1)
    two = sharded(**options).fit(dataset(), valid=valid)
    one = plain(**options).fit(dataset(), valid=valid)
    assert_same(two, one)
    assert_same_state(two.get_training_state(), one.get_training_state())


def test_a_process_holds_its_part_of_weights_gradients_and_moments():
    two, held = sharded(), []

    def measure():
        trainer = two._trainer
        parts = [p.to_local().numel() for p in trainer._parameters.values()]
        gradients = [p.grad.to_local().numel() for p in trainer._parameters.values()]
        moments = [s["exp_avg"].to_local().numel() for s in trainer._optimizer.state.values()]
        held.append([sum(parts), sum(gradients), sum(moments)])

    two.fit(dataset(), callbacks=[At(measure, step=2, epoch=1)])
    numbers = sum(p.numel() for p in two.module.parameters())
    for part in held[0]:
        assert part == pytest.approx(numbers / 2, rel=0.02)
    assert all(type(p) is nn.Parameter for p in two.module.parameters())
    assert type(two.module) is nn.Sequential


def test_a_callback_reads_weights_state_and_predictions_after_any_step():
    def read(trained):
        seen = []

        def look():
            seen.extend([trained.get_weights(), trained.get_training_state()])
            seen.append({"predictions": trained.predict(dataset(9, seed=3))})

        valid = dataset(21, seed=1)
        trained.fit(
            dataset(), valid=valid, callbacks=[At(look, step=3, epoch=2), At(look, epoch=2)]
        )
        return seen

    for found, known in zip(read(sharded()), read(plain()), strict=True):
        assert_same_state(found, known)


def test_parameters_that_are_tied_single_frozen_or_not_used_are_those_of_one_process():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(0)
            self.blocks = nn.ModuleList(nn.Linear(WIDTH, WIDTH) for _ in range(3))
            self.blocks[2].weight = self.blocks[0].weight
            self.first, self.last = nn.Linear(8, WIDTH), nn.Linear(WIDTH, 2)
            self.scale = nn.Parameter(torch.tensor(0.5))
            self.spare = nn.Parameter(torch.ones(3))

        def forward(self, x):
            x = self.first(x)
            for block in self.blocks:
                x = x + torch.tanh(block(x))
            return self.scale * self.last(x)

    options = {
        "freeze": ["blocks.1.*"],
        "unfreeze_after": 1,
        "optimizer": "adamw",
        "optimizer_options": {"weight_decay": 0.1},
    }
    two = sharded(module=Net(), **options).fit(dataset())
    one = plain(module=Net(), **options).fit(dataset())
    assert_same(two, one)
    assert two.module.blocks[2].weight is two.module.blocks[0].weight


def test_validation_with_unequal_numbers_of_batches_takes_all_rows():
    valid = dataset(17, seed=1)  # 9 rows and 8, in batches of 8
    assert_same(sharded().fit(dataset(), valid=valid), plain().fit(dataset(), valid=valid))


def test_training_is_resumed_by_any_number_of_processes_at_any_step():
    def stop():
        signal.raise_signal(signal.SIGINT)

    def go_on(trained, other, *, step=None, epoch=None):
        other.set_weights(trained.get_weights())
        other.set_training_state(trained.get_training_state())
        callbacks = [] if epoch is None else [At(stop, step=step, epoch=epoch)]
        try:
            other.fit(dataset(), valid=valid, callbacks=callbacks, resume=True)
        except KeyboardInterrupt:
            assert epoch is not None
        return other

    valid = dataset(21, seed=1)
    trained = plain().fit(dataset(), valid=valid, epochs=1)
    trained = go_on(trained, sharded(2), step=2, epoch=2)
    assert trained.position == (1, 2)
    trained = go_on(trained, sharded(3), step=4, epoch=2)
    trained = go_on(trained, plain(), step=1, epoch=3)
    assert_same(go_on(trained, sharded(2)), plain().fit(dataset(), valid=valid))


def test_early_stopping_is_decided_together():
    options = {"patience": 1, "min_delta": 100.0, "epochs": 8}
    valid = dataset(21, seed=5)
    two = sharded(**options).fit(dataset(), valid=valid)
    assert len(two.history) < 8
    assert_same(two, plain(**options).fit(dataset(), valid=valid))


def test_a_step_that_is_not_finite_on_one_rank_is_applied_on_none():
    rows = dataset(16)
    rows.X[5] = np.inf
    two = sharded().fit(rows)
    assert [epoch.skipped for epoch in two.history] == [1, 1, 1]
    assert_same(two, plain().fit(rows))


def test_training_diverges_on_all_and_keeps_the_last_good_weights():
    rows = dataset(40)
    rows.X[8:] = np.inf
    rows = NumpyDataset(rows.X, rows.y, rows.w)
    two, one = sharded(), plain()
    for each in (two, one):
        with pytest.raises(TrainingDiverged):
            each.fit(rows)
    weights = one.get_weights()
    for name, array in two.get_weights().items():
        np.testing.assert_allclose(array, weights[name], rtol=1e-9)


def test_a_rank_that_raises_between_steps_ends_training_and_loses_nothing():
    rows, two = dataset(), sharded()
    begun = time.monotonic()
    with pytest.raises(DatasetError, match="cannot be read here") as raised:
        two.fit(MappedDataset(rows, Failing(fail, rows.X[7, 0])))
    assert time.monotonic() - begun < 30
    assert "in fail" in "\n".join(raised.value.__notes__), "the traceback of the rank is missing"
    assert two.position > (0, 0)
    assert_same(two.fit(rows, resume=True), plain().fit(rows))


def test_an_error_of_a_callback_loses_nothing():
    def broken():
        raise OSError("The disk is full.")

    two = sharded()
    with pytest.raises(OSError, match="disk is full"):
        two.fit(dataset(), callbacks=[At(broken, step=3, epoch=2)])
    assert two.position == (1, 3)
    assert_same(two.fit(dataset(), resume=True), plain().fit(dataset()))


def test_a_rank_that_is_killed_is_a_typed_error_that_says_what_is_lost(tmp_path):
    rows, note = dataset(), tmp_path / "pid"
    two, first = sharded(), plain().get_weights()
    begun = time.monotonic()
    with pytest.raises(RankFailed, match=r"Rank 1 .* SIGKILL") as raised:
        two.fit(MappedDataset(rows, Failing(die, rows.X[7, 0], note)))
    assert time.monotonic() - begun < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
    assert 'resume="auto"' in "\n".join(raised.value.__notes__)
    for name, array in two.get_weights().items():
        np.testing.assert_array_equal(array, first[name])
    with pytest.raises(TrainingStateError):
        two.fit(rows, resume=True)
    assert_same(two.fit(rows), plain().fit(rows))


class Exhausted(nn.Module):
    """A layer that finds no memory, in another process than the test's, for one row."""

    def __init__(self, value):
        super().__init__()
        self.value, self.program = value, os.getpid()

    def forward(self, x):
        if os.getpid() != self.program and bool((x[:, 0] == self.value).any()):
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return x


@pytest.mark.parametrize("strategy", ["ddp", "fsdp"])
def test_a_rank_that_lacks_memory_ends_training_and_says_what_to_do(strategy):
    from dc_core.errors import OutOfDeviceMemory

    rows = dataset()
    module = nn.Sequential(Exhausted(float(rows.X[7, 0])), *net())
    begun = time.monotonic()
    with pytest.raises(OutOfDeviceMemory, match="do not fit in the memory") as raised:
        model(2, module, strategy=strategy).fit(rows)
    assert time.monotonic() - begun < 30
    assert "accumulate" in raised.value.hint
    assert "rank 1" in "\n".join(raised.value.__notes__)


def test_parameters_of_several_dtypes_are_a_typed_error():
    class Mixed(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Linear(8, 8), nn.Linear(8, 2)

        def double(self):
            self.one.double()
            return self

        def forward(self, x):
            return self.two(self.one(x.double()).float())

    with pytest.raises(ParameterError, match="one dtype"):
        model(2, Mixed(), strategy="fsdp").fit(dataset())


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
def test_two_gpus_train_as_one_does():
    found = [
        TorchModel(net().double(), devices=devices, device="cuda", strategy="fsdp", epochs=3)
        .unfitted()
        .fit(dataset(), valid=dataset(21, seed=1))
        for devices in (1, 2)
    ]
    assert_same(*found)
