"""Pipeline: from raw inputs to predictions in the units of the labels, one row per input."""

import tracemalloc

import numpy as np
import pytest

from dc_core import (
    Estimator,
    Features,
    Featurizer,
    Model,
    NormalDistribution,
    NumpyDataset,
    Transformer,
)
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    FeaturizationError,
    ParameterError,
    Unsupported,
    WeightsMismatch,
)
from dc_pipeline import (
    ECFP,
    RMSE,
    CSVLoader,
    GaussianNLL,
    NormalizationTransformer,
    PearsonR,
    Pipeline,
    RandomSplitter,
    ScaffoldSplitter,
)
from dc_pipeline.inputs import as_sequence

SMILES = ["CCO", "CCCO", "CCCCO", "c1ccccc1", "Cc1ccccc1", "CC(=O)O"]
Y = np.array([10.0, 11.0, 12.0, 20.0, 21.0, 5.0])


def of(smiles, y=None, w=None):
    return NumpyDataset(np.array(smiles), y, w)


class Lengths(Featurizer):
    """Features of any string: its length; an ``x`` in it is a failure. Counts its calls."""

    def __init__(self):
        self.calls = []

    def featurize(self, inputs, *, strict=False):
        self.calls.append(list(inputs))
        features = ECFP(size=1).featurize(["x" if "x" in i else "C" for i in inputs], strict=strict)
        values = np.array([[float(len(i))] for i in inputs]) * features.ok[:, None]
        return Features(values, features.ok, features.failures)


class Log(Transformer):
    """Learns nothing; labels become their logarithms."""

    def fit(self, dataset):
        return self

    def transform(self, dataset):
        return NumpyDataset(dataset.X, np.log(dataset.y), dataset.w, dataset.ids, dataset.tasks)

    def untransform(self, prediction):
        return np.exp(prediction)


@pytest.fixture
def pipeline(ridge):
    return Pipeline(ridge(0.1), ECFP(size=256), [NormalizationTransformer()]).fit(of(SMILES, Y))


def test_predictions_are_in_the_labels_own_units(pipeline):
    prediction = pipeline.predict(SMILES)
    assert prediction.shape == (6, 1)
    np.testing.assert_allclose(prediction.ravel(), Y, atol=1.5)


def test_lists_arrays_and_datasets_give_equal_predictions(pipeline):
    expected = pipeline.predict(SMILES)
    np.testing.assert_array_equal(pipeline.predict(np.array(SMILES)), expected)
    np.testing.assert_array_equal(pipeline.predict(of(SMILES)), expected)
    np.testing.assert_array_equal(pipeline.predict(of(SMILES, np.full(6, np.nan))), expected)


def test_a_pipeline_applies_its_parts_in_order(ridge):
    dataset = of(SMILES, Y)
    features = NumpyDataset(ECFP(size=256).featurize(SMILES).values, Y)
    normalization = NormalizationTransformer().fit(features)
    model = ridge(0.1).fit(normalization.transform(features))
    expected = normalization.untransform(model.predict(features))
    pipeline = Pipeline(ridge(0.1), ECFP(size=256), [NormalizationTransformer()]).fit(dataset)
    np.testing.assert_array_equal(pipeline.predict(dataset), expected)


def test_transformers_follow_each_other_and_are_undone_in_reverse(ridge):
    X = np.random.default_rng(0).normal(5, 3, (40, 3))
    y = np.exp(X @ [0.1, 0.2, 0.3])
    pipeline = Pipeline(
        ridge(1e-9), transformers=[NormalizationTransformer("X"), Log(), NormalizationTransformer()]
    )
    np.testing.assert_allclose(pipeline.fit(NumpyDataset(X, y)).predict(X).ravel(), y)
    assert pipeline.transformers[2].mean == pytest.approx(np.log(y).mean())


def test_failed_inputs_are_nan_in_their_row_and_logged(pipeline, caplog):
    prediction = pipeline.predict(["CCO", "C1CC", None, "CCCO"])
    assert np.isnan(prediction).ravel().tolist() == [False, True, True, False]
    np.testing.assert_array_equal(prediction[[0, 3]], pipeline.predict(["CCO", "CCCO"]))
    assert "prediction inputs: 2 failed (2 × parse): row 1 ('C1CC')" in caplog.text


def test_the_report_is_of_the_last_call(pipeline):
    pipeline.predict(["CCO", "C1CC"])
    assert [failure.row for failure in pipeline.failures] == [1]
    pipeline.predict(["CCO"])
    assert len(pipeline.failures) == 0


def test_inputs_that_all_fail_are_all_nan(pipeline):
    prediction = pipeline.predict(["C1CC", "", None])
    assert prediction.shape == (3, 1)
    assert np.isnan(prediction).all()


def test_strict_raises_at_a_failure(pipeline):
    with pytest.raises(FeaturizationError, match=r"row 1 \('C1CC'\)"):
        pipeline.predict(["CCO", "C1CC"], strict=True)


def test_float32_predictions_stay_float32_beside_failures(ridge):
    class Single(type(ridge())):
        def predict(self, dataset):
            return super().predict(dataset).astype(np.float32)

    pipeline = Pipeline(Single(), Lengths()).fit(of(["a", "bb"], [1.0, 2.0]))
    assert pipeline.predict(["a", "x"]).dtype == np.float32


def test_failed_rows_are_left_out_of_training_and_logged(ridge, caplog):
    pipeline = Pipeline(ridge(), Lengths(), [NormalizationTransformer()])
    pipeline.fit(of(["a", "x", "bbb", "xx"], [1.0, 1e9, 3.0, 1e9]))
    (seen, valid) = pipeline.model.seen
    assert seen.X.tolist() == [[1], [3]]
    assert seen.y.tolist() == [[-1], [1]]
    assert valid is None
    assert [failure.row for failure in pipeline.failures] == [1, 3]
    assert "training data: 2 failed" in caplog.text


def test_statistics_come_from_the_training_rows_alone(ridge):
    pipeline = Pipeline(ridge(), Lengths(), [NormalizationTransformer()])
    pipeline.fit(of(["a", "bbb"], [1.0, 3.0]), valid=of(["cc", "x", "dd"], [100.0, 0.0, 102.0]))
    assert (pipeline.transformers[0].mean, pipeline.transformers[0].scale) == (2, 1)
    valid = pipeline.model.seen[1]
    assert valid.y.tolist() == [[98], [100]]
    assert [failure.row for failure in pipeline.failures] == [1]


def test_fit_featurizes_each_dataset_once(ridge):
    featurizer = Lengths()
    Pipeline(ridge(), featurizer, [NormalizationTransformer()]).fit(
        of(["a", "bb"], [1.0, 2.0]), valid=of(["c"], [1.0])
    )
    assert featurizer.calls == [["a", "bb"], ["c"]]


def test_options_reach_the_model_and_valid_only_if_given(ridge):
    class Fussy(type(ridge())):
        def fit(self, dataset, **options):  # a model that would not take valid=None
            self.options = options
            return super().fit(dataset)

    pipeline = Pipeline(Fussy()).fit(NumpyDataset(np.eye(2), [1.0, 2.0]), epochs=3)
    assert pipeline.model.options == {"epochs": 3}


def test_evaluation_is_in_the_units_of_the_labels_without_the_failed_rows(pipeline):
    smiles, y = ["C1CC", *SMILES], np.r_[1e9, Y]
    scores = pipeline.evaluate(of(smiles, y), [RMSE(), PearsonR()], allow_train=True)
    error = np.sqrt(np.mean((pipeline.predict(SMILES).ravel() - Y) ** 2))
    assert scores["rmse"] == pytest.approx(error)
    assert scores["pearson_r"] > 0.9


def test_a_pipeline_without_featurizer_takes_features(ridge):
    X, y = np.eye(3), np.array([1.0, 2.0, 3.0])
    pipeline = Pipeline(ridge(1e-9), transformers=[NormalizationTransformer()]).fit(
        NumpyDataset(X, y)
    )
    np.testing.assert_allclose(pipeline.predict(X).ravel(), y, atol=1e-6)
    assert pipeline.evaluate(NumpyDataset(X, y), [RMSE()], allow_train=True)["rmse"] < 1e-6


def test_a_pipeline_has_the_weights_of_its_parts_and_they_restore_its_predictions(pipeline, ridge):
    names = [
        "pipeline/model/coef/0",
        "pipeline/transformers/0/mean/0",
        "pipeline/transformers/0/scale/0",
        "pipeline/training_rows/0",
    ]
    assert list(pipeline) == names
    fresh = Pipeline(ridge(0.1), ECFP(size=256), [NormalizationTransformer()])
    fresh.set_weights(pipeline.get_weights())
    np.testing.assert_array_equal(fresh.predict(SMILES), pipeline.predict(SMILES))


def test_wrong_weights_leave_the_pipeline_untouched(pipeline):
    before = pipeline.predict(SMILES)
    weights = pipeline.get_weights()
    weights["pipeline/transformers/0/scale/0"] = np.ones(5)
    with pytest.raises(WeightsMismatch):
        pipeline.set_weights(weights)
    np.testing.assert_array_equal(pipeline.predict(SMILES), before)


def test_the_parameters_are_the_parts(pipeline):
    parameters = pipeline.get_parameters()
    assert parameters["model"] is pipeline.model
    assert parameters["featurizer"] is pipeline.featurizer
    assert parameters["transformers"] == list(pipeline.transformers)
    assert isinstance(pipeline, Model)


def test_empty_inputs_are_a_typed_error(pipeline):
    for use in (
        pipeline.predict,
        lambda none: pipeline.evaluate(of(none, np.zeros((0, 1))), [RMSE()]),
    ):
        with pytest.raises(EmptyDataset):
            use([])


def test_data_without_usable_rows_are_a_typed_error_with_the_reasons(pipeline, ridge):
    unusable = of(["C1CC", "bad"], [1.0, 2.0])
    with pytest.raises(EmptyDataset, match=r"training data has no usable row.*C1CC"):
        Pipeline(ridge(), ECFP()).fit(unusable)
    with pytest.raises(EmptyDataset, match="validation data has no usable row"):
        Pipeline(ridge(), ECFP()).fit(of(SMILES, Y), valid=unusable)
    with pytest.raises(EmptyDataset, match=r"No row can be evaluated.*C1CC"):
        pipeline.evaluate(unusable, [RMSE()])
    with pytest.raises(EmptyDataset, match="training data has no row"):
        Pipeline(ridge()).fit(NumpyDataset(np.zeros((0, 2)), np.zeros((0, 1))))


def test_a_single_string_is_not_iterated_by_character(pipeline):
    with pytest.raises(DatasetError, match=r"Give a list of inputs: \['CCO'\]"):
        pipeline.predict("CCO")


@pytest.mark.parametrize("inputs", [iter(SMILES), {"CCO"}, {"CCO": 1}, b"CCO", 3, None])
def test_inputs_without_order_or_length_are_a_typed_error(pipeline, inputs):
    with pytest.raises(DatasetError, match="a list, an array or a dataset"):
        pipeline.predict(inputs)


def test_ragged_features_are_a_typed_error(ridge):
    pipeline = Pipeline(ridge()).fit(NumpyDataset(np.eye(2), [1.0, 2.0]))
    with pytest.raises(DatasetError, match="ragged"):
        pipeline.predict([[1.0, 2.0], [3.0]])


@pytest.mark.parametrize(
    ("parts", "name"),
    [
        ({"model": object()}, "model"),
        ({"featurizer": "ECFP"}, "featurizer"),
        ({"transformers": [1]}, "transformers"),
    ],
)
def test_parts_of_the_wrong_kind_are_a_typed_error(ridge, parts, name):
    with pytest.raises(ParameterError, match=f"{name} must be a dc_core"):
        Pipeline(**{"model": ridge(), **parts})


def test_a_single_transformer_is_a_typed_error_with_a_hint(ridge):
    with pytest.raises(
        ParameterError, match=r"Give a list: transformers=\[NormalizationTransformer\(\)\]"
    ):
        Pipeline(ridge(), None, NormalizationTransformer())


def test_a_class_in_place_of_an_instance_is_a_typed_error(ridge):
    with pytest.raises(ParameterError, match=r"featurizer is the class ECFP.*ECFP\(\)"):
        Pipeline(ridge(), ECFP)
    with pytest.raises(ParameterError, match=r"must be a list.*Leave it out"):
        Pipeline(ridge(), ECFP(), None)


def test_an_option_that_the_model_lacks_is_an_error_before_anything_is_fitted(ridge):
    featurizer = Lengths()
    with pytest.raises(ParameterError, match=r"Ridge.fit has no option 'epochs'.*valid"):
        Pipeline(ridge(), featurizer).fit(of(["a", "bb"], [1.0, 2.0]), epochs=3)
    assert featurizer.calls == []


class Interrupted(Transformer):
    """Is interrupted in its second fit, after it changed."""

    fitted = ("seen",)

    def fit(self, dataset):
        again = getattr(self, "seen", None) is not None
        self.seen = np.array(dataset.y.sum())
        if again:
            raise KeyboardInterrupt
        return self

    def transform(self, dataset):
        return dataset


@pytest.mark.parametrize("part", ["model", "transformer"])
def test_a_fit_interrupted_before_the_model_changed_leaves_the_pipeline(ridge, part, monkeypatch):
    def interrupted(dataset, **options):
        raise KeyboardInterrupt

    others = [Interrupted()] if part == "transformer" else []
    pipeline = Pipeline(ridge(), Lengths(), [NormalizationTransformer(), *others])
    pipeline.fit(of(["a", "bbb"], [1.0, 3.0]))
    before = pipeline.predict(["a", "cc"])
    weights = pipeline.get_weights()
    if part == "model":
        monkeypatch.setattr(pipeline.model, "fit", interrupted)
    with pytest.raises(KeyboardInterrupt):
        pipeline.fit(of(["a", "bbb"], [100.0, 300.0]))
    np.testing.assert_array_equal(pipeline.predict(["a", "cc"]), before)
    assert all((pipeline[name] == array).all() for name, array in weights.items())


def test_a_fit_interrupted_after_the_model_changed_keeps_the_new_statistics(ridge):
    class Half(type(ridge())):
        def fit(self, dataset, *, valid=None):
            again = self.coef is not None
            super().fit(dataset)
            if again:
                raise KeyboardInterrupt
            return self

    pipeline = Pipeline(Half(1e-9), Lengths(), [NormalizationTransformer()])
    pipeline.fit(of(["a", "bbb"], [1.0, 3.0]))
    with pytest.raises(KeyboardInterrupt):
        pipeline.fit(of(["a", "bbb", "cc"], [100.0, 300.0, 100.0]))
    assert pipeline.transformers[0].mean == pytest.approx(500 / 3)


def test_names_of_classes_reach_the_model_and_the_table_of_predictions(ridge):
    dataset = of(["a", "x", "bb", "ccc"], ["low", "low", "high", "high"])
    pipeline = Pipeline(ridge(), Lengths()).fit(dataset)
    assert pipeline.model.seen[0].classes == {"task0": ("high", "low")}
    frame = dataset.to_dataframe("pandas", prediction=pipeline.predict(dataset))
    assert frame["task0"].tolist() == ["low", "low", "high", "high"]
    assert frame["predicted_task0"].isna().tolist() == [False, True, False, False]


def test_one_long_input_stays_small_from_file_to_table(ridge, tmp_path):
    n = 200_000
    file = tmp_path / "table.csv"
    rows = [f"{'C' * (i % 9 + 1)},{i % 9},m{i}" for i in range(n)]
    rows[n // 2] = f"{'C' * 100_000},1,long"
    file.write_text("\n".join(["smiles,y,id", *rows]))
    pipeline = Pipeline(ridge(), ECFP(size=16), [NormalizationTransformer()])
    tracemalloc.start()
    dataset, report = CSVLoader(tasks="y", id="id").load(file)
    long, *_ = np.flatnonzero(dataset.ids == "long")
    _, _, test = RandomSplitter().split(dataset)
    rows = dataset.select([*range(2_000), long])
    pipeline.fit(rows)
    table = rows.to_dataframe("pandas", prediction=pipeline.predict(rows))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert (len(report), len(test), len(table)) == (0, n // 10, 2_001)
    assert [failure.status for failure in pipeline.failures] == ["size"]
    assert table["X"].iloc[-1] == "C" * 100_000
    assert peak < 150e6  # at fixed width the inputs alone would take 80 GB


def test_a_list_instead_of_a_dataset_is_a_typed_error(pipeline, ridge):
    for attempt in (
        lambda: Pipeline(ridge(), ECFP()).fit(SMILES),
        lambda: Pipeline(ridge(), ECFP()).fit(of(SMILES, Y), valid=SMILES),
        lambda: pipeline.evaluate(SMILES, [RMSE()]),
    ):
        with pytest.raises(DatasetError, match="NumpyDataset"):
            attempt()


def test_features_given_as_smiles_are_a_typed_error(pipeline):
    with pytest.raises(EmptyDataset, match="ndarray is not a SMILES"):
        pipeline.fit(NumpyDataset(np.zeros((2, 256)), [1.0, 2.0]))


def test_freesolv_is_learnt_from_file_to_score(freesolv, ridge):
    loaded = CSVLoader(tasks=["expt"]).load(freesolv)
    train, valid, test = ScaffoldSplitter().split(loaded.dataset)
    pipeline = Pipeline(ridge(10.0), ECFP(counts=True), [NormalizationTransformer()]).fit(
        train, valid=valid
    )
    scores = pipeline.evaluate(test, [RMSE()])
    mean = np.sqrt(np.mean((test.y - train.y.mean()) ** 2))
    assert scores["rmse"] < mean


def test_texts_in_one_column_are_inputs_and_in_several_a_typed_error():
    column = np.array([["CO"], ["CC"]])
    assert as_sequence(column) == ["CO", "CC"]
    with pytest.raises(DatasetError, match=r"text of shape \(1, 2\).*one text per row"):
        as_sequence(np.array([["CO", "CC"]]))


def test_a_transformer_of_a_framework_is_told_its_wrapper(ridge):
    class Scaler:
        pass

    with pytest.raises(ParameterError, match="SklearnTransformer"):
        Pipeline(ridge(0.1), transformers=[Scaler()])


def test_features_that_are_not_the_models_are_refused_before_those_of_all_inputs_are_made(ridge):
    class Counted(Featurizer):
        def __init__(self, width):
            self.width = width
            self.rows = 0

        def featurize(self, inputs, *, strict=False):
            self.rows += len(inputs)
            ok = np.array([text != "bad" for text in inputs])
            return Features(np.ones((len(inputs), self.width)), ok)

    model = ridge().fit(NumpyDataset(np.ones((5, 8)), np.arange(5.0)))
    featurizer = Counted(9)
    with pytest.raises(ValueError, match="9 is different from 10"):
        Pipeline(model, featurizer).predict(["bad"] + ["C"] * 1000)
    assert featurizer.rows == 16
    inputs = ["bad"] * 20 + ["C"] * 20
    assert np.isnan(Pipeline(model, Counted(8)).predict(inputs)[:20]).all()


@pytest.fixture
def bayesian(ridge):
    """A pipeline whose model predicts a deviation for each mean, of normalized labels."""

    class Bayesian(ridge):
        def predict_distribution(self, dataset):
            mean = self.predict(dataset)
            return NormalDistribution(mean, np.full_like(mean, 0.5))

    transformers = [NormalizationTransformer("X"), NormalizationTransformer("y")]
    return Pipeline(Bayesian(), ECFP(size=64), transformers).fit(of(SMILES, Y))


def test_distributions_are_in_the_units_of_the_labels(bayesian):
    mean, std = bayesian.predict_distribution(SMILES)
    np.testing.assert_array_equal(mean, bayesian.predict(SMILES))
    np.testing.assert_allclose(std, 0.5 * Y.std())


def test_distributions_of_failed_inputs_are_nan_in_their_row(bayesian):
    for part in bayesian.predict_distribution(["CCO", "C1CC", "CCCO"]):
        assert np.isnan(part).ravel().tolist() == [False, True, False]
    assert [failure.row for failure in bayesian.failures] == [1]
    with pytest.raises(FeaturizationError, match="C1CC"):
        bayesian.predict_distribution(["C1CC"], strict=True)


def test_metrics_of_distributions_are_evaluated_beside_others(bayesian):
    dataset = of([*SMILES, "C1CC"], np.append(Y, 1.0))
    scores = bayesian.evaluate(dataset, [RMSE(), GaussianNLL()], allow_train=True)
    mean, std = bayesian.predict_distribution(SMILES)
    z = (Y - mean[:, 0]) / std[:, 0]
    expected = np.mean(z**2 / 2 + np.log(std[:, 0] * np.sqrt(2 * np.pi)))
    assert scores["gaussian_nll"] == pytest.approx(expected)
    alone = bayesian.evaluate(of(SMILES, Y), [RMSE()], allow_train=True)
    assert scores["rmse"] == alone["rmse"]


def test_a_model_without_deviations_says_so_when_asked_for_a_distribution(pipeline):
    for asked in (
        lambda: pipeline.predict_distribution(["CCO"]),
        lambda: pipeline.evaluate(of(SMILES, -Y), [GaussianNLL()]),
    ):
        with pytest.raises(Unsupported, match="predicts no standard deviations"):
            asked()


class SumOfColumns(Estimator):
    """Predicts the sum of two columns."""

    def fit(self, dataset, *, valid=None):
        return self

    def predict(self, dataset):
        return dataset.X["a"] + dataset.X["b"]


def test_without_a_featurizer_a_dataset_of_several_columns_is_predicted_for():
    columns = {"a": np.arange(6.0).reshape(6, 1), "b": np.ones((6, 1))}
    dataset = NumpyDataset(columns, np.arange(6.0) + 1)
    pipeline = Pipeline(SumOfColumns(), remember_rows=False).fit(dataset)
    np.testing.assert_array_equal(pipeline.predict(dataset), dataset.y)
    assert pipeline.evaluate(dataset, [RMSE()], allow_train=True)["rmse"] == 0
