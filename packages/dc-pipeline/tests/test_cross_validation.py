"""cross_validate: the folds of scikit-learn, on any engine, with a reason for what fails."""

from dataclasses import replace

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import LogisticRegression
from sklearn.linear_model import Ridge as SklearnRidge
from sklearn.model_selection import PredefinedSplit, cross_val_predict, cross_val_score

from dc_core import Estimator, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError, RunMismatch
from dc_pipeline import (
    ECFP,
    R2,
    RMSE,
    CrossValidationResult,
    Ensemble,
    FoldResult,
    KFold,
    LeaveGroupOut,
    LogLoss,
    NormalizationTransformer,
    Pipeline,
    RandomSplitter,
    TimeSplitter,
    cross_validate,
)

FOLDS = np.random.default_rng(0).integers(0, 4, 120)


def diabetes(n=120):
    X, y = load_diabetes(return_X_y=True)
    return NumpyDataset(X[:n], y[:n], tasks=["progression"])


def test_scores_and_predictions_are_those_of_scikit_learn(ridge_model):
    dataset, folds = diabetes(), PredefinedSplit(FOLDS)
    found = cross_validate(ridge_model, dataset, LeaveGroupOut(FOLDS), [RMSE(), R2()])
    X, y = dataset.X, dataset.y[:, 0]
    expected = cross_val_predict(SklearnRidge(), X, y, cv=folds)
    assert np.array_equal(found.prediction[:, 0], expected)
    by_fold = {fold.test[0]: fold.scores["r2"] for fold in found.folds}
    scores = cross_val_score(SklearnRidge(), X, y, cv=folds, scoring="r2")
    assert by_fold == {
        test[0]: pytest.approx(score, rel=1e-12)
        for (_, test), score in zip(folds.split(), scores, strict=True)
    }
    assert found.scores()["r2"].value == pytest.approx(scores.mean())


def test_out_of_fold_probabilities_are_those_of_scikit_learn(sklearn_model):
    X, y = load_iris(return_X_y=True)
    folds = np.arange(150) % 5
    estimator = LogisticRegression(max_iter=300)
    found = cross_validate(
        sklearn_model(estimator), NumpyDataset(X, y), LeaveGroupOut(folds), [LogLoss()]
    )
    expected = cross_val_predict(estimator, X, y, cv=PredefinedSplit(folds), method="predict_proba")
    assert np.array_equal(found.prediction[:, 0], expected)


def test_the_given_model_stays_as_it_is(ridge):
    model = ridge().fit(diabetes(50))
    before = model.get_weights()
    cross_validate(model, diabetes(), KFold(RandomSplitter(), 3), [RMSE()])
    assert all(np.array_equal(before[name], model[name]) for name in before)


class Continuing(Estimator):
    """Predicts how often it was fitted, like a network that trains on."""

    fitted = ("times",)

    def __init__(self) -> None:
        self.times: np.ndarray | None = None

    def fit(self, dataset, *, valid=None):
        self.times = np.ones(1) if self.times is None else self.times + 1
        return self

    def predict(self, dataset):
        return np.tile(self.times, (len(dataset), 1))


def test_every_fold_begins_with_a_model_that_is_not_fitted():
    model = Continuing().fit(diabetes())
    found = cross_validate(model, diabetes(), KFold(RandomSplitter(), 3))
    assert np.all(found.prediction == 1)


def test_rows_that_no_fold_tests_are_nan(ridge):
    times = np.arange(120.0)
    found = cross_validate(ridge(), diabetes(), KFold(TimeSplitter(times), 3), [RMSE()])
    assert np.isnan(found.prediction[:30]).all()
    assert np.isfinite(found.prediction[30:]).all()


def test_inputs_that_cannot_be_featurized_are_nan_and_cost_no_fold(ridge):
    smiles = ["CCO", "C1CC", "CCN", "CCC", "CO", "CN"]
    dataset = NumpyDataset(smiles, np.arange(6.0))
    pipeline = Pipeline(ridge(), ECFP(size=32), [NormalizationTransformer()])
    found = cross_validate(pipeline, dataset, LeaveGroupOut([0, 0, 1, 1, 2, 2]), [RMSE()])
    assert np.flatnonzero(np.isnan(found.prediction[:, 0])).tolist() == [1]
    assert not found.failures


def test_a_fold_that_fails_is_a_row_with_its_reason(marked):
    dataset = NumpyDataset(np.zeros((6, 1)), np.arange(6.0))
    found = cross_validate(marked(poison="5"), dataset, LeaveGroupOut([0, 0, 1, 1, 2, 2]), [RMSE()])
    assert [fold.status for fold in found.folds] == ["error", "error", "ok"]
    assert found.folds[0].message == "ValueError: these rows are poison"
    assert np.isnan(found.prediction[:4]).all()
    assert found.prediction[4:].ravel().tolist() == [1.5, 1.5]
    assert found.scores()["rmse"].undefined == 2
    assert "2 failed: ValueError: these rows are poison" in repr(found)


def test_a_fold_that_kills_its_worker_is_a_row(marked):
    dataset = NumpyDataset(np.zeros((6, 1)), np.arange(6.0))
    found = cross_validate(
        marked(poison="0", kill=True),
        dataset,
        LeaveGroupOut([0, 0, 1, 1, 1, 1]),
        [RMSE()],
        engine="processes",
        retries=0,
    )
    assert [fold.status for fold in found.folds] == ["ok", "crash"]
    assert "bort" in found.folds[1].message


def test_all_engines_give_the_same_result(ridge):
    folds = KFold(RandomSplitter(), 3)
    one, other = (
        cross_validate(ridge(), diabetes(), folds, [RMSE()], engine=engine)
        for engine in ("serial", "processes")
    )
    assert np.array_equal(one.prediction, other.prediction)
    assert [fold.scores for fold in one.folds] == [fold.scores for fold in other.folds]


def test_a_directory_keeps_the_folds_that_are_done(tmp_path, marked):
    model = marked(notes=str(tmp_path / "notes"))
    calls = [(model, diabetes(), KFold(RandomSplitter(), 3), [RMSE()])] * 3
    first = cross_validate(*calls[0], directory=tmp_path / "folds")
    again = cross_validate(*calls[1], directory=tmp_path / "folds")
    notes = tmp_path / "notes"
    assert notes.read_text().count("fit") == 3
    assert np.array_equal(first.prediction, again.prediction)
    shard = sorted((tmp_path / "folds" / "run").glob("*-*"))[1]
    for path in shard.iterdir():
        path.unlink()
    shard.rmdir()
    last = cross_validate(*calls[2], directory=tmp_path / "folds")
    assert notes.read_text().count("fit") == 4
    assert np.array_equal(first.prediction, last.prediction)


def test_a_directory_of_another_model_or_of_other_folds_is_refused(tmp_path, ridge_model, ridge):
    cross_validate(ridge_model, diabetes(), KFold(RandomSplitter(), 3), directory=tmp_path)
    cross_validate(ridge_model, diabetes(), KFold(RandomSplitter(), 3), directory=tmp_path)
    for model, seed in ((ridge(), 0), (ridge_model, 1)):
        with pytest.raises(RunMismatch):
            cross_validate(
                model, diabetes(), KFold(RandomSplitter(seed=seed), 3), directory=tmp_path
            )


@pytest.mark.parametrize(
    ("name", "content"),
    [("fit.json", b"{"), ("prediction.npy", b""), ("prediction.npy", b"\x93NUMPY")],
    ids=str,
)
def test_a_damaged_result_is_a_typed_error(tmp_path, ridge_model, name, content):
    arguments = (ridge_model, diabetes(), KFold(RandomSplitter(), 2))
    cross_validate(*arguments, directory=tmp_path)
    next((tmp_path / "run").glob(f"*/{name}")).write_bytes(content)
    with pytest.raises(RunMismatch, match="Delete"):
        cross_validate(*arguments, directory=tmp_path)


def test_the_models_that_are_kept_made_the_predictions(ridge_model):
    pytest.importorskip("dc_hub", reason="the models are stored")
    dataset = diabetes()
    found = cross_validate(ridge_model, dataset, KFold(RandomSplitter(), 3), keep_models=True)
    assert len(found.models) == 3
    for fold in found.folds:
        test = dataset.select(fold.test)
        assert np.array_equal(fold.model.predict(test), found.prediction[fold.test])
    ensemble = found.ensemble()
    assert isinstance(ensemble, Ensemble)
    expected = np.mean([model.predict(dataset) for model in found.models], axis=0)
    np.testing.assert_allclose(ensemble.predict(dataset), expected, rtol=1e-14)


def test_a_seed_gives_every_fold_a_seed_of_its_own(sklearn_model):
    pytest.importorskip("dc_hub", reason="the models are stored")
    from sklearn.ensemble import ExtraTreesRegressor

    model = sklearn_model(ExtraTreesRegressor(2, random_state=0))

    def seeds(**options):
        found = cross_validate(
            model, diabetes(40), KFold(RandomSplitter(), 3), keep_models=True, **options
        )
        return [one.native.random_state for one in found.models]

    assert seeds() == [0, 0, 0]
    assert len({*seeds(seed=1)}) == 3
    assert seeds(seed=1) == seeds(seed=1) != seeds(seed=2)


def test_a_seed_for_a_model_without_one_is_a_typed_error(ridge):
    with pytest.raises(ParameterError, match="no seed"):
        cross_validate(ridge(), diabetes(), seed=0)


def test_the_interval_is_that_of_the_corrected_t_test():
    # s² = 2, and the 97.5 % quantile of Cauchy's distribution is tan(0.475 π).
    folds = tuple(FoldResult(np.arange(3), np.arange(1), {"rmse": score}) for score in (1.0, 3.0))
    found = CrossValidationResult(folds, np.zeros((4, 1))).scores()["rmse"]
    half = np.tan(0.475 * np.pi) * np.sqrt(2 * (1 / 2 + 1 / 3))
    assert (found.value, found.low, found.high) == pytest.approx((2, 2 - half, 2 + half))
    others = tuple(
        FoldResult(np.arange(9), np.arange(1), scores, status)
        for scores, status in (({"rmse": np.inf}, "ok"), ({}, "ok"), ({}, "crash"))
    )
    with_others = CrossValidationResult((*others, *folds), np.zeros((4, 1))).scores()["rmse"]
    assert with_others == replace(found, undefined=3)


def test_the_folds_are_a_table(marked):
    dataset = NumpyDataset(np.zeros((6, 1)), np.arange(6.0))
    found = cross_validate(marked(poison="5"), dataset, LeaveGroupOut([0, 0, 1, 1, 2, 2]), [RMSE()])
    table = found.to_dataframe("pandas")
    assert list(table) == ["fold", "train", "test", "rmse", "status", "message"]
    assert table["train"].tolist() == [4, 4, 4]
    assert table["status"].tolist() == ["error", "error", "ok"]
    assert "<td>" in found._repr_html_()


def test_models_that_were_not_kept_are_no_ensemble(ridge):
    with pytest.raises(ParameterError, match="keep_models=True"):
        cross_validate(ridge(), diabetes()).ensemble()


@pytest.mark.parametrize(
    ("arguments", "error", "reason"),
    [
        ((np.eye(3),), DatasetError, "dataset"),
        ((diabetes()[:0],), EmptyDataset, "no row"),
        ((diabetes(), RandomSplitter()), ParameterError, r"KFold\(RandomSplitter"),
        ((diabetes(), None, RMSE()), ParameterError, "list"),
        ((NumpyDataset(np.eye(6), [*"ababab"]), None, [RMSE()]), DatasetError, "classes"),
    ],
)
def test_what_cannot_be_cross_validated_is_a_typed_error(ridge, arguments, error, reason):
    with pytest.raises(error, match=reason):
        cross_validate(ridge(), *arguments)


def test_what_is_no_model_cannot_be_cross_validated(ridge):
    with pytest.raises(ParameterError, match="estimator"):
        cross_validate(ridge, diabetes())
