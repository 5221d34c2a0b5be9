"""Acquisitions, against closed forms, numerical integration and frequencies."""

import numpy as np
import pytest
from scipy.integrate import quad
from scipy.stats import norm
from sklearn.metrics import pairwise_distances

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import (
    ECFP,
    UCB,
    Candidates,
    DiverseBatch,
    DiversitySampling,
    ExpectedImprovement,
    Greedy,
    RandomSampling,
    ThompsonSampling,
    UncertaintySampling,
)

MEAN = np.array([-1.0, 0.2, 0.5, 1.3, 0.9])
STD = np.array([2.0, 0.0, 0.1, 0.4, 1.1])
RNG = np.random.default_rng


def candidates(mean, std, best=np.nan, X=None, labelled=None):
    X = np.arange(float(len(mean)))[:, None] if X is None else X
    pool = NumpyDataset(X)
    known = pool[:0] if labelled is None else NumpyDataset(labelled)
    nothing = np.zeros(len(X))
    return Candidates(pool, np.arange(len(X)), known, best, mean, nothing if std is None else std)


@pytest.mark.parametrize("xi", [0.0, 0.3])
@pytest.mark.parametrize("best", [-2.0, 0.6, 1.4, 3.0])
def test_expected_improvement_is_the_integral_of_the_improvement(best, xi):
    found = ExpectedImprovement(xi).scores(MEAN, STD, best)
    for value, mean, std in zip(found, MEAN, STD, strict=True):
        if std == 0:
            assert value == max(mean - best - xi, 0)
            continue
        low = best + xi
        high = max(low, mean) + 12 * std
        middle = [mean] if low < mean < high else None
        expected, _ = quad(
            lambda f, m=mean, s=std, b=low: (f - b) * norm.pdf(f, m, s),
            low,
            high,
            points=middle,
            epsabs=1e-13,
        )
        assert value == pytest.approx(expected, rel=1e-8, abs=1e-12)


def test_expected_improvement_is_never_negative_and_grows_with_the_deviation():
    std = np.geomspace(1e-3, 10, 200)
    found = ExpectedImprovement().scores(np.full(200, -1.0), std, 0.5)
    assert found.min() >= 0
    assert np.all(np.diff(found) >= 0)


def test_ucb_is_the_quantile_of_its_beta():
    probability = 0.9
    found = UCB(norm.ppf(probability)).scores(MEAN, STD, 0.0)
    np.testing.assert_allclose(found, norm.ppf(probability, MEAN, np.maximum(STD, 1e-300)))


def test_ucb_without_beta_is_greedy():
    ask = candidates(MEAN, STD)
    assert UCB(0).choose(ask, 5, RNG(0)).tolist() == Greedy().choose(ask, 5, RNG(0)).tolist()
    assert Greedy().choose(ask, 2, RNG(0)).tolist() == [3, 4]


def test_uncertainty_takes_the_highest_deviations():
    assert UncertaintySampling().choose(candidates(MEAN, STD), 3, RNG(0)).tolist() == [0, 4, 3]


def test_thompson_chooses_each_row_as_often_as_it_is_the_best():
    std = np.maximum(STD, 0.05)
    n, rng = 20_000, RNG(1)
    ask = candidates(MEAN, std)
    counts = np.bincount(
        [int(ThompsonSampling().choose(ask, 1, rng)[0]) for _ in range(n)], minlength=5
    )
    for i in range(5):
        others = [j for j in range(5) if j != i]

        def density(f, i=i, others=others):
            return norm.pdf(f, MEAN[i], std[i]) * np.prod(norm.cdf(f, MEAN[others], std[others]))

        p, _ = quad(density, -12, 12, points=[MEAN[i]], limit=400)
        assert abs(counts[i] / n - p) < 5 * np.sqrt(max(p * (1 - p), 1e-4) / n)


def test_a_batch_of_thompson_samples_has_no_row_twice():
    found = ThompsonSampling().choose(candidates(MEAN, STD), 10, RNG(0))
    assert sorted(found.tolist()) == [0, 1, 2, 3, 4]


def test_random_sampling_is_uniform():
    n, rng = 5000, RNG(2)
    ask = candidates(MEAN, None)
    found = np.array([RandomSampling().choose(ask, 2, rng) for _ in range(n)])
    counts = np.bincount(found.ravel(), minlength=5)
    assert np.all(np.abs(counts / n - 0.4) < 5 * np.sqrt(0.4 * 0.6 / n))
    assert np.all(found[:, 0] != found[:, 1])


def test_ties_are_broken_at_random():
    ask = candidates(np.zeros(4), np.ones(4))
    found = {int(Greedy().choose(ask, 1, RNG(seed))[0]) for seed in range(40)}
    assert found == {0, 1, 2, 3}


@pytest.mark.parametrize("acquisition", [Greedy(), UCB(), ThompsonSampling()])
def test_rows_without_a_prediction_are_never_chosen(acquisition):
    mean = np.where(np.arange(5) == 3, np.nan, MEAN)
    found = acquisition.choose(candidates(mean, STD), 5, RNG(0))
    assert sorted(found.tolist()) == [0, 1, 2, 4]


def is_farthest_first(distance, known, picks):
    """Tell whether each pick is as far as any other from what is known and was picked before."""
    nearest = distance[:, known].min(axis=1) if len(known) else None
    for i, pick in enumerate(picks):
        if nearest is not None:
            free = np.setdiff1d(np.arange(len(distance)), [*known, *picks[:i]])
            if nearest[pick] < nearest[free].max() - 1e-12:
                return False
        here = distance[:, pick]
        nearest = here if nearest is None else np.minimum(nearest, here)
    return True


@pytest.mark.parametrize("known", [0, 4])
def test_diversity_of_features_is_a_farthest_first_traversal(known):
    X = RNG(3).normal(size=(60, 3))
    ask = candidates(np.zeros(60), None, X=X[known:], labelled=X[:known] if known else None)
    picks = DiversitySampling().choose(ask, 12, RNG(0)) + known
    assert len({*picks.tolist()}) == 12
    assert is_farthest_first(pairwise_distances(X), list(range(known)), picks.tolist())


@pytest.mark.parametrize("known", [0, 3])
@pytest.mark.parametrize("as_smiles", [True, False])
def test_diversity_of_molecules_is_a_farthest_first_traversal(molecules, known, as_smiles):
    bits = ECFP().featurize(molecules[:60])
    smiles = np.array(molecules[:60])[bits.ok].tolist()
    table = bits.values[bits.ok]
    X = np.array(smiles, dtype=np.dtypes.StringDType()) if as_smiles else table
    ask = candidates(
        np.zeros(len(X) - known), None, X=X[known:], labelled=X[:known] if known else None
    )
    picks = DiversitySampling().choose(ask, 10, RNG(0)) + known
    distance = pairwise_distances(table.astype(bool), metric="jaccard")
    assert is_farthest_first(distance, list(range(known)), picks.tolist())


def test_a_diverse_batch_begins_with_the_best_and_stays_among_the_good():
    X = np.repeat(np.arange(10.0), 5)[:, None]
    mean = RNG(4).normal(size=50)
    ask = candidates(mean, None, X=X)
    found = DiverseBatch(Greedy(), factor=4).choose(ask, 5, RNG(0))
    good = np.argsort(-mean)[:20]
    assert found[0] == good[0]
    assert {*found.tolist()} <= {*good.tolist()}
    # There are five places of which no two are equal among the good.
    assert len({*X[found, 0].tolist()}) == 5


def test_features_without_distances_are_a_typed_error():
    ask = candidates(np.zeros(3), None, X=np.array([[0.0], [np.nan], [2.0]]))
    with pytest.raises(DatasetError, match="NaN"):
        DiversitySampling().choose(ask, 2, RNG(0))


@pytest.mark.parametrize(
    ("cls", "arguments"),
    [
        (UCB, (-1,)),
        (UCB, ("high",)),
        (ExpectedImprovement, (np.nan,)),
        (DiverseBatch, (Greedy,)),
        (DiverseBatch, ("greedy",)),
        (DiverseBatch, (Greedy(), 0)),
        (DiversitySampling, ("ecfp",)),
    ],
)
def test_arguments_that_cannot_be_used_are_typed_errors(cls, arguments):
    with pytest.raises(ParameterError):
        cls(*arguments)


@pytest.mark.parametrize("std", [1e-160, 1e-320])
def test_the_expected_improvement_of_tiny_deviations_is_the_gain(std):
    found = ExpectedImprovement().scores(np.array([-1.0, 1.0]), np.full(2, std), 0.0)
    assert found.tolist() == [0.0, 1.0]
