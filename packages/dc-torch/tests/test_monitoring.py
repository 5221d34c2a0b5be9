"""Validation metrics, and what training follows."""

import io
import pickle

import numpy as np
import pytest
from rich.console import Console

from dc_core import Metric, NumpyDataset
from dc_core.errors import DatasetError, ParameterError, TrainingStateError
from dc_core.training import Validation
from dc_core.training.progress import ProgressBar
from dc_torch import Callback, MultitaskClassifier, MultitaskRegressor, TrainingConfig


class Bias(Metric):
    """The mean of the errors, without their signs' help: smaller is better."""

    greater_is_better = False
    needs_values = True

    def compute(self, y, prediction, w):
        return abs(np.average(prediction - y, weights=w))


class Slope(Metric):
    """The covariance of labels and predictions: larger is better."""

    greater_is_better = True

    def compute(self, y, prediction, w):
        return float(np.cov(y, prediction)[0, 1])


class Accuracy(Metric):
    greater_is_better = True

    def compute(self, y, prediction, w):
        return np.average(prediction.argmax(axis=-1) == y, weights=w)


class Loss(Bias):
    name = "valid_loss"


class Unfinished(Slope):
    """Undefined until the slope is large."""

    def compute(self, y, prediction, w):
        slope = super().compute(y, prediction, w)
        return slope if slope > 0.5 else np.nan


class Spread(Slope):
    needs_distribution = True


def regressor(tasks=1, **options):
    settings = {"layer_sizes": (16,), "epochs": 8, "batch_size": 16, "learning_rate": 0.02}
    return MultitaskRegressor(tasks, 8, **{**settings, **options})


def two_tasks(rows):
    y = np.hstack([rows.y, -rows.y])
    y[::3, 1] = np.nan
    return NumpyDataset(rows.X, y, tasks=["up", "down"])


class Evaluating(Callback):
    """Evaluates the model after each epoch, as a user would."""

    def __init__(self, valid, metrics):
        self.valid, self.metrics, self.found, self.weights = valid, metrics, [], []

    def on_epoch_end(self, model, epoch):
        self.found.append(model.evaluate(self.valid, self.metrics))
        self.weights.append(model.get_weights())


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_metrics_are_those_that_evaluate_returns_after_each_epoch(rows, more_rows):
    train, valid, metrics = two_tasks(rows), two_tasks(more_rows), [Bias(), Slope()]
    evaluating = Evaluating(valid, metrics)
    model = regressor(tasks=2).fit(train, valid=valid, metrics=metrics, callbacks=[evaluating])
    assert [epoch.metrics for epoch in model.history] == evaluating.found
    assert list(evaluating.found[0]) == [
        "bias",
        "bias/up",
        "bias/down",
        "slope",
        "slope/up",
        "slope/down",
    ]
    assert "'bias/up'" in repr(model.history[-1])


def test_metrics_of_a_classifier_are_computed_on_probabilities(rows, more_rows):
    train, valid = (NumpyDataset(each.X, each.y[:, 0] > 0) for each in (rows, more_rows))
    evaluating = Evaluating(valid, [Accuracy()])
    model = MultitaskClassifier(1, 8, layer_sizes=(16,), epochs=6, learning_rate=0.05)
    model.fit(train, valid=valid, metrics=[Accuracy()], callbacks=[evaluating])
    assert [epoch.metrics for epoch in model.history] == evaluating.found
    assert evaluating.found[-1]["accuracy"] > 0.7


def test_class_weights_count_in_the_validation_loss_and_not_in_metrics(rows, more_rows):
    train, valid = (NumpyDataset(each.X, each.y[:, 0] > 0) for each in (rows, more_rows))
    evaluating = Evaluating(valid, [Accuracy()])
    model = MultitaskClassifier(1, 8, layer_sizes=(16,), epochs=3, class_weight=[1, 50])
    model.fit(train, valid=valid, metrics=[Accuracy()], callbacks=[evaluating])
    assert [epoch.metrics for epoch in model.history] == evaluating.found
    plain = MultitaskClassifier(1, 8, layer_sizes=(16,), epochs=3)
    plain.fit(train, valid=valid)
    assert model.history[0].valid_loss != plain.history[0].valid_loss


def test_metrics_do_not_affect_training(rows, more_rows):
    plain = regressor(dropout=0.3).fit(rows, valid=more_rows)
    measured = regressor(dropout=0.3).fit(rows, valid=more_rows, metrics=[Bias()])
    assert [e.steps for e in plain.history] == [e.steps for e in measured.history]
    assert same(plain.get_weights(), measured.get_weights())


@pytest.mark.parametrize(("metric", "best"), [(Bias(), np.argmin), (Slope(), np.argmax)])
def test_the_best_weights_are_those_of_the_best_metric_in_its_own_direction(
    rows, more_rows, metric, best
):
    valid = NumpyDataset(more_rows.X, -more_rows.y)  # so that training is no help after a while
    evaluating = Evaluating(valid, [metric])
    model = regressor(monitor=metric.name, epochs=12)
    model.fit(rows, valid=valid, metrics=[metric], callbacks=[evaluating])
    number = int(best([found[metric.name] for found in evaluating.found]))
    assert number < 11, "the last epoch is not to be the best one here"
    assert same(model.get_weights(), evaluating.weights[number])


def test_early_stopping_follows_the_metric(rows, more_rows):
    valid = NumpyDataset(more_rows.X, -more_rows.y)
    model = regressor(monitor="slope", patience=3, epochs=100)
    model.fit(rows, valid=valid, metrics=[Slope()])
    values = [epoch.metrics["slope"] for epoch in model.history]
    assert len(values) == int(np.argmax(values)) + 1 + 3 < 100


def test_patience_counts_an_improvement_that_is_not_above_min_delta_as_none(rows, more_rows):
    model = regressor(patience=2, min_delta=1e9, epochs=50).fit(rows, valid=more_rows)
    assert len(model.history) == 3
    losses = [epoch.valid_loss for epoch in model.history]
    assert losses[2] < losses[0], "the loss has to improve here"
    error = model.predict(more_rows) - more_rows.y
    assert np.mean(error**2) == pytest.approx(min(losses), rel=1e-5), "the best weights are kept"


def test_the_plateau_schedule_follows_the_metric(rows, more_rows):
    valid = NumpyDataset(more_rows.X, -more_rows.y)  # its slope only falls
    options = {"schedule": "plateau", "schedule_options": {"patience": 1, "by": 0.5}}
    model = regressor(monitor="slope", **options).fit(rows, valid=valid, metrics=[Slope()])
    values = [-epoch.metrics["slope"] for epoch in model.history]
    worse = [value >= min(values[:i]) for i, value in enumerate(values) if i > 0]
    rates = [epoch.learning_rate for epoch in model.history]
    expected = [0.02 * 0.5 ** sum(worse[: max(0, i - 1)]) for i in range(8)]
    assert sum(worse) > 2
    assert rates == pytest.approx(expected)


def test_the_training_loss_can_be_followed_without_validation_rows(rows):
    model = regressor(monitor="loss", patience=2, min_delta=1e9, epochs=50).fit(rows)
    assert len(model.history) == 3


def test_a_metric_that_is_undefined_is_never_the_best(rows, more_rows):
    evaluating = Evaluating(more_rows, [Unfinished()])
    model = regressor(monitor="unfinished", patience=1, learning_rate=0.003, epochs=20)
    model.fit(rows, valid=more_rows, metrics=[Unfinished()], callbacks=[evaluating])
    values = [found["unfinished"] for found in evaluating.found]
    assert np.isnan(values[0])
    assert not np.isnan(values[-1])
    assert same(model.get_weights(), evaluating.weights[int(np.nanargmax(values))])


def test_metrics_are_resumed_exactly(rows, more_rows, tmp_path):
    options = {"monitor": "slope", "patience": 4, "schedule": "plateau", "epochs": 10}
    valid = NumpyDataset(more_rows.X, -more_rows.y)
    given = {"valid": valid, "metrics": [Bias(), Slope()]}
    whole = regressor(**options).fit(rows, **given)
    first = regressor(**options).fit(rows, **given, epochs=3)
    second = regressor(**options)
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    assert [e.metrics for e in second.history] == [e.metrics for e in first.history]
    second.fit(rows, **given, resume=True)
    found, expected = second.get_training_state(), whole.get_training_state()
    assert found.keys() == expected.keys()
    assert "history/metrics/slope" in found
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)
    assert same(second.get_weights(), whole.get_weights())
    assert pickle.loads(pickle.dumps(whole.history)) == whole.history


@pytest.mark.parametrize(
    "column", [np.zeros(2), np.zeros((3, 1)), np.zeros(3, np.float32), np.zeros(3, "S1")]
)
def test_a_column_of_metrics_that_is_not_one_is_refused(rows, column):
    model = regressor(epochs=3).fit(rows)
    state = {**model.get_training_state(), "history/metrics/slope": column}
    with pytest.raises(TrainingStateError, match="columns"):
        model.set_training_state(state)


@pytest.mark.parametrize(
    ("options", "given", "says"),
    [
        ({"monitor": "slop"}, [Slope()], "'slope'"),
        ({"monitor": "slope/task0"}, [Slope()], "'valid_loss'"),
        ({"monitor": "slope"}, [], "fit"),
        ({}, [Slope(), Slope()], "'slope'"),
        ({}, [Loss()], "'valid_loss'"),
        ({}, [Slope], "Slope"),
        ({}, Slope(), "list"),
        ({}, [Spread()], "distributions"),
    ],
)
def test_what_is_not_measured_is_refused_before_training(rows, more_rows, options, given, says):
    model = regressor(**options)
    before = model.get_weights()
    with pytest.raises(ParameterError) as caught:
        model.fit(rows, valid=more_rows, metrics=given)
    assert says in f"{caught.value}\n{caught.value.hint}"
    assert model.history == ()
    assert same(model.get_weights(), before)


@pytest.mark.parametrize(
    ("options", "metrics"),
    [({}, [Slope()]), ({"monitor": "valid_loss"}, []), ({"patience": 2}, [])],
)
def test_without_validation_rows_nothing_is_validated(rows, options, metrics):
    with pytest.raises(ParameterError) as caught:
        regressor(**options).fit(rows, metrics=metrics)
    assert "valid=dataset" in f"{caught.value}\n{caught.value.hint}"


def test_a_metric_of_values_is_refused_for_classes_before_training(rows, more_rows):
    names = np.where(rows.y > 0, "on", "off")
    train = NumpyDataset(rows.X, names)
    model = MultitaskClassifier(1, 8, layer_sizes=())
    with pytest.raises(DatasetError, match="quantities"):
        model.fit(train, valid=train, metrics=[Bias()])
    assert model.history == ()


@pytest.mark.parametrize(
    "options", [{"monitor": 3}, {"min_delta": -1}, {"min_delta": float("nan")}, {"min_delta": "1"}]
)
def test_an_invalid_option_is_named(options):
    with pytest.raises(ParameterError, match=next(iter(options))):
        TrainingConfig(**options)


def test_the_bar_shows_metrics_but_not_those_of_each_task(rows, more_rows):
    console = Console(file=io.StringIO(), force_terminal=True, width=140)
    model = regressor(tasks=2, epochs=2)
    bar = ProgressBar(console)
    model.fit(
        two_tasks(rows),
        valid=two_tasks(more_rows),
        metrics=[Slope()],
        callbacks=[bar],
        progress=False,
    )
    shown = console.file.getvalue()
    assert f"slope {model.history[-1].metrics['slope']:.4g}" in shown
    assert "slope/up" not in shown


def test_the_monitored_result_is_the_validation_loss_if_there_is_one(rows, more_rows):
    config = TrainingConfig()
    assert Validation.of(config, rows, more_rows, ()).monitor.name == "valid_loss"
    assert Validation.of(config, rows, None, ()).monitor.name == "loss"
