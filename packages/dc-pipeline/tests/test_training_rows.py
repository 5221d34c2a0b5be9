"""A pipeline knows the rows that it was trained on, and is not evaluated on them by mistake."""

import struct
from hashlib import blake2b

import numpy as np
import pytest

from dc_core import Estimator, NumpyDataset, Ragged
from dc_core.errors import StructureError
from dc_pipeline import (
    RMSE,
    Choice,
    CSVLoader,
    DiskDataset,
    Ensemble,
    GridTuner,
    KFold,
    NormalizationTransformer,
    Pipeline,
    RandomSplitter,
    cross_validate,
)
from dc_pipeline.errors import LeakageError
from dc_pipeline.training_rows import kept_digests, overlap, row_digests


def rows(n=40, seed=0, **options):
    rng = np.random.default_rng(seed)
    return NumpyDataset(rng.normal(size=(n, 3)), rng.normal(size=(n, 2)), **options)


class Lengths(Estimator):
    """Predicts the length of texts, times a factor."""

    fitted = ("factor",)

    def __init__(self, times=1.0):
        self.times = times
        self.factor = None

    def fit(self, dataset, *, valid=None):
        self.factor = np.array(self.times)
        return self

    def predict(self, dataset):
        return np.array([[len(text) * self.factor] for text in dataset.X.tolist()])


@pytest.fixture
def fitted(ridge):
    return Pipeline(ridge()).fit(rows()[:30])


def test_training_rows_are_refused_with_their_number(fitted):
    for some, number in ((rows()[:30], 30), (rows(), 30), (rows()[25:], 5), (rows()[[3, 3]], 2)):
        with pytest.raises(
            LeakageError, match=rf"{number} of these {len(some)} .*allow_train"
        ) as e:
            fitted.evaluate(some, [RMSE()])
        assert e.value.rows == number


def test_other_rows_are_evaluated_and_training_rows_if_asked(fitted):
    assert fitted.evaluate(rows()[30:], [RMSE()])["rmse"] > 0
    assert fitted.evaluate(rows(), [RMSE()], allow_train=True)["rmse"] > 0


def test_a_mixture_of_training_rows_and_others_is_logged(fitted, caplog):
    fitted.evaluate(rows()[:30], [RMSE()], allow_train=True)
    assert not caplog.records
    fitted.evaluate(rows(), [RMSE()], allow_train=True)
    assert "evaluated on 40 rows; it was trained on 30 of them" in caplog.text


def test_validation_rows_can_be_evaluated(ridge):
    pipeline = Pipeline(ridge()).fit(rows()[:30], valid=rows()[30:])
    assert pipeline.evaluate(rows()[30:], [RMSE()])["rmse"] > 0


def test_text_is_known_again_under_another_id_and_with_another_label_is_another_row():
    pipeline = Pipeline(Lengths()).fit(NumpyDataset(["CCO", "CC", "C"], [1.0, 2.0, 3.0]))
    with pytest.raises(LeakageError, match="1 of these 1 rows"):
        pipeline.evaluate(NumpyDataset(["CC"], [2.0], ids=["z"]), [RMSE()])
    assert pipeline.evaluate(NumpyDataset(["CC"], [2.5]), [RMSE()])["rmse"] >= 0


def test_equal_features_under_another_id_are_another_row(fitted):
    copy = rows()[:3]
    other = NumpyDataset(copy.X, copy.y, ids=["a", "b", "c"])
    assert fitted.evaluate(other, [RMSE()])["rmse"] > 0


def test_rows_that_could_not_be_featurized_were_not_trained_on(ridge):
    from dc_pipeline import ECFP

    train = NumpyDataset(["CCO", "CCC", "C1CC"], [1.0, 2.0, 3.0])
    pipeline = Pipeline(ridge(), ECFP(size=64)).fit(train)
    assert len(pipeline.training_rows) == 2
    test = NumpyDataset(["CCN", "C1CC"], [1.0, 3.0])
    assert pipeline.evaluate(test, [RMSE()])["rmse"] > 0


@pytest.mark.parametrize(
    "X",
    [
        np.arange(12.0).reshape(6, 2),
        np.arange(6),
        np.array(["a", "b", "", "d", "ü", "f"]),
        Ragged.from_rows([[1, 2], [], [3], [1], [2, 3], [4]]),
        {
            "a": np.array(["1", "12", "1", "2", "x", "y"]),
            "b": np.array(["23", "3", "2", "3", "", ""]),
        },
    ],
    ids=["table", "numbers", "text", "ragged", "named"],
)
def test_different_rows_have_different_digests_and_they_depend_on_the_row_alone(X, tmp_path):
    dataset = NumpyDataset(X, np.zeros(6))
    digests = row_digests(dataset)
    assert len(set(digests.tolist())) == 6
    np.testing.assert_array_equal(row_digests(dataset[[4, 1]]), digests[[4, 1]])
    on_disk = DiskDataset.create(tmp_path / "d", dataset)
    np.testing.assert_array_equal(row_digests(on_disk), digests)


def test_digests_are_the_same_on_every_machine():
    content = b"3:CCO4:" + struct.pack("<f", 0.5)
    expected = int.from_bytes(blake2b(content, digest_size=8).digest(), "little")
    for dtype in (np.float64, np.float32):
        dataset = NumpyDataset(["CCO"], np.array([0.5], dtype))
        assert row_digests(dataset).tolist() == [expected]


def test_negative_zero_and_other_nans_are_the_same_labels():
    nan = np.frombuffer(b"\1\0\0\0\0\0\xf8\xff", "<f8")[0]
    first, second = (NumpyDataset(["C"], [labels]) for labels in ([0.0, np.nan], [-0.0, nan]))
    assert row_digests(first) == row_digests(second)


def test_columns_in_another_order_and_numbers_in_another_precision_are_the_same_rows():
    X = np.random.default_rng(0).normal(size=(6, 2))
    y, ragged = X[:, 0] / 3, Ragged.from_rows([[0.1], [], [0.2, -0.0], [1], [2, 3], [np.nan]])
    digests = row_digests(NumpyDataset({"a": X, "b": ragged}, y))
    half = Ragged(ragged.values.astype(np.float32) + 0, ragged.offsets)
    other = NumpyDataset({"b": half, "a": X.astype(np.float32)}, y.astype(np.float32))
    np.testing.assert_array_equal(row_digests(other), digests)
    swapped = NumpyDataset({"a": ragged, "b": X}, y)
    assert not np.isin(row_digests(swapped), digests).any()
    bits = (X > 0).astype(np.uint8)
    of_bits, of_floats = (row_digests(NumpyDataset(b, y)) for b in (bits, bits.astype(float)))
    np.testing.assert_array_equal(of_bits, of_floats)


def test_labels_of_weight_0_are_not_trained_on(ridge):
    given = rows()
    held_out = np.ones((40, 2))
    held_out[30:] = 0
    pipeline = Pipeline(ridge()).fit(NumpyDataset(given.X, given.y, held_out))
    assert len(pipeline.training_rows) == 30
    assert pipeline.evaluate(given[30:], [RMSE()])["rmse"] > 0
    held_out[:, 1] = 0
    one_task = NumpyDataset(given.X, given.y, held_out)
    missing = NumpyDataset(given.X, np.where(held_out > 0, given.y, np.nan))
    np.testing.assert_array_equal(row_digests(one_task), row_digests(missing))
    assert not row_digests(missing)[30:].any()


def test_rows_of_a_fit_that_failed_before_the_model_changed_were_not_trained_on(ridge):
    class Picky(ridge):
        def fit(self, dataset, *, valid=None):
            if len(dataset) < 20:
                raise ValueError("too few")
            return super().fit(dataset)

    of_labels = NormalizationTransformer().fit(rows())
    for transformers in ([], [of_labels], [of_labels, NormalizationTransformer("X")]):
        pipeline = Pipeline(Picky().fit(rows()[:30]), transformers=transformers)
        with pytest.raises(ValueError, match="too few"):
            pipeline.fit(rows()[30:])
        assert pipeline.evaluate(rows()[30:], [RMSE()])["rmse"] > 0


def test_an_ensemble_is_not_evaluated_on_rows_of_any_member(ridge):
    members = [Pipeline(ridge()).fit(rows()[:20]), Pipeline(ridge()).fit(rows()[10:30])]
    ensemble = Ensemble([Ensemble(members), ridge().fit(rows())])
    with pytest.raises(LeakageError, match="30 of these 40 rows"):
        ensemble.evaluate(rows(), [RMSE()])
    assert ensemble.evaluate(rows()[30:], [RMSE()])["rmse"] > 0
    assert ensemble.evaluate(rows(), [RMSE()], allow_train=True)["rmse"] > 0


def test_rows_that_are_repeated_cost_no_fold_and_no_trial(ridge):
    from dc_pipeline import ECFP

    smiles = ["CCO", "CCN", "CCC", "CCCl", "CCBr", "CCF"] * 5
    dataset = NumpyDataset(smiles, [float(len(text)) for text in smiles])
    assert not cross_validate(Pipeline(ridge(), ECFP(size=64)), dataset, metrics=[RMSE()]).failures
    tuning = GridTuner().tune(
        Pipeline(Lengths()),
        dataset,
        RMSE(),
        space={"model.times": Choice(0.5, 1.0)},
        cross_validation=KFold(RandomSplitter(), k=3),
    )
    assert [trial.status for trial in tuning.trials] == ["ok", "ok"]


def test_a_network_that_trains_on_remembers_all_rows_and_a_fit_anew_the_last(ridge):
    class Network(ridge):
        def get_training_state(self):
            return {"step": np.ones(1)}

        def set_training_state(self, state):
            pass

    for kind, refused in ((Network, True), (ridge, False)):
        pipeline = Pipeline(kind()).fit(rows()[:20]).fit(rows()[20:])
        if refused:
            with pytest.raises(LeakageError):
                pipeline.evaluate(rows()[:20], [RMSE()])
        else:
            pipeline.evaluate(rows()[:20], [RMSE()])


def test_rows_of_a_fit_that_was_interrupted_while_the_model_changed_are_remembered(ridge):
    class Interrupted(ridge):
        def fit(self, dataset, *, valid=None):
            super().fit(dataset)
            raise KeyboardInterrupt

    pipeline = Pipeline(Interrupted())
    with pytest.raises(KeyboardInterrupt):
        pipeline.fit(rows())
    with pytest.raises(LeakageError):
        pipeline.evaluate(rows(), [RMSE()])


def test_digests_are_weights_and_can_be_forgotten_or_not_kept(fitted, ridge):
    other = Pipeline(ridge())
    other.set_weights(fitted.get_weights())
    with pytest.raises(LeakageError):
        other.evaluate(rows(), [RMSE()])
    other.forget_rows()
    unremembered = Pipeline(ridge(), remember_rows=False).fit(rows()[:30])
    for pipeline in (other, unremembered):
        assert pipeline.is_fitted
        assert list(pipeline) == ["pipeline/model/coef/0"]
        assert pipeline.evaluate(rows(), [RMSE()])["rmse"] > 0


@pytest.mark.parametrize(
    "stored",
    [
        np.arange(3),
        np.array([2, 1], np.uint64),
        np.array([1, 1], np.uint64),
        np.zeros((2, 2), np.uint64),
        np.array(1, np.uint64),
        np.arange(1_000_001, dtype=np.uint64),
    ],
    ids=["int64", "unsorted", "repeated", "2d", "0d", "many"],
)
def test_stored_digests_that_cannot_be_are_a_typed_error(ridge, fitted, stored):
    pipeline = Pipeline(ridge())
    weights = fitted.get_weights()
    pipeline.set_weights({**weights, "pipeline/training_rows/0": stored})
    with pytest.raises(StructureError, match="publish it again"):
        pipeline.evaluate(rows(), [RMSE()])


def test_of_too_many_rows_a_sample_is_kept_that_finds_its_share():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dc_pipeline.training_rows.MAX_ROWS", 500)
        digests = row_digests(NumpyDataset(np.arange(5000)))
        kept = kept_digests(digests[2500:], kept_digests(digests[:2500]))
        np.testing.assert_array_equal(kept, kept_digests(digests))
        assert overlap(digests, kept) == len(kept) == 500
        found = overlap(digests[:1000], kept)
    assert abs(found - 100) < 5 * np.sqrt(100)


def test_a_split_of_measured_data_is_evaluated(ridge, freesolv):
    from dc_pipeline import ECFP

    dataset = CSVLoader("smiles", tasks=["expt"]).load(freesolv).dataset
    train, _, test = RandomSplitter(seed=0).split(dataset)
    pipeline = Pipeline(ridge(1.0), ECFP(size=256)).fit(train)
    assert pipeline.evaluate(test, [RMSE()])["rmse"] > 0


def test_repeated_rows_of_measured_data_are_found_in_both_parts(ridge, tox21):
    train, _, test = RandomSplitter(seed=0).split(tox21)

    def known(part):
        labels = zip(part.X.tolist(), np.where(part.w > 0, part.y, -1), strict=True)
        return [(x, y.tobytes()) for x, y in labels if (y >= 0).any()]

    expected = sum(row in set(known(train)) for row in known(test))
    found = overlap(row_digests(test), kept_digests(row_digests(train)))
    assert found == expected > 0
