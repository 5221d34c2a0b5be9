"""Errors: one root, a hint, and across process borders they stay what they are."""

import copy
import inspect
import pickle

import pytest

from dc_core import errors

LEAVES = [
    cls for _, cls in inspect.getmembers(errors, inspect.isclass) if issubclass(cls, errors.DCError)
]
DETAILS = {
    errors.WeightsMismatch: {"missing": ["a"], "unexpected": ["b"]},
    errors.UnknownWeight: {"missing": ["a"], "unexpected": ["b"]},
    errors.BackendBroken: {"distribution": "d", "version": "1", "cause": "c"},
    errors.BackendConflict: {"distributions": ["d", "e"]},
}


@pytest.mark.parametrize("cls", LEAVES)
@pytest.mark.parametrize("duplicate", [copy.copy, lambda e: pickle.loads(pickle.dumps(e))])
def test_errors_survive_pickling_with_all_they_carry(cls, duplicate):
    error = cls("It is wrong.", hint="Do this.", **DETAILS.get(cls, {}))
    twin = duplicate(error)
    assert type(twin) is cls
    assert twin.args == error.args == ("It is wrong.",)
    assert vars(twin) == vars(error)
    assert str(twin) == "It is wrong. Do this."


def test_the_message_stands_alone_without_a_hint():
    assert str(errors.DCError("It is wrong.")) == "It is wrong."


@pytest.mark.parametrize(
    ("leaf", "builtin"),
    [
        (errors.UnknownWeight, KeyError),
        (errors.UnknownWeight, errors.WeightsMismatch),
        (errors.WeightsMismatch, ValueError),
        (errors.ParameterError, ValueError),
        (errors.BackendNotInstalled, ImportError),
        (errors.HubNotInstalled, ImportError),
        (errors.NotSerializable, TypeError),
        (errors.NotClaimed, TypeError),
        (errors.UnknownClass, LookupError),
    ],
)
def test_an_error_is_caught_by_the_name_python_has_for_it(leaf, builtin):
    assert issubclass(leaf, builtin)


def test_an_unknown_weight_is_shown_in_words_and_not_as_a_key():
    assert str(errors.UnknownWeight("No weight 'a'.")) == "No weight 'a'."
