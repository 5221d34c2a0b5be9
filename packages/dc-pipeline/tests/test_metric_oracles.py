"""More metrics: those of scikit-learn, SciPy and RDKit, by weight, for many resamples at once."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit.ML.Scoring import Scoring
from scipy import stats
from scipy.integrate import quad
from sklearn import metrics as sk
from sklearn.calibration import calibration_curve

from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import (
    BEDROC,
    F1,
    MAE,
    MCC,
    PRCAUC,
    R2,
    RMSE,
    ROCAUC,
    Accuracy,
    AveragePrecision,
    BalancedAccuracy,
    BrierScore,
    CalibrationError,
    ConcordanceIndex,
    EnrichmentFactor,
    ExplainedVariance,
    GaussianNLL,
    KendallTau,
    LogLoss,
    MaxError,
    PearsonR,
    RegressionCalibrationError,
    SpearmanR,
)

REGRESSION = [
    RMSE(),
    MAE(),
    MaxError(),
    R2(),
    ExplainedVariance(),
    PearsonR(),
    SpearmanR(),
    KendallTau(),
    ConcordanceIndex(),
]
BINARY = [
    ROCAUC(),
    PRCAUC(),
    AveragePrecision(),
    Accuracy(),
    BalancedAccuracy(),
    F1(),
    MCC(),
    LogLoss(),
    BrierScore(),
    CalibrationError(5),
    BEDROC(),
    EnrichmentFactor(0.2),
]
DISTRIBUTIONS = [RegressionCalibrationError(), GaussianNLL()]
RANKED = [ROCAUC(), PRCAUC(), AveragePrecision(), BEDROC(), EnrichmentFactor(0.2)]
UNDEFINED_FOR_ONE_CLASS = [*RANKED, BalancedAccuracy(), F1(), MCC()]


def rows_of(metric, seed=0, n=40):
    """Return labels, predictions with ties, and weights for ``metric``."""
    rng = np.random.default_rng(seed)
    if isinstance(metric, tuple(map(type, BINARY))):
        y = rng.integers(0, 2, n).astype(float)
        prediction = np.round(np.clip(0.3 * y + 0.6 * rng.random(n), 0, 1), 1)
    else:
        y = np.round(rng.normal(size=n), 1)
        prediction = np.round(y + rng.normal(size=n), 1)
    if isinstance(metric, tuple(map(type, DISTRIBUTIONS))):
        prediction = np.c_[prediction, rng.uniform(0.3, 2, n)]
    return y, prediction, rng.uniform(0.1, 3, n)


def identified(metric):
    return metric.name


every_metric = pytest.mark.parametrize(
    "metric", [*REGRESSION, *BINARY, *DISTRIBUTIONS], ids=identified
)


def multiclass(seed=0, n=60, classes=3):
    rng = np.random.default_rng(seed)
    y = rng.integers(0, classes, n).astype(float)
    p = rng.dirichlet(np.ones(classes), n) + 0.7 * np.eye(classes)[y.astype(int)]
    return y, p / p.sum(axis=1, keepdims=True), rng.uniform(0.1, 3, n)


@every_metric
@pytest.mark.parametrize("seed", range(3))
def test_a_weight_of_two_counts_a_row_twice(metric, seed):
    y, prediction, _ = rows_of(metric, seed)
    counts = np.random.default_rng(seed).integers(1, 4, len(y))
    twice = np.repeat(np.arange(len(y)), counts)
    weighted = metric.compute(y, prediction, counts.astype(float))
    repeated = metric.compute(y[twice], prediction[twice], np.ones(len(twice)))
    assert weighted == pytest.approx(repeated, rel=1e-9)


@every_metric
def test_only_the_ratios_of_weights_matter(metric):
    y, prediction, w = rows_of(metric)
    expected = metric.compute(y, prediction, w)
    assert metric.compute(y, prediction, 1e-7 * w) == pytest.approx(expected, rel=1e-9)
    assert metric.compute(y, prediction, 1e9 * w) == pytest.approx(expected, rel=1e-9)


@every_metric
def test_many_weightings_are_scored_as_one_by_one_and_rows_of_weight_0_do_not_count(metric):
    y, prediction, w = rows_of(metric)
    weights = np.random.default_rng(1).integers(0, 3, (20, len(y))) * w
    for row, found in zip(weights, metric.compute_weighted(y, prediction, weights), strict=True):
        kept = row > 0
        alone = metric.compute(y[kept], prediction[kept], row[kept])
        assert found == pytest.approx(alone, rel=1e-9)


@every_metric
def test_the_order_of_the_rows_does_not_matter(metric):
    y, prediction, w = rows_of(metric)
    order = np.random.default_rng(2).permutation(len(y))
    shuffled = metric.compute(y[order], prediction[order], w[order])
    assert shuffled == pytest.approx(metric.compute(y, prediction, w), rel=1e-9)


def of_scikit_learn(metric):
    """Return scikit-learn's function of labels, predictions and weights."""

    def classes(function, **options):
        return lambda y, p, w: function(y, (p > 0.5).astype(int), sample_weight=w, **options)

    def weighted(function):
        return lambda y, p, w: function(y, p, sample_weight=w)

    def trapezoids(y, p, w):
        precision, recall, _ = sk.precision_recall_curve(y, p, sample_weight=w)
        return sk.auc(recall, precision)

    return {
        "rmse": weighted(sk.root_mean_squared_error),
        "mae": weighted(sk.mean_absolute_error),
        "max_error": lambda y, p, w: sk.max_error(y, p),
        "r2": weighted(sk.r2_score),
        "explained_variance": weighted(sk.explained_variance_score),
        "roc_auc": weighted(sk.roc_auc_score),
        "prc_auc": trapezoids,
        "average_precision": weighted(sk.average_precision_score),
        "accuracy": classes(sk.accuracy_score),
        "balanced_accuracy": classes(sk.balanced_accuracy_score),
        "f1": classes(sk.f1_score),
        "mcc": classes(sk.matthews_corrcoef),
        "log_loss": weighted(sk.log_loss),
        "brier_score": weighted(sk.brier_score_loss),
    }.get(metric.name)


@pytest.mark.parametrize(
    "metric", [m for m in (*REGRESSION, *BINARY) if of_scikit_learn(m)], ids=identified
)
@pytest.mark.parametrize("seed", range(5))
def test_metrics_are_those_of_scikit_learn(metric, seed):
    y, prediction, w = rows_of(metric, seed)
    expected = of_scikit_learn(metric)(y, prediction, w)
    assert metric.compute(y, prediction, w) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("seed", range(5))
def test_metrics_of_several_classes_are_those_of_scikit_learn(seed):
    y, p, w = multiclass(seed)
    best = p.argmax(axis=1)
    onehot = np.eye(3)[y.astype(int)]
    expected = {
        Accuracy(): sk.accuracy_score(y, best, sample_weight=w),
        BalancedAccuracy(): sk.balanced_accuracy_score(y, best, sample_weight=w),
        F1(): sk.f1_score(y, best, average="macro", sample_weight=w),
        MCC(): sk.matthews_corrcoef(y, best, sample_weight=w),
        LogLoss(): sk.log_loss(y, p, sample_weight=w),
        BrierScore(): np.average(np.square(p - onehot).sum(axis=1), weights=w),
        AveragePrecision(): sk.average_precision_score(onehot, p, sample_weight=w),
        ROCAUC(): np.mean(
            [sk.roc_auc_score(onehot[:, c], p[:, c], sample_weight=w) for c in range(3)]
        ),
    }
    for metric, value in expected.items():
        assert metric.compute(y, p, w) == pytest.approx(value, rel=1e-9), metric


@pytest.mark.parametrize("seed", range(5))
def test_rank_correlations_are_those_of_scipy(seed):
    y, prediction, _ = rows_of(KendallTau(), seed)
    w = np.ones(len(y))
    expected = stats.spearmanr(y, prediction).statistic
    assert SpearmanR().compute(y, prediction, w) == pytest.approx(expected)
    expected = stats.kendalltau(y, prediction).statistic
    assert KendallTau().compute(y, prediction, w) == pytest.approx(expected)
    expected = (stats.somersd(y, prediction).statistic + 1) / 2
    assert ConcordanceIndex().compute(y, prediction, w) == pytest.approx(expected)


def test_concordance_counts_pairs():
    y = np.array([1.0, 2, 3, 3])
    prediction = np.array([1.0, 1, 3, 0])
    # Of five pairs with different labels two are right, one is tied, two are wrong.
    assert ConcordanceIndex().compute(y, prediction, np.ones(4)) == pytest.approx(2.5 / 5)


def ranked(y, score):
    return [[label] for label in y[np.argsort(-score, kind="stable")]]


@settings(deadline=None)
@given(
    st.lists(st.booleans(), min_size=2, max_size=60).filter(lambda y: 0 < sum(y) < len(y)),
    st.sampled_from([0.5, 5.0, 20.0, 100.0, 321.9]),
    st.randoms(),
)
def test_bedroc_and_enrichment_are_those_of_rdkit(y, alpha, random):
    y = np.array(y, float)
    score = np.arange(len(y), dtype=float)
    random.shuffle(score)
    w = np.ones(len(y))
    expected = Scoring.CalcBEDROC(ranked(y, score), 0, alpha)
    assert BEDROC(alpha).compute(y, score, w) == pytest.approx(expected, abs=1e-9)
    # RDKit rounds the fraction up to whole rows.
    for rows in {1, max(1, len(y) // 2)}:
        fraction = rows / len(y)
        hits = y[np.argsort(-score)][:rows].sum()
        expected = hits / rows * len(y) / y.sum()
        assert EnrichmentFactor(fraction).compute(y, score, w) == pytest.approx(expected)


def test_the_enrichment_of_whole_percents_is_that_of_rdkit():
    rng = np.random.default_rng(0)
    y = (rng.random(1000) < 0.05).astype(float)
    score = y + rng.normal(size=1000)
    for fraction in (0.01, 0.02, 0.05, 0.1):
        expected = Scoring.CalcEnrichment(ranked(y, score), 0, [fraction])[0]
        found = EnrichmentFactor(fraction).compute(y, score, np.ones(1000))
        assert found == pytest.approx(expected)


def test_bedroc_is_1_for_the_best_ranking_and_0_for_the_worst_and_does_not_overflow():
    y = np.array([1.0] * 5 + [0.0] * 95)
    for alpha in (0.01, 20, 1e4):
        assert BEDROC(alpha).compute(y, y, np.ones(100)) == pytest.approx(1)
        assert BEDROC(alpha).compute(y, -y, np.ones(100)) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("metric", [BEDROC(), EnrichmentFactor(0.13)], ids=identified)
def test_ties_have_the_mean_over_all_their_orders(metric):
    y = np.array([1.0, 0, 1, 0, 0, 0, 1, 0])
    score = np.array([3.0, 2, 2, 2, 2, 1, 1, 0])
    rng = np.random.default_rng(0)
    broken = [metric.compute(y, score + 1e-6 * rng.random(8), np.ones(8)) for _ in range(4000)]
    error = np.std(broken) / np.sqrt(len(broken))
    assert abs(metric.compute(y, score, np.ones(8)) - np.mean(broken)) < 4 * error + 1e-12


@pytest.mark.parametrize("metric", RANKED, ids=identified)
def test_rankings_depend_on_the_order_of_the_scores_only(metric):
    y, prediction, w = rows_of(metric)
    expected = metric.compute(y, prediction, w)
    assert metric.compute(y, np.exp(3 * prediction) - 7, w) == pytest.approx(expected)


@pytest.mark.parametrize("metric", UNDEFINED_FOR_ONE_CLASS, ids=identified)
@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_only_is_undefined(metric, label):
    assert np.isnan(metric.compute(np.full(4, label), np.array([0.1, 0.7, 0.3, 0.6]), np.ones(4)))


@pytest.mark.parametrize("metric", REGRESSION[3:], ids=identified)
def test_correlations_are_undefined_for_equal_labels(metric):
    assert np.isnan(metric.compute(np.ones(4), np.arange(4.0), np.ones(4)))
    # 0.1 has no exact square, so that a variance of 0 is not computed as 0.
    assert np.isnan(metric.compute(np.full(7, 0.1), np.arange(7.0), np.full(7, 0.3)))


def test_a_constant_class_has_no_correlation_and_a_constant_score_the_middle():
    y, _, w = rows_of(MCC())
    assert MCC().compute(y, np.full(len(y), 0.9), w) == 0
    assert ROCAUC().compute(y, np.full(len(y), 0.9), w) == pytest.approx(0.5)
    assert EnrichmentFactor().compute(y, np.full(len(y), 0.9), w) == pytest.approx(1)
    assert ConcordanceIndex().compute(y, np.full(len(y), 0.9), w) == pytest.approx(0.5)


def test_calibration_error_is_the_distance_of_scikit_learn_s_calibration_curve():
    rng = np.random.default_rng(0)
    p = rng.random(500)
    y = (rng.random(500) < p**2).astype(float)
    observed, stated = calibration_curve(y, p, n_bins=10)
    counts = np.histogram(p, np.linspace(0, 1, 11))[0]
    expected = np.average(abs(observed - stated), weights=counts)
    found = CalibrationError(10).compute(y, p, np.ones(500))
    assert found == pytest.approx(expected)
    # ∫ |p − p²| dp = 1/6
    assert found == pytest.approx(1 / 6, abs=3 * 0.5 / np.sqrt(500))


def test_calibration_error_of_several_classes_is_that_of_the_most_probable_one():
    p = np.array([[0.8, 0.1, 0.1], [0.1, 0.8, 0.1], [0.1, 0.1, 0.8], [0.8, 0.2, 0]])
    y = np.array([0.0, 1, 0, 0])
    assert CalibrationError().compute(y, p, np.ones(4)) == pytest.approx(0.8 - 0.75)
    assert CalibrationError().compute(np.ones(1), np.ones(1), np.ones(1)) == 0


@pytest.mark.parametrize("scale", [0.5, 1.0, 3.0])
def test_calibration_of_a_regression_is_the_area_that_a_wrong_deviation_gives(scale):
    """The share of labels below the p-quantile of a normal that is ``scale`` as wide."""
    n = 20_000
    mean = np.random.default_rng(0).normal(size=n)
    y = mean + np.random.default_rng(1).normal(size=n)
    area, _ = quad(lambda p: abs(stats.norm.cdf(scale * stats.norm.ppf(p)) - p), 0, 1)
    prediction = np.c_[mean, np.full(n, scale)]
    found = RegressionCalibrationError().compute(y, prediction, np.ones(n))
    # The largest error of an empirical distribution is below 1.36 / √n in 95 % of the cases.
    assert found == pytest.approx(area, abs=2 / np.sqrt(n) + 1 / 99**2)


def test_gaussian_likelihood_is_that_of_scipy():
    y, prediction, w = rows_of(DISTRIBUTIONS[1])
    expected = -np.average(stats.norm.logpdf(y, *prediction.T), weights=w)
    assert GaussianNLL().compute(y, prediction, w) == pytest.approx(expected)


def test_a_perfect_prediction_has_the_best_value():
    y, _, w = rows_of(R2())
    best = {RMSE: 0, MAE: 0, MaxError: 0, R2: 1, ExplainedVariance: 1, PearsonR: 1, SpearmanR: 1}
    for metric, value in {**best, KendallTau: 1, ConcordanceIndex: 1}.items():
        assert metric().compute(y, y, w) == pytest.approx(value), metric
    y, _, w = rows_of(ROCAUC())
    best = {ROCAUC: 1, PRCAUC: 1, AveragePrecision: 1, Accuracy: 1, F1: 1, MCC: 1, BEDROC: 1}
    for metric, value in {**best, LogLoss: 0, BrierScore: 0, CalibrationError: 0}.items():
        assert metric().compute(y, y, w) == pytest.approx(value, abs=1e-12), metric


@every_metric
def test_missing_labels_are_left_out_and_tasks_are_averaged(metric):
    y, prediction, w = rows_of(metric)
    labels = np.c_[y, np.where(np.arange(len(y)) % 3 == 0, np.nan, y)]
    both = np.stack([prediction, prediction], axis=1)
    scores = metric.score(labels, both, np.c_[w, w], ("a", "b"))
    kept = np.arange(len(y)) % 3 != 0
    assert scores[f"{metric.name}/a"] == pytest.approx(metric.compute(y, prediction, w))
    expected = metric.compute(y[kept], prediction[kept], w[kept])
    assert scores[f"{metric.name}/b"] == pytest.approx(expected)
    assert scores[metric.name] == pytest.approx(
        (scores[f"{metric.name}/a"] + scores[f"{metric.name}/b"]) / 2
    )


def test_scores_that_are_no_probabilities_are_refused_where_they_must_be():
    y = np.array([0.0, 1])
    for metric in (LogLoss(), BrierScore(), CalibrationError()):
        with pytest.raises(DatasetError, match=r"needs probabilities; these are from -2 to 3"):
            metric.compute(y, np.array([-2.0, 3]), np.ones(2))
    for metric in RANKED:
        assert metric.compute(y, np.array([-2.0, 3]), np.ones(2)) == pytest.approx(
            5 if isinstance(metric, EnrichmentFactor) else 1, rel=0.9
        )


def test_predictions_of_the_wrong_kind_are_a_typed_error():
    w = np.ones(3)
    for metric in (BEDROC(), EnrichmentFactor()):
        with pytest.raises(DatasetError, match="needs two classes; there are 3"):
            metric.compute(np.arange(3.0), np.eye(3), w)
    for metric in DISTRIBUTIONS:
        with pytest.raises(DatasetError, match=r"means and standard deviations.*np\.stack"):
            metric.compute(np.arange(3.0), np.arange(3.0), w)
        with pytest.raises(DatasetError, match="deviations above 0"):
            metric.compute(np.arange(3.0), np.zeros((3, 2)), w)
        with pytest.raises(DatasetError, match="NaN or infinite"):
            metric.compute(np.arange(3.0), np.full((3, 2), np.nan), w)


@pytest.mark.parametrize("bad", [0, -1, np.inf, np.nan, "1", None, True])
def test_options_that_cannot_be_used_are_a_typed_error(bad):
    for make in (BEDROC, EnrichmentFactor, CalibrationError, RegressionCalibrationError):
        if not (bad is True and make in (CalibrationError, RegressionCalibrationError)):
            with pytest.raises(ParameterError):
                make(bad)
    with pytest.raises(ParameterError, match="at most 1"):
        EnrichmentFactor(1.5)


def test_metrics_of_values_say_that_classes_are_not_for_them():
    assert all(metric.needs_values for metric in (*REGRESSION, *DISTRIBUTIONS))
    assert not any(metric.needs_values for metric in BINARY)


def test_metrics_have_their_usual_names():
    names = [metric.name for metric in (*REGRESSION, *BINARY, *DISTRIBUTIONS)]
    assert names == [
        "rmse",
        "mae",
        "max_error",
        "r2",
        "explained_variance",
        "pearson_r",
        "spearman_r",
        "kendall_tau",
        "concordance_index",
        "roc_auc",
        "prc_auc",
        "average_precision",
        "accuracy",
        "balanced_accuracy",
        "f1",
        "mcc",
        "log_loss",
        "brier_score",
        "calibration_error",
        "bedroc",
        "enrichment_factor_20%",
        "regression_calibration_error",
        "gaussian_nll",
    ]
