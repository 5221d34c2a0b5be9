"""Weights of classes: totals, balanced factors, and datasets that apply them."""

import pickle

import numpy as np
import pytest

from dc_core import NumpyDataset, balanced_factors, class_totals, weigh_classes
from dc_core.errors import DatasetError

NAN = np.nan
Y = np.array([[0, 2], [1, 0], [1, NAN], [0, 2], [0, 1]])
W = np.array([[1, 1], [2, 0.5], [0.5, 1], [0, 3], [1, 1]])


def of(y, w=None):
    return NumpyDataset(np.zeros((len(y), 1)), y, w)


def test_totals_are_the_weights_of_the_known_labels_of_each_class():
    np.testing.assert_allclose(class_totals(of(Y, W)), [[2, 2.5, 0], [0.5, 1, 4]])


def test_totals_do_not_depend_on_how_the_rows_are_read():
    rng = np.random.default_rng(0)
    y = rng.integers(0, 4, (3000, 40)).astype(float)  # more labels than are read at a time
    expected = [np.bincount(task.astype(int), minlength=4) for task in y.T]
    np.testing.assert_array_equal(class_totals(of(y)), expected)


def test_there_are_two_classes_at_least():
    assert class_totals(of(np.zeros((3, 1)))).tolist() == [[3, 0]]


def test_balanced_classes_share_the_total_of_their_task():
    totals = np.array([[2, 8, 0], [1, 1, 4], [0, 0, 0]], float)
    factors = balanced_factors(totals)
    np.testing.assert_allclose(totals * factors, [[5, 5, 0], [2, 2, 2], [0, 0, 0]])


def test_weights_are_multiplied_by_the_factors_of_the_labels():
    weighed = weigh_classes(of(Y, W), np.array([[10, 20, 0], [1, 2, 3]], float))
    expected = [[10, 3], [40, 0.5], [10, 0], [0, 9], [10, 2]]
    np.testing.assert_allclose(np.nan_to_num(weighed.w), expected)
    np.testing.assert_array_equal(weighed.y, of(Y, W).y)
    np.testing.assert_allclose(weighed.rows(np.array([1]), ("w",)).w, [[40, 0.5]])


def test_later_changes_of_the_factors_do_not_matter():
    factors = np.ones((1, 2))
    weighed = weigh_classes(of([0.0, 1.0]), factors)
    factors[:] = 5
    assert weighed.w.tolist() == [[1], [1]]


def test_a_weighed_dataset_can_be_pickled():
    weighed = pickle.loads(pickle.dumps(weigh_classes(of([0.0, 1.0]), np.array([[2.0, 3.0]]))))
    assert weighed.w.tolist() == [[2], [3]]


@pytest.mark.parametrize("label", [-1, 0.5, 3, np.inf])
def test_a_label_without_a_factor_is_refused_when_its_weight_is_read(label):
    weighed = weigh_classes(of([0.0, label]), np.ones((1, 3)))
    assert weighed.y[1, 0] == label
    with pytest.raises(DatasetError, match="not one of the classes that have a weight"):
        weighed.w  # noqa: B018


def test_a_label_whose_factor_is_0_is_refused():
    with pytest.raises(DatasetError, match="label 1 is not one"):
        weigh_classes(of([0.0, 1.0]), np.array([[1.0, 0.0]])).w  # noqa: B018


def test_other_classes_of_a_task_can_have_a_factor():
    factors, others = np.array([[2.0, 3.0]] * 3), np.array([1.0, 0.5, 0.0])
    weighed = weigh_classes(of([[4, 2, 1], [1, 9, 0]]), factors, others)
    assert weighed.w.tolist() == [[1, 0.5, 3], [3, 0.5, 2]]
    with pytest.raises(DatasetError, match="label 2 is not one"):
        weigh_classes(of([[0, 0, 2]]), factors, others).w  # noqa: B018


def test_labels_of_a_task_whose_factors_are_all_1_can_be_anything():
    weighed = weigh_classes(
        of([[0.25, 1], [77, 0]], [[3, 1]] * 2), np.array([[1, 1], [2, 3]]), np.ones(2)
    )
    assert weighed.w.tolist() == [[3, 3], [3, 2]]


def test_totals_of_some_tasks_read_no_labels_of_others():
    y = [[0.25, 1], [77, 1]]
    assert class_totals(of(y), ["task1"]).tolist() == [[0, 0], [0, 2]]


@pytest.mark.parametrize("label", [-1, 0.5, 10_000, np.inf])
def test_labels_that_are_no_classes_have_no_totals(label):
    with pytest.raises(DatasetError, match="is not one of the classes"):
        class_totals(of([0.0, label]))


def test_another_number_of_tasks_is_refused():
    with pytest.raises(DatasetError, match="for 1 tasks, and the dataset has 2"):
        weigh_classes(of(Y), np.ones((1, 3)))
