"""The batches of an epoch depend on the seed, the epoch and the rows, not on how they are read."""

import numpy as np
import pytest

from dc_core import Dataset, NumpyDataset, Ragged
from dc_core.training import training_batches


class OneByOne(Dataset):
    """A dataset of which no more than a batch may be read at once."""

    def __init__(self, dataset):
        self.dataset = dataset
        self.sizes = []

    tasks = property(lambda self: self.dataset.tasks)
    classes = property(lambda self: self.dataset.classes)

    def __len__(self):
        return len(self.dataset)

    def rows(self, indices, parts=("X", "y", "w", "ids")):
        self.sizes.append(len(indices))
        return self.dataset.rows(indices, parts)

    def select(self, indices):
        return OneByOne(self.dataset.select(indices))


def data(n=61):
    rng = np.random.default_rng(0)
    y = rng.normal(size=(n, 2))
    y[rng.random(y.shape) < 0.1] = np.nan
    ragged = Ragged.from_rows([np.arange(i % 4) for i in range(n)])
    return NumpyDataset({"a": rng.normal(size=(n, 3)), "b": ragged}, y, np.where(np.isnan(y), 0, 2))


def flat(X, labels):
    column = X["b"]
    return [X["a"], column.values, column.offsets, *labels]


@pytest.mark.parametrize("first", [0, 1, 5, 14])
def test_rows_in_memory_are_those_of_a_dataset_that_is_read_batch_by_batch(first):
    alone = OneByOne(data())
    expected = list(training_batches(alone, 4, 3, 2))[first:]
    found = list(training_batches(data(), 4, 3, 2, first))
    assert len(found) == len(expected)
    for a, b in zip(found, expected, strict=True):
        for left, right in zip(flat(*a), flat(*b), strict=True):
            np.testing.assert_array_equal(left, right)


def test_a_dataset_that_is_not_in_memory_is_read_one_batch_at_a_time():
    alone = OneByOne(data())
    list(training_batches(alone, 4, 3, 2))
    assert sorted(alone.sizes) == [4] * 14 + [5]


def test_a_batch_shares_no_memory_with_the_dataset_or_another_batch():
    dataset = data()
    before = dataset.X["a"].copy()
    for X, labels in training_batches(dataset, 4, 3, 2):
        assert not np.isnan(X["a"]).any()
        X["a"][:] = np.nan
        labels.y[:] = np.nan
    np.testing.assert_array_equal(dataset.X["a"], before)
