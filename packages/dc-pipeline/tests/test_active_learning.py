"""Active learning: what is asked, what fails, how it resumes, and that it beats chance."""

import json

import numpy as np
import pytest
from scipy.stats import t as student_t
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import BayesianRidge, LogisticRegression

from dc_core import Estimator, NormalDistribution, NumpyDataset, engines
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    ParameterError,
    RunMismatch,
    Unsupported,
)
from dc_pipeline import (
    ECFP,
    UCB,
    ActiveLearner,
    CSVLoader,
    DiskDataset,
    ExpectedImprovement,
    Greedy,
    Pipeline,
    RandomSampling,
    ThompsonSampling,
    UncertaintySampling,
)


class Nearest(Estimator):
    """Predicts the label of the nearest row, and how far that is as the deviation."""

    fitted = ("X", "y")

    def __init__(self) -> None:
        self.X: np.ndarray | None = None
        self.y: np.ndarray | None = None

    def fit(self, dataset, *, valid=None):
        self.X, self.y = np.asarray(dataset.X), dataset.y
        return self

    def predict(self, dataset):
        return self.predict_distribution(dataset).mean

    def predict_distribution(self, dataset):
        distance = np.abs(dataset.X[:, None] - self.X).sum(axis=2)
        at = distance.argmin(axis=1)
        std = np.broadcast_to(distance.min(axis=1)[:, None], (len(at), self.y.shape[1]))
        return NormalDistribution(self.y[at], std)


def pool(n=60):
    X = np.random.default_rng(0).normal(size=(n, 2))
    return NumpyDataset(X, -np.square(X - 1).sum(axis=1), ids=[f"m{i}" for i in range(n)])


def true_labels(rows):
    return rows.y


def learner(oracle=true_labels, acquisition=None, rows=None, **options):
    options = {"batch_size": 4, "budget": 20, "initial": 5, **options}
    chosen = UCB(0.5) if acquisition is None else acquisition
    return ActiveLearner(Nearest(), pool() if rows is None else rows, oracle, chosen, **options)


def test_rows_are_asked_once_and_within_the_budget():
    made = learner(budget=18)
    assert [len(one.rows) for one in made] == [5, 4, 4, 4, 1]
    assert len({*made.asked.tolist()}) == 18
    assert made.step() is None


def test_a_pool_that_is_used_up_ends_the_rounds():
    made = learner(rows=pool(11), budget=100)
    assert [len(one.rows) for one in made] == [5, 4, 2]
    assert sorted(made.asked.tolist()) == list(range(11))


def test_the_labels_are_those_of_the_rows_asked():
    made = learner()
    for one in made:
        assert np.array_equal(one.labels, pool().y[one.rows])
    assert np.array_equal(made.labelled.X, pool().X[made.asked])
    assert made.labelled.ids.tolist() == [f"m{row}" for row in made.asked]
    assert made.best == pool().y[made.asked].max() == made.rounds[-1].best


def test_predictions_are_those_of_the_model_before_the_labels_were_known():
    made = learner()
    first, second = made.step(), made.step()
    assert np.isnan(first.mean).all()
    known = Nearest().fit(pool().select(first.rows))
    expected = known.predict_distribution(pool().select(second.rows))
    assert np.array_equal(second.mean, expected.mean[:, 0])
    assert np.array_equal(second.std, expected.std[:, 0])


def test_the_model_is_fitted_to_all_labels_so_far():
    made = learner()
    made.step()
    made.step()
    expected = Nearest().fit(pool().select(made.asked)).predict(pool())
    assert np.array_equal(made.model.predict(pool()), expected)


def test_equal_seeds_ask_equal_rows():
    def asked(seed):
        made = learner(acquisition=ThompsonSampling(), seed=seed)
        assert list(made)
        return made.asked.tolist()

    assert asked(1) == asked(1) != asked(2)


def test_minimizing_is_maximizing_of_the_negative():
    rows = pool()
    lowest = NumpyDataset(rows.X, -rows.y)
    for acquisition in (Greedy(), UCB(), ExpectedImprovement()):
        one, other = (
            learner(acquisition=acquisition),
            learner(acquisition=acquisition, rows=lowest, maximize=False),
        )
        assert list(one)
        assert list(other)
        assert np.array_equal(one.asked, other.asked)
        assert one.best == -other.best


def test_rows_that_fail_are_kept_with_their_reasons_and_not_asked_again():
    answers = {
        0: np.nan,
        1: None,
        2: ValueError("it exploded"),
        3: engines.Result("timeout", None, "60 s"),
        4: engines.Result("error", None, "KeyError: 'C'"),
        5: np.inf,
        6: engines.Result("ok", 1.5),
    }

    def oracle(rows):
        names = [int(name[1:]) for name in rows.ids.tolist()]
        return [answers.get(i, float(y)) for i, y in zip(names, rows.y[:, 0], strict=True)]

    made = learner(oracle, rows=pool(20), budget=100)
    list(made)
    found = {failure.row: (failure.status, failure.message) for failure in made.failures}
    assert found == {
        0: ("label", "The label is nan."),
        1: ("label", "The oracle gave no label."),
        2: ("label", "ValueError: it exploded"),
        3: ("timeout", "60 s"),
        4: ("label", "KeyError: 'C'"),
        5: ("label", "The label is inf."),
    }
    assert sorted(made.asked.tolist()) == list(range(20))
    assert len(made.labelled) == 14
    assert 1.5 in made.labelled.y
    table = made.to_dataframe("pandas")
    assert table.loc[table["row"] == 3, ["id", "status", "message"]].values.tolist() == [
        ["m3", "timeout", "60 s"]
    ]


def test_rows_are_asked_at_random_until_there_is_a_label():
    made = learner(lambda rows: [None] * len(rows))
    assert [len(one.rows) for one in made] == [5, 4, 4, 4, 3]
    with pytest.raises(EmptyDataset):
        _ = made.model


def test_an_oracle_on_an_engine():
    rows = NumpyDataset(np.array(["1.5", "two", "3"] * 4, dtype=np.dtypes.StringDType()))
    made = ActiveLearner(
        Nearest(),
        rows,
        lambda asked: engines.map(float, asked.X.tolist(), engine="processes"),
        RandomSampling(),
        initial=12,
        budget=12,
    )
    list(made)
    assert sorted(made.labelled.y[:, 0].tolist()) == [1.5] * 4 + [3.0] * 4
    assert {failure.input for failure in made.failures} == {"two"}
    assert made.failures[0].message.startswith("ValueError: could not convert")


@pytest.mark.parametrize("acquisition", [UCB(), ThompsonSampling(), RandomSampling()])
def test_what_was_interrupted_continues_as_if_it_had_not_been(tmp_path, acquisition):
    whole = learner(acquisition=acquisition)
    list(whole)
    calls = []

    def failing(rows):
        if len(calls) == 2:
            calls.append([])
            raise KeyboardInterrupt
        calls.append(rows.ids.tolist())
        return rows.y

    with pytest.raises(KeyboardInterrupt):
        list(learner(failing, acquisition, directory=tmp_path))
    again = learner(failing, acquisition, directory=tmp_path)
    assert len(again.rounds) == 2
    list(again)
    assert np.array_equal(again.asked, whole.asked)
    assert np.array_equal(again.labelled.y, whole.labelled.y)
    assert [one.best for one in again.rounds] == [one.best for one in whole.rounds]
    assert sorted(name for call in calls for name in call) == sorted(
        pool().ids[whole.asked].tolist()
    )


def test_failures_and_missing_labels_survive_the_directory(tmp_path):
    def oracle(rows):
        return [None if y < -3 else y for y in rows.y[:, 0]]

    first = learner(oracle, directory=tmp_path)
    list(first)
    assert first.failures.failures
    again = learner(oracle, directory=tmp_path)
    assert again.failures == first.failures
    assert np.array_equal(again.labelled.y, first.labelled.y)
    list(learner(oracle, directory=tmp_path, budget=24))
    assert len(learner(oracle, directory=tmp_path, budget=24).asked) == 24


def test_a_directory_of_another_learner_is_refused(tmp_path):
    list(learner(directory=tmp_path))
    for options in ({"seed": 1}, {"acquisition": Greedy()}, {"rows": pool(30)}):
        with pytest.raises(RunMismatch, match="another learner"):
            learner(directory=tmp_path, **options)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").touch()
    with pytest.raises(RunMismatch, match="other files"):
        learner(directory=tmp_path / "other")


@pytest.mark.parametrize(
    "change",
    [
        {"rows": [0, 1, 2, 3, 60]},
        {"rows": [0, 0, 1, 2, 3]},
        {"rows": "01234"},
        {"labels": [[1.0, 2.0]] * 5},
        {"labels": [["x"]] * 5},
        {"labels": [[np.inf]] * 5},
        {"mean": [0.0]},
        {"std": None},
        {"failures": [[0, "", "label", "a lie"]]},
        {"failures": [7]},
    ],
)
def test_a_damaged_round_is_a_typed_error(tmp_path, change):
    learner(directory=tmp_path).step()
    path = tmp_path / "round-00000.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(RunMismatch, match="damaged"):
        learner(directory=tmp_path)


def test_a_round_that_is_missing_is_a_typed_error(tmp_path):
    for _ in range(2):
        learner(directory=tmp_path).step()
    (tmp_path / "round-00000.json").unlink()
    with pytest.raises(RunMismatch, match="missing"):
        learner(directory=tmp_path)


@pytest.mark.parametrize("chosen", [[0, 0], [-1], [10_000], [0.5], [[1]], list(range(5))], ids=str)
def test_rows_that_an_acquisition_cannot_choose_are_not_asked(chosen):
    class Chooser(RandomSampling):
        def choose(self, candidates, k, rng):
            return np.array(chosen)

    made = learner(acquisition=Chooser())
    made.step()
    with pytest.raises(DatasetError, match="chose"):
        made.step()
    assert len(made.asked) == 5


def test_a_task_may_be_given_by_its_name_alone():
    assert learner(initial=pool()[:5], tasks="task0").tasks == ("task0",)
    assert learner(tasks="logP").tasks == ("logP",)


def test_two_programs_do_not_continue_the_same_rounds(tmp_path):
    one, other = learner(directory=tmp_path), learner(directory=tmp_path)
    one.step()
    with pytest.raises(RunMismatch, match="another program"):
        other.step()


def test_labels_that_are_known_are_where_it_begins():
    known = pool(8)
    made = learner(rows=pool().select(np.arange(8, 60)), initial=known)
    first = made.step()
    assert len(first.rows) == 4
    assert np.isfinite(first.mean).all()
    assert len(made.labelled) == 12
    assert made.labelled.ids.tolist()[:8] == known.ids.tolist()


def test_a_pool_on_disk_is_asked_the_same_rows(tmp_path, monkeypatch):
    monkeypatch.setattr("dc_pipeline.flows.active_learning._BATCH", 7)
    stored = DiskDataset.create(tmp_path / "pool", pool())
    here, there = learner(), learner(rows=stored)
    list(here)
    list(there)
    assert np.array_equal(here.asked, there.asked)


def test_one_of_several_tasks_is_the_objective():
    rows = NumpyDataset(pool().X, np.column_stack([pool().y, -pool().y]), tasks=["a", "b"])
    with pytest.raises(ParameterError, match="objective"):
        learner(rows=rows)
    made = learner(rows=rows, objective="b", acquisition=Greedy())
    list(made)
    assert made.best == rows.y[made.asked, 1].max()
    assert list(made.to_dataframe("pandas"))[3:5] == ["a", "b"]


def test_a_classifier_finds_its_actives_and_its_border(sklearn_model):
    X = np.linspace(-3, 3, 200)[:, None]
    rows = NumpyDataset(X, (X[:, 0] > 1).astype(float))
    model = sklearn_model(LogisticRegression())
    arguments = {"batch_size": 5, "initial": rows[::20], "budget": 30}
    greedy = ActiveLearner(model, rows, true_labels, Greedy(), **arguments)
    border = ActiveLearner(model, rows, true_labels, UncertaintySampling(), **arguments)
    list(greedy)
    list(border)
    assert greedy.labelled.y[10:].mean() == 1
    assert np.abs(X[border.asked, 0] - 1).max() < np.abs(X[greedy.asked, 0] - 1).max()
    with pytest.raises(DatasetError, match="probabilities"):
        list(ActiveLearner(model, rows, true_labels, UCB(), **arguments))


def test_molecules_that_cannot_be_featurized_are_not_asked(sklearn_model):
    smiles = ["CCO", "C1CC", "CCN", "CCC", "CO", "C(", "CN", "CCCC"]
    rows = NumpyDataset(smiles, np.arange(8.0))
    model = Pipeline(sklearn_model(BayesianRidge()), ECFP(size=32))
    made = ActiveLearner(model, rows, true_labels, UCB(), initial=rows[[0, 2]], batch_size=2)
    list(made)
    assert sorted(made.asked.tolist()) == [0, 2, 3, 4, 6, 7]


def test_a_model_without_deviations_serves_greedy_alone(ridge):
    made = ActiveLearner(ridge(), pool(), true_labels, Greedy(), budget=30)
    list(made)
    assert len(made.asked) == 30
    with pytest.raises(Unsupported, match="deviations"):
        list(ActiveLearner(ridge(), pool(), true_labels, UCB(), budget=30))


@pytest.mark.parametrize("labels", [[1.0], [[1.0, 2.0]] * 5, ["high"] * 5, 3.0])
def test_an_oracle_that_answers_in_another_form_is_a_typed_error(labels):
    with pytest.raises(DatasetError, match="oracle"):
        learner(lambda rows: labels).step()


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"batch_size": 0}, ParameterError),
        ({"budget": 0}, ParameterError),
        ({"initial": 0}, ParameterError),
        ({"seed": -1}, ParameterError),
        ({"maximize": "yes"}, ParameterError),
        ({"acquisition": Greedy}, ParameterError),
        ({"oracle": "dock"}, ParameterError),
        ({"objective": "other"}, ParameterError),
        ({"rows": pool()[:0]}, EmptyDataset),
        ({"initial": pool()[:0]}, EmptyDataset),
        ({"tasks": []}, ParameterError),
        ({"tasks": ["a", "a"], "objective": "a"}, ParameterError),
        ({"tasks": [1], "objective": 1}, ParameterError),
        ({"initial": pool()[:5], "tasks": "other"}, ParameterError),
    ],
)
def test_arguments_that_cannot_be_used_are_typed_errors(options, error):
    with pytest.raises(error):
        learner(**options)


def test_acquisitions_find_more_of_the_best_of_freesolv_than_chance(freesolv, sklearn_model):
    dataset, _ = CSVLoader("smiles", tasks=["expt"]).load(freesolv)
    bits = ECFP(size=512, counts=True).featurize(dataset.X.tolist()).values
    rows = NumpyDataset(np.log1p(bits.astype(float)), dataset.y)
    best = np.argsort(rows.y[:, 0])[: len(rows) // 20]
    kernel = RBF(8.0) + WhiteKernel(0.1)
    model = sklearn_model(GaussianProcessRegressor(kernel, normalize_y=True, optimizer=None))

    def found(acquisition, seed):
        made = ActiveLearner(
            model, rows, true_labels, acquisition, maximize=False, budget=60, seed=seed
        )
        list(made)
        return np.isin(best, made.asked).mean()

    seeds = range(10)
    chance = np.array([found(RandomSampling(), seed) for seed in seeds])
    for acquisition in (Greedy(), UCB(), ExpectedImprovement()):
        gain = np.array([found(acquisition, seed) for seed in seeds]) - chance
        error = gain.std(ddof=1) / np.sqrt(len(seeds))
        # The lower bound of the paired 99 % interval.
        assert gain.mean() - student_t.ppf(0.995, len(seeds) - 1) * error > 0.1
