"""What callbacks may do to training, and that it is resumed."""

import signal

import numpy as np
import pytest

from dc_core.errors import ParameterError
from dc_torch import Callback, MultitaskRegressor


def regressor(**options):
    settings = {"layer_sizes": (8,), "epochs": 6, "batch_size": 16, "learning_rate": 0.02}
    return MultitaskRegressor(1, 8, **{**settings, **options})


def again(model, **options):
    other = regressor(**options)
    other.set_weights(model.get_weights())
    other.set_training_state(model.get_training_state())
    return other


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


class Halving(Callback):
    """Halves the learning rate after some epochs, and after one step of the fourth."""

    def on_step(self, model, step, steps):
        if model.position == (3, 2):
            model.learning_rate_factor *= 0.5

    def on_epoch_end(self, model, epoch):
        if epoch.number in (1, 2):
            model.learning_rate_factor *= 0.5


class Interrupting(Callback):
    def __init__(self, position):
        self.position = position

    def on_step(self, model, step, steps):
        if model.position == self.position:
            signal.raise_signal(signal.SIGINT)


def test_a_callback_changes_the_learning_rate_from_the_next_step_on(rows):
    model = regressor().fit(rows, callbacks=[Halving()])
    rates = [epoch.learning_rate for epoch in model.history]
    assert rates == [0.02, 0.01, 0.005, 0.0025, 0.0025, 0.0025]
    assert (model.learning_rate, model.learning_rate_factor) == (0.0025, 0.125)
    assert not same(model, regressor().fit(rows))


@pytest.mark.parametrize("position", [(1, 1), (3, 1), (3, 2), (3, 4)])
def test_a_learning_rate_that_a_callback_changed_is_resumed(rows, position):
    whole = regressor(schedule="cosine").fit(rows, callbacks=[Halving()])
    first = regressor(schedule="cosine")
    with pytest.raises(KeyboardInterrupt):
        first.fit(rows, callbacks=[Halving(), Interrupting(position)])
    assert first.position == position
    second = again(first, schedule="cosine").fit(rows, callbacks=[Halving()], resume=True)
    assert same(whole, second)
    assert [e.learning_rate for e in second.history] == [e.learning_rate for e in whole.history]


@pytest.mark.parametrize("factor", [0, -1.0, float("nan"), float("inf"), "half", True])
def test_a_factor_that_is_not_positive_is_refused(rows, factor):
    model = regressor(epochs=1).fit(rows)
    with pytest.raises(ParameterError, match="learning_rate_factor"):
        model.learning_rate_factor = factor
    assert model.learning_rate_factor == 1


def test_a_model_that_is_not_trained_has_no_factor_to_set():
    model = regressor()
    with pytest.raises(ParameterError, match="not being trained"):
        model.learning_rate_factor = 0.5
    assert (model.learning_rate_factor, model.learning_rate, model.position) == (1, 0.02, (0, 0))


def test_a_callback_sees_the_loss_of_each_step(rows):
    seen = []

    class Seeing(Callback):
        def on_step(self, model, step, steps):
            seen.append((model.position[1], model.step_loss()))

    model = regressor(epochs=2).fit(rows, callbacks=[Seeing()])
    losses = [loss for epoch in model.history for loss in epoch.steps]
    assert seen == [(i % 4 + 1, loss) for i, loss in enumerate(losses)]


def test_ctrl_c_while_a_callback_works_is_taken_when_it_has_finished(rows):
    finished = []

    class Working(Callback):
        def on_epoch_end(self, model, epoch):
            signal.raise_signal(signal.SIGINT)
            finished.append(epoch.number)

    model = regressor()
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, callbacks=[Working()])
    assert finished == [1]
    assert model.position == (1, 0)
    assert same(model.fit(rows, resume=True), regressor().fit(rows))


def test_training_that_a_callback_ended_is_resumed_by_whoever_asks(rows):
    class Stopping(Callback):
        def on_epoch_end(self, model, epoch):
            return epoch.number == 2

    model = regressor().fit(rows, callbacks=[Stopping()])
    assert model.position == (2, 0)
    assert model.get_training_state()["control/stopped"].item() is True
    assert same(model.fit(rows, resume=True), regressor().fit(rows))
