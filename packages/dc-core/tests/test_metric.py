"""Metrics: computed task by task, over the labels that are there."""

import numpy as np
import pytest

from dc_core import Metric
from dc_core.errors import DatasetError, ParameterError
from dc_core.metric import score_all


class MeanError(Metric):
    greater_is_better = False

    def compute(self, y, prediction, w):
        assert (w > 0).all()
        if len(y) < 2:
            return float("nan")
        return np.average(np.abs(y - prediction), weights=w)


Y = np.array([[0.0, 0.0], [0.0, np.nan], [0.0, np.nan]])
W = np.array([[1.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
P = np.array([[4.0, 9.0], [4.0, 9.0], [8.0, 9.0]])


def test_labels_of_weight_0_are_left_out_and_undefined_tasks_are_not_averaged():
    assert MeanError().score(Y, P, W, ["a", "b"]) == pytest.approx(
        {"mean_error": 6.0, "mean_error/a": 6.0, "mean_error/b": float("nan")}, nan_ok=True
    )


def test_missing_labels_are_left_out_whatever_their_weight():
    scores = MeanError().score(Y[:, 1:], P[:, 1:], np.ones((3, 1)), ["b"])
    assert np.isnan(scores["mean_error"])


def test_a_single_task_has_one_figure():
    assert MeanError().score(Y[:, :1], P[:, :1], W[:, :1], ["a"]) == {"mean_error": 6.0}


def test_a_metric_without_any_label_is_undefined():
    scores = MeanError().score(Y, P, np.zeros_like(W), ["a", "b"])
    assert all(np.isnan(value) for value in scores.values())


def test_classes_are_an_axis_of_the_prediction():
    class Shape(Metric):
        def compute(self, y, prediction, w):
            return prediction.shape[1]

    assert Shape().score(Y, np.zeros((3, 2, 5)), np.ones((3, 2)), ["a", "b"])["shape"] == 5


@pytest.mark.parametrize("prediction", [P[:2], P[:, :1], P.ravel()])
def test_predictions_of_another_shape_are_a_typed_error(prediction):
    with pytest.raises(DatasetError, match="mean_error needs labels, predictions and weights"):
        MeanError().score(Y, prediction, W, ["a", "b"])


def test_several_metrics_are_scored_into_one_mapping():
    class Count(Metric):
        def compute(self, y, prediction, w):
            return len(y)

    scores = score_all([MeanError(), Count()], Y[:, :1], P[:, :1], W[:, :1], ["a"])
    assert scores.keys() == {"mean_error", "count"}


@pytest.mark.parametrize("metrics", [MeanError(), MeanError, [MeanError], 3, ["rmse"]])
def test_a_value_that_is_not_a_list_of_metrics_is_a_typed_error(metrics):
    with pytest.raises(ParameterError, match=r"Give a list|Make an instance: MeanError\(\)"):
        score_all(metrics, Y, P, W, ["a", "b"])


class MeanScaledError(Metric):
    greater_is_better = False
    needs_distribution = True

    def compute(self, y, prediction, w):
        return float(np.mean(np.abs(y - prediction[:, 0]) / prediction[:, 1]))


def test_metrics_of_distributions_get_the_deviation_and_others_the_mean_alone():
    Z, ones = np.zeros((2, 1)), np.ones((2, 1))
    scores = score_all([MeanError(), MeanScaledError()], Z, 6 * ones, ones, ["a"], None, 2 * ones)
    assert scores == {"mean_error": 6.0, "mean_scaled_error": 3.0}
