"""Rows, models and accidents for tests of training in several processes."""

import os
import signal

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset
from dc_core.errors import DatasetError
from dc_torch import Callback, TorchModel

HERE = os.getpid()


def dataset(n=45, seed=0):
    """Return rows with two tasks; few have a label of the second, and weights differ widely."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 8))
    y = np.column_stack([X @ np.linspace(-1, 1, 8), X[:, 0]]) + 0.1 * rng.normal(size=(n, 2))
    y[rng.random((n, 2)) < [0.1, 0.7]] = np.nan
    return NumpyDataset(X, y, 10.0 ** rng.integers(-2, 3, size=(n, 2)))


def model(devices=1, module=None, **options):
    settings = {"epochs": 3, "batch_size": 8, "learning_rate": 0.01, **options}
    torch.manual_seed(0)
    module = module or nn.Sequential(nn.Linear(8, 16), nn.Tanh(), nn.Linear(16, 2))
    return TorchModel(module.double(), devices=devices, device="cpu", **settings)


def assert_same(first, second):
    """Compare two models' losses and weights, to rounding."""
    assert len(first.history) == len(second.history)
    for one, other in zip(first.history, second.history, strict=True):
        assert one.loss == pytest.approx(other.loss, rel=1e-12)
        assert one.valid_loss == pytest.approx(other.valid_loss, rel=1e-12, nan_ok=True)
    weights = second.get_weights()
    for name, array in first.get_weights().items():
        np.testing.assert_allclose(array, weights[name], rtol=1e-9, atol=1e-12)


class At(Callback):
    """Calls a function in one step or after one epoch."""

    def __init__(self, call, step=None, epoch=None):
        self.call, self.step, self.epoch = call, step, epoch

    def on_step(self, model, step, steps):
        if (len(model.history) + 1, step) == (self.epoch, self.step):
            self.call()

    def on_epoch_end(self, model, epoch):
        return self.call() if self.step is None and epoch.number == self.epoch else None


class Failing:
    """A mapping of rows that does ``what`` in another process than this, for one of the rows."""

    def __init__(self, what, row, note=None):
        self.what, self.row, self.note, self.program = what, row, note, HERE

    def __call__(self, batch):
        if os.getpid() != self.program:
            if self.note:
                self.note.write_text(str(os.getpid()))
            if len(batch.X) <= 8 and (batch.X[:, 0] == self.row).any():
                self.what()
        return batch


def fail():
    raise DatasetError("This row cannot be read here.", hint="It is only a test.")


def die():
    os.kill(os.getpid(), signal.SIGKILL)
