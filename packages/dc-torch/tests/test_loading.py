"""Datasets as a DataLoader: the batches of the dataset, whoever loads them."""

import numpy as np
import pytest
import torch

from dc_core import MappedDataset, NumpyDataset, Ragged
from dc_core.errors import DatasetError, ParameterError
from dc_torch import data_loader
from dc_torch.batches import RaggedTensor


def table(n=50):
    rng = np.random.default_rng(0)
    return NumpyDataset(rng.normal(size=(n, 3)), y=np.arange(float(n)))


def ragged(n=20):
    rows = [np.arange(i % 5, dtype=np.uint8) for i in range(n)]
    X = {
        "atoms": Ragged.from_rows(rows, np.uint8),
        "xyz": Ragged.from_rows([np.ones((i % 5, 3)) * i for i in range(n)]),
        "charge": np.arange(n, dtype=np.int64),
    }
    return NumpyDataset(X, y=np.arange(float(n)))


def doubled(batch):
    return batch._replace(X=2 * batch.X)


def same(batch, expected):
    np.testing.assert_array_equal(batch.X.numpy(), expected.X.astype(np.float32))
    np.testing.assert_array_equal(batch.y.numpy(), expected.y.astype(np.float32))
    np.testing.assert_array_equal(batch.w.numpy(), expected.w.astype(np.float32))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("options", [{}, {"shuffle": True, "seed": 3, "drop_last": True}])
def test_batches_are_those_of_the_dataset(workers, options):
    dataset = MappedDataset(table(), doubled)
    loader = data_loader(dataset, 8, num_workers=workers, **options)
    assert len(loader) == len(list(loader.sampler.dataset.batches(8, **options)))
    for epoch in range(2):  # each iteration is the next epoch
        expected = dataset.batches(8, epoch=epoch, **options)
        for batch, rows in zip(loader, expected, strict=True):
            same(batch, rows)


def test_a_loader_goes_on_at_any_epoch():
    options = {"shuffle": True, "seed": 1}
    whole = data_loader(table(), 16, **options)
    epochs = [[batch.y.tolist() for batch in whole] for _ in range(3)]
    resumed = data_loader(table(), 16, epoch=2, **options)
    assert [batch.y.tolist() for batch in resumed] == epochs[2]
    resumed.sampler.set_epoch(1)
    assert [batch.y.tolist() for batch in resumed] == epochs[1]
    assert epochs[0] != epochs[1]


def test_processes_share_the_rows():
    loaders = [data_loader(table(), 4, shuffle=True, rank=rank, world=3) for rank in range(3)]
    rows = [torch.cat([batch.y[:, 0] for batch in loader]) for loader in loaders]
    assert torch.cat(rows).sort().values.tolist() == list(range(50))
    assert list(map(len, rows)) == [17, 17, 16]
    assert list(map(len, loaders)) == [5, 5, 4]


def test_ragged_columns_are_values_and_offsets():
    for batch, rows in zip(data_loader(ragged(), 6), ragged().batches(6), strict=True):
        assert isinstance(batch.X["atoms"], RaggedTensor)
        assert batch.X["atoms"].values.tolist() == rows.X["atoms"].values.tolist()
        assert batch.X["atoms"].values.dtype == torch.int32
        assert batch.X["xyz"].offsets.tolist() == rows.X["xyz"].offsets.tolist()
        assert batch.X["xyz"].values.dtype == torch.float32
        assert batch.X["charge"].dtype == torch.int64


def test_a_missing_label_is_zero_and_weighs_nothing():
    dataset = NumpyDataset(np.zeros((3, 1)), y=[[1.0, np.nan], [np.nan, 2], [3, 4]])
    (batch,) = data_loader(dataset, 3)
    assert batch.y.tolist() == [[1, 0], [0, 2], [3, 4]]
    assert batch.w.tolist() == [[1, 0], [0, 1], [1, 1]]


def test_ids_are_read_if_asked_for():
    dataset = NumpyDataset(np.zeros((2, 1)), ids=["a", "b"])
    assert [batch.ids for batch in data_loader(dataset, 2)] == [[]]
    assert [batch.ids for batch in data_loader(dataset, 2, ids=True)] == [["a", "b"]]


def test_the_dtype_can_be_chosen():
    (batch,) = data_loader(table(), 50, dtype=torch.float64)
    assert batch.X.dtype == batch.y.dtype == batch.w.dtype == torch.float64
    np.testing.assert_array_equal(batch.X.numpy(), table().X)


def test_any_seed_that_batches_take_will_do():
    seed = (1 << 70) + 3
    rows = [batch.ids for batch in data_loader(table(), 8, shuffle=True, seed=seed, ids=True)]
    assert rows == [b.ids.tolist() for b in table().batches(8, shuffle=True, seed=seed)]


def test_the_random_numbers_of_the_program_stay_the_same():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    list(data_loader(table(), 8, shuffle=True))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("workers", [0, 1])
def test_text_is_a_typed_error_when_it_is_read(workers):
    loader = data_loader(NumpyDataset(["CCO", "C"]), 2, num_workers=workers)
    with pytest.raises(DatasetError, match="X is text"):
        next(iter(loader))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"seed": -1}, "seed=-1"),
        ({"epoch": -1}, "epoch"),
        ({"rank": 2, "world": 2}, "rank 2"),
        ({"num_workers": -1}, "num_workers"),
        ({"worker": 1}, "worker"),
        ({"collate_fn": list}, "collate_fn"),
    ],
)
def test_impossible_options_are_a_typed_error(options, message):
    with pytest.raises(ParameterError, match=message):
        data_loader(table(), **{"batch_size": 8, **options})


def test_only_datasets_are_loaded():
    with pytest.raises(DatasetError):
        data_loader(np.zeros((3, 2)), 1)
