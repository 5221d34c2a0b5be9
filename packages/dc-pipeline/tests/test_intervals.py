"""Intervals and comparisons: SciPy's bounds, stated coverage, and p-values that are uniform."""

import time

import numpy as np
import pytest
from scipy import stats

from dc_core import Metric, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline import (
    BEDROC,
    MAE,
    R2,
    RMSE,
    ROCAUC,
    Interval,
    KendallTau,
    PearsonR,
    SpearmanR,
    compare,
    score_intervals,
)

METHODS = ["bca", "percentile"]


class Plain(Metric):
    """The median absolute error, for one weighting at a time."""

    greater_is_better = False

    def compute(self, y, prediction, w):
        return float(np.median(np.abs(y - prediction)))


def regression(n, seed=0, noise=1.0):
    rng = np.random.default_rng(seed)
    y = rng.normal(size=n)
    return NumpyDataset(np.zeros(n), y), (y + noise * rng.normal(size=n))[:, None]


def binary(n, seed=0, shift=1.0):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, 2, n).astype(float)
    return NumpyDataset(np.zeros(n), y), (shift * y + rng.normal(size=n))[:, None]


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    "metric", [RMSE(), PearsonR(), SpearmanR(), KendallTau(), Plain()], ids=repr
)
def test_intervals_are_those_of_scipy(metric, method):
    dataset, prediction = regression(40)
    y, p = dataset.y[:, 0], prediction[:, 0]

    def statistic(rows):
        return metric.compute(y[rows], p[rows], np.ones(len(rows)))

    expected = stats.bootstrap(
        (np.arange(40),),
        statistic,
        n_resamples=500,
        method=method,
        vectorized=False,
        random_state=np.random.default_rng(3),
    ).confidence_interval
    found = score_intervals([metric], dataset, prediction, method=method, resamples=500, seed=3)
    (interval,) = found.values()
    assert interval.value == pytest.approx(statistic(np.arange(40)))
    assert (interval.low, interval.high) == pytest.approx(tuple(expected), rel=1e-9)


def coverage(metric, truth, draw, method, simulations=400, n=60):
    """How many intervals of how many simulated datasets hold the true score."""
    hits = 0
    for seed in range(simulations):
        dataset, prediction = draw(n, seed)
        options = {"method": method, "resamples": 400, "seed": seed}
        (interval,) = score_intervals([metric], dataset, prediction, **options).values()
        hits += interval.low <= truth <= interval.high
    return hits / simulations


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize(
    ("metric", "truth", "draw"),
    [
        # E|e| of a standard normal; the correlation of y and y + e; P(a + 1 > b) of normals.
        (MAE(), np.sqrt(2 / np.pi), regression),
        (PearsonR(), np.sqrt(1 / 2), regression),
        (ROCAUC(), stats.norm.cdf(1 / np.sqrt(2)), binary),
    ],
    ids=["mae", "pearson_r", "roc_auc"],
)
def test_intervals_hold_the_true_score_as_often_as_they_say(metric, truth, draw, method):
    # 3 standard errors of 400 simulations are 0.033; for 60 rows a bootstrap is 0.01 too narrow.
    assert coverage(metric, truth, draw, method) == pytest.approx(0.945, abs=0.04)


@pytest.mark.parametrize("method", METHODS)
def test_equal_seeds_give_equal_intervals_and_others_differ(method):
    dataset, prediction = regression(50)
    one, same, other = (
        score_intervals([R2()], dataset, prediction, method=method, resamples=200, seed=seed)
        for seed in (1, 1, 2)
    )
    assert one == same
    assert one != other
    assert one["r2"].value == other["r2"].value


def test_the_level_sets_the_width():
    dataset, prediction = regression(100)
    widths = []
    for level in (0.5, 0.9, 0.99):
        interval = score_intervals([RMSE()], dataset, prediction, level=level)["rmse"]
        widths.append(interval.high - interval.low)
    assert widths == sorted(widths)


def test_intervals_shrink_with_the_square_root_of_the_rows():
    widths = []
    for n in (200, 3200):
        dataset, prediction = regression(n)
        interval = score_intervals([RMSE()], dataset, prediction)["rmse"]
        widths.append(interval.high - interval.low)
    assert widths[0] / widths[1] == pytest.approx(4, rel=0.25)


@pytest.mark.parametrize("metric", [RMSE(), BEDROC(), Plain()], ids=repr)
def test_tasks_have_intervals_each_and_on_average_without_missing_labels(metric):
    draw = binary if isinstance(metric, BEDROC) else regression
    (one, p), (two, q) = draw(80, 0), draw(80, 1)
    y = np.c_[one.y, two.y]
    y[::4, 1] = np.nan
    dataset = NumpyDataset(np.zeros(80), y, tasks=["a", "b"])
    found = score_intervals([metric], dataset, np.c_[p, q], resamples=300)
    values = metric.score(dataset.y, np.c_[p, q], dataset.w, dataset.tasks)
    assert {name: interval.value for name, interval in found.items()} == pytest.approx(values)
    assert list(found) == [metric.name, f"{metric.name}/a", f"{metric.name}/b"]
    assert all(i.low < i.value < i.high for i in found.values())
    # A mean of two independent tasks is more certain than either.
    widths = [i.high - i.low for i in found.values()]
    assert widths[0] < max(widths[1:])


def test_weights_of_the_dataset_count():
    dataset, prediction = regression(60)
    w = np.r_[np.full(30, 100.0), np.full(30, 1e-3)]
    weighted = NumpyDataset(np.zeros(60), dataset.y, w)
    heavy = NumpyDataset(np.zeros(30), dataset.y[:30])
    for metric in (RMSE(), SpearmanR()):
        (one,) = score_intervals([metric], weighted, prediction).values()
        (other,) = score_intervals([metric], heavy, prediction[:30]).values()
        assert one.value == pytest.approx(other.value, rel=1e-3)
        assert one.high - one.low == pytest.approx(other.high - other.low, rel=0.25)


@pytest.mark.parametrize("method", METHODS)
def test_resamples_of_one_class_are_left_out_and_counted(method):
    y = np.zeros(30)
    y[:2] = 1
    dataset = NumpyDataset(np.zeros(30), y)
    score = np.random.default_rng(0).random((30, 1))
    found = score_intervals([ROCAUC()], dataset, score, method=method, resamples=1000)["roc_auc"]
    # (28 / 30)³⁰ of the resamples have no row of class 1.
    expected = 1000 * (28 / 30) ** 30
    assert found.undefined == pytest.approx(expected, abs=4 * np.sqrt(expected))
    assert found.low < found.value < found.high


@pytest.mark.parametrize("method", METHODS)
def test_an_undefined_score_has_no_bounds_and_a_certain_one_those_of_its_value(method):
    dataset = NumpyDataset(np.zeros(5), np.ones(5))
    found = score_intervals([R2(), RMSE()], dataset, np.full((5, 1), 3.0), method=method)
    assert np.isnan([found["r2"].value, found["r2"].low, found["r2"].high]).all()
    assert found["rmse"] == Interval(2.0, 2.0, 2.0, 0.95)
    assert str(found["rmse"]) == "2 (2 to 2)"


@pytest.mark.parametrize("metric", [MAE(), ROCAUC()], ids=repr)
def test_p_values_of_models_that_are_exchangeable_are_uniform(metric):
    draw = binary if isinstance(metric, ROCAUC) else regression
    p_values = []
    for seed in range(200):
        dataset, prediction = draw(40, seed)
        noise = np.random.default_rng([seed, 9]).normal(size=(2, 40, 1))
        options = {"resamples": 199, "seed": seed, "method": "percentile"}
        (found,) = compare(
            [metric], dataset, prediction + noise[0], prediction + noise[1], **options
        ).values()
        p_values.append(found.p_value)
    assert stats.kstest(p_values, "uniform").pvalue > 1e-3


@pytest.mark.parametrize("method", METHODS)
def test_a_better_model_is_told_from_a_worse_one_on_the_same_rows(method):
    dataset, good = regression(200, noise=0.5)
    worse = good + 0.3 * np.random.default_rng(1).normal(size=good.shape)
    found = compare([RMSE(), SpearmanR()], dataset, good, worse, method=method)
    assert 0 < found["rmse"].low < found["rmse"].difference < found["rmse"].high
    assert found["spearman_r"].high < 0
    assert found["rmse"].p_value == pytest.approx(1 / 2001)
    # Separate intervals of the two overlap: pairing is what tells them apart.
    alone = [score_intervals([RMSE()], dataset, p, method=method)["rmse"] for p in (good, worse)]
    assert alone[0].high > alone[1].low


def test_a_comparison_is_antisymmetric_and_of_a_model_with_itself_zero():
    dataset, prediction = regression(50)
    other = prediction + 0.1
    one = compare([MAE()], dataset, prediction, other)["mae"]
    two = compare([MAE()], dataset, other, prediction)["mae"]
    assert (one.difference, one.low, one.high, one.p_value) == pytest.approx(
        (-two.difference, -two.high, -two.low, two.p_value)
    )
    same = compare([MAE()], dataset, prediction, prediction)["mae"]
    assert (same.difference, same.low, same.high, same.p_value) == (0, 0, 0, 1)
    assert str(same) == "+0 (+0 to +0), p = 1"


def test_a_comparison_covers_every_task():
    (one, p), (two, q) = regression(60, 0), regression(60, 1)
    dataset = NumpyDataset(np.zeros(60), np.c_[one.y, two.y], tasks=["a", "b"])
    found = compare([RMSE()], dataset, np.c_[p, q], np.c_[p, 2 * q])
    assert found["rmse/a"].p_value == 1
    assert found["rmse/b"].p_value < 0.01
    assert found["rmse"].difference == pytest.approx(found["rmse/b"].difference / 2)


def test_a_metric_of_anyone_is_compared_too():
    dataset, prediction = regression(60)
    found = compare([Plain()], dataset, prediction, prediction * 3, resamples=200)["plain"]
    assert found.difference > 0
    assert found.p_value < 0.05


def test_ten_thousand_rows_and_two_thousand_resamples_take_seconds():
    dataset, prediction = binary(10_000)
    started = time.process_time()
    score_intervals([ROCAUC()], dataset, prediction, method="percentile")
    assert time.process_time() - started < 20


def test_arguments_that_cannot_be_used_are_a_typed_error():
    dataset, prediction = regression(10)
    for run in (
        lambda *a, **k: score_intervals(*a, **k),
        lambda metrics, d, p, **k: compare(metrics, d, p, p, **k),
    ):
        with pytest.raises(ParameterError, match=r"Give a list: \[RMSE\(\)\]"):
            run(RMSE(), dataset, prediction)
        with pytest.raises(DatasetError, match="labels, predictions and weights"):
            run([RMSE()], dataset, prediction[:5])
        with pytest.raises(DatasetError, match="NumpyDataset"):
            run([RMSE()], [1, 2], prediction)
        with pytest.raises(EmptyDataset):
            run([RMSE()], dataset[:0], prediction[:0])
        for options in (
            {"level": 1},
            {"level": 0},
            {"method": "t"},
            {"resamples": 1},
            {"seed": -1},
        ):
            with pytest.raises(ParameterError, match=next(iter(options))):
                run([RMSE()], dataset, prediction, **options)
    with pytest.raises(DatasetError, match="labels, predictions and weights"):
        compare([RMSE()], dataset, prediction, prediction[:5])


def test_metrics_of_values_are_refused_for_classes():
    dataset = NumpyDataset(np.zeros(4), ["a", "b", "b", "a"])
    with pytest.raises(DatasetError, match="rmse needs quantities"):
        score_intervals([RMSE()], dataset, dataset.y)
    assert score_intervals([ROCAUC()], dataset, dataset.y)["roc_auc"].value == 1


def test_metrics_may_be_an_iterator():
    dataset, prediction = regression(20)
    metrics = [RMSE(), MAE()]
    assert list(score_intervals(iter(metrics), dataset, prediction)) == ["rmse", "mae"]
    assert list(compare(iter(metrics), dataset, prediction, prediction)) == ["rmse", "mae"]
