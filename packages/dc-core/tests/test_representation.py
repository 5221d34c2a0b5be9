"""How components and models are shown, and what a call like ``fit(X, y)`` is answered."""

import numpy as np
import pytest

from dc_core import (
    Component,
    Estimator,
    Failure,
    FailureReport,
    Features,
    Generator,
    NumpyDataset,
    StructuredOutputLearner,
    Transformer,
    UnsupervisedLearner,
)
from dc_core.errors import DatasetError


class Scale(Component):
    fitted = ("mean",)

    def __init__(self, eps=1e-6, columns=None, **options):
        self.mean = None


class Line(Estimator):
    fitted = ("coef",)

    def __init__(self, scale=None, name="line"):
        self.coef = None

    def fit(self, dataset, *, valid=None):
        self.coef = np.ones((3, 2), np.float32)
        return self

    def predict(self, dataset):
        return dataset.X @ self.coef


DATASET = NumpyDataset(np.zeros((4, 3)), np.zeros((4, 2)))


def test_a_component_is_shown_as_the_call_that_makes_it():
    assert repr(Scale()) == "Scale()"
    assert repr(Scale(1e-6, columns=[1, "a"], deep=True)) == "Scale(columns=[1, 'a'], deep=True)"
    assert repr(Scale(columns=np.zeros((2, 3)))) == "Scale(columns=<array (2, 3) float64>)"
    assert repr(Scale(columns={"a": (Scale(),)})) == "Scale(columns={'a': (Scale(),)})"


def test_a_model_says_whether_it_is_fitted_and_how_large_it_is():
    assert repr(Line()) == "Line()  # not fitted"
    assert repr(Line().fit(DATASET)) == "Line()  # fitted, 1 weight of 6 numbers"


def test_a_nested_model_is_shown_by_its_call_alone():
    model = Line(scale=Line().fit(DATASET))
    assert repr(model) == "Line(scale=Line())  # not fitted, 1 weight of 6 numbers"


def test_a_long_value_is_one_line_and_cut():
    class Long:
        def __repr__(self):
            return "Long(\n  a,\n  b)" + "c" * 1000

    assert repr(Scale(columns=Long())).startswith("Scale(columns=Long( a, b)ccc")
    assert len(repr(Scale(columns=Long()))) < 140
    assert repr(Scale(columns=[0] * 1000)).endswith("0, 0, … 980 more])")


def test_an_object_whose_constructor_failed_can_be_shown():
    class Failing(Line):
        def __init__(self, scale):
            raise ValueError(repr(self))

        @property
        def native(self):
            return self.missing

    with pytest.raises(ValueError, match=r"^Failing\(scale=1\)$"):
        Failing(1)
    assert repr(object.__new__(Line)).startswith("<")


def test_notebooks_show_arguments_and_weights_escaped():
    shown = Line(name="<b>").fit(DATASET)._repr_html_()
    assert "&#x27;&lt;b&gt;&#x27;" in shown
    assert "<b>" not in shown
    assert "<td>line/coef/0</td><td>(3, 2)</td><td>float32</td>" in shown


def test_notebooks_show_some_of_many_weights():
    many = Line(scale=[Line().fit(DATASET) for _ in range(30)])
    assert many._repr_html_().count("float32") == 20
    assert "… and 10 more" in many._repr_html_()


def test_fit_given_two_arrays_says_how_to_make_a_dataset():
    with pytest.raises(DatasetError, match=r"Line\.fit takes one dataset; 2 values") as caught:
        Line().fit(DATASET.X, DATASET.y)
    assert "fit(NumpyDataset(X, y))" in caught.value.hint


ROLES = [Estimator, UnsupervisedLearner, Generator, StructuredOutputLearner, Transformer]


@pytest.mark.parametrize("role", ROLES)
def test_whatever_is_fitted_to_a_dataset_says_so_when_given_arrays(role):
    def fit(self, dataset):
        return self

    methods = dict.fromkeys(role.__abstractmethods__, lambda self, *given: None) | {"fit": fit}
    made = type("Made", (role,), methods)()
    assert made.fit(DATASET) is made
    with pytest.raises(DatasetError, match=r"Made\.fit takes one dataset; 2 values"):
        made.fit(DATASET.X, DATASET.y)


def test_notebooks_show_defaults_too_and_numpy_numbers_as_python_writes_them():
    class Sized(Component):
        def __init__(self, size=8, rate=0.5):
            pass

    assert "<td>size</td><td>8</td>" in Sized()._repr_html_()
    assert repr(Sized(np.int64(3), np.float32(0.25))) == "Sized(size=3, rate=0.25)"


def test_notebooks_show_what_features_there_are_and_what_failed():
    report = FailureReport((Failure(1, "<b>", "parse", "no ring"),))
    shown = Features({"atoms": np.zeros((2, 3))}, np.array([True, False]), report)._repr_html_()
    assert "<td>atoms</td><td>(2, 3) float64</td>" in shown
    assert "&lt;b&gt;" in shown
    assert "Features of 2 inputs" in Features(np.zeros((2, 3)), np.ones(2, bool))._repr_html_()
