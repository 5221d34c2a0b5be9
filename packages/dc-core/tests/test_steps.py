"""The contracts of the steps: reports, splits, and the methods that a role needs."""

import numpy as np
import pytest

from dc_core import (
    Estimator,
    Failure,
    FailureReport,
    Loaded,
    Loader,
    Metric,
    NumpyDataset,
    Splitter,
    Transformer,
)
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    FeaturizationError,
    LoaderError,
    UnknownParameter,
    Unsupported,
)


def report(n):
    return FailureReport(tuple(Failure(i, f"C{i}", "parse", "no ring") for i in range(n)))


def test_a_report_says_how_many_failed_and_shows_the_first():
    assert str(report(0)) == "no failures"
    assert str(report(5)) == (
        "5 failed (5 × parse): row 0 ('C0'): no ring; row 1 ('C1'): no ring; "
        "row 2 ('C2'): no ring; and 2 more"
    )


def test_only_failures_raise():
    report(0).raise_if_any()
    with pytest.raises(FeaturizationError, match="strict=False"):
        report(1).raise_if_any()


def test_a_split_selects_the_rows_it_names():
    class Thirds(Splitter):
        def indices(self, dataset):
            return tuple(np.array_split(np.arange(len(dataset)), 3))

    split = Thirds().split(NumpyDataset(np.arange(7)))
    assert [part.X.tolist() for part in split] == [[0, 1, 2], [3, 4], [5, 6]]
    assert len(split.train) == 3


def test_every_step_shows_its_options_and_names_those_that_it_has():
    class Halves(Splitter):
        def __init__(self, seed=0, shuffle=True):
            pass

        def indices(self, dataset):
            raise NotImplementedError

    class Nothing(Loader):
        def __init__(self, delimiter=","):
            pass

        def batches(self, source, *, size=4096, start=0):
            raise NotImplementedError

    assert repr(Halves(3)) == "Halves(seed=3)"
    assert "seed" in Halves(3)._repr_html_()
    with pytest.raises(UnknownParameter, match=r"Did you mean 'shuffle'\?.*seed, shuffle"):
        Halves(shuffled=False)
    with pytest.raises(UnknownParameter, match="Did you mean 'delimiter'"):
        Nothing(delimeter=";")


@pytest.mark.parametrize("role", [Estimator, Transformer, Metric, Splitter])
def test_a_role_cannot_be_instantiated_without_its_methods(role):
    with pytest.raises(TypeError, match="abstract"):
        role()


class Constant(Estimator):
    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.ones((len(dataset), len(dataset.tasks)))


class Sum(Metric):
    def compute(self, y, prediction, w):
        return float((y * prediction * w).sum())


def test_evaluation_gives_each_metric_by_name():
    dataset = NumpyDataset([0, 1], [[1.0, np.nan], [2.0, 4.0]], tasks=["a", "b"])
    scores = Constant().evaluate(dataset, [Sum()])
    assert scores == {"sum": 3.5, "sum/a": 3.0, "sum/b": 4.0}


def test_a_value_that_is_not_a_dataset_is_a_typed_error_with_a_hint():
    with pytest.raises(DatasetError, match=r"a list was given.*NumpyDataset\(X, y\)"):
        Constant().evaluate([1.0], [Sum()])


def test_evaluating_an_empty_dataset_is_a_typed_error():
    with pytest.raises(EmptyDataset):
        Constant().evaluate(NumpyDataset(np.zeros((0, 1))), [Sum()])


class Numbers(Loader):
    """Loads a list of numbers; those below 0 fail."""

    def batches(self, source, *, size=3, start=0):
        for first in range(start, max(len(source), start + 1), size):
            rows = range(first, min(first + size, len(source)))
            good = [source[row] for row in rows if source[row] >= 0]
            bad = [Failure(r, str(source[r]), "parse", "below 0") for r in rows if source[r] < 0]
            labels = [float(value) for value in good]
            ids = [str(value) for value in good]
            dataset = NumpyDataset(np.array(good, int), np.array(labels), ids=ids, tasks=["y"])
            yield Loaded(dataset, FailureReport(tuple(bad)))


def test_a_loader_needs_only_its_batches(caplog):
    caplog.set_level("INFO")
    dataset, failures = Numbers().load([5, -1, 3, -2, -3, -4, 7])
    assert dataset.X.tolist() == [5, 3, 7]
    assert dataset.y.ravel().tolist() == [5, 3, 7]
    assert (dataset.ids.tolist(), dataset.tasks) == (["5", "3", "7"], ("y",))
    assert [failure.row for failure in failures] == [1, 3, 4, 5]
    assert "list: 3 rows loaded, 4 failed (4 × parse): row 1 ('-1')" in caplog.text
    assert len(Numbers().load([]).dataset) == 0
    assert "list: 0 rows loaded, no failures" in caplog.text


def test_strict_loading_stops_at_the_first_batch_that_fails():
    class Watched(list):
        def __getitem__(self, row):
            assert row < 6, "read on after the failure"
            return super().__getitem__(row)

    with pytest.raises(FeaturizationError, match="1 failed"):
        Numbers().load(Watched([1, 2, 3, -4, 5, 6, 7]), strict=True)


def test_batches_with_different_tasks_are_a_typed_error():
    class Changing(Loader):
        def batches(self, source, *, size=1, start=0):
            for task in source:
                yield Loaded(NumpyDataset([1], [1.0], tasks=[task]), FailureReport())

    with pytest.raises(DatasetError, match="different tasks or classes"):
        Changing().load(["a", "b"])
    with pytest.raises(LoaderError, match="gave no batch"):
        Changing().load([])


class Doubled(Transformer):
    def fit(self, dataset):
        return self

    def transform(self, dataset):
        return dataset


def test_a_transformer_of_the_features_leaves_deviations_as_they_are():
    deviation = np.ones((2, 1))
    assert Doubled().untransform_deviation(np.zeros((2, 1)), deviation) is deviation


def test_deviations_are_never_left_in_other_units_than_the_predictions():
    class Halved(Doubled):
        def untransform(self, prediction):
            return prediction / 2

    with pytest.raises(Unsupported, match="Halved does not map standard deviations back"):
        Halved().untransform_deviation(np.zeros((2, 1)), np.ones((2, 1)))
