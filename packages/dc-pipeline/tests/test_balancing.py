"""BalancingTransformer: all classes of a task count the same."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, StructureError
from dc_pipeline import BalancingTransformer


def of(y, w=None):
    return NumpyDataset(np.zeros((len(y), 1)), y, w)


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.floats(0, 5)), min_size=1, max_size=30).filter(
        lambda rows: sum(weight for _, weight in rows) > 1e-3
    )
)
def test_classes_have_the_same_total_weight_and_the_sum_is_kept(rows):
    y, w = np.array([label for label, _ in rows], float), np.array([weight for _, weight in rows])
    w[w < 1e-6] = 0
    balanced = BalancingTransformer().fit(of(y, w)).transform(of(y, w)).w[:, 0]
    totals = np.bincount(y.astype(int), balanced)
    present = np.bincount(y.astype(int), w) > 0
    np.testing.assert_allclose(totals[present], w.sum() / present.sum())
    np.testing.assert_allclose(balanced.sum(), w.sum())


def test_each_task_is_balanced_by_itself_and_missing_labels_keep_weight_0():
    y = np.array([[0, 1], [0, np.nan], [0, 0], [1, 0]])
    balanced = BalancingTransformer().fit(of(y)).transform(of(y)).w
    np.testing.assert_allclose(balanced, [[2 / 3, 1.5], [2 / 3, 0], [2 / 3, 0.75], [2, 0.75]])


def test_named_classes_are_balanced_and_y_is_not_changed():
    dataset = of(["active", "inactive", "inactive", "inactive"])
    balanced = BalancingTransformer().fit(dataset).transform(dataset)
    np.testing.assert_array_equal(balanced.y, dataset.y)
    assert balanced.classes == dataset.classes
    np.testing.assert_allclose(balanced.w[:, 0], [2, 2 / 3, 2 / 3, 2 / 3])
    np.testing.assert_allclose(balanced.rows(np.array([0]), ("w",)).w, [[2]])


@pytest.mark.parametrize("label", [0.5, -1, 20_000, np.inf])
def test_labels_that_are_no_classes_are_a_typed_error(label):
    with pytest.raises(DatasetError, match="is not one of the classes"):
        BalancingTransformer().fit(of([0.0, label]))


def test_a_class_that_training_lacked_is_a_typed_error():
    transformer = BalancingTransformer().fit(of([0.0, 2.0]))
    for unknown in (1.0, 3.0):
        with pytest.raises(DatasetError, match="is not one of the classes"):
            transformer.transform(of([0.0, unknown])).w  # noqa: B018


def test_what_cannot_be_balanced_is_a_typed_error():
    with pytest.raises(EmptyDataset):
        BalancingTransformer().fit(NumpyDataset(np.zeros((3, 1))))
    with pytest.raises(EmptyDataset, match="nothing to balance"):
        BalancingTransformer().fit(of([np.nan, np.nan]))
    with pytest.raises(NotFitted):
        BalancingTransformer().transform(of([0.0]))
    with pytest.raises(DatasetError, match="for 1 tasks, and the dataset has 2"):
        BalancingTransformer().fit(of([0.0, 1.0])).transform(of([[0.0, 1.0]]))


@pytest.mark.parametrize(
    "factors",
    [np.ones(2), np.ones((1, 0)), np.ones((1, 2), int), np.full((1, 2), np.nan), -np.ones((1, 2))],
    ids=["1d", "empty", "int", "nan", "negative"],
)
def test_stored_factors_that_cannot_have_been_learned_are_a_typed_error(factors):
    transformer = BalancingTransformer().import_weights({"factors/0": factors})
    with pytest.raises(StructureError, match="publish it again"):
        transformer.transform(of([0.0, 1.0]))


def test_predictions_and_unlabelled_rows_stay_as_they_are():
    transformer = BalancingTransformer().fit(of([0.0, 1.0]))
    unlabelled = NumpyDataset(np.zeros((2, 1)))
    assert transformer.transform(unlabelled) is unlabelled
    prediction = np.ones((2, 1, 2))
    assert transformer.untransform(prediction) is prediction
