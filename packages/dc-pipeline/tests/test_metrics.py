"""Metrics: textbook values, weights, several tasks, and NaN where there is no answer."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dc_core.errors import DatasetError
from dc_pipeline import MAE, PRCAUC, R2, RMSE, ROCAUC, Accuracy, BalancedAccuracy, PearsonR

REGRESSION = [RMSE, MAE, R2, PearsonR]
CLASSIFICATION = [ROCAUC, PRCAUC, Accuracy, BalancedAccuracy]

y = np.array([1.0, 2.0, 3.0, 4.0])
prediction = np.array([1.0, 2.0, 3.0, 6.0])
labels = np.array([0.0, 0.0, 1.0, 1.0])
probability = np.array([0.1, 0.4, 0.35, 0.8])


def compute(metric, y, prediction, w=None):
    return metric().compute(y, prediction, np.ones(len(y)) if w is None else np.array(w))


@pytest.mark.parametrize(
    ("metric", "value"),
    # Σ(y − p)² = 4, Σ|y − p| = 2, Σ(y − ȳ)² = 5; r = 8 / √(5 · 14).
    [(RMSE, 1.0), (MAE, 0.5), (R2, 1 - 4 / 5), (PearsonR, 8 / np.sqrt(70))],
)
def test_regression_metrics_have_their_textbook_values(metric, value):
    assert compute(metric, y, prediction) == pytest.approx(value)


@pytest.mark.parametrize(
    ("metric", "value"),
    # Three of four pairs are ranked right; trapezoids through (R, P) = (0, 1), (½, 1), (½, ½),
    # (1, ⅔), (1, ½); one of two positives is above ½.
    [(ROCAUC, 3 / 4), (PRCAUC, 1 / 2 + (1 / 2 + 2 / 3) / 4), (Accuracy, 3 / 4)],
)
def test_classification_metrics_have_their_textbook_values(metric, value):
    assert compute(metric, labels, probability) == pytest.approx(value)
    both = np.stack([1 - probability, probability], axis=1)
    assert compute(metric, labels, both) == pytest.approx(value)


def test_the_precision_recall_curve_is_that_of_class_1():
    # From (R, P) = (0, 0), where the false one leads, to (1, ½).
    assert compute(PRCAUC, np.array([1.0, 0, 0, 0]), np.array([0.5, 0.9, 0.1, 0.2])) == 0.25


def test_balanced_accuracy_weights_each_class_equally():
    many = np.array([0.0] * 9 + [1.0])
    assert compute(Accuracy, many, np.zeros(10)) == 0.9
    assert compute(BalancedAccuracy, many, np.zeros(10)) == 0.5


@pytest.mark.parametrize("metric", [*REGRESSION, *CLASSIFICATION])
def test_a_weight_of_two_counts_a_row_twice(metric):
    targets = labels if metric in CLASSIFICATION else y
    given_ = probability if metric in CLASSIFICATION else prediction
    twice = [0, 1, 1, 2, 3, 3, 3]
    weighted = compute(metric, targets, given_, [1, 2, 1, 3])
    assert weighted == pytest.approx(compute(metric, targets[twice], given_[twice]))


@pytest.mark.parametrize("metric", [ROCAUC, PRCAUC])
def test_perfect_ranking_of_several_classes_is_one(metric):
    classes = np.array([0.0, 1.0, 2.0, 1.0])
    assert compute(metric, classes, np.eye(3)[classes.astype(int)]) == 1


@pytest.mark.parametrize("metric", [R2, PearsonR])
def test_r2_and_pearson_are_undefined_for_equal_labels(metric):
    assert np.isnan(compute(metric, np.ones(4), prediction))
    assert np.isnan(compute(metric, y[:1], prediction[:1]))


def test_pearson_is_undefined_for_equal_predictions():
    assert np.isnan(compute(PearsonR, y, np.ones(4)))


@pytest.mark.parametrize("metric", [ROCAUC, PRCAUC, BalancedAccuracy])
def test_one_class_only_is_undefined(metric):
    assert np.isnan(compute(metric, np.ones(4), probability))


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=2, max_size=30))
def test_pearson_is_between_minus_one_and_one(pairs):
    targets, values = np.array(pairs).T
    value = compute(PearsonR, targets, values)
    assert np.isnan(value) or -1 <= value <= 1


def test_several_tasks_give_their_mean_and_each():
    w = np.array([[1.0, 1], [1, 1], [1, 1], [1, 0]])
    scores = RMSE().score(np.c_[y, y], np.c_[prediction, y + 3], w, ("a", "b"))
    assert scores == pytest.approx({"rmse": 2.0, "rmse/a": 1.0, "rmse/b": 3.0})


def test_a_task_of_one_class_is_left_out_of_the_mean():
    two = np.c_[labels, np.ones(4)]
    probabilities = np.repeat(probability[:, None], 2, axis=1)
    scores = ROCAUC().score(two, probabilities, np.ones((4, 2)), ("a", "b"))
    assert scores["roc_auc"] == scores["roc_auc/a"] == 0.75
    assert np.isnan(scores["roc_auc/b"])


def test_metrics_have_their_usual_names():
    names = [metric().name for metric in (*REGRESSION, *CLASSIFICATION)]
    expected = ["rmse", "mae", "r2", "pearson_r", "roc_auc", "prc_auc"]
    assert names == [*expected, "accuracy", "balanced_accuracy"]


@pytest.mark.parametrize("metric", [*REGRESSION, *CLASSIFICATION])
@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_predictions_that_are_not_finite_are_a_typed_error(metric, bad):
    with pytest.raises(DatasetError, match=r"NaN or infinite.*smaller learning rate"):
        compute(metric, labels, np.array([0.1, bad, 0.3, 0.4]))


@pytest.mark.parametrize("metric", REGRESSION)
def test_an_infinite_label_is_a_typed_error(metric):
    with pytest.raises(DatasetError, match="not defined for infinite labels"):
        compute(metric, np.array([0.0, np.inf, 1.0, 1.0]), probability)


@pytest.mark.parametrize("metric", REGRESSION)
def test_regression_metrics_refuse_probabilities(metric):
    with pytest.raises(DatasetError, match="metric for classification"):
        compute(metric, labels, np.ones((4, 2)) / 2)


@pytest.mark.parametrize("metric", CLASSIFICATION)
def test_classification_metrics_refuse_values(metric):
    with pytest.raises(DatasetError, match="metric for regression"):
        compute(metric, y + 0.5, probability)
