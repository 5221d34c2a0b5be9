"""Functions of the user's own as featurizers."""

import numpy as np
import pytest

from dc_core.errors import FeaturizationError, ParameterError
from dc_pipeline import FunctionFeaturizer, register_function


@register_function("functions/lengths")
def lengths(text):
    return [len(text), text.count("C")]


def test_each_row_is_what_the_function_returns():
    features = FunctionFeaturizer(lengths).featurize(["CCO", "N"])
    assert features.values.tolist() == [[3, 1 + 1], [1, 0]]
    assert FunctionFeaturizer(len).featurize(["CCO", "N"]).values.tolist() == [[3], [1]]


def test_a_row_for_which_the_function_fails_is_zero_and_has_the_reason():
    def function(text):
        if text == "wide":
            return [1.0, 2.0, 3.0]
        return [1.0 / len(text), "?"] if text == "text" else [1.0 / len(text), 0.5]

    features = FunctionFeaturizer(function).featurize(["a", "", "wide", "text", None, "bb"])
    assert features.ok.tolist() == [True, False, False, False, False, True]
    assert features.values.tolist() == [[1.0, 0.5], *[[0.0, 0.0]] * 4, [0.5, 0.5]]
    messages = [failure.message for failure in features.failures]
    assert [f.status for f in features.failures] == ["feature"] * 4
    for message, reason in zip(
        messages, ["ZeroDivisionError", "shape (3,)", "not numbers", "TypeError"], strict=True
    ):
        assert reason in message
    with pytest.raises(FeaturizationError, match="row 1"):
        FunctionFeaturizer(function).featurize(["a", ""], strict=True)


def test_the_dtype_holds_all_rows():
    values = FunctionFeaturizer(lambda x: x).featurize([1, 2.5, True]).values
    assert values.dtype == np.float64
    assert values.tolist() == [[1.0], [2.5], [1.0]]
    assert FunctionFeaturizer(len).featurize([]).values.shape == (0, 1)


def test_a_registered_function_is_stored_by_its_name():
    featurizer = FunctionFeaturizer(lengths)
    assert featurizer.get_parameters() == {"function": "functions/lengths"}
    assert FunctionFeaturizer("functions/lengths").featurize(["CC"]).values.tolist() == [[2, 2]]
    assert FunctionFeaturizer(len).get_parameters() == {"function": len}


def test_names_that_are_unknown_malformed_or_taken_are_typed_errors():
    with pytest.raises(ParameterError, match="register_function"):
        FunctionFeaturizer("functions/none")
    with pytest.raises(ParameterError, match="not a function"):
        FunctionFeaturizer(3)
    for name in ("lengths", "a/b/c", "/b", 3):
        with pytest.raises(ParameterError, match="namespace"):
            register_function(name)
    with pytest.raises(ParameterError, match="taken"):
        register_function("functions/lengths")(len)
    assert register_function("functions/lengths")(lengths) is lengths
