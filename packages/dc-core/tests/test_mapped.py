"""Datasets whose rows are computed when they are read."""

import pickle

import numpy as np
import pytest

from dc_core import MappedDataset, NumpyDataset, Ragged
from dc_core.errors import DatasetError, ParameterError

TABLE = np.array([[0.0, 0.0], [1.0, 10.0], [2.0, 20.0], [3.0, 30.0]])


def expand(batch):
    """Expand codes by a table, as a collate function does."""
    if batch.X is None:
        return batch
    codes = batch.X["codes"]
    X = {"features": Ragged(TABLE[codes.values], codes.offsets), "sizes": codes.lengths}
    return batch._replace(X=X)


def weigh(batch):
    return batch if batch.w is None else batch._replace(w=batch.w * np.abs(batch.y))


@pytest.fixture
def dataset():
    codes = Ragged.from_rows([[1, 2], [3], [2, 2, 1]])
    return NumpyDataset({"codes": codes}, y=[1.0, -2.0, 3.0], ids=list("abc"))


def test_rows_are_mapped_when_they_are_read(dataset):
    mapped = MappedDataset(dataset, expand)
    assert mapped.columns == ("features", "sizes")
    batches = list(mapped.batches(2, shuffle=True, seed=1))
    order = np.random.default_rng([1, 0]).permutation(3)
    assert [name for batch in batches for name in batch.ids] == [list("abc")[i] for i in order]
    rows = [row.tolist() for batch in batches for row in batch.X["features"]]
    codes = [[1, 2], [3], [2, 2, 1]]
    assert rows == [TABLE[codes[i]].tolist() for i in order]
    assert mapped[1].X["features"].tolist() == [[3.0, 30.0]]


def test_nothing_is_computed_before_it_is_read(dataset):
    calls = []
    mapped = MappedDataset(dataset, lambda batch: calls.append(len(batch.y)) or batch)
    selected = mapped[[2, 0]][:1]
    assert len(selected) == 1
    assert calls == []
    assert selected.rows(np.array([0])).ids.tolist() == ["c"]
    assert calls == [1]


def test_a_part_is_computed_from_the_parts_it_needs(dataset):
    mapped = MappedDataset(dataset, weigh, needs={"w": ("y",)})
    batch = mapped.rows(np.arange(3), ("w",))
    assert batch.w[:, 0].tolist() == [1.0, 2.0, 3.0]
    assert batch.X is batch.y is batch.ids is None
    assert mapped.y[:, 0].tolist() == [1.0, -2.0, 3.0]


def test_mappings_are_applied_one_after_another(dataset):
    twice = MappedDataset(
        MappedDataset(dataset, expand), lambda b: b if b.X is None else b._replace(X=b.X["sizes"])
    )
    assert twice.X.tolist() == [2, 1, 3]
    assert twice.columns == ()
    assert twice.select(np.array([False, False, True])).X.tolist() == [3]


def test_columns_are_chosen_after_the_mapping_and_it_can_be_pickled(dataset):
    sizes = MappedDataset(dataset, expand)["sizes"]
    for view in (sizes, pickle.loads(pickle.dumps(sizes))):
        assert view.X.tolist() == [2, 1, 3]
        assert view[1:].X.tolist() == [1, 3]
        assert view.y[:, 0].tolist() == [1.0, -2.0, 3.0]
    with pytest.raises(DatasetError, match="no column 'bonds'"):
        MappedDataset(dataset, expand)["bonds"]


def test_a_mapping_that_loses_rows_is_refused(dataset):
    mapped = MappedDataset(dataset, lambda b: b._replace(y=b.y[1:]))
    with pytest.raises(DatasetError, match="returned y with 2 rows"):
        mapped.rows(np.arange(3), ("y",))


def test_unknown_parts_are_refused(dataset):
    with pytest.raises(ParameterError, match="parts"):
        MappedDataset(dataset, weigh, needs={"weights": ("y",)})
    with pytest.raises(DatasetError, match="dataset"):
        MappedDataset([1.0], weigh)
