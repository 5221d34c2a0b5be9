"""Tuning by Optuna: its own loop as the oracle, rounds, pruning."""

import subprocess
import sys

import numpy as np
import pytest

optuna = pytest.importorskip("optuna", reason="the samplers are Optuna's")

from dc_core import Estimator, NumpyDataset, engines  # noqa: E402
from dc_core.errors import ParameterError  # noqa: E402
from dc_pipeline import (  # noqa: E402
    RMSE,
    Choice,
    Integer,
    KFold,
    LogUniform,
    OptunaTuner,
    Pipeline,
    RandomSplitter,
    RandomTuner,
    Uniform,
)


class Bowl(Estimator):
    """Predicts the distance of its parameters from an optimum, with a part for each fold."""

    fitted = ("trained",)

    def __init__(self, x=0.0, n=1, kind="good", rate=1.0):
        self.x, self.n, self.kind, self.rate = x, n, kind, rate
        self.trained = None

    @property
    def distance(self):
        scale = abs(np.log10(self.rate) + 2)
        return abs(self.x - 0.3) + abs(self.n - 4) / 5 + scale + (self.kind == "bad")

    def fit(self, dataset, *, valid=None):
        self.trained = np.array(float(len(dataset)))
        return self

    def predict(self, dataset):
        return np.full((len(dataset), 1), self.distance)


ZEROS = NumpyDataset(np.zeros((12, 1)), np.zeros(12))
SPACE = {
    "x": Uniform(-1, 1),
    "n": Integer(1, 10),
    "kind": Choice("good", "bad"),
    "rate": LogUniform(1e-4, 1e2),
}


def tune(tuner, **options):
    usual = {"space": SPACE, "valid": ZEROS}
    return tuner.tune(Bowl(), ZEROS, RMSE(), **{**usual, **options})


def described(result):
    return [(t.number, dict(t.parameters), t.status, t.scores) for t in result.trials]


def objective(trial):
    return Bowl(
        trial.suggest_float("x", -1, 1),
        trial.suggest_int("n", 1, 10),
        trial.suggest_categorical("kind", ["good", "bad"]),
        trial.suggest_float("rate", 1e-4, 1e2, log=True),
    ).distance


@pytest.fixture
def silent():
    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    yield
    optuna.logging.set_verbosity(before)


@pytest.mark.parametrize("sampler", ["TPESampler", "RandomSampler"])
def test_one_trial_at_a_time_gives_the_trials_of_optunas_own_loop(sampler, silent):
    made = getattr(optuna.samplers, sampler)
    study = optuna.create_study(sampler=made(seed=5))
    study.optimize(objective, n_trials=25)
    result = tune(OptunaTuner(25, sampler=made(seed=5), parallel=1))
    assert [dict(t.parameters) for t in result.trials] == [t.params for t in study.trials]
    np.testing.assert_allclose([t.score for t in result.trials], [t.value for t in study.trials])


def test_the_default_sampler_is_seeded_tpe():
    result = tune(OptunaTuner(14, parallel=1, seed=3))
    explicit = optuna.samplers.TPESampler(seed=3)
    assert described(result) == described(tune(OptunaTuner(14, sampler=explicit, parallel=1)))
    assert described(result) != described(tune(OptunaTuner(14, parallel=1, seed=4)))


def test_a_sampler_that_is_given_is_used_as_it_was_given():
    tuner = OptunaTuner(6, sampler=optuna.samplers.RandomSampler(seed=0))
    assert described(tune(tuner)) == described(tune(tuner))


def test_equal_seeds_give_equal_trials_on_every_engine():
    tuner = OptunaTuner(15, parallel=3)
    assert described(tune(tuner)) == described(tune(tuner, engine=engines.Processes(2)))


def test_a_tuning_that_continues_has_the_trials_of_one_that_was_not_interrupted(tmp_path):
    few = tune(OptunaTuner(13, parallel=3), directory=tmp_path)
    many = tune(OptunaTuner(24, parallel=3), directory=tmp_path)
    assert described(many)[:13] == described(few)
    assert described(many) == described(tune(OptunaTuner(24, parallel=3)))


def test_tpe_does_better_than_random_choice():
    seeds = range(10)
    tpe = [tune(OptunaTuner(40, seed=seed)).best_score for seed in seeds]
    random = [tune(RandomTuner(40, seed=seed)).best_score for seed in seeds]
    assert np.median(tpe) < 0.7 * np.median(random)
    # By the sign test, nine of ten happen by chance with a probability of 0.011.
    assert sum(a < b for a, b in zip(tpe, random, strict=True)) >= 9


def ridge_error(alpha, train, valid):
    n = train.X.shape[1]
    coef = np.linalg.solve(train.X.T @ train.X + alpha * np.eye(n), train.X.T @ train.y)
    return np.sqrt(np.mean((valid.X @ coef - valid.y) ** 2))


class PlainRidge(Estimator):
    fitted = ("coef",)

    def __init__(self, alpha=1.0):
        self.alpha, self.coef = alpha, None

    def fit(self, dataset, *, valid=None):
        X, y = np.asarray(dataset.X), dataset.y
        self.coef = np.linalg.solve(X.T @ X + self.alpha * np.eye(X.shape[1]), X.T @ y)
        return self

    def predict(self, dataset):
        return np.asarray(dataset.X) @ self.coef


def test_the_regularization_of_a_ridge_regression_is_found():
    from scipy.optimize import minimize_scalar

    rng = np.random.default_rng(0)
    weights = rng.normal(size=20)
    train, valid = (
        NumpyDataset(X, X @ weights + rng.normal(scale=5, size=len(X)))
        for X in (rng.normal(size=(30, 20)), rng.normal(size=(500, 20)))
    )
    best = minimize_scalar(
        lambda log: ridge_error(np.exp(log), train, valid), bounds=(-7, 9), method="bounded"
    )
    result = OptunaTuner(30, parallel=2).tune(
        PlainRidge(), train, RMSE(), space={"alpha": LogUniform(1e-3, 1e4)}, valid=valid
    )
    assert abs(np.log(result.best_parameters["alpha"]) - best.x) < 0.35
    assert result.best_score == pytest.approx(best.fun, rel=2e-3)


def test_the_study_has_the_trials_and_optunas_own_functions_take_it():
    result = tune(OptunaTuner(12))
    study = result.study()
    assert [t.params for t in study.trials] == [dict(t.parameters) for t in result.trials]
    assert study.best_value == result.best_score
    assert study.best_trial.number == result.best_trial.number


def test_the_parameter_that_decides_is_the_most_important():
    def build(suggest):
        return Bowl(
            suggest("x", Uniform(-1, 1)), rate=10 ** (-2 + suggest("small", Uniform(0, 1)) / 50)
        )

    result = RandomTuner(60).tune(build, ZEROS, RMSE(), valid=ZEROS)
    found = result.importance()
    assert list(found) == ["x", "small"]
    assert sum(found.values()) == pytest.approx(1)
    assert found["x"] > 0.8


FOLDS = KFold(RandomSplitter(), k=4)


def test_a_trial_is_pruned_after_the_fold_in_which_it_falls_behind():
    pruner = optuna.pruners.ThresholdPruner(upper=1.5)
    result = tune(OptunaTuner(20, pruner=pruner), cross_validation=FOLDS, valid=None)
    for trial in result.trials:
        distance = Bowl(**trial.parameters).distance
        assert trial.status == ("pruned" if distance > 1.5 else "ok")
        assert len(trial.scores) == (1 if distance > 1.5 else 4)
    assert {trial.status for trial in result.trials} == {"ok", "pruned"}


def test_a_trial_is_compared_with_those_of_earlier_rounds():
    pruner = optuna.pruners.MedianPruner(n_startup_trials=4)
    result = tune(OptunaTuner(24, pruner=pruner, parallel=4), cross_validation=FOLDS, valid=None)
    for trial in result.trials:
        start = trial.number // 4 * 4
        earlier = [t.scores[0] for t in result.trials[:start] if t.status == "ok"]
        behind = len(earlier) >= 4 and trial.scores[0] > np.median(earlier)
        assert (trial.status == "pruned") == behind
    assert any(trial.status == "pruned" for trial in result.trials)


@pytest.mark.parametrize(
    "pruner",
    [
        optuna.pruners.MedianPruner(n_startup_trials=3),
        optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2),
        optuna.pruners.HyperbandPruner(min_resource=1, max_resource=4, reduction_factor=2),
    ],
    ids=["median", "halving", "hyperband"],
)
def test_pruning_depends_neither_on_the_engine_nor_on_interruptions(tmp_path, pruner):
    options = {"cross_validation": FOLDS, "valid": None}
    results = [tune(OptunaTuner(16, pruner=pruner), **options)]
    if isinstance(pruner, optuna.pruners.MedianPruner):
        results.append(tune(OptunaTuner(16, pruner=pruner), engine="processes", **options))
    tune(OptunaTuner(6, pruner=pruner), directory=tmp_path, **options)
    results.append(tune(OptunaTuner(16, pruner=pruner), directory=tmp_path, **options))
    first, *others = map(described, results)
    assert all(other == first for other in others)
    assert "pruned" in {trial.status for trial in results[0].trials}


def test_a_network_is_pruned_between_epochs():
    dc_torch = pytest.importorskip("dc_torch", reason="a network is needed")
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 4))
    train, valid = (
        NumpyDataset(X[rows], X[rows].sum(axis=1)) for rows in (slice(40), slice(40, 60))
    )
    network = dc_torch.MultitaskRegressor(1, 4, layer_sizes=(8,), epochs=8, batch_size=8, seed=0)
    pruner = optuna.pruners.ThresholdPruner(upper=3.0, n_warmup_steps=5)
    result = OptunaTuner(6, pruner=pruner).tune(
        Pipeline(network),
        train,
        RMSE(),
        space={"model.learning_rate": Choice(1e-6, 0.05)},
        valid=valid,
    )
    ended = {(*t.parameters.values(), t.status, max(t.reports)) for t in result.trials}
    assert ended == {(1e-6, "pruned", 5), (0.05, "ok", 8)}
    assert result.best.evaluate(valid, [RMSE()])["rmse"] == pytest.approx(result.best_score, 1e-4)


def test_what_is_no_sampler_or_pruner_is_refused():
    with pytest.raises(ParameterError, match="not a sampler"):
        OptunaTuner(sampler="tpe")
    with pytest.raises(ParameterError, match="not a pruner"):
        OptunaTuner(pruner=optuna.pruners.MedianPruner)
    with pytest.raises(ParameterError, match="parallel"):
        OptunaTuner(parallel=0)


def test_tuning_says_nothing_and_leaves_optunas_logging_as_it_was():
    code = (
        "import numpy as np, optuna\n"
        "from dc_core import NumpyDataset\n"
        "from dc_pipeline import RMSE, Choice, NormalizationTransformer, OptunaTuner\n"
        "before = optuna.logging.get_verbosity()\n"
        "OptunaTuner(3)\n"
        "from dc_pipeline.tuning.pruning import new_study\n"
        "new_study(greater_is_better=False).ask()\n"
        "assert optuna.logging.get_verbosity() == before\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("", "")


def test_tuners_without_optuna_do_not_import_it():
    code = "import dc_pipeline, sys; dc_pipeline.RandomTuner(2); assert 'optuna' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)
