"""Tuning: which trials there are, what they score, and what is left after a failure."""

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import numpy as np
import pytest

from dc_core import Estimator, NumpyDataset, engines
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    NotSerializable,
    ParameterError,
    RunMismatch,
    UnknownParameter,
)
from dc_pipeline import (
    ECFP,
    R2,
    RMSE,
    Choice,
    CSVLoader,
    GridTuner,
    Integer,
    KFold,
    LogUniform,
    NormalizationTransformer,
    Pipeline,
    RandomSplitter,
    RandomTuner,
    ScaffoldSplitter,
    Uniform,
)
from dc_pipeline.errors import LeakageError, TuningError


class Parabola(Estimator):
    """Predicts for every row the mean of the training labels plus the distance from an optimum.

    ``mode`` is what goes wrong in ``fit``, and ``log`` a file that gets a line for every fit.
    """

    fitted = ("mean",)

    def __init__(self, a=0.0, b=0.0, mode="", log=""):
        self.a, self.b, self.mode, self.log = a, b, mode, log
        self.mean = None

    def fit(self, dataset, *, valid=None):
        if self.log:
            with Path(self.log).open("a") as file:
                file.write(f"{self.a}\n")
        if self.mode == "raise":
            raise DatasetError("These rows cannot be learned.")
        if self.mode == "abort":
            os.abort()
        if self.mode == "hang":
            time.sleep(60)
        self.mean = np.array(dataset.y.mean())
        return self

    def predict(self, dataset):
        rows = len(dataset)
        distance = (self.a - 0.7) ** 2 + (self.b + 0.2) ** 2
        if self.mode == "nan":
            distance = np.nan
        return np.full((rows, 1), self.mean + distance)


def rows(n=20, seed=0):
    rng = np.random.default_rng(seed)
    return NumpyDataset(rng.normal(size=(n, 2)), rng.normal(size=n), tasks=["y"])


ZEROS = NumpyDataset(np.zeros((6, 1)), np.zeros(6))
SQUARE = {"a": Uniform(-1, 1), "b": Uniform(-1, 1)}


def described(result):
    return [(t.number, dict(t.parameters), t.status, t.scores) for t in result.trials]


def test_a_grid_has_every_combination_once():
    space = {"a": Choice(0.0, 0.5, 1.0), "b": Integer(-1, 2)}
    result = GridTuner().tune(Parabola(), ZEROS, RMSE(), space=space, valid=ZEROS)
    found = [(t.parameters["a"], t.parameters["b"]) for t in result.trials]
    assert found == [(a, b) for a in (0.0, 0.5, 1.0) for b in (-1, 0, 1, 2)]
    assert result.best_parameters == {"a": 0.5, "b": 0}
    assert result.best_score == pytest.approx(0.2**2 + 0.2**2)


def test_the_score_is_that_on_validation_rows_of_a_model_that_has_not_seen_them():
    train, valid = rows(30, 1), rows(20, 2)
    result = GridTuner().tune(
        Parabola(b=-0.2), train, RMSE(), space={"a": Choice(0.7, 0.0)}, valid=valid
    )
    expected = np.sqrt(np.mean((valid.y - train.y.mean()) ** 2))
    assert result.trials[0].score == pytest.approx(expected, rel=1e-12)
    assert result.best.mean == train.y.mean()
    assert result.best.evaluate(valid, [RMSE()])["rmse"] == result.best_score


def test_the_score_of_a_cross_validation_is_the_mean_over_its_folds():
    dataset, folds = rows(31, 1), KFold(RandomSplitter(seed=3), k=4)
    result = GridTuner().tune(
        Parabola(b=-0.2), dataset, RMSE(), space={"a": Choice(0.7, 0.0)}, cross_validation=folds
    )
    expected = [
        np.sqrt(np.mean((fold.test.y - fold.train.y.mean()) ** 2)) for fold in folds.split(dataset)
    ]
    np.testing.assert_allclose(result.trials[0].scores, expected, rtol=1e-12)
    assert result.best_score == result.trials[0].score == pytest.approx(np.mean(expected))
    assert result.best.mean == dataset.y.mean()


def test_the_interval_is_students_with_the_variance_of_folds_that_share_rows():
    result = GridTuner().tune(
        Parabola(),
        rows(30),
        RMSE(),
        space={"a": Choice(0.0, 1.0)},
        cross_validation=KFold(RandomSplitter(), k=3),
    )
    spread = np.std(result.best_trial.scores, ddof=1)
    half = 4.302652729911275 * spread * np.sqrt(1 / 3 + 1 / 2)  # t with 2 degrees, 97.5 %
    mean = result.best_score
    assert (result.interval.low, result.interval.high) == pytest.approx((mean - half, mean + half))


def test_a_greater_score_is_better_for_a_metric_that_says_so():
    dataset = rows(30)
    result = GridTuner().tune(
        Parabola(b=-0.2), dataset, R2(), space={"a": Choice(-1.0, 0.6, 1.0)}, valid=dataset
    )
    assert result.best_parameters == {"a": 0.6}


def test_equal_arguments_give_equal_trials_on_every_engine():
    dataset = rows()
    options = {"space": SQUARE, "valid": dataset}
    results = [
        RandomTuner(6, seed=4).tune(Parabola(), dataset, RMSE(), engine=engine, **options)
        for engine in ("serial", engines.Processes(2))
    ]
    assert described(results[0]) == described(results[1])


def test_another_seed_gives_other_trials():
    one, two = (
        RandomTuner(3, seed=seed).tune(Parabola(), ZEROS, RMSE(), space=SQUARE, valid=ZEROS)
        for seed in (0, 1)
    )
    assert described(one) != described(two)


def test_a_trial_that_fails_is_one_without_a_score():
    space = {"mode": Choice("", "raise", "nan")}
    result = GridTuner().tune(Parabola(), ZEROS, RMSE(), space=space, valid=ZEROS)
    assert [trial.status for trial in result.trials] == ["ok", "error", "error"]
    assert "These rows cannot be learned" in result.trials[1].message
    assert "NaN or infinite" in result.trials[2].message
    assert np.isnan([trial.score for trial in result.trials[1:]]).all()


def test_a_trial_that_kills_or_hangs_its_worker_costs_that_trial():
    space = {"mode": Choice("abort", "hang", "")}
    result = GridTuner().tune(
        Parabola(),
        ZEROS,
        RMSE(),
        space=space,
        valid=ZEROS,
        engine=engines.Processes(2),
        retries=0,
        timeout=5,
    )
    assert [trial.status for trial in result.trials] == ["crash", "timeout", "ok"]


def test_without_any_score_there_is_an_error_that_says_why():
    with pytest.raises(TuningError, match="These rows cannot be learned"):
        RandomTuner(2).tune(Parabola(mode="raise"), ZEROS, RMSE(), space=SQUARE, valid=ZEROS)


def test_a_score_that_is_undefined_is_none():
    with pytest.raises(TuningError, match="r2 is nan"):  # all labels are equal
        RandomTuner(2).tune(Parabola(), ZEROS, R2(), space=SQUARE, valid=ZEROS)


def test_a_function_may_let_one_parameter_depend_on_another():
    def build(suggest):
        if suggest("kind", Choice("near", "far")) == "near":
            return Parabola(suggest("a", Uniform(0.6, 0.8)), -0.2)
        return Parabola(-1.0, suggest("b", Uniform(0, 1)))

    result = RandomTuner(12).tune(build, ZEROS, RMSE(), valid=ZEROS)
    kinds = {t.parameters["kind"]: sorted(t.parameters) for t in result.trials}
    assert kinds == {"near": ["a", "kind"], "far": ["b", "kind"]}
    assert result.best_parameters["kind"] == "near"
    assert (result.best.a, result.best.b) == (result.best_parameters["a"], -0.2)


def test_a_function_that_raises_costs_the_trials_for_which_it_does():
    def build(suggest):
        if suggest("n", Integer(0, 1)):
            raise ParameterError("No such network.")
        return Parabola()

    result = RandomTuner(8).tune(build, ZEROS, RMSE(), valid=ZEROS)
    ended = {(t.parameters["n"], t.status, t.message) for t in result.trials}
    assert ended == {(0, "ok", ""), (1, "error", "ParameterError: No such network.")}


def test_the_template_is_neither_fitted_nor_changed():
    template = Parabola(0.3)
    GridTuner().tune(template, ZEROS, RMSE(), space={"a": Choice(0.0, 1.0)}, valid=ZEROS)
    assert (template.a, template.mean) == (0.3, None)


class Continuing(Estimator):
    """Counts its fits, as a network would continue its training."""

    fitted = ("count",)

    def __init__(self, a=0):
        self.count = None

    def fit(self, dataset, *, valid=None):
        self.count = np.array(1 if self.count is None else self.count + 1)
        return self

    def predict(self, dataset):
        return np.full((len(dataset), 1), self.count)


def test_every_fold_and_the_best_are_fitted_afresh():
    folds = KFold(RandomSplitter(), k=3)
    template = Continuing().fit(ZEROS)
    space = {"a": Integer(0, 1)}
    result = GridTuner().tune(template, ZEROS, RMSE(), space=space, cross_validation=folds)
    assert [trial.scores for trial in result.trials] == [(1.0, 1.0, 1.0)] * 2
    assert result.best.count == 1


def test_a_function_without_a_name_of_its_own_cannot_be_kept(tmp_path):
    def build(suggest):
        return Parabola(suggest("a", Uniform(0, 1)))

    with pytest.raises(NotSerializable, match="leave out directory"):
        RandomTuner(2).tune(build, ZEROS, RMSE(), valid=ZEROS, directory=tmp_path)
    assert list(tmp_path.iterdir()) == []


class Counted(ECFP):
    """Fingerprints that note in a file that they were computed."""

    def __init__(self, log, radius=2):
        super().__init__(radius=radius, size=64)
        self.log = log

    def featurize(self, inputs, *, strict=False):
        with Path(self.log).open("a") as file:
            file.write(f"{len(inputs)}\n")
        return super().featurize(inputs, strict=strict)


SMILES = ["CCO", "not a molecule", "c1ccccc1", "CC(=O)O", "N", "CCN", "O", "CCCC", "c1ccncc1"]


def molecules():
    return NumpyDataset(SMILES, np.arange(9.0), tasks=["y"])


def test_a_featurizer_that_is_not_tuned_runs_once(tmp_path):
    pipeline = Pipeline(Parabola(), Counted(str(tmp_path / "log")))
    folds = KFold(RandomSplitter(), k=2)
    space = {"model.a": Choice(0.0, 0.5, 1.0)}
    GridTuner().tune(pipeline, molecules(), RMSE(), space=space, cross_validation=folds)
    counts = [int(n) for n in (tmp_path / "log").read_text().split()]
    assert counts.count(9) == 2  # once for all trials, and once for the best
    assert sum(counts) == 18


def test_rows_that_a_dataset_repeats_cost_no_trial_and_the_best_knows_its_rows(ridge):
    smiles = ["CCO", "CCN", "CCC", "CCF", "CO", "CN"]
    dataset = NumpyDataset(smiles * 2, np.tile(np.arange(6.0), 2))
    result = GridTuner().tune(
        Pipeline(ridge(), ECFP(size=64)),
        dataset,
        RMSE(),
        space={"model.alpha": Choice(0.5, 2.0)},
        cross_validation=KFold(RandomSplitter(), k=2),
    )
    assert [trial.status for trial in result.trials] == ["ok", "ok"]
    with pytest.raises(LeakageError):
        result.best.evaluate(dataset, [RMSE()])


def test_rows_that_cannot_be_featurized_are_left_out_of_their_folds(ridge):
    pipeline = Pipeline(ridge(), ECFP(size=64), [NormalizationTransformer("y")])
    folds = KFold(RandomSplitter(seed=1), k=3)
    results = [
        GridTuner().tune(pipeline, molecules(), RMSE(), space=space, cross_validation=folds)
        for space in (
            {"model.alpha": Choice(0.5, 2.0)},
            {"model.alpha": Choice(0.5, 2.0), "featurizer.radius": Integer(2, 3)},
        )
    ]
    expected = [
        pipeline.unfitted().fit(fold.train).evaluate(fold.test, [RMSE()])["rmse"]
        for fold in folds.split(molecules())
    ]
    assert pipeline.model.alpha == 1.0
    for alpha, trial in zip((0.5, 2.0), results[0].trials, strict=True):
        made = Pipeline(ridge(alpha), ECFP(size=64), [NormalizationTransformer("y")])
        expected = [
            made.unfitted().fit(fold.train).evaluate(fold.test, [RMSE()])["rmse"]
            for fold in folds.split(molecules())
        ]
        np.testing.assert_allclose(trial.scores, expected, rtol=1e-9)
    np.testing.assert_allclose(results[1].trials[0].scores, results[0].trials[0].scores, rtol=1e-9)
    assert results[0].best.featurizer.size == 64
    assert np.isfinite(results[0].best.predict(["CCO"])).all()


def test_a_killed_tuning_continues_without_repeating_a_trial(tmp_path):
    (tmp_path / "lab.py").write_text(
        textwrap.dedent(
            """
            import sys, time
            import numpy as np
            from dc_core import Estimator, NumpyDataset
            from dc_pipeline import RMSE, RandomTuner, Uniform

            class Slow(Estimator):
                fitted = ("mean",)
                def __init__(self, a=0.0, log=""):
                    self.a, self.log, self.mean = a, log, None
                def fit(self, dataset, *, valid=None):
                    time.sleep(0.05)
                    with open(self.log, "a") as file:
                        file.write(f"{self.a}\\n")
                    self.mean = np.array(self.a)
                    return self
                def predict(self, dataset):
                    return np.full((len(dataset), 1), self.mean)

            def tune(folder, **options):
                rows = NumpyDataset(np.zeros((4, 1)), np.zeros(4))
                return RandomTuner(24).tune(
                    Slow(log=folder + "/log"), rows, RMSE(), space={"a": Uniform(0, 1)},
                    valid=rows, directory=folder + "/tuning", **options,
                )
            """
        )
    )
    code = f"import sys; sys.path.insert(0, {str(tmp_path)!r}); import lab; lab.tune(sys.argv[1])"
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path)])
    log = tmp_path / "log"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and not (log.exists() and log.read_text().count("\n") > 4):
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    begun = log.read_text().split()
    assert 4 < len(begun) < 24
    sys.path.insert(0, str(tmp_path))
    try:
        import lab

        result = lab.tune(str(tmp_path), engine=engines.Processes(2))
    finally:
        sys.path.remove(str(tmp_path))
        sys.modules.pop("lab", None)
    fits = log.read_text().split()
    assert len(result.trials) == 24
    # One trial was lost with the process, and the best was fitted at the end.
    assert len(fits) <= 24 + 2
    assert {str(t.parameters["a"]) for t in result.trials} == set(fits)
    assert set(fits[: len(begun) - 1]) & set(fits[len(begun) :]) <= {str(result.best.a)}


def test_a_tuning_with_more_trials_adds_them(tmp_path):
    log = tmp_path / "log"

    def tune(trials):
        template = Parabola(log=str(log))
        return RandomTuner(trials).tune(
            template, ZEROS, RMSE(), space=SQUARE, valid=ZEROS, directory=tmp_path / "tuning"
        )

    few, many = tune(3), tune(5)
    assert described(many)[:3] == described(few)
    assert len(log.read_text().split()) == 3 + 1 + 2 + 1  # the best is fitted at the end of each
    assert described(tune(3)) == described(few)


@pytest.mark.parametrize(
    "other",
    [
        {"tuner": RandomTuner(2, seed=1)},
        {"model": Parabola(log="elsewhere")},
        {"dataset": rows(7)},
        {"metric": R2()},
        {"space": {"a": Uniform(-1, 1)}},
    ],
)
def test_a_directory_continues_only_the_same_tuning(tmp_path, other, monkeypatch):
    monkeypatch.chdir(tmp_path)
    usual = {
        "tuner": RandomTuner(2),
        "model": Parabola(),
        "dataset": rows(6),
        "metric": RMSE(),
        "space": SQUARE,
    }

    def tune(tuner, model, dataset, metric, space):
        valid = rows(5)
        tuner.tune(model, dataset, metric, space=space, valid=valid, directory=tmp_path / "t")

    tune(**usual)
    with pytest.raises(RunMismatch):
        tune(**{**usual, **other})


def test_a_directory_is_of_one_estimator_of_a_framework(tmp_path):
    sklearn = pytest.importorskip("dc_sklearn", reason="estimators of a framework are needed")
    from sklearn.linear_model import Ridge

    def tune(solver, alpha=1.0):
        return RandomTuner(2).tune(
            sklearn.SklearnModel(Ridge(alpha=alpha, solver=solver)),
            rows(),
            RMSE(),
            space={"estimator.alpha": LogUniform(0.1, 10)},
            valid=rows(),
            directory=tmp_path,
        )

    assert described(tune("svd")) == described(tune("svd"))
    with pytest.raises(RunMismatch, match="another tuning"):
        tune("cholesky")


def journal_of(tmp_path):
    def tune():
        return RandomTuner(3).tune(
            Parabola(), ZEROS, RMSE(), space=SQUARE, valid=ZEROS, directory=tmp_path
        )

    first = tune()
    return tmp_path / "trials.jsonl", tune, first


def test_a_line_that_was_cut_off_is_written_anew(tmp_path):
    journal, tune, first = journal_of(tmp_path)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-7])
    again = tune()
    assert described(again) == described(first)
    lines = [json.loads(line) for line in journal.read_text().splitlines()]
    assert [line["number"] for line in lines[1:]] == [0, 1, 2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"number": 1', '"number": 7'),
        ('"status": "ok"', '"status": "fine"'),
        ('"scores": [', '"scores": [NaN, '),
        ('"scores": [', '"scores": ["1", '),
        ('"parameters": {', '"parameters": {"c": 1, '),
        ('{"number"', '["number"'),
        ('"reports": []', '"reports": [1]'),
        ('"reports": []', '"reports": [[1e999, 1.0]]'),
        ('"seconds": ', '"seconds": 1e999, "s": '),
        ('"scores": [', f'"scores": [{"[" * 100_000}'),
    ],
)
def test_a_damaged_journal_is_a_typed_error(tmp_path, old, new):
    journal, tune, _ = journal_of(tmp_path)
    text = journal.read_text()
    assert old in text
    journal.write_text(text.replace(old, new))
    with pytest.raises(RunMismatch):
        tune()


def test_progress_counts_the_trials_of_all_rounds(tmp_path):
    reports = []
    RandomTuner(3).tune(
        Parabola(), ZEROS, RMSE(), space=SQUARE, valid=ZEROS, progress=reports.append
    )
    assert [(now.done, now.rows) for now in reports] == [(1, 3), (2, 3), (3, 3)]


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"model": Parabola}, ParameterError, "function"),
        ({"model": lambda suggest: 0}, ParameterError, "no space to give"),
        ({"model": lambda suggest: 0, "space": None}, TuningError, "returned a int"),
        ({"space": None}, ParameterError, "no parameters"),
        ({"space": {"a": [1, 2]}}, ParameterError, "not a domain"),
        ({"space": {"c": Uniform(0, 1)}}, UnknownParameter, "no 'c'"),
        ({"dataset": ZEROS[:0]}, EmptyDataset, "no rows"),
        ({"valid": ZEROS[:0]}, EmptyDataset, "no rows"),
        ({"valid": None}, ParameterError, "valid="),
        ({"metric": RMSE}, ParameterError, "not a metric"),
        ({"cross_validation": 5}, ParameterError, "KFold"),
        ({"timeout": 1.0}, ParameterError, "processes"),
        ({"engine": "threads"}, ParameterError, "no engine"),
        ({"folds": 5}, UnknownParameter, "cross_validation"),
    ],
)
def test_what_cannot_be_tuned_is_said(change, error, words):
    usual = {
        "model": Parabola(),
        "dataset": ZEROS,
        "metric": RMSE(),
        "space": SQUARE,
        "valid": ZEROS,
    }
    with pytest.raises(error, match=words):
        RandomTuner(2).tune(**{**usual, **change})


def test_a_grid_needs_values_that_can_be_listed():
    with pytest.raises(ParameterError, match="too many values"):
        GridTuner().tune(Parabola(), ZEROS, RMSE(), space=SQUARE, valid=ZEROS)
    with pytest.raises(ParameterError, match="too many values"):
        GridTuner().tune(Parabola(), ZEROS, RMSE(), space={"a": Integer(0, 2**53)}, valid=ZEROS)
    many = {"a": Integer(0, 1999), "b": Integer(0, 1999)}
    with pytest.raises(ParameterError, match="4000000 combinations"):
        GridTuner().tune(Parabola(), ZEROS, RMSE(), space=many, valid=ZEROS)
    with pytest.raises(ParameterError, match="not known before"):
        GridTuner().tune(lambda suggest: Parabola(), ZEROS, RMSE(), valid=ZEROS)


def test_a_name_stands_for_one_domain():
    def build(suggest):
        suggest("a", Uniform(0, 1))
        return Parabola(suggest("a", Uniform(0, 2)))

    with pytest.raises(ParameterError, match="two domains"):
        RandomTuner(2).tune(build, ZEROS, RMSE(), valid=ZEROS)


@pytest.mark.parametrize("library", ["pandas", "polars", "pyarrow"])
def test_the_table_has_a_row_for_each_trial(library):
    pytest.importorskip(library)

    def build(suggest):
        if suggest("kind", Choice("a", ("b", 1))) == "a":
            return Parabola(suggest("a", Uniform(0, 1)))
        return Parabola(mode="raise")

    result = RandomTuner(8).tune(build, ZEROS, RMSE(), valid=ZEROS)
    table = result.to_dataframe(library)
    names = list(table.column_names if library == "pyarrow" else table.columns)
    assert names[:4] == ["trial", "status", "score", "seconds"]
    assert sorted(names[4:-1]) == ["a", "kind"]
    assert names[-1] == "message"
    kinds = table["kind"].to_pylist() if library == "pyarrow" else list(table["kind"])
    assert set(kinds) == {"a", "('b', 1)"}
    assert len(table) == 8


def test_a_result_shows_its_best_trials_and_escapes_their_messages():
    space = {"mode": Choice("", "raise", "<script>")}
    result = GridTuner().tune(Parabola(), ZEROS, RMSE(), space=space, valid=ZEROS)
    shown = result._repr_html_()
    assert "best rmse" in shown
    assert "<script>" not in shown
    assert "&lt;script&gt;" in shown


def test_molecules_are_tuned_on_processes_and_the_best_scores_as_it_did(freesolv):
    sklearn = pytest.importorskip("dc_sklearn", reason="a forest is needed")
    from sklearn.ensemble import RandomForestRegressor

    dataset, _ = CSVLoader("smiles", tasks=["expt"]).load(freesolv)
    train, valid, _ = ScaffoldSplitter().split(dataset)
    forest = sklearn.SklearnModel(RandomForestRegressor(10, random_state=0))
    pipeline = Pipeline(forest, ECFP(size=256), [NormalizationTransformer("y")])
    space = {
        "model.estimator.max_features": LogUniform(0.05, 1),
        "model.estimator.min_samples_leaf": Integer(1, 8),
    }
    result = RandomTuner(4).tune(
        pipeline, train, RMSE(), space=space, valid=valid, engine=engines.Processes(2)
    )
    assert [trial.status for trial in result.trials] == ["ok"] * 4
    assert result.best.evaluate(valid, [RMSE()])["rmse"] == result.best_score


def test_the_best_is_published_and_loaded_with_the_same_predictions(freesolv, tmp_path):
    pytest.importorskip("dc_hub", reason="the best is published")
    sklearn = pytest.importorskip("dc_sklearn", reason="a model is needed")
    from sklearn.linear_model import Ridge

    dataset, _ = CSVLoader("smiles", tasks=["expt"]).load(freesolv)
    pipeline = Pipeline(sklearn.SklearnModel(Ridge()), ECFP(size=256))
    result = RandomTuner(2).tune(
        pipeline,
        dataset[:100],
        RMSE(),
        space={"model.estimator.alpha": LogUniform(0.1, 100), "featurizer.radius": Integer(1, 2)},
        cross_validation=KFold(RandomSplitter(), k=2),
    )
    result.best.to_pretrained(tmp_path / "best")
    loaded = Pipeline.from_pretrained(tmp_path / "best")
    assert loaded.featurizer.radius == result.best_parameters["featurizer.radius"]
    probes = list(dataset.X[100:120])
    np.testing.assert_array_equal(loaded.predict(probes), result.best.predict(probes))
