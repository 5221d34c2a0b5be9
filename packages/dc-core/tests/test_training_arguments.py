"""Arguments of what training is made of: a wrong one is a typed error that names it."""

import math
from dataclasses import fields
from pathlib import Path

import numpy as np
import pytest

from dc_core.errors import ParameterError, UnknownParameter
from dc_core.training import (
    SCHEDULES,
    Checkpoint,
    CSVLogger,
    TensorBoardLogger,
    TrainingConfig,
    make_schedule,
)

WRONG = [
    *(None, "a", "", b"a", True, -1, 0, 0.5, 2.5, 3, 1 + 2j, math.nan, math.inf, -math.inf),
    *(10**400, -(10**400), [], ["a"], [[1]], [2, 1], [1, math.nan], (1, "a"), {}, {"a": 1}),
    *({1: 2}, set(), range(3), object(), int, len, Path("x"), np.float32(1), np.array(None)),
    *(np.array("a"), np.array([1.0, 2.0]), np.datetime64("2020"), np.array([], object)),
]


def refusals(make, name):
    """Call ``make`` with each of the wrong values; return what the errors say."""
    found = []
    for value in WRONG:
        try:
            make(value)
        except ParameterError as error:
            found.append(str(error))
    assert all(name in said or "has no option" in said for said in found)
    return found


ARGUMENTS = [(name, each.name) for name, cls in SCHEDULES.items() for each in fields(cls)]


@pytest.mark.parametrize(("schedule", "argument"), ARGUMENTS)
def test_a_wrong_argument_of_a_schedule_is_named(schedule, argument):
    needed = {"milestones": [3]} if schedule == "multistep" else {}

    def options(value):
        return {**needed, argument: value}

    direct = refusals(lambda value: SCHEDULES[schedule](**options(value)), argument)
    by_name = refusals(lambda value: make_schedule(schedule, options(value)), argument)
    assert len(direct) >= len(WRONG) - 8
    assert direct == by_name


@pytest.mark.parametrize("option", [each.name for each in fields(TrainingConfig)])
def test_a_wrong_option_is_named(option):
    assert len(refusals(lambda value: TrainingConfig(**{option: value}), option)) >= 20


@pytest.mark.parametrize(
    ("cls", "given", "argument"),
    [
        *((Checkpoint, {"where": "./x"}, name) for name in ("every", "every_steps", "keep_last")),
        *((Checkpoint, {"where": "./x"}, name) for name in ("every_minutes", "best")),
        (CSVLogger, {}, "path"),
        (CSVLogger, {"path": "x"}, "every_steps"),
        (TensorBoardLogger, {}, "folder"),
        (TensorBoardLogger, {"folder": "x"}, "every_steps"),
    ],
)
def test_a_wrong_argument_of_a_callback_is_named(cls, given, argument):
    assert len(refusals(lambda value: cls(**given, **{argument: value}), argument)) >= 20


@pytest.mark.parametrize(
    ("call", "meant"),
    [
        (lambda: SCHEDULES["cosine"](warm_up=3), "warmup"),
        (lambda: TrainingConfig(schedule="cosin"), "cosine"),
        (lambda: TrainingConfig(schedule="cosine", schedule_options={"flor": 0.1}), "floor"),
        (lambda: TrainingConfig(average="wsa"), "swa"),
        (lambda: TrainingConfig(lr=0.1), "learning_rate"),
        (lambda: TrainingConfig(batchsize=3), "batch_size"),
        (lambda: CSVLogger("x", every_step=3), "every_steps"),
        (lambda: TensorBoardLogger("x", every_step=3), "every_steps"),
    ],
    ids=str,
)
def test_what_was_meant_is_said(call, meant):
    with pytest.raises(ParameterError, match=f"Did you mean '?{meant}"):
        call()


def test_options_are_given_by_name():
    with pytest.raises(ParameterError, match="by name"):
        TrainingConfig(0.1)
    with pytest.raises(UnknownParameter, match="argument of fit"):
        TrainingConfig(callbacks=[])


def test_numbers_of_numpy_make_equal_schedules():
    first = SCHEDULES["step"](every=np.int64(3), by=np.float32(0.5), warmup=np.float64(0.25))
    assert first == SCHEDULES["step"](every=3, by=0.5, warmup=0.25)
    milestones = SCHEDULES["multistep"](milestones=np.array([3, 5]))
    assert milestones == SCHEDULES["multistep"](milestones=[3, 5])


def test_a_number_of_thousands_of_digits_is_refused_without_writing_it():
    for option in ("learning_rate", "min_delta", "batch_size", "average"):
        with pytest.raises(ParameterError, match=f"{option}=<a number of thousands of digits>"):
            TrainingConfig(**{option: -(10**5000)})
