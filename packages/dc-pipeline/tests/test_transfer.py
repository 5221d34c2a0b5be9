"""Transfer of weights and fine-tuning: what is copied, what is kept, what is reported."""

import numpy as np
import pytest

from dc_core import Estimator, NumpyDataset, origins_of, set_origins
from dc_core.errors import EmptyDataset, ParameterError, WeightsMismatch
from dc_core.testing import ModelSuite
from dc_pipeline import FineTuning, NormalizationTransformer, Pipeline, transfer_weights


class Network(Estimator):
    """Two linear layers without a nonlinearity, by gradient descent from their present weights."""

    fitted = ("body", "head")

    def __init__(self, n_tasks=1, width=3, *, dtype="float64", steps=20, seed=0):
        rng = np.random.default_rng(seed)
        self.body = rng.normal(size=(4, width)).astype(dtype)
        self.head = rng.normal(size=(width, n_tasks)).astype(dtype)
        self.steps = steps

    def fit(self, dataset, *, valid=None):
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to fit to.")
        X = np.asarray(dataset.X)
        for _ in range(self.steps):
            error = (X @ self.body @ self.head - dataset.y) / len(X)
            slopes = X.T @ error @ self.head.T, self.body.T @ X.T @ error
            self.body, self.head = self.body - 0.05 * slopes[0], self.head - 0.05 * slopes[1]
        return self

    def predict(self, dataset):
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to predict for.")
        return np.asarray(dataset.X) @ self.body @ self.head


class Other(Network):
    """Has the same layers under another model's name."""


def data(n=20, tasks=1, seed=0):
    rng = np.random.default_rng(seed)
    return NumpyDataset(rng.normal(size=(n, 4)), rng.normal(size=(n, tasks)))


def test_a_model_with_weights_of_another_comes_from_the_same_models_too():
    source, target = Network(), Network(seed=1)
    set_origins(source, ["base", "both"])
    set_origins(target, ["both", "own"])
    transfer_weights(source, target)
    assert origins_of(target) == ("both", "own", "base")


def test_a_fitted_pipeline_comes_from_what_its_model_came_from_but_not_its_transformers():
    pipeline = Pipeline(model=Network(), transformers=[NormalizationTransformer("y")])
    for part in (pipeline, pipeline.model, *pipeline.transformers):
        set_origins(part, ["base"])
    pipeline.fit(data())
    assert origins_of(pipeline) == origins_of(pipeline.transformers[0]) == ()
    assert origins_of(pipeline.model) == ("base",)


class TestLaws(ModelSuite):
    def blank(self):
        return FineTuning(Network(2), Network(5, seed=9).get_weights())

    def make(self, seed):
        return self.blank().fit(data(tasks=2, seed=seed))

    def dataset(self):
        return data(tasks=2, seed=7)


def test_the_body_is_copied_and_a_head_of_another_shape_is_kept():
    source, target = Network(5, seed=1), Network(2, seed=2)
    head = target.head.copy()
    report = transfer_weights(source, target)
    np.testing.assert_array_equal(target.body, source.body)
    np.testing.assert_array_equal(target.head, head)
    assert report.copied == {"network/body/0": "network/body/0"}
    assert report.mismatched == ("network/head/0",)
    assert (report.missing, report.surplus) == ((), ())


def test_names_are_compared_without_the_names_of_the_models():
    source, target = Other(1, seed=1), Network(1, seed=2)
    report = transfer_weights(source, target)
    assert report.copied == {
        "network/body/0": "other/body/0",
        "network/head/0": "other/head/0",
    }
    np.testing.assert_array_equal(target.predict(data()), source.predict(data()))


def test_weights_without_a_counterpart_are_reported_on_both_sides():
    source = {"net/body/0": Network(1, seed=1).body, "net/old/0": np.zeros(2)}
    report = transfer_weights(source, Network(1))
    assert report.missing == ("network/head/0",)
    assert report.surplus == ("net/old/0",)
    assert str(report) == (
        "1 weights copied; 1 missing in the source (network/head/0); "
        "1 surplus in the source (net/old/0)"
    )


@pytest.mark.parametrize("exclude", ["network/head", "network/head/0", "head"])
def test_excluded_layers_keep_their_weights(exclude):
    source, target = Network(1, seed=1), Network(1, seed=2)
    head = target.head.copy()
    report = transfer_weights(source, target, exclude=[exclude])
    np.testing.assert_array_equal(target.head, head)
    assert report.missing == ("network/head/0",)


def test_a_renamed_layer_is_copied_to_its_new_name():
    source = {"old/encoder/first/0": Network(1, seed=1).body}
    target = Network(1, seed=2)
    transfer_weights(
        source, target, rename={"old/encoder": "network/none", "encoder/first": "body"}
    )
    np.testing.assert_array_equal(target.body, source["old/encoder/first/0"])


def test_nothing_is_cast():
    source, target = Network(1, dtype="float32", seed=1), Network(1)
    with pytest.raises(WeightsMismatch):
        transfer_weights(source, target)


def test_two_weights_for_one_are_refused_and_nothing_changes():
    body = Network(1, seed=1).body
    target = Network(1)
    before = target.get_weights()
    with pytest.raises(ParameterError, match="Both"):
        transfer_weights({"a/body/0": body, "a/trunk/0": body}, target, rename={"trunk": "body"})
    assert all(np.array_equal(before[name], target[name]) for name in before)


def test_nothing_to_copy_is_an_error_that_shows_the_names():
    with pytest.raises(WeightsMismatch, match="layer/0") as caught:
        transfer_weights({"a/layer/0": np.zeros(3)}, Network(1))
    assert caught.value.missing == ("body/0", "head/0")


@pytest.mark.parametrize(
    "options",
    [
        {"rename": {"none": "body"}},
        {"exclude": ["none"]},
        {"exclude": "head"},
        {"exclude": [0]},
        {"rename": ["body"]},
        {"rename": {1: "body"}},
        {"rename": {"body": 2}},
        {"source": {}},
        {"source": {"a/b/0": [1.0]}},
        {"source": {"a/b/0": np.zeros(1), "c/d/0": np.zeros(1)}},
        {"source": 3},
        {"target": np.zeros(3)},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used_are_refused(options):
    with pytest.raises(ParameterError):
        transfer_weights(**{"source": Network(1, seed=1), "target": Network(1), **options})


@pytest.mark.parametrize("options", [{"rename": ["body"]}, {"rename": {"body": 2}}, {"exclude": 1}])
def test_fine_tuning_refuses_such_arguments_before_the_fit(options):
    with pytest.raises(ParameterError):
        FineTuning(Network(1), Network(1).get_weights(), **options)


def test_pipelines_share_the_layers_of_their_models_but_not_what_transformers_learned():
    pretrained = Pipeline(Network(5), transformers=[NormalizationTransformer("y")])
    pretrained.fit(data(tasks=5))
    pipeline = Pipeline(Network(1, seed=3), transformers=[NormalizationTransformer("y")])
    report = transfer_weights(pretrained, pipeline)
    assert list(report.copied) == ["pipeline/model/body/0"]
    assert report.surplus == (
        "pipeline/transformers/0/mean/0",
        "pipeline/transformers/0/scale/0",
        "pipeline/training_rows/0",
    )


def test_every_fit_starts_from_the_pretrained_weights():
    pretrained = Network(5, seed=9).fit(data(tasks=5))
    tuned = FineTuning(Network(1, steps=3), pretrained.get_weights()).fit(data())
    by_hand = Network(1, steps=3)
    transfer_weights(pretrained, by_hand)
    by_hand.fit(data())
    np.testing.assert_array_equal(tuned.predict(data()), by_hand.predict(data()))
    tuned.fit(data(seed=5)).fit(data())
    np.testing.assert_array_equal(tuned.predict(data()), by_hand.predict(data()))
    assert tuned.transfer.mismatched == ("network/head/0",)


def test_no_steps_leave_the_pretrained_body():
    pretrained = Network(5, seed=9)
    tuned = FineTuning(Network(1, steps=0), pretrained.get_weights()).fit(data())
    np.testing.assert_array_equal(tuned.model.body, pretrained.body)


def test_a_fine_tuning_is_made_again_from_its_arguments_without_losing_the_pretrained_weights():
    tuned = FineTuning(Network(1), Network(5, seed=9).get_weights(), exclude=["head"])
    again = tuned.unfitted()
    assert again.model is not tuned.model
    np.testing.assert_array_equal(
        again.fit(data()).predict(data()), tuned.fit(data()).predict(data())
    )


def test_a_model_in_the_place_of_its_weights_is_refused():
    with pytest.raises(ParameterError, match="get_weights"):
        FineTuning(Network(1), Network(5))
    with pytest.raises(ParameterError):
        FineTuning(np.zeros(3), Network(5).get_weights())
