"""Ensembles: means, total variance, calibration, conformal coverage, and storing."""

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.tree import DecisionTreeRegressor

from dc_core import Estimator, NormalDistribution, NumpyDataset, register_model
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    NotFitted,
    ParameterError,
    StructureError,
    Unsupported,
)
from dc_core.testing import ModelSuite
from dc_pipeline import ECFP, RMSE, Ensemble, GaussianNLL, NormalizationTransformer, Pipeline

RNG = np.random.default_rng


def diabetes(start=0, stop=100):
    X, y = load_diabetes(return_X_y=True)
    return NumpyDataset(X[start:stop], y[start:stop])


@register_model("test/Line")
class Line(Estimator):
    """y = slope · x with a deviation of 1 + |x|, for any number of tasks."""

    fitted = ("slope",)

    def __init__(self, shift: float = 0.0, seed: int = 0, sure: bool = False) -> None:
        self.shift, self.seed, self.sure = shift, seed, sure
        self.slope: np.ndarray | None = None
        self.rows: list[str] = []

    def fit(self, dataset, *, valid=None):
        if len(dataset) == 0:
            raise EmptyDataset("There are no rows.")
        self.rows = dataset.ids.tolist()
        X = np.asarray(dataset.X, float)[:, :1]
        self.slope = (X * dataset.y).sum(axis=0) / np.square(X).sum() + self.shift
        return self

    def predict(self, dataset):
        if self.slope is None:
            raise NotFitted("It has no slope.", hint="Call fit.")
        X = dataset.X if isinstance(dataset, NumpyDataset) else dataset
        if len(X) == 0:
            raise EmptyDataset("There are no rows.")
        return np.asarray(X, float)[:, :1] * self.slope

    def predict_distribution(self, dataset):
        if self.sure:
            return super().predict_distribution(dataset)
        mean = self.predict(dataset)
        X = dataset.X if isinstance(dataset, NumpyDataset) else dataset
        return NormalDistribution(mean, np.broadcast_to(1 + np.abs(X[:, :1]), mean.shape))


def lines(*shifts, sure=False):
    made = Ensemble([Line(shift, sure=sure) for shift in shifts])
    return made.fit(NumpyDataset(np.ones((3, 1)), np.zeros(3)))


def test_predictions_are_the_means_of_the_members(sklearn_model):
    members = [sklearn_model(SklearnRidge(alpha)) for alpha in (0.01, 1.0, 10.0)]
    ensemble = Ensemble(members).fit(diabetes())
    each = [SklearnRidge(alpha).fit(diabetes().X, diabetes().y) for alpha in (0.01, 1.0, 10.0)]
    expected = np.mean([one.predict(diabetes().X).reshape(-1, 1) for one in each], axis=0)
    np.testing.assert_allclose(ensemble.predict(diabetes()), expected, rtol=1e-12)


def test_probabilities_are_averaged_also_if_a_member_knows_fewer_classes(sklearn_model):
    X, y = load_iris(return_X_y=True)
    two = sklearn_model(LogisticRegression(max_iter=300)).fit(NumpyDataset(X[:100], y[:100]))
    three = sklearn_model(LogisticRegression(max_iter=300)).fit(NumpyDataset(X, y))
    found = Ensemble([two, three]).predict(X)
    expected = (np.pad(two.predict(X), ((0, 0), (0, 0), (0, 1))) + three.predict(X)) / 2
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    np.testing.assert_allclose(found.sum(axis=2), 1, rtol=1e-12)


def test_the_deviation_is_that_of_the_mixture_of_the_members():
    ensemble = lines(-1.0, 0.5, 2.0)
    X = np.array([[0.0], [0.7], [-3.0]])
    mean, std = ensemble.predict_distribution(X)
    n = 200_000
    rng = RNG(0)
    shift = np.array([-1.0, 0.5, 2.0])[rng.integers(3, size=(n, 1))]
    drawn = rng.normal(shift * X[:, 0], 1 + np.abs(X[:, 0]))
    assert np.all(np.abs(drawn.mean(axis=0) - mean[:, 0]) < 5 * std[:, 0] / np.sqrt(n))
    centred = np.square(drawn - mean[:, 0])
    error = centred.std(axis=0) / np.sqrt(n)
    assert np.all(np.abs(centred.mean(axis=0) - std[:, 0] ** 2) < 5 * error)


def test_members_without_deviations_give_their_spread():
    found = lines(-1.0, 1.0, sure=True).predict_distribution(np.array([[2.0], [-1.0]]))
    np.testing.assert_allclose(found.std[:, 0], [2.0, 1.0])


def test_the_distribution_has_the_means_and_deviations_of_gaussian_processes(sklearn_model):
    process = GaussianProcessRegressor(RBF(0.2) + WhiteKernel(), normalize_y=True, optimizer=None)
    member = sklearn_model(process)
    ensemble = Ensemble.of(member, 3, "bootstrap").fit(diabetes())
    found = ensemble.predict_distribution(diabetes())
    each = [one.native.predict(diabetes().X, return_std=True) for one in ensemble.members]
    means, stds = (np.array(part) for part in zip(*each, strict=True))
    variance = (stds**2).mean(axis=0) + means.var(axis=0)
    np.testing.assert_allclose(found.std[:, 0], np.sqrt(variance), rtol=1e-10)
    assert np.array_equal(found.mean, ensemble.predict(diabetes()))


def test_an_ensemble_of_classifiers_has_no_deviations(sklearn_model):
    dataset = NumpyDataset(*load_iris(return_X_y=True))
    member = sklearn_model(RandomForestClassifier(2, random_state=0))
    ensemble = Ensemble.of(member, 2).fit(dataset, valid=dataset)
    with pytest.raises(Unsupported, match="probabilities"):
        ensemble.predict_distribution(dataset)


def test_seeds_vary_wherever_they_are_and_equal_seeds_give_equal_members(sklearn_model):
    nested = make_pipeline(StandardScaler(), RandomForestRegressor(2, random_state=0))
    template = Pipeline(sklearn_model(nested), None, [NormalizationTransformer()])

    def seeds(**options):
        made = Ensemble.of(template, 3, **options)
        return [one.model.estimator[-1].random_state for one in made.members]

    assert len({*seeds()}) == 3
    assert seeds() == seeds(seed=0) != seeds(seed=1)
    assert nested[-1].random_state == 0


def test_members_of_different_seeds_predict_differently(sklearn_model):
    ensemble = Ensemble.of(sklearn_model(RandomForestRegressor(3)), 2).fit(diabetes())
    one, other = (member.predict(diabetes()) for member in ensemble.members)
    assert not np.array_equal(one, other)


def test_seeds_cannot_vary_in_a_model_without_one(ridge):
    with pytest.raises(ParameterError, match="no seed"):
        Ensemble.of(ridge(), 3)
    assert len(Ensemble.of(ridge(), 3, "bootstrap").members) == 3


def test_a_bootstrap_resample_has_as_many_rows_of_which_some_are_repeated():
    n = 4000
    ensemble = Ensemble.of(Line(), 2, "bootstrap").fit(NumpyDataset(np.ones((n, 1)), np.zeros(n)))
    one, other = (member.rows for member in ensemble.members)
    assert len(one) == len(other) == n
    assert one != other
    # The part of the rows that is drawn has the mean 1 - 1/e and the variance (e - 2) / (e² n).
    part, error = 1 - 1 / np.e, np.sqrt((np.e - 2) / np.e**2 / n)
    for rows in (one, other):
        assert abs(len({*rows}) / n - part) < 5 * error


def test_every_row_is_left_out_by_one_member_of_folds():
    ensemble = Ensemble.of(Line(), 4, "folds").fit(NumpyDataset(np.ones((10, 1)), np.zeros(10)))
    times = np.bincount([int(row) for member in ensemble.members for row in member.rows])
    assert times.tolist() == [3] * 10


def labels(ensemble, X, scale, rng):
    mean, std = ensemble._mixture(X)
    return mean + scale * std * rng.standard_normal(mean.shape)


def test_calibration_finds_by_how_much_deviations_are_too_small():
    ensemble, rng, n = lines(-0.5, 0.5), RNG(1), 4000
    X = rng.normal(size=(n, 1))
    before = ensemble.predict_distribution(X).std
    ensemble.calibrate(NumpyDataset(X, labels(ensemble, X, 2.5, rng)))
    factor = ensemble.predict_distribution(X).std / before
    np.testing.assert_allclose(factor, factor[0, 0], rtol=1e-12)
    # The standard error of a deviation from n normal values.
    assert abs(factor[0, 0] - 2.5) < 5 * 2.5 / np.sqrt(2 * n)


def test_the_factor_has_the_highest_likelihood():
    ensemble, rng = lines(-0.5, 0.5), RNG(2)
    X = rng.normal(size=(50, 1))
    rows = NumpyDataset(X, labels(ensemble, X, 0.4, rng))
    mean, std = ensemble.calibrate(rows).predict_distribution(X)

    def loss(factor):
        parts = np.stack([mean, factor * std], axis=-1)
        return GaussianNLL().score(rows.y, parts, rows.w, rows.tasks)["gaussian_nll"]

    assert loss(1) == ensemble.evaluate(rows, [GaussianNLL()])["gaussian_nll"]
    assert loss(1) < min(loss(0.99), loss(1.01))


@pytest.mark.parametrize(("m", "level", "rank"), [(19, 0.9, 18), (9, 0.7, 7), (30, 0.75, 24)])
def test_intervals_cover_new_labels_as_often_as_their_rank_says(m, level, rank):
    # Labels of infinite variance, on purpose: the guarantee needs no distribution.
    ensemble, rng, repeats, new = lines(-0.3, 0.6), RNG(3), 600, 40
    covered = np.empty(repeats)
    for i in range(repeats):
        X = rng.normal(size=(m + new, 1))
        y = 3 * X + rng.standard_cauchy(size=X.shape) * (1 + X**2)
        low, high = ensemble.calibrate(NumpyDataset(X[:m], y[:m])).predict_interval(X[m:], level)
        covered[i] = ((low <= y[m:]) & (y[m:] <= high)).mean()
    expected = rank / (m + 1)
    # Given the calibration, coverage is beta-distributed (Vovk 2012, arXiv:1209.2673).
    variance = expected * (1 - expected) / (m + 2) + expected * (1 - expected) / new
    assert expected >= level
    assert abs(covered.mean() - expected) < 4 * np.sqrt(variance / repeats)


def test_an_interval_is_infinite_if_there_are_too_few_rows_for_its_level():
    ensemble = lines(-1.0, 1.0).calibrate(NumpyDataset(np.ones((8, 1)), np.arange(8.0)))
    low, high = ensemble.predict_interval(np.zeros((2, 1)), 0.9)
    assert np.all(low == -np.inf)
    assert np.all(high == np.inf)
    low, high = ensemble.predict_interval(np.zeros((2, 1)), 0.8)
    assert np.isfinite(high - low).all()


def test_members_that_agree_exactly_give_intervals_and_no_factor():
    rows = NumpyDataset(np.ones((4, 1)), [0.0, 0.0, 0.0, 5.0])
    ensemble = lines(1.0, 1.0, sure=True).calibrate(NumpyDataset(rows.X, rows.y + 1))
    assert ensemble.predict_distribution(rows).std.tolist() == [[0.0]] * 4
    assert ensemble.predict_interval(rows, 0.6).high.tolist() == [[1.0]] * 4
    assert ensemble.predict_interval(rows, 0.8).high.tolist() == [[np.inf]] * 4


def test_tasks_are_calibrated_apart_and_missing_labels_left_out():
    X = np.linspace(1, 2, 30)[:, None]
    ensemble = Ensemble([Line(-1.0), Line(1.0)]).fit(NumpyDataset(X, np.zeros((30, 3))))
    y = np.column_stack([labels(ensemble, X, s, RNG(4))[:, 0] for s in (1, 3, 1)])
    y[:, 2] = np.nan
    y[::2, 1] = np.nan
    before = ensemble.predict_distribution(X).std
    ensemble.calibrate(NumpyDataset(X, y))
    factors = (ensemble.predict_distribution(X).std / before)[0]
    scaled = (y / before)[1::2, 1]
    assert factors[1] == pytest.approx(np.sqrt(np.mean(scaled**2)))
    assert factors[2] == 1
    assert np.isinf(ensemble.predict_interval(X, 0.5).high).all(axis=0).tolist() == [0, 0, 1]


def test_fitting_with_valid_calibrates_and_without_forgets_it():
    rows = NumpyDataset(np.ones((20, 1)), RNG(5).normal(size=20))
    ensemble = Ensemble([Line(-1.0), Line(1.0)]).fit(rows, valid=rows)
    assert ensemble.predict_interval(rows).low.shape == (20, 1)
    ensemble.fit(rows)
    with pytest.raises(NotFitted, match="calibrate"):
        ensemble.predict_interval(rows)


def test_a_stored_ensemble_predicts_the_same_bits(tmp_path, sklearn_model):
    pytest.importorskip("dc_hub", reason="models are stored")
    forest = sklearn_model(RandomForestRegressor(3, random_state=0))
    ensemble = Ensemble.of(forest, 3, "bootstrap").fit(diabetes(), valid=diabetes(100, 150))
    ensemble.to_pretrained(tmp_path / "ensemble")
    loaded = Ensemble.from_pretrained(tmp_path / "ensemble")
    test = diabetes(150, 200)
    assert np.array_equal(ensemble.predict(test), loaded.predict(test))
    for one, other in (
        (ensemble.predict_distribution(test), loaded.predict_distribution(test)),
        (ensemble.predict_interval(test), loaded.predict_interval(test)),
    ):
        assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert loaded.get_parameters()["resampling"] == "bootstrap"


def test_an_ensemble_that_is_not_calibrated_is_stored_as_it_is(tmp_path, sklearn_model):
    pytest.importorskip("dc_hub", reason="models are stored")
    X, y = load_iris(return_X_y=True)
    names = NumpyDataset(X, np.array(["c", "b", "a"])[y])
    member = sklearn_model(RandomForestClassifier(2, random_state=0))
    ensemble = Ensemble.of(member, 2).fit(names)
    ensemble.to_pretrained(tmp_path / "ensemble")
    loaded = Ensemble.from_pretrained(tmp_path / "ensemble")
    assert np.array_equal(ensemble.predict(names), loaded.predict(names))
    assert loaded.classes == {"task0": ("a", "b", "c")}
    assert loaded.residuals is None


def test_an_ensemble_is_a_model_of_a_pipeline_and_pipelines_are_members(sklearn_model):
    smiles = ["CCO", "CCN", "CCC", "CO", "CN", "CCCl", "c1ccccc1", "C1CC"]
    dataset = NumpyDataset(smiles, np.arange(8.0))
    tree = sklearn_model(DecisionTreeRegressor(random_state=0))
    inside = Pipeline(
        Ensemble.of(tree, 3, "bootstrap"), ECFP(size=64), [NormalizationTransformer()]
    )
    outside = Ensemble.of(
        Pipeline(tree, ECFP(size=64), [NormalizationTransformer()]), 3, "bootstrap"
    )
    for model in (inside, outside):
        mean, std = model.fit(dataset).predict_distribution(dataset)
        assert np.isnan(mean[:, 0]).tolist() == np.isnan(std[:, 0]).tolist() == [False] * 7 + [True]
        assert [failure.row for failure in model.failures] == [7]
        other = NumpyDataset(smiles, np.arange(8.0)[::-1])
        assert np.isfinite(model.evaluate(other, [RMSE()])["rmse"])


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_engines_fit_the_members_that_fitting_here_would(tmp_path, engine, sklearn_model):
    pytest.importorskip("dc_hub", reason="the members are stored")
    forest = sklearn_model(RandomForestRegressor(3, random_state=0))
    here, there = (Ensemble.of(forest, 2, "bootstrap") for _ in range(2))
    here.fit(diabetes(), valid=diabetes(100, 130))
    members = there.members
    there.fit(diabetes(), valid=diabetes(100, 130), engine=engine, directory=tmp_path / "run")
    assert there.members is members
    one, other = (model.predict_distribution(diabetes(150, 200)) for model in (here, there))
    assert np.array_equal(one.mean, other.mean)
    assert np.array_equal(one.std, other.std)


def test_an_engine_does_not_fit_members_twice_in_their_place(sklearn_model):
    tree = sklearn_model(DecisionTreeRegressor(random_state=0))
    ensemble = Ensemble.of(tree, 2, "bootstrap").fit(diabetes())
    with pytest.raises(ParameterError, match="unfitted"):
        ensemble.fit(diabetes(0, 50), engine="serial")


@pytest.mark.parametrize(
    "residuals",
    [np.zeros(5), np.zeros((5, 2)), np.zeros((5, 1), np.float32), np.zeros((5, 1), complex)],
)
def test_a_stored_calibration_of_another_form_is_a_typed_error(residuals):
    ensemble = lines(-1.0, 1.0)
    ensemble.import_weights({**ensemble.export_weights(), "residuals/0": residuals})
    with pytest.raises(StructureError, match="damaged"):
        ensemble.predict_distribution(np.ones((2, 1)))
    with pytest.raises(StructureError, match="damaged"):
        ensemble.predict_interval(np.ones((2, 1)))


@pytest.mark.parametrize(
    ("members", "options", "reason"),
    [
        ([], {}, "0 members"),
        (Line(), {}, "Ensemble.of"),
        ([Line(), "line"], {}, "estimator"),
        ([Line()], {"resampling": "jackknife"}, "jackknife"),
        ([Line()], {"resampling": "folds"}, "no fold"),
        ([Line()], {"seed": -1}, "seed"),
    ],
)
def test_what_is_no_ensemble_is_a_typed_error(members, options, reason):
    with pytest.raises(ParameterError, match=reason):
        Ensemble(members, **options)


def test_the_same_object_twice_is_a_typed_error():
    line = Line()
    with pytest.raises(ParameterError, match="different objects"):
        Ensemble([line, line])


@pytest.mark.parametrize(
    ("rows", "error"),
    [
        (NumpyDataset(np.ones((0, 1)), np.zeros((0, 1))), EmptyDataset),
        (NumpyDataset(np.ones((3, 1)), np.full(3, np.nan)), EmptyDataset),
        (NumpyDataset(np.ones((3, 1)), np.zeros((3, 2))), DatasetError),
        (NumpyDataset(np.ones((3, 1)), [*"aba"]), DatasetError),
    ],
)
def test_rows_that_cannot_calibrate_are_a_typed_error(rows, error):
    with pytest.raises(error):
        lines(-1.0, 1.0).calibrate(rows)


@pytest.mark.parametrize("level", [0, 1, 1.5, "high"])
def test_a_level_outside_0_and_1_is_a_typed_error(level):
    with pytest.raises(ParameterError, match="level"):
        lines(-1.0, 1.0).calibrate(NumpyDataset(np.ones((3, 1)), np.zeros(3))).predict_interval(
            np.ones((1, 1)), level
        )


class TestEnsemble(ModelSuite):
    def blank(self):
        return Ensemble([Line(-1.0), Line(1.0)], "bootstrap", seed=3)

    def make(self, seed):
        rows = self.data(seed)
        return self.blank().fit(rows, valid=rows)

    def dataset(self):
        return self.data(7)

    def data(self, seed):
        rng = RNG(seed)
        return NumpyDataset(rng.normal(size=(9, 2)), rng.normal(size=(9, 2)))
