"""Checkpoints of training in several processes: killed training goes on in any number of them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

import dc_hub
from dc_core import NumpyDataset
from dc_core.engines import stop_isolated
from dc_torch import Checkpoint, TorchModel

pytest.importorskip("lightning_fabric", reason="Lightning Fabric is not installed")


@pytest.fixture(scope="module", autouse=True)
def _no_process_is_left():
    yield
    stop_isolated("test_parallel_checkpoints")


def rows(n=45, seed=0):
    """Return rows with two tasks, labels that are missing and unequal weights."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 8))
    y = np.column_stack([X @ np.linspace(-1, 1, 8), X[:, 0]])
    y[rng.random((n, 2)) < [0.1, 0.7]] = np.nan
    return NumpyDataset(X, y, 10.0 ** rng.integers(-2, 3, size=(n, 2)))


def model(devices=1, strategy="auto"):
    torch.manual_seed(0)
    module = nn.Sequential(
        nn.Linear(8, 300), nn.Tanh(), nn.Linear(300, 300), nn.BatchNorm1d(300), nn.Linear(300, 2)
    )
    # What a batch norm sees depends on the number of processes.
    module[3].eval().requires_grad_(False)
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, "freeze": ["3.*"]}
    return TorchModel(
        module.double(), device="cpu", devices=devices, strategy=strategy, average="ema", **options
    )


def assert_same(first, second):
    """Compare two models' losses and weights, to rounding."""
    assert [e.loss for e in first.history] == pytest.approx(
        [e.loss for e in second.history], rel=1e-10
    )
    weights = second.get_weights()
    for name, array in first.get_weights().items():
        np.testing.assert_allclose(array, weights[name], rtol=1e-7, atol=1e-10)


def test_a_checkpoint_of_spread_weights_is_a_model_like_any_other(tmp_path):
    trained = model(2, "fsdp").fit(
        rows(), valid=rows(21, 1), callbacks=[Checkpoint(tmp_path / "run", every_steps=4)]
    )
    stored = dc_hub.from_pretrained(tmp_path / "run" / "epoch-0001-step-000002", training=True)
    assert stored.position == (1, 2)
    assert all(type(p) is nn.Parameter for p in stored.module.parameters())
    plain = model().fit(rows(), valid=rows(21, 1))
    assert list(stored.weight_table()) == list(plain.weight_table())
    assert stored.get_training_state().keys() == plain.get_training_state().keys() - {
        name for name in plain.get_training_state() if name.startswith("last/")
    }
    trained.to_pretrained(tmp_path / "net")
    published = dc_hub.from_pretrained(tmp_path / "net")
    np.testing.assert_array_equal(published.predict(rows()), trained.predict(rows()))
    found = {path.suffix for path in (tmp_path / "run").rglob("*") if path.is_file()}
    assert found <= {".json", ".safetensors", ".md"}


@pytest.mark.parametrize(("before", "after"), [(1, 2), (2, 1), (2, 3)])
def test_training_goes_on_from_a_checkpoint_in_another_number_of_processes(tmp_path, before, after):
    checkpoint = Checkpoint(tmp_path / "run", every_steps=4)
    model(before, "fsdp").fit(rows(), valid=rows(21, 1), callbacks=[checkpoint], epochs=1)
    found = model(after, "fsdp").fit(
        rows(), valid=rows(21, 1), callbacks=[checkpoint], resume="auto", epochs=3
    )
    assert_same(found, model().fit(rows(), valid=rows(21, 1)))


PROGRAM = """
import os, sys
from pathlib import Path
(Path({run!r}).parent / f"{{os.getpid()}}.pid").touch()
sys.path.insert(0, {here!r})
import test_parallel_checkpoints as t
checkpoint = t.Checkpoint({run!r}, every_steps=1)
found = t.model({devices}, "fsdp").fit(
    t.rows(), valid=t.rows(21, 1), callbacks=[checkpoint], resume="auto"
)
"""


@pytest.mark.parametrize("launcher", [[], ["-m", "torch.distributed.run", "--standalone"]])
def test_all_processes_are_killed_and_training_goes_on(tmp_path, launcher):
    program, run = tmp_path / "program.py", tmp_path / "run"
    told = {"here": str(Path(__file__).parent), "run": str(run), "devices": 2}
    program.write_text(textwrap.dedent(PROGRAM.format(**told)), encoding="utf-8")
    started = [*launcher, "--nproc-per-node=2"] if launcher else []
    process = subprocess.Popen(
        [sys.executable, *started, str(program)],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )
    end = time.monotonic() + 120
    while not list(run.glob("epoch-0001*")):
        assert process.poll() is None, "the program ended before it was killed"
        assert time.monotonic() < end
        time.sleep(0.01)
    # A launcher's processes are in sessions of their own.
    for pid in {process.pid, *(int(path.stem) for path in tmp_path.glob("*.pid"))}:
        os.kill(pid, signal.SIGKILL)
    process.wait()
    assert not list(run.glob("epoch-0003*")), "training had ended before it was killed"
    found = model(2, "fsdp").fit(
        rows(), valid=rows(21, 1), callbacks=[Checkpoint(run)], resume="auto"
    )
    assert_same(found, model().fit(rows(), valid=rows(21, 1)))
