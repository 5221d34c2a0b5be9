"""The hub's errors."""

from __future__ import annotations

import inspect
import pickle

import pytest

import dc_core.errors
from dc_hub import errors

LEAVES = [
    cls
    for _, cls in inspect.getmembers(errors, inspect.isclass)
    if cls.__module__ == "dc_hub.errors" and issubclass(cls, Exception)
    and not issubclass(cls, Warning)
]  # fmt: skip


@pytest.mark.parametrize("cls", LEAVES)
def test_every_error_is_a_dc_error_and_survives_pickling_with_its_path_and_hint(cls):
    error = cls("What is wrong.", path="where", hint="The next step.")
    back = pickle.loads(pickle.dumps(error))
    assert isinstance(back, dc_core.errors.DCError)
    assert type(back) is cls
    assert str(back) == "What is wrong. The next step."
    assert (back.path, back.hint) == ("where", "The next step.")


@pytest.mark.parametrize(
    "name",
    ["WeightsMismatch", "StructureError", "NotSerializable", "UnknownParameter",
     "MissingParameter", "UnknownClass", "BackendNotInstalled"],
)  # fmt: skip
def test_an_error_that_dc_core_has_too_is_both(name):
    assert issubclass(getattr(errors, name), getattr(dc_core.errors, name))
    assert issubclass(getattr(errors, name), errors.HubError)


def test_mismatched_weights_keep_their_names_through_pickling():
    error = errors.WeightsMismatch("no", path="p", missing=["a"], unexpected=["b"])
    back = pickle.loads(pickle.dumps(error))
    assert (back.missing, back.unexpected, back.path) == (("a",), ("b",), "p")
