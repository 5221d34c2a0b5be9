"""Calls that do not fit a signature are typed errors that name the nearest parameter."""

import inspect
import pickle

import numpy as np
import pytest

from dc_core import Estimator, Featurizer, Loader, Metric, NumpyDataset, Splitter, explained
from dc_core.errors import DatasetError, MissingParameter, ParameterError, UnknownParameter


class Zero(Estimator):
    def fit(self, dataset, *, valid=None, epochs=1):
        return self

    def predict(self, dataset, *, batch_size=1):
        return np.zeros((len(dataset), 1))


class Count(Metric):
    greater_is_better = True

    def compute(self, y, prediction, w):
        return float(len(y))


class Lengths(Featurizer):
    def featurize(self, inputs, *, strict=False):
        return inputs.shape  # an AttributeError of its own for a list


class Halves(Splitter):
    def indices(self, dataset):
        return tuple(np.array_split(np.arange(len(dataset)), 3))


class Lines(Loader):
    def batches(self, source, *, size=4096, start=0):
        yield from ()


DATA = NumpyDataset([1, 2], [0.0, 1.0])


UNKNOWN = {
    "fit": (lambda: Zero().fit(DATA, epoch=3), "epochs"),
    "predict": (lambda: Zero().predict(DATA, batchsize=3), "batch_size"),
    "evaluate": (lambda: Zero().evaluate(DATA, metric=[Count()]), "metrics"),
    "featurize": (lambda: Lengths().featurize(["C"], stric=True), "strict"),
    "split": (lambda: Halves().split(datset=DATA), "dataset"),
    "load": (lambda: Lines().load("a.txt", strickt=True), "strict"),
    "NumpyDataset": (lambda: NumpyDataset([1], tasc=["a"]), "tasks"),
    "from_dataframe": (lambda: NumpyDataset.from_dataframe({}, class_=1), "classes"),
    "to_dataframe": (lambda: DATA.to_dataframe(predictions=[0.0]), "prediction"),
    "batches": (lambda: DATA.batches(1, shufle=True), "shuffle"),
}
MISSING = {
    "fit": (lambda: Zero().fit(), "dataset"),
    "predict": (lambda: Zero().predict(), "dataset"),
    "predict_distribution": (lambda: Zero().predict_distribution(), "dataset"),
    "evaluate": (lambda: Zero().evaluate(DATA), "metrics"),
    "NumpyDataset": (lambda: NumpyDataset(), "X"),
    "batches": (lambda: DATA.batches(), "size"),
}


@pytest.mark.parametrize("name", UNKNOWN)
def test_an_unknown_argument_is_answered_with_the_nearest_parameter(name):
    call, nearest = UNKNOWN[name]
    with pytest.raises(UnknownParameter, match=f"Did you mean '{nearest}'.*Its parameters are"):
        call()


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_argument_is_named(name):
    call, missing = MISSING[name]
    with pytest.raises(MissingParameter, match=f"missing a required argument: '{missing}'"):
        call()


def test_too_many_arguments_are_a_typed_error():
    with pytest.raises(ParameterError, match=r"Zero\.predict cannot .*too many positional"):
        Zero().predict(DATA, 3)


def test_an_array_and_labels_as_two_arguments_are_told_to_be_a_dataset():
    for call in (lambda: Zero().fit([1], [2]), lambda: Zero().fit(X=[1], y=[2])):
        with pytest.raises(DatasetError, match=r"2 values were given.*fit\(NumpyDataset\(X, y\)\)"):
            call()


def test_an_error_inside_the_function_stays_what_it_is():
    @explained
    def add(a, b):
        return a + b

    with pytest.raises(TypeError, match="unsupported operand") as caught:
        add(1, "2")
    assert not isinstance(caught.value, ParameterError)
    with pytest.raises(AttributeError):
        Lengths().featurize(["C"])


def test_an_explained_function_looks_like_the_original():
    @explained
    def scale(values, factor=2.0):
        """Multiply."""
        return values * factor

    assert scale(3) == 6
    assert scale.__doc__ == "Multiply."
    assert list(inspect.signature(scale).parameters) == ["values", "factor"]
    assert list(inspect.signature(Zero.fit).parameters) == ["self", "dataset", "valid", "epochs"]
    assert pickle.loads(pickle.dumps(Zero().predict))(DATA).shape == (2, 1)
