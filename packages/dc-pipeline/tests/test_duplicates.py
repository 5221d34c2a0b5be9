"""merge_duplicates: one row per molecule, and a report of labels that disagree."""

import numpy as np
import pytest

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline import ScaffoldSplitter, leakage, merge_duplicates

SMILES = ["CCO", "c1ccccc1", "OCC", "C1=CC=CC=C1", "C(O)C", "CCN", "nonsense", "nonsense"]
Y = np.array([1.0, 10.0, 3.0, np.nan, 8.0, 5.0, 7.0, 7.5])


def merged(labels="mean", w=None, **options):
    return merge_duplicates(NumpyDataset(SMILES, Y, w), labels=labels, **options)


def test_spellings_of_a_molecule_become_its_first_row():
    found = merged()
    assert found.dataset.X.tolist() == ["CCO", "c1ccccc1", "CCN", "nonsense", "nonsense"]
    assert found.dataset.ids.tolist() == ["0", "1", "5", "6", "7"]
    assert found.rows.tolist() == [0, 1, 0, 1, 0, 2, 3, 4]


@pytest.mark.parametrize(("labels", "expected"), [("mean", 4.0), ("median", 3.0)])
def test_labels_are_merged_and_missing_ones_do_not_count(labels, expected):
    assert merged(labels).dataset.y[:, 0].tolist() == [expected, 10, 5, 7, 7.5]


def test_the_mean_is_weighted_and_the_weight_is_the_mean_of_the_weights():
    w = [1, 2, 3, 4, 0, 6, 7, 8]
    found = merged(w=w).dataset
    assert found.y[0, 0] == (1 * 1 + 3 * 3) / 4
    assert found.w[:, 0].tolist() == [2, 2, 6, 7, 8]


def test_labels_that_differ_by_more_than_the_tolerance_are_left_out():
    assert merged(tolerance=7).dataset.y[0, 0] == 4
    found = merged(tolerance=6.9)
    assert np.isnan(found.dataset.y[0, 0])
    assert found.dataset.w[0, 0] == 0
    assert repr(found) == "Merged(8 rows to 5, 1 disagreements, 1 left without a label)"


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_rounding_is_within_the_tolerance(dtype):
    for low, high in ((5.1, 5.4), (0.1, 0.3), (-4.4, -4.3)):
        dataset = NumpyDataset(["C", "C"], np.array([low, high], dtype))
        for tolerance, kept in ((round(high - low, 3), True), (high - low - 1e-5, False)):
            label = merge_duplicates(dataset, tolerance=tolerance).dataset.y[0, 0]
            assert np.isnan(label) != kept


def test_disagreements_name_the_original_rows():
    (disagreement,) = merged().disagreements
    assert (disagreement.row, disagreement.id, disagreement.task) == (0, "0", "task0")
    assert (disagreement.rows, disagreement.labels) == ((0, 2, 4), (1, 3, 8))
    table = merged().to_dataframe("pandas")
    assert table["original_row"].tolist() == [0, 2, 4]
    assert table["merged_label"].tolist() == [4, 4, 4]


def test_classes_are_merged_by_majority_and_a_tie_is_no_label():
    dataset = NumpyDataset(["CCO", "OCC", "CCO", "C", "C"], ["yes", "no", "no", "no", "yes"])
    found = merge_duplicates(dataset, labels="majority")
    assert found.dataset.class_names(found.dataset.y)[:, 0].tolist() == ["no", ""]
    with pytest.raises(DatasetError, match=r'are classes.*labels="majority"'):
        merge_duplicates(dataset)


def test_duplicates_can_be_those_of_ids_inchikeys_or_given_groups():
    tautomers = NumpyDataset(["Oc1ccccn1", "O=c1cccc[nH]1", "C"], [1, 2, 3], ids=["a", "b", "a"])
    assert len(merge_duplicates(tautomers).dataset) == 3
    assert merge_duplicates(tautomers, "inchikey").rows.tolist() == [0, 0, 1]
    assert merge_duplicates(tautomers, "ids").rows.tolist() == [0, 1, 0]
    assert merge_duplicates(tautomers, [5, 5, 5]).rows.tolist() == [0, 0, 0]


def test_the_columns_of_the_first_row_are_kept_without_labels_too():
    named = NumpyDataset({"smiles": ["CCO", "OCC"], "x": [[1.0, 2.0], [3.0, 4.0]]})
    found = merge_duplicates(named).dataset
    np.testing.assert_array_equal(found.X["x"], [[1, 2]])
    assert found.y.shape == (1, 0)


def test_what_cannot_be_merged_is_a_typed_error():
    with pytest.raises(EmptyDataset):
        merge_duplicates(NumpyDataset(np.array([], "T")))
    with pytest.raises(ParameterError, match="labels='max'"):
        merged("max")
    for options in ({"tolerance": -1}, {"tolerance": 1, "labels": "majority"}):
        with pytest.raises(ParameterError, match="tolerance"):
            merged(**options)


def test_tox21_without_duplicates_leaves_none_in_both_parts(tox21):
    found = merge_duplicates(tox21, labels="majority")
    repeated = len(tox21) - len(set(np.asarray(tox21.X).tolist()))
    assert repeated > 100
    assert len(tox21) - len(found.dataset) >= repeated
    assert found.disagreements
    for d in found.disagreements:
        column = tox21.tasks.index(d.task)
        assert [tox21.y[row, column] for row in d.rows] == list(d.labels)
        assert set(found.rows[list(d.rows)].tolist()) == {d.row}
    sample = found.dataset[:600]
    assert all(o.duplicates == 0 for o in leakage(ScaffoldSplitter().split(sample)).overlaps)
