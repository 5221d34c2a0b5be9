"""Arguments of losses, options and models: a wrong one is a typed error that names it."""

import inspect
import math
from dataclasses import fields, is_dataclass
from pathlib import Path

import numpy as np
import pytest
from torch import nn

from dc_core.errors import DCError, ParameterError
from dc_torch import (
    MultitaskClassifier,
    MultitaskRegressor,
    SequenceGenerator,
    TorchModel,
    TrainingConfig,
)
from dc_torch.losses import LOSSES

WRONG = [
    *(None, "a", "", b"a", True, -1, 0, 0.5, 2.5, 3, 1 + 2j, math.nan, math.inf, -math.inf),
    *(10**400, -(10**400), [], ["a"], [[1]], [2, 1], [1, math.nan], (1, "a"), {}, {"a": 1}),
    *({1: 2}, set(), range(3), object(), int, Path("x"), np.float32(1), np.array(None)),
    *(np.array("a"), np.array([1.0, 2.0]), np.datetime64("2020"), np.array([], object)),
]


def refusals(make):
    """Call ``make`` with each of the wrong values; return the errors, of which each is typed."""
    found = []
    for value in WRONG:
        try:
            make(value)
        except DCError as error:
            found.append(str(error))
    return found


ARGUMENTS = [
    (name, each.name) for name, cls in LOSSES.items() if is_dataclass(cls) for each in fields(cls)
]


@pytest.mark.parametrize(("loss", "argument"), ARGUMENTS)
def test_a_wrong_argument_of_a_loss_is_named(loss, argument):
    direct = refusals(lambda value: LOSSES[loss](**{argument: value}))
    by_name = refusals(lambda value: TrainingConfig(loss=loss, loss_options={argument: value}))
    assert len(direct) >= len(WRONG) - 8
    assert len(by_name) >= len(WRONG) - 8
    assert all(argument in said for said in (*direct, *by_name))


@pytest.mark.parametrize("option", [each.name for each in fields(TrainingConfig)])
def test_a_wrong_option_is_refused_when_the_model_is_made(option):
    found = refusals(lambda value: TorchModel(nn.Linear(1, 1), **{option: value}))
    assert len(found) >= 20
    others = ("not a pattern", "has no option", "has no parameter")
    assert all(any(text in said for text in (option, *others)) for said in found)


MODELS = {MultitaskRegressor: (1, 2), MultitaskClassifier: (1, 2), SequenceGenerator: (4,)}
PARAMETERS = [
    (cls, name)
    for cls in MODELS
    for name, parameter in inspect.signature(cls).parameters.items()
    if parameter.kind is not parameter.VAR_KEYWORD
]


@pytest.mark.parametrize(("cls", "name"), PARAMETERS)
def test_a_wrong_argument_of_a_model_is_refused(cls, name):
    given = dict(zip(inspect.signature(cls).parameters, MODELS[cls], strict=False))
    assert len(refusals(lambda value: cls(**{**given, name: value}))) >= 20


@pytest.mark.parametrize(
    ("options", "meant"),
    [
        ({"loss": "hubr"}, "huber"),
        ({"loss": "huber", "loss_options": {"delt": 2}}, "delta"),
        ({"optimizer": "adamx"}, "adam"),
        ({"precision": "float16"}, "float32"),
        ({"lr": 0.1}, "learning_rate"),
    ],
)
def test_what_was_meant_is_said(options, meant):
    with pytest.raises(ParameterError, match=f"Did you mean '?{meant}"):
        TorchModel(nn.Linear(1, 1), **options)


def test_an_option_of_an_optimizer_that_was_meant_is_said(rows):
    model = TorchModel(nn.Linear(8, 1), optimizer="sgd", optimizer_options={"momentun": 0.9})
    with pytest.raises(ParameterError, match="Did you mean 'momentum'"):
        model.fit(rows)
