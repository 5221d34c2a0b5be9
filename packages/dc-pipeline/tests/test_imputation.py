"""ImputationTransformer: missing features are filled, and marked if asked."""

import pickle

import numpy as np
import pytest

from dc_core import MappedDataset, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, StructureError
from dc_pipeline import DiskDataset, ImputationTransformer

X = np.array([[1, np.nan], [3, 5], [np.nan, 9]], np.float32)


def test_nothing_is_computed_before_a_batch_is_read(tmp_path):
    dataset = DiskDataset.create(tmp_path / "d", NumpyDataset(X))
    filled = ImputationTransformer("mean").fit(dataset).transform(dataset)
    assert isinstance(filled, MappedDataset)
    np.testing.assert_array_equal(filled.rows(np.array([2, 0]), ("X",)).X, [[2, 9], [1, 7]])
    assert filled.X.dtype == np.float32


def test_a_filled_dataset_can_be_pickled_and_is_not_changed_by_another_fit():
    transformer = ImputationTransformer("mean").fit(NumpyDataset(X))
    filled = transformer.transform(NumpyDataset(X))
    transformer.fit(NumpyDataset(100 * X))
    again = pickle.loads(pickle.dumps(filled))
    np.testing.assert_array_equal(again.X, [[1, 7], [3, 5], [2, 9]])


def test_a_named_column_is_filled_and_the_others_stay():
    named = NumpyDataset({"a": X, "b": X})
    filled = ImputationTransformer("constant", constant=-1, column="a", indicator=True)
    a = filled.fit(named).transform(named).X["a"]
    np.testing.assert_array_equal(a, [[1, -1, 0, 1], [3, 5, 0, 0], [-1, 9, 1, 0]])
    np.testing.assert_array_equal(filled.transform(named).X["b"], X)


def test_features_that_were_complete_in_training_have_no_indicator():
    train = NumpyDataset(np.nan_to_num(X))
    transformer = ImputationTransformer("mean", indicator=True).fit(train)
    assert transformer.transform(NumpyDataset(X)).X.shape == (3, 2)


def test_integers_are_complete():
    dataset = NumpyDataset(np.array([[1, 2], [3, 4]]))
    filled = ImputationTransformer().fit(dataset).transform(dataset).X
    np.testing.assert_array_equal(filled, [[1, 2], [3, 4]])


def test_what_cannot_be_filled_is_a_typed_error():
    fitted = ImputationTransformer().fit(NumpyDataset(X))
    with pytest.raises(NotFitted):
        ImputationTransformer().transform(NumpyDataset(X))
    with pytest.raises(DatasetError, match=r"shape \(2,\); these have \(3,\)"):
        fitted.transform(NumpyDataset(np.ones((2, 3))))
    with pytest.raises(DatasetError, match="Featurize it first"):
        fitted.fit(NumpyDataset(["CCO"]))
    with pytest.raises(DatasetError, match=r"X of shape \(n, features\)"):
        ImputationTransformer(indicator=True).fit(NumpyDataset(np.ones((2, 3, 4))))
    with pytest.raises(EmptyDataset):
        fitted.fit(NumpyDataset(X[:0]))


@pytest.mark.parametrize(
    ("fill", "missing"),
    [
        (np.ones(2), np.ones(3, bool)),
        (np.ones(2), np.ones(2)),
        (np.ones(2, int), np.ones(2, bool)),
        (np.full(2, np.nan), np.ones(2, bool)),
    ],
    ids=["shape", "marks", "int", "nan"],
)
def test_what_is_stored_and_cannot_have_been_learned_is_a_typed_error(fill, missing):
    transformer = ImputationTransformer()
    transformer.import_weights({"fill/0": fill, "missing/0": missing})
    with pytest.raises(StructureError, match="publish it again"):
        transformer.transform(NumpyDataset(X))


def test_a_mean_that_is_too_large_is_a_typed_error_and_changes_nothing():
    imputer = ImputationTransformer("mean")
    with pytest.raises(DatasetError, match="too large"):
        imputer.fit(NumpyDataset([[1e308], [1.5e308], [np.nan]]))
    assert imputer.fill is None
