"""The kit for trainers: its laws are these, and the good trainer in NumPy keeps every one."""

import math
import signal
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise

import numpy as np
import pytest

from dc_core import Metric
from dc_core.errors import ParameterError, TrainingStateError
from dc_core.testing import TrainerSuite
from dc_core.testing.process import apart
from dc_core.training import Callback, Schedule

LAWS = [
    "test_equal_models_are_trained_equally",
    "test_an_interruption_after_any_step_loses_nothing",
    "test_training_is_resumed_from_weights_and_state",
    "test_a_step_that_is_not_finite_is_not_applied",
    "test_training_ends_after_steps_in_a_row_that_are_not_finite",
    "test_training_ends_when_patience_runs_out",
    "test_the_model_ends_with_the_weights_of_its_best_epoch",
    "test_training_is_not_resumed_with_other_rows",
    "test_validation_does_not_affect_training",
    "test_a_missing_label_counts_for_nothing",
    "test_the_parts_of_a_step_have_the_gradient_of_all_its_rows",
    "test_training_ends_with_the_averaged_weights",
    "test_a_step_that_is_not_applied_leaves_the_average",
]

EXACT = [
    {},
    {"schedule": "one_cycle"},
    {"schedule": "plateau", "schedule_options": {"patience": 1}},
    {"accumulate": 2, "gradient_clip": 0.5},
    {"average": "ema", "average_decay": 0.5},
    {"average": "swa", "average_start": 0.3},
    {"monitor": "spread", "patience": 2},
]


class Spread(Metric):
    greater_is_better = True

    def compute(self, y, prediction, w):
        return float(prediction.std())


class InterruptedAt(Callback):
    def __init__(self, step):
        self.left = step

    def on_step(self, model, step, steps):
        self.left -= 1
        if self.left == 0:
            signal.raise_signal(signal.SIGINT)


@pytest.fixture
def suite(graveyard):
    return graveyard("trained_lines").TestTrainedLine()


def test_no_law_is_dropped_or_added_in_silence():
    assert list(TrainerSuite.laws()) == LAWS


@pytest.mark.parametrize("law", LAWS)
def test_the_good_trainer_keeps_the_law(suite, law, try_law):
    try_law(suite, law)


def test_laws_hold_in_threads_too(suite):
    with ThreadPoolExecutor(1) as pool:
        pool.submit(suite.test_an_interruption_after_any_step_loses_nothing).result()


@pytest.mark.parametrize("options", EXACT, ids=str)
def test_training_with_any_option_is_resumed_exactly_after_every_step(suite, options):
    settings = {"epochs": 4, "batch_size": 3, **options}
    given = {"valid": suite.valid(), "metrics": [Spread()]}
    whole = suite.make(**settings).fit(suite.dataset(), **given)
    for step in range(1, 16):
        model = suite.make(**settings)
        try:
            apart(partial(model.fit, suite.dataset(), **given, callbacks=[InterruptedAt(step)]))
        except KeyboardInterrupt:
            again = suite.make(**settings)
            again.set_weights(model.get_weights())
            again.set_training_state(model.get_training_state())
            model = again.fit(suite.dataset(), **given, resume=True)
        assert np.array_equal(model.coef, whole.coef), step
        found, expected = model.get_training_state(), whole.get_training_state()
        assert found.keys() == expected.keys()
        assert all(found[name].tobytes() == expected[name].tobytes() for name in expected), step


class OnDevice(Callback):
    """Lets the trainer leave its losses unread, as on a GPU."""

    def on_fit_start(self, model, epochs):
        trainer = model._trainer
        apply = trainer.apply
        trainer.apply = lambda gradients, rate: np.array(apply(gradients, rate))


@pytest.mark.parametrize("callbacks", [[], [OnDevice()]], ids=["read", "on device"])
def test_an_average_over_steps_leaves_out_a_step_that_is_not_applied(suite, callbacks):
    spoiled = suite._spoiled(1)
    averages = []

    class Noting(Callback):
        def on_step(self, model, step, steps):
            averages.append(model.get_training_state()["average/coef"])

    model = suite.make(epochs=1, batch_size=3, average="ema", average_decay=0.5)
    model.fit(spoiled, callbacks=[*callbacks, Noting()])
    skipped = int(np.flatnonzero(np.isnan(model.history[0].steps))[0])
    changes = [not np.array_equal(a, b) for a, b in pairwise(averages)]
    assert changes == [step + 1 != skipped for step in range(len(changes))]


def test_an_incomplete_state_is_refused_and_changes_nothing(suite):
    model = suite.make(epochs=2, average="ema").fit(suite.dataset(), valid=suite.valid())
    state = model.get_training_state()
    for name in state:
        if name.startswith(("history/", "partial/", "control/", "averaged/", "optimizer/")) or (
            name == "data/rows"
        ):
            with pytest.raises(TrainingStateError):
                model.set_training_state({n: a for n, a in state.items() if n != name})
    assert model.get_training_state().keys() == state.keys()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("control/factor", 1e300),
        ("control/factor", -1.0),
        ("control/factor", math.nan),
        ("control/rate", math.inf),
        ("control/rate", -0.1),
        ("history/loss", [0.5, math.nan]),
        ("history/loss", [0.5, math.inf]),
        ("history/valid_loss", [-math.inf, 0.5]),
        ("history/learning_rate", [0.1, -0.1]),
        ("history/learning_rate", [math.nan, 0.1]),
        ("history/skipped", [-1.0, 0.0]),
        ("history/skipped", [0.5, 0.0]),
        ("history/skipped", [1e300, 0.0]),
        ("partial/steps", -1),
        ("partial/steps", 2**62),
        ("averaged/count", 0),
        ("averaged/count", 2**40),
        ("data/rows", np.zeros(31, np.uint8)),
        ("data/valid", np.zeros(32)),
        ("data/other", np.zeros(32, np.uint8)),
        ("options/seed", np.zeros(3)),
        ("options/seed", np.zeros((1, 1), np.uint8)),
    ],
    ids=str,
)
def test_a_number_that_no_training_has_is_refused(suite, name, value):
    model = suite.make(epochs=2, batch_size=3, average="swa", average_start=0.0)
    model.fit(suite.dataset(), valid=suite.valid())
    state = model.get_training_state()
    model.set_training_state(state)
    with pytest.raises(TrainingStateError) as caught:
        model.set_training_state({**state, name: np.array(value)})
    assert caught.value.hint
    assert model.get_training_state().keys() == state.keys()


def test_best_weights_without_an_epoch_are_refused(suite):
    model = suite.make(epochs=1).fit(suite.dataset(), valid=suite.valid())
    state = model.get_training_state()
    none = {n: a[:0] if n.startswith("history/") else a for n, a in state.items()}
    with pytest.raises(TrainingStateError, match="no epoch has ended"):
        model.set_training_state(none)


def trained(suite, **options):
    settings = {"epochs": 4, "batch_size": 3, **options}
    return suite.make(**settings).fit(suite.dataset(), valid=suite.valid(), epochs=2)


def given_to(suite, model, **options):
    """Return a new model with other options, the weights and the training state of ``model``."""
    other = suite.make(**{"epochs": 4, "batch_size": 3, **options})
    other.set_weights(model.get_weights())
    other.set_training_state(model.get_training_state())
    return other


@pytest.mark.parametrize(
    ("option", "value", "says"),
    [
        ("batch_size", 4, "batch_size was 3 and is 4"),
        ("seed", 7, "seed was 0 and is 7"),
        ("learning_rate", 0.2, "learning_rate was 0.1 and is 0.2"),
        ("schedule", "cosine", "schedule was 'constant' and is 'cosine'"),
        ("gradient_clip", 1.0, "gradient_clip was None and is 1"),
        ("average", "ema", "average was None and is 'ema'"),
        ("monitor", "loss", "monitor was None and is 'loss'"),
    ],
)
def test_training_is_not_resumed_with_another_option(suite, option, value, says):
    model = trained(suite)
    with pytest.raises(TrainingStateError, match=says):
        given_to(suite, model, **{option: value})
    model.config = replace(model.config, **{option: value})
    with pytest.raises(TrainingStateError, match=says):
        model.fit(suite.dataset(), valid=suite.valid(), resume=True)
    assert len(model.history) == 2


@pytest.mark.parametrize("options", [{"epochs": 5}, {"patience": 3, "min_delta": 0.1}])
def test_training_is_resumed_with_another_end(suite, options):
    model = trained(suite)
    other = given_to(suite, model, **options)
    other.fit(suite.dataset(), valid=suite.valid(), resume=True)
    model.config = replace(model.config, **options)
    model.fit(suite.dataset(), valid=suite.valid(), resume=True)
    assert len(model.history) == len(other.history) == options.get("epochs", 4)
    assert np.array_equal(model.coef, other.coef)


def test_what_a_state_says_of_its_options_is_shown_without_control_characters(suite):
    model = trained(suite)
    text = np.frombuffer(b"\x1b[2J" + b"x" * 1000 + b"\xff", np.uint8)
    with pytest.raises(TrainingStateError) as caught:
        model.set_training_state({**model.get_training_state(), "options/seed": text})
    assert str(caught.value).isprintable()
    assert len(caught.value.args[0]) < 200


def test_training_is_not_resumed_with_other_validation_rows(suite):
    model = trained(suite)
    other = given_to(suite, model)
    rows = suite.valid()
    for each in (model, other):
        with pytest.raises(TrainingStateError, match="other validation rows"):
            each.fit(suite.dataset(), valid=rows.select([1, 0, *range(2, 11)]), resume=True)
        each.fit(suite.dataset(), epochs=1, resume=True)
        with pytest.raises(TrainingStateError, match="other validation rows"):
            each.fit(suite.dataset(), valid=rows.select(range(10)), epochs=1, resume=True)
        assert len(each.fit(suite.dataset(), valid=rows, resume=True).history) == 4


def test_an_epoch_without_a_metric_has_none_after_loading_either(suite):
    class Undefined(Metric):
        greater_is_better = False

        def compute(self, y, prediction, w):
            return math.nan

    model = suite.make(epochs=2).fit(suite.dataset(), epochs=1)
    given = {"valid": suite.valid(), "metrics": [Undefined(), Spread()]}
    model.fit(suite.dataset(), **given, resume=True)
    again = suite.make(epochs=2)
    again.set_training_state(model.get_training_state())
    assert [list(epoch.metrics) for epoch in again.history] == [[], list(model.history[1].metrics)]
    assert math.isnan(again.history[1].metrics["undefined"])
    assert again.history[1].metrics["spread"] == model.history[1].metrics["spread"]


def test_a_metric_that_does_not_say_what_is_better_is_refused(suite):
    class Silent(Metric):
        def compute(self, y, prediction, w):
            return 0.0

    with pytest.raises(ParameterError, match="Silent does not say"):
        suite.make().fit(suite.dataset(), valid=suite.valid(), metrics=[Silent()])


@pytest.mark.parametrize("factor", [math.nan, -1.0, math.inf])
def test_a_schedule_that_returns_no_rate_is_an_error_and_changes_nothing(suite, factor):
    @dataclass(frozen=True, slots=True, kw_only=True)
    class Wrong(Schedule):
        def decay(self, at, warmup, results):
            return factor

    model = suite.make(epochs=1, schedule=Wrong())
    before = model.coef.copy()
    with pytest.raises(ParameterError, match=r"Wrong\(\) returned the factor"):
        model.fit(suite.dataset())
    assert np.array_equal(model.coef, before)


@pytest.mark.parametrize("factor", [0, -1, math.nan, math.inf, 1e7, "2", True, None])
def test_a_factor_that_no_learning_rate_has_is_refused(suite, factor):
    model = suite.make(epochs=1).fit(suite.dataset())
    with pytest.raises(ParameterError, match="learning_rate_factor"):
        model.learning_rate_factor = factor
    model.learning_rate_factor = np.float32(0.5)
    assert model.learning_rate_factor == 0.5


def test_min_delta_without_patience_is_refused(suite):
    with pytest.raises(ParameterError, match=r"min_delta=0\.1 is for patience"):
        suite.make(min_delta=0.1)
