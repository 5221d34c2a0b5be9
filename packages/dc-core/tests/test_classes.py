"""Models know the names of their classes, and refuse data that number them otherwise."""

import copy
import pickle

import numpy as np
import pytest

from dc_core import Estimator, MappedDataset, Metric, NumpyDataset
from dc_core.errors import DatasetError


class Frequencies(Estimator):
    """Predicts for every row how frequent each class is."""

    fitted = ("frequencies",)

    def __init__(self):
        self.frequencies = None

    def fit(self, dataset, *, valid=None):
        counts = np.bincount(dataset.y[:, 0].astype(int), minlength=3)
        self.frequencies = counts / counts.sum()
        return self

    def predict(self, dataset):
        return np.tile(self.frequencies, (len(dataset), 1, 1))


class Mean(Estimator):
    predicts_classes = False

    def fit(self, dataset, *, valid=None):
        return self

    def predict(self, dataset):
        return np.zeros((len(dataset), 1))


class Error(Metric):
    greater_is_better = False
    needs_values = True

    def compute(self, y, prediction, w):
        return 1.0


class Score(Error):
    needs_values = False


TRAIN = NumpyDataset(np.arange(3), ["a", "b", "c"])
OTHERS = [
    NumpyDataset(np.arange(2), ["b", "c"]),
    NumpyDataset(np.arange(2), ["c", "a"], classes={"task0": ["c", "b", "a"]}),
    NumpyDataset(np.arange(4), ["a", "b", "c", "d"]),
    NumpyDataset(np.arange(3), ["a", "b", "c"], tasks=["another"]),
]


def test_a_fitted_model_knows_the_names_of_its_classes():
    model = Frequencies()
    assert model.classes == {}
    assert model.fit(TRAIN).classes == {"task0": ("a", "b", "c")}
    for again in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert again.classes == model.classes
    assert model.unfitted().classes == {}
    assert model.fit(dataset=NumpyDataset([1, 2], [0, 1])).classes == {}


@pytest.mark.parametrize("other", OTHERS)
def test_data_that_number_the_classes_otherwise_are_refused(other):
    model = Frequencies().fit(TRAIN)
    advice = r"numbers differ.*classes=model\.classes"
    with pytest.raises(DatasetError, match=advice):
        model.evaluate(other, [Score()])
    with pytest.raises(DatasetError, match=advice):
        model.predict(other)
    with pytest.raises(DatasetError, match=r"numbers differ.*classes=train\.classes"):
        Frequencies().fit(TRAIN, valid=other)


def test_data_that_are_numbered_like_the_training_data_are_taken():
    model = Frequencies().fit(TRAIN)
    given = NumpyDataset(np.arange(2), ["b", "c"], classes=model.classes)
    without_the_last = NumpyDataset(np.arange(2), ["a", "b"])
    numbers = NumpyDataset(np.arange(2), [1, 2])
    unlabelled = NumpyDataset(np.arange(2), ["", ""])
    for dataset in (given, without_the_last, numbers, unlabelled, TRAIN[1:]):
        assert model.predict(dataset).shape == (len(dataset), 1, 3)
        model.evaluate(dataset, [Score()])
        Frequencies().fit(TRAIN, valid=dataset)
    mapped = MappedDataset(OTHERS[0], lambda batch: batch)
    with pytest.raises(DatasetError, match="numbers differ"):
        model.predict(mapped)


def test_a_model_of_numbers_refuses_classes():
    numbers = NumpyDataset(np.arange(2), [0.5, 1.5])
    model = Mean().fit(numbers)
    for refused in (model.fit, lambda dataset: model.evaluate(dataset, [Score()])):
        with pytest.raises(DatasetError, match=r"'task0' are classes, and Mean\(\) predicts"):
            refused(TRAIN)
    assert len(model.predict(TRAIN)) == 3


def test_a_metric_of_quantities_refuses_classes():
    model = Frequencies().fit(TRAIN)
    with pytest.raises(DatasetError, match="error needs quantities; the labels of 'task0' are"):
        model.evaluate(TRAIN, [Score(), Error()])
    assert model.evaluate(NumpyDataset([1, 2], [0, 1]), [Error()]) == {"error": 1.0}
