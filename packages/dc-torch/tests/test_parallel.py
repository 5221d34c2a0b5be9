"""Training in two processes, which are real and talk through gloo."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from parallel_training import At, Failing, assert_same, dataset, die, fail, model
from torch import distributed, nn

from dc_core import MappedDataset
from dc_core.engines import stop_isolated
from dc_core.errors import DatasetError, ParameterError, TrainingDiverged
from dc_torch import MultitaskRegressor, TorchModel
from dc_torch.errors import ParallelNotInstalled, RankFailed
from dc_torch.process_group import check_place, place

pytest.importorskip("lightning_fabric", reason="Lightning Fabric is not installed")


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left():
    yield
    stop_isolated("test_parallel")


def test_two_processes_train_as_one_does_with_missing_labels_and_unequal_weights():
    valid = dataset(21, seed=1)
    assert_same(model(2).fit(dataset(), valid=valid), model().fit(dataset(), valid=valid))


def test_a_rank_without_rows_takes_part():
    rows = dataset(7)
    assert_same(model(3, batch_size=2).fit(rows), model(batch_size=2).fit(rows))


def test_training_is_resumed_by_another_number_of_processes_at_any_step():
    stop = At(lambda: signal.raise_signal(signal.SIGINT), step=2, epoch=2)
    resumed = model().fit(dataset(), epochs=1)
    state, weights = resumed.get_training_state(), resumed.get_weights()
    resumed = model(2)
    resumed.set_weights(weights)
    resumed.set_training_state(state)
    with pytest.raises(KeyboardInterrupt):
        resumed.fit(dataset(), callbacks=[stop], resume=True)
    state, weights = resumed.get_training_state(), resumed.get_weights()
    assert state["partial/steps"] == 2
    resumed = model()
    resumed.set_weights(weights)
    resumed.set_training_state(state)
    assert_same(resumed.fit(dataset(), resume=True), model().fit(dataset()))


def test_gradients_are_accumulated_on_all_ranks():
    assert_same(model(2, accumulate=2).fit(dataset()), model().fit(dataset()))


def test_the_training_state_is_that_of_one_process():
    one, two = model().fit(dataset()).get_training_state(), model(2).fit(dataset())
    state = two.get_training_state()
    assert one.keys() == state.keys()
    for name, array in one.items():
        assert (array.shape, array.dtype) == (state[name].shape, state[name].dtype)


def test_early_stopping_is_decided_together():
    options = {"patience": 2, "learning_rate": 0.2, "epochs": 40}
    valid = dataset(21, seed=5)
    two = model(2, **options).fit(dataset(), valid=valid)
    assert len(two.history) < 40
    assert_same(two, model(**options).fit(dataset(), valid=valid))


def test_a_callback_of_the_program_ends_training_on_all():
    two = model(2, epochs=50).fit(dataset(), callbacks=[At(lambda: True, epoch=2)])
    assert len(two.history) == 2


def test_parameters_that_are_frozen_or_not_used_are_those_of_one_process():
    def frozen(devices):
        torch.manual_seed(0)
        module = nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2), nn.Identity())
        module[0].register_parameter("spare", nn.Parameter(torch.ones(3)))
        options = {"freeze": ["0.bias"], "unfreeze_after": 1}
        settings = {"optimizer": "adamw", "optimizer_options": {"weight_decay": 0.1}}
        return model(devices, module, **options, **settings).fit(dataset())

    assert_same(frozen(2), frozen(1))


def test_the_statistics_of_a_batch_norm_are_those_of_rank_0_on_all():
    module = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))
    two = model(2, module, batch_size=45).fit(dataset(), valid=dataset(21, seed=1))
    valid = dataset(21, seed=1)
    given = valid.w > 0
    wrong = (two.predict(valid) - np.nan_to_num(valid.y)) ** 2
    best = min(epoch.valid_loss for epoch in two.history)
    assert (wrong * valid.w)[given].sum() / valid.w.sum() == pytest.approx(best, rel=1e-12)


def test_a_step_that_is_not_finite_on_one_rank_is_applied_on_none():
    rows = dataset(16)
    rows.X[5] = np.inf
    two, one = model(2).fit(rows), model().fit(rows)
    assert [epoch.skipped for epoch in two.history] == [1, 1, 1]
    assert_same(two, one)


def test_training_diverges_on_all():
    rows = dataset(40)
    rows.X[:] = np.inf
    with pytest.raises(TrainingDiverged):
        model(2).fit(rows)


def test_a_rank_that_raises_ends_training_with_its_own_error_and_the_last_good_weights():
    rows = dataset()
    two = model(2)
    begun = time.monotonic()
    with pytest.raises(DatasetError, match="cannot be read here") as raised:
        two.fit(MappedDataset(rows, Failing(fail, rows.X[7, 0])))
    assert time.monotonic() - begun < 30
    notes = "\n".join(raised.value.__notes__)
    assert "in fail" in notes, "the traceback of the rank is missing"
    assert "rank 1" in notes
    assert_same(two.fit(rows, resume=True), model().fit(rows))


def test_a_rank_that_is_killed_is_a_typed_error_and_leaves_no_process(tmp_path):
    rows, note = dataset(), tmp_path / "pid"
    two = model(2)
    begun = time.monotonic()
    with pytest.raises(RankFailed, match=r"Rank 1 .* SIGKILL"):
        two.fit(MappedDataset(rows, Failing(die, rows.X[7, 0], note)))
    assert time.monotonic() - begun < 30
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)
    done = two.get_training_state()["partial/steps"]
    assert 0 <= done < 6


def test_an_error_in_the_program_ends_the_other_ranks(tmp_path):
    rows, note = dataset(), tmp_path / "pid"

    def broken():
        raise OSError("The disk is full.")

    with pytest.raises(OSError, match="disk is full"):
        model(2).fit(
            MappedDataset(rows, Failing(fail, np.nan, note)),
            callbacks=[At(broken, step=3, epoch=1)],
        )
    with pytest.raises(ProcessLookupError):
        os.kill(int(note.read_text()), 0)


def test_processes_that_a_launcher_has_started_train_together(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(
        textwrap.dedent(
            f"""
            import os, sys
            from pathlib import Path
            sys.path.insert(0, {str(Path(__file__).parent)!r})
            import parallel_training as t
            calls = []
            class Count(t.Callback):
                def on_epoch_end(self, model, epoch): calls.append(epoch)
            valid = t.dataset(21, seed=1)
            for _ in range(2):
                found = t.model(2).fit(t.dataset(), valid=valid, callbacks=[Count()])
            losses = [repr(epoch.valid_loss) for epoch in found.history]
            rank = os.environ["RANK"]  # what both print may be mixed up
            Path({str(tmp_path)!r}, rank).write_text(" ".join([str(len(calls)), *losses]))
            """
        ),
        encoding="utf-8",
    )
    command = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", str(script)]
    subprocess.run(
        [sys.executable, *command],
        check=True,
        timeout=240,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    found = [(tmp_path / rank).read_text().split() for rank in ("1", "0")]
    known = model().fit(dataset(), valid=dataset(21, seed=1)).history
    assert [line[0] for line in found] == ["0", "6"], "callbacks run on rank 0"
    for line in found:
        losses = [float(value) for value in line[1:]]
        np.testing.assert_allclose(losses, [epoch.valid_loss for epoch in known], rtol=1e-12)


@pytest.mark.parametrize(("devices", "numbers"), [(1, [0, 0, 0, 0]), (2, [0, 1, 0, 1])])
def test_a_launcher_need_not_number_the_processes_of_a_machine(monkeypatch, devices, numbers):
    told = {"WORLD_SIZE": "4", "MASTER_ADDR": "pod-0", "MASTER_PORT": "29500"}
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LOCAL_RANK", raising=False)
    found = []
    for rank in range(4):
        monkeypatch.setenv("RANK", str(rank))
        here = place(devices)
        check_place(here, devices)
        found.append(here.local_rank)
    assert found == numbers


@pytest.mark.parametrize("own", [None, "lo"])
def test_processes_of_one_machine_listen_on_the_loopback_interface_or_on_the_users(
    monkeypatch, own
):
    # Where gloo listens otherwise is where the machine's name leads, which may be loopback too.
    names = {name for _, name in socket.if_nameindex()} & {"lo", "lo0"}
    if not names:
        pytest.skip("there is no such interface")
    if own is not None:
        own = names.pop()
        monkeypatch.setenv("GLOO_SOCKET_IFNAME", own)
    told = []

    def recorded(make):
        def call(*args, **options):
            told.append(os.environ.get("GLOO_SOCKET_IFNAME"))
            return make(*args, **options)

        return call

    for name in ("init_process_group", "new_group"):
        monkeypatch.setattr(distributed, name, recorded(getattr(distributed, name)))
    model(devices=2, epochs=1).fit(dataset())
    assert len(told) == 2
    assert set(told) == ({own} if own else names)
    assert os.environ.get("GLOO_SOCKET_IFNAME") == own


def test_devices_belong_to_the_machine_and_are_not_stored():
    made = MultitaskRegressor(1, 8, devices=2, strategy="ddp", device="cpu")
    assert not {"device", "devices", "strategy"} & made.get_parameters()["options"].keys()
    assert made.unfitted().config.devices == 2


@pytest.mark.parametrize("options", [{"devices": 0}, {"strategy": "dp"}, {"devices": True}])
def test_options_that_cannot_be_used_are_typed_errors(options):
    with pytest.raises(ParameterError):
        MultitaskRegressor(1, 8, **options)


def test_without_fabric_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning_fabric", None)
    with pytest.raises(ParallelNotInstalled, match=r"dc-torch\[parallel\]"):
        model(2).fit(dataset())


@pytest.mark.gpu
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="there are no two GPUs")
def test_two_gpus_train_as_one_does():
    found = [
        TorchModel(model().module, devices=devices, device="cuda", epochs=3, batch_size=8)
        .unfitted()
        .fit(dataset(), valid=dataset(21, seed=1))
        for devices in (1, 2)
    ]
    assert_same(*found)
