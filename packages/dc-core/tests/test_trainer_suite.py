"""The kit for trainers: its laws are these, and the good trainer in NumPy keeps every one."""

import signal
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from dc_core import Metric
from dc_core.errors import TrainingStateError
from dc_core.testing import TrainerSuite
from dc_core.training import Callback

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
    "test_the_average_of_the_weights_is_left",
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
            model.fit(suite.dataset(), **given, callbacks=[InterruptedAt(step)])
        except KeyboardInterrupt:
            again = suite.make(**settings)
            again.set_weights(model.get_weights())
            again.set_training_state(model.get_training_state())
            model = again.fit(suite.dataset(), **given, resume=True)
        assert np.array_equal(model.coef, whole.coef), step
        found, expected = model.get_training_state(), whole.get_training_state()
        assert found.keys() == expected.keys()
        assert all(found[name].tobytes() == expected[name].tobytes() for name in expected), step


def test_an_incomplete_state_is_refused_and_changes_nothing(suite):
    model = suite.make(epochs=2, average="ema").fit(suite.dataset(), valid=suite.valid())
    state = model.get_training_state()
    for name in state:
        if name.startswith(("history/", "partial/", "control/", "averaged/", "optimizer/")):
            with pytest.raises(TrainingStateError):
                model.set_training_state({n: a for n, a in state.items() if n != name})
    assert model.get_training_state().keys() == state.keys()
