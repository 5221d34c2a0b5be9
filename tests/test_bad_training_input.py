"""Bad input to training: a clear error, with the last good weights and checkpoints kept."""

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import Dataset, NumpyDataset, register_component
from dc_core.errors import DatasetError, OutOfDeviceMemory
from dc_pipeline import NormalizationTransformer, Pipeline
from dc_torch import Callback, Checkpoint, MultitaskRegressor, TorchModel


def regressor(**options):
    settings = {"layer_sizes": (4,), "epochs": 3, "batch_size": 16, "dropout": 0.0, **options}
    return MultitaskRegressor(1, 8, **settings)


def in_pipeline(**options):
    return Pipeline(regressor(**options), transformers=[NormalizationTransformer()])


@pytest.fixture(params=[regressor, in_pipeline], ids=["model", "pipeline"])
def make(request):
    return request.param


@pytest.fixture
def rows():
    X = np.random.default_rng(0).normal(size=(40, 8)).astype(np.float32)
    return NumpyDataset(X, X @ np.linspace(-1, 1, 8)[:, None])


@pytest.fixture
def checkpoint(tmp_path):
    return Checkpoint(str(tmp_path / "run"))


def unlabelled(rows, how):
    missing = np.full((len(rows), 1), np.nan)
    return {
        "no y": NumpyDataset(rows.X),
        "NaN": NumpyDataset(rows.X, missing),
        "weight 0": NumpyDataset(rows.X, rows.y, np.zeros((len(rows), 1))),
    }[how]


@pytest.mark.parametrize("how", ["no y", "NaN", "weight 0"])
def test_rows_without_labels_are_refused_before_training(make, rows, checkpoint, how):
    model = make()
    with pytest.raises(DatasetError) as caught:
        model.fit(unlabelled(rows, how), callbacks=[checkpoint])
    assert caught.value.hint
    assert checkpoint.names() == []


@pytest.mark.parametrize("how", ["no y", "NaN", "weight 0"])
def test_validation_rows_without_labels_are_refused_before_training(rows, checkpoint, how):
    model = regressor()
    before = model.get_weights()
    with pytest.raises(DatasetError) as caught:
        model.fit(rows, valid=unlabelled(rows, how), callbacks=[checkpoint])
    assert caught.value.hint
    assert all(np.array_equal(model[name], before[name]) for name in before)
    assert checkpoint.names() == []


class Changing(Dataset):
    """Rows that change at the seventh reading of X: their number, or how many are given."""

    tasks = ("task0",)

    def __init__(self, rows, to=None):
        self._rows, self._to, self._readings = rows, to, 0

    def __len__(self):
        changed = self._readings > 6 and self._to is not None
        return self._to if changed else len(self._rows)

    def rows(self, indices, parts=("X", "y", "w", "ids")):
        self._readings += "X" in parts
        if self._readings > 6:
            if max(indices) >= len(self):
                raise IndexError("there is no such row")
            indices = indices if self._to else indices[:-1]
        return self._rows.rows(np.minimum(indices, len(self._rows) - 1), parts)

    def select(self, indices):
        return self._rows.select(indices)


@pytest.mark.parametrize("to", [None, 5, 50], ids=["short", "fewer", "more"])
@pytest.mark.parametrize("which", ["train", "valid"])
def test_a_dataset_that_changes_is_an_error_that_costs_no_step(rows, checkpoint, to, which):
    model = regressor()
    given = {"train": (Changing(rows, to), None), "valid": (rows, Changing(rows, to))}[which]
    with pytest.raises(DatasetError, match="changes while it is read") as caught:
        model.fit(given[0], valid=given[1], callbacks=[checkpoint])
    assert "resume=True" in caught.value.hint
    assert checkpoint.newest() is not None
    resumed = model.fit(rows, valid=rows if given[1] else None, callbacks=[checkpoint], resume=True)
    whole = regressor().fit(rows, valid=rows if given[1] else None)
    assert all(np.array_equal(resumed[name], whole[name]) for name in whole)


def test_a_batch_of_one_with_batch_norm_says_what_to_do(rows, checkpoint):
    module = nn.Sequential(nn.Linear(8, 4), nn.BatchNorm1d(4), nn.Linear(4, 1))
    model = TorchModel(module, batch_size=1)
    before = model.get_weights()
    with pytest.raises(DatasetError, match="batch_size of at least 2"):
        model.fit(rows, callbacks=[checkpoint])
    assert all(np.array_equal(model[name], before[name]) for name in before)


@register_component("test/hungry")
class Hungry(nn.Module):
    """Runs out of memory at its ninth call in training, and from then on with more than 5 rows."""

    def __init__(self):
        super().__init__()
        self.layer, self.calls = nn.Linear(8, 1), 0

    def forward(self, x):
        self.calls += self.training
        if self.calls >= 9 and len(x) > 5:
            raise torch.OutOfMemoryError("out of memory")
        return self.layer(x)


def test_training_that_ran_out_of_memory_goes_on_in_parts(rows, checkpoint):
    module = Hungry()
    start = module.layer.weight.detach().clone()
    model = TorchModel(module, epochs=3, batch_size=16)
    with pytest.raises(OutOfDeviceMemory, match="accumulate=4") as caught:
        model.fit(rows, callbacks=[checkpoint])
    assert "4 do" in str(caught.value)
    assert model.position == (2, 2)
    assert checkpoint.names()[-1] == "epoch-0002-step-000002"
    parts = TorchModel(module, epochs=3, batch_size=16, accumulate=4)
    parts.fit(rows, callbacks=[checkpoint], resume="auto")
    assert len(parts.history) == 3
    plain = nn.Linear(8, 1)
    plain.load_state_dict({"weight": start, "bias": plain.bias}, strict=False)
    assert np.isfinite(parts.history[-1].loss)


class Failing(Callback):
    def __init__(self, where):
        self.where = where

    def fail(self, where):
        if where == self.where:
            raise RuntimeError(f"at the {where}")

    def on_fit_start(self, model, epochs):
        self.fail("start")

    def on_step(self, model, step, steps):
        if model.position == (1, 2):
            self.fail("step")

    def on_epoch_end(self, model, epoch):
        if epoch.number == 2:
            self.fail("epoch")

    def on_fit_end(self, model):
        self.fail("end")


@pytest.mark.parametrize(
    ("where", "newest"),
    [
        ("start", None),
        ("step", "epoch-0001-step-000002"),
        ("epoch", "epoch-0002"),
        ("end", "epoch-0003"),
    ],
)
def test_a_callback_that_raises_ends_training_and_costs_no_step(
    make, rows, checkpoint, where, newest
):
    model = make()
    with pytest.raises(RuntimeError, match=f"at the {where}"):
        model.fit(rows, callbacks=[Failing(where), checkpoint])
    assert (checkpoint.names() or [None])[-1] == newest
    again = make().fit(rows, callbacks=[checkpoint], resume="auto")
    whole = make().fit(rows)
    assert all(np.array_equal(again[name], whole[name]) for name in whole)
