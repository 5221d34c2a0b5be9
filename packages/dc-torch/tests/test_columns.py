"""Modules that take ragged and named columns."""

import itertools

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset, Ragged
from dc_core.errors import DatasetError
from dc_torch import TorchModel


class SumOfAtoms(nn.Module):
    """Embeds atoms and adds them up, as a graph network's readout does; adds a linear term."""

    def __init__(self):
        super().__init__()
        self.embedding = nn.Embedding(10, 1)
        self.linear = nn.Linear(2, 1)

    def forward(self, atoms, extra):
        embedded = self.embedding(atoms.values)
        rows = torch.repeat_interleave(
            torch.arange(len(atoms.offsets) - 1), torch.diff(atoms.offsets)
        )
        sums = torch.zeros(len(atoms.offsets) - 1, 1).index_add(0, rows, embedded)
        return sums + self.linear(extra)


class Mean(nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = nn.Parameter(torch.ones(1))

    def forward(self, x):
        assert x.values.dtype == torch.float32
        ends = x.offsets.tolist()
        return (
            torch.stack([x.values[a:b].mean() for a, b in itertools.pairwise(ends)])[:, None]
            * self.scale
        )


def data(n, seed=0, dtype=np.uint16):
    """Molecules whose label is a sum over their atoms, plus a linear term."""
    rng = np.random.default_rng(seed)
    atoms = [rng.integers(0, 10, rng.integers(1, 8)).astype(dtype) for _ in range(n)]
    extra = rng.normal(size=(n, 2))
    values = rng.normal(size=10) if seed else np.random.default_rng(99).normal(size=10)
    y = np.array([values[a].sum() for a in atoms]) + extra @ [1.0, -2.0]
    return NumpyDataset({"atoms": Ragged.from_rows(atoms), "extra": extra}, y)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.uint32, np.int32, np.int64])
def test_a_sum_over_ragged_rows_is_learned_exactly(dtype):
    torch.manual_seed(0)
    dataset = data(257, dtype=dtype)  # one row is left over, and joins the batch before it
    model = TorchModel(SumOfAtoms(), learning_rate=0.05, epochs=60, batch_size=64)
    model.fit(dataset, progress=False)
    error = np.abs(model.predict(dataset) - dataset.y)
    assert error.max() < 0.05
    assert model.predict(dataset[:3]).shape == (3, 1)


def test_prediction_of_a_ragged_row_does_not_depend_on_its_batch():
    rows = [[1.0, 2.0], [3.0], [4.0, 5.0, 9.0]]
    model = TorchModel(Mean(), batch_size=2)
    prediction = model.predict(NumpyDataset(Ragged.from_rows(rows)))
    np.testing.assert_allclose(prediction[:, 0], [np.mean(row) for row in rows], rtol=1e-6)


def test_a_module_that_does_not_take_the_columns_says_what_they_are():
    dataset = data(4)
    model = TorchModel(nn.Linear(2, 1))
    with pytest.raises(DatasetError, match=r"atoms: 4 ragged rows .* extra: shape \(4, 2\)"):
        model.predict(dataset)
