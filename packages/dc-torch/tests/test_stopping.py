"""Validation, early stopping, callbacks and interruption."""

import io
import re
import signal
import sys

import numpy as np
import pytest
from rich.console import Console

from dc_core import Dataset, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError, TrainingDiverged
from dc_core.training.progress import ProgressBar, progress_bar
from dc_torch import Callback, MultitaskRegressor


def regressor(**options):
    settings = {"layer_sizes": (16,), "epochs": 8, "batch_size": 16, **options}
    return MultitaskRegressor(1, 8, **settings)


@pytest.fixture
def overfitting(rows, more_rows):
    """Rows to train on, and rows of another law, on which training makes the loss worse."""
    return rows, NumpyDataset(more_rows.X, -more_rows.y)


class Recording(Callback):
    def __init__(self, **effects):
        self.calls, self.effects, self.weights = [], effects, []

    def on_fit_start(self, model, epochs):
        self.calls.append(("start", epochs))

    def on_step(self, model, step, steps):
        self.effects.get("step", lambda *_: None)(len(model.history), step)

    def on_epoch_end(self, model, epoch):
        self.calls.append(("epoch", epoch.number))
        self.weights.append(model.get_weights())
        return self.effects.get("epoch", lambda _: None)(epoch)

    def on_fit_end(self, model):
        self.calls.append(("end", len(model.history)))


def same(first, second):
    return all(np.array_equal(first[name], second[name]) for name in first)


def test_the_weights_of_the_best_epoch_are_kept(rows, more_rows):
    recording = Recording()
    model = regressor(learning_rate=0.3, epochs=12).fit(
        rows, valid=more_rows, callbacks=[recording]
    )
    losses = [epoch.valid_loss for epoch in model.history]
    best = int(np.argmin(losses))
    assert best < len(losses) - 1, "the last epoch is not to be the best one here"
    assert same(model.get_weights(), recording.weights[best])
    error = model.predict(more_rows) - more_rows.y
    assert np.mean(error**2) == pytest.approx(losses[best], rel=1e-5)


def test_training_stops_when_patience_runs_out(overfitting):
    rows, valid = overfitting
    model = regressor(patience=3, epochs=200, learning_rate=0.01).fit(rows, valid=valid)
    losses = [epoch.valid_loss for epoch in model.history]
    assert len(losses) == int(np.argmin(losses)) + 1 + 3


def test_without_validation_rows_the_last_weights_are_kept(rows):
    recording = Recording()
    model = regressor().fit(rows, callbacks=[recording])
    assert same(model.get_weights(), recording.weights[-1])
    assert all(np.isnan(epoch.valid_loss) for epoch in model.history)


def test_validation_does_not_affect_training(rows, more_rows):
    plain, validated = regressor().fit(rows), regressor().fit(rows, valid=more_rows)
    assert [e.steps for e in plain.history] == [e.steps for e in validated.history]


def test_patience_needs_validation_rows(rows):
    with pytest.raises(ParameterError, match="valid=dataset"):
        regressor(patience=2).fit(rows)


def test_callbacks_see_every_epoch(rows):
    recording = Recording()
    regressor(epochs=3).fit(rows, callbacks=[recording])
    expected = [("start", 3), ("epoch", 1), ("epoch", 2), ("epoch", 3), ("end", 3)]
    assert recording.calls == expected


def test_every_callback_runs_even_if_one_stops_training(rows):
    stopping = Recording(epoch=lambda epoch: epoch.number == 2)
    other = Recording()
    regressor().fit(rows, callbacks=[stopping, other])
    assert stopping.calls[-1] == other.calls[-1] == ("end", 2)
    assert ("epoch", 2) in other.calls


def test_an_interruption_leaves_the_best_weights_and_can_be_resumed(rows, more_rows):
    def interrupt(finished, step):
        if finished == 3 and step == 2:
            raise KeyboardInterrupt

    recording = Recording(step=interrupt)
    model = regressor(learning_rate=0.05)
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, valid=more_rows, callbacks=[recording])
    assert recording.calls[-1] == ("end", 3)
    best = int(np.argmin([epoch.valid_loss for epoch in model.history]))
    assert same(model.get_weights(), recording.weights[best])
    assert not model.module.training
    model.fit(rows, valid=more_rows, resume=True)
    assert [epoch.number for epoch in model.history] == list(range(1, 9))


@pytest.mark.parametrize("finished", [0, 1, 5])
@pytest.mark.parametrize("optimizer", ["adam", "sgd"])
@pytest.mark.parametrize("validated", [True, False])
def test_a_signal_during_an_epoch_loses_no_step(overfitting, finished, optimizer, validated):
    rows, valid = overfitting[0], overfitting[1] if validated else None
    options = {"learning_rate": 0.05, "dropout": 0.3, "optimizer": optimizer}
    whole = regressor(**options).fit(rows, valid=valid)

    def interrupt(epochs, step):
        if epochs == finished and step == 3:
            signal.raise_signal(signal.SIGINT)

    model = regressor(**options)
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, valid=valid, callbacks=[Recording(step=interrupt)])
    assert len(model.history) == finished
    model.fit(rows, valid=valid, resume=True)
    assert [e.steps for e in model.history] == [e.steps for e in whole.history]
    assert same(model.get_weights(), whole.get_weights())
    found, expected = model.get_training_state(), whole.get_training_state()
    assert all(found[name].tobytes() == expected[name].tobytes() for name in expected)


def test_steps_in_a_row_that_cannot_be_applied_end_training_with_finite_weights(rows):
    model = regressor(learning_rate=1e30, optimizer="sgd", layer_sizes=())
    with pytest.raises(TrainingDiverged, match=r"3 steps in a row, up to step 4 of epoch 1"):
        model.fit(rows)
    assert model.history == ()
    assert all(np.isfinite(array).all() for array in model.get_weights().values())


def test_a_refused_dataset_keeps_earlier_training(rows, more_rows):
    model = regressor(patience=8).fit(rows, valid=more_rows, epochs=3)
    state = model.get_training_state()
    for arguments in ((rows.select([]), more_rows), (rows, more_rows.select([])), (rows, None)):
        with pytest.raises((EmptyDataset, ParameterError)):
            model.fit(arguments[0], valid=arguments[1])
    assert len(model.history) == 3
    assert same(model.get_training_state(), state)


def test_an_error_in_a_callback_ends_training_and_reaches_the_caller(rows):
    def fail(epoch):
        raise ZeroDivisionError

    recording = Recording(epoch=fail)
    with pytest.raises(ZeroDivisionError):
        regressor().fit(rows, callbacks=[recording])
    assert recording.calls[-1] == ("end", 1)


def test_every_callback_ends_even_if_one_fails(rows):
    class Failing(Callback):
        def on_fit_end(self, model):
            raise ZeroDivisionError

    first, last = Recording(), Recording()
    with pytest.raises(ZeroDivisionError):
        regressor(epochs=1).fit(rows, callbacks=[first, Failing(), last])
    assert first.calls[-1] == last.calls[-1] == ("end", 1)


def test_a_callback_that_fails_at_the_start_changes_nothing(overfitting):
    class Failing(Callback):
        def on_fit_start(self, model, epochs):
            raise ZeroDivisionError

    rows, valid = overfitting
    model, whole = regressor().fit(rows, valid=valid, epochs=4), regressor().fit(rows, valid=valid)
    before = model.get_weights()
    with pytest.raises(ZeroDivisionError):
        model.fit(rows, valid=valid, resume=True, callbacks=[Failing()])
    assert same(model.get_weights(), before)
    model.fit(rows, valid=valid, resume=True)
    assert [epoch.loss for epoch in model.history] == [epoch.loss for epoch in whole.history]


@pytest.mark.parametrize(
    ("callbacks", "says"),
    [(Callback(), "list"), ([Callback], r"Callback\(\)"), ([print], "Callback")],
    ids=["one", "class", "function"],
)
def test_what_is_not_a_callback_is_refused_and_keeps_earlier_training(rows, callbacks, says):
    model = regressor(epochs=2).fit(rows)
    with pytest.raises(ParameterError) as caught:
        model.fit(rows, callbacks=callbacks)
    assert re.search(says, f"{caught.value}\n{caught.value.hint}")
    assert len(model.history) == 2


def test_a_bar_that_cannot_be_shown_keeps_earlier_training(rows, monkeypatch):
    model = regressor(epochs=2).fit(rows)
    monkeypatch.setitem(sys.modules, "rich", None)
    monkeypatch.setitem(sys.modules, "rich.console", None)
    with pytest.raises(ParameterError, match="rich"):
        model.fit(rows, progress=True)
    assert len(model.history) == 2


def test_validation_rows_of_other_tasks_are_refused(rows, more_rows):
    y = np.hstack([rows.y, -rows.y])
    train, valid = (NumpyDataset(rows.X, y, tasks=tasks) for tasks in (["a", "b"], ["b", "a"]))
    with pytest.raises(DatasetError, match=r"\['b', 'a'\]"):
        MultitaskRegressor(2, 8, layer_sizes=()).fit(train, valid=valid)


def test_a_dataset_that_changes_length_ends_training_after_the_epoch(rows):
    class Growing(Dataset):
        tasks, size = ("task0",), 40

        def __len__(self):
            return self.size

        def rows(self, indices, parts=("X", "y", "w", "ids")):
            return rows.rows(indices, parts)

        def select(self, indices):
            return rows.select(indices)

    dataset = Growing()

    def grow(epoch):
        dataset.size += 1

    model = regressor()
    with pytest.raises(DatasetError, match=r"41 rows; it had 40"):
        model.fit(dataset, callbacks=[Recording(epoch=grow)])
    assert model.position == (1, 0)


def test_training_again_starts_over(rows):
    model = regressor(epochs=2).fit(rows).fit(rows)
    assert [epoch.number for epoch in model.history] == [1, 2]


def test_the_bar_shows_epochs_and_losses(rows, more_rows):
    console = Console(file=io.StringIO(), force_terminal=True, width=120)
    bar = ProgressBar(console)
    regressor(epochs=3).fit(rows, valid=more_rows, callbacks=[bar], progress=False)
    shown = console.file.getvalue()
    assert "Training MultitaskRegressor" in shown
    assert "epoch 3/3" in shown
    assert "valid" in shown


def test_without_a_terminal_nothing_is_shown(rows, capfd):
    regressor(epochs=1).fit(rows)
    assert capfd.readouterr() == ("", "")
    assert progress_bar(None) == []
    assert progress_bar(False) == []


def test_a_requested_progress_bar_is_shown(rows, capfd):
    regressor(epochs=1).fit(rows, progress=True)
    assert "epoch 1/1" in capfd.readouterr().err
