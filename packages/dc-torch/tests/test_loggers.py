"""Loggers: what they write, and that it is continued when training is resumed."""

import csv
import math
import signal
import sys
import warnings

import pytest

from dc_core import NumpyDataset
from dc_core.errors import AlreadyExists, ParameterError, StorageUnavailable
from dc_core.training import Callback, CSVLogger, TensorBoardLogger
from dc_torch import MultitaskRegressor


@pytest.fixture
def valid(more_rows):
    return NumpyDataset(more_rows.X, more_rows.y)


def regressor():
    return MultitaskRegressor(
        1, 8, layer_sizes=(8,), epochs=4, batch_size=16, dropout=0.2, schedule="cosine"
    )


class Interrupting(Callback):
    def __init__(self, position):
        self.position = position

    def on_step(self, model, step, steps):
        if model.position == self.position:
            signal.raise_signal(signal.SIGINT)


def interrupted(rows, valid, position, make):
    model = regressor()
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, valid=valid, callbacks=[make(), Interrupting(position)])
    return model


def table(path):
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def test_a_row_has_what_the_history_has_to_the_last_digit(rows, valid, tmp_path):
    path = tmp_path / "logs" / "log.csv"
    model = regressor().fit(rows, valid=valid, callbacks=[CSVLogger(path)])
    written = table(path)
    assert [int(row["epoch"]) for row in written] == [1, 2, 3, 4]
    for row, epoch in zip(written, model.history, strict=True):
        assert row["step"] == ""
        for name in ("loss", "valid_loss", "learning_rate", "skipped"):
            assert float(row[name]) == getattr(epoch, name)


def test_steps_have_rows_too(rows, tmp_path):
    path = tmp_path / "log.csv"
    model = regressor().fit(rows, callbacks=[CSVLogger(path, every_steps=3)])
    written = table(path)
    assert [(row["epoch"], row["step"]) for row in written[:3]] == [
        ("1", "3"),
        ("1", ""),
        ("2", "3"),
    ]
    assert [float(row["loss"]) for row in written[::2]] == [e.steps[2] for e in model.history]
    assert {row["valid_loss"] for row in written} == {""}


@pytest.mark.parametrize("position", [(0, 2), (2, 1), (2, 3), (3, 4)])
def test_a_table_of_training_that_was_resumed_is_that_of_training_that_was_not(
    rows, valid, tmp_path, position
):
    whole, path = tmp_path / "whole.csv", tmp_path / "log.csv"
    regressor().fit(rows, valid=valid, callbacks=[CSVLogger(whole, every_steps=1)])
    model = interrupted(rows, valid, position, lambda: CSVLogger(path, every_steps=1))
    model.fit(rows, valid=valid, callbacks=[CSVLogger(path, every_steps=1)], resume=True)
    assert path.read_bytes() == whole.read_bytes()


def test_rows_after_the_point_of_resuming_are_replaced(rows, valid, tmp_path):
    whole, path = tmp_path / "whole.csv", tmp_path / "log.csv"
    regressor().fit(rows, valid=valid, callbacks=[CSVLogger(whole, every_steps=2)])
    model = interrupted(rows, valid, (2, 3), lambda: CSVLogger(path, every_steps=2))
    lines = whole.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:-2]) + "4,,0.25,0.1")  # it was killed later than was stored
    model.fit(rows, valid=valid, callbacks=[CSVLogger(path, every_steps=2)], resume=True)
    assert path.read_bytes() == whole.read_bytes()
    path.write_text(lines[0])
    model.fit(rows, valid=valid, callbacks=[CSVLogger(path)], resume=True)
    assert [row["epoch"] for row in table(path)] == ["1", "2", "3", "4"]


def test_training_that_starts_anew_replaces_all_rows(rows, tmp_path):
    path = tmp_path / "log.csv"
    for _ in range(2):
        regressor().fit(rows, callbacks=[CSVLogger(path)])
    assert [row["epoch"] for row in table(path)] == ["1", "2", "3", "4"]


def test_a_file_that_is_no_log_is_not_overwritten(rows, tmp_path):
    path = tmp_path / "data.csv"
    long = '"' + 200_000 * "C" + '"\n'
    for content in ("smiles,label\nCCO,1\n", "thesis", "epoch,step\n1,2\n", long):
        path.write_text(content)
        model = regressor()
        with pytest.raises(AlreadyExists, match="something else"):
            model.fit(rows, callbacks=[CSVLogger(path)])
        assert (path.read_text(), model.history) == (content, ())


def test_a_log_that_cannot_be_written_is_found_before_training(rows, tmp_path):
    (tmp_path / "file").write_text("mine")
    for make in (CSVLogger, TensorBoardLogger):
        model = regressor()
        with pytest.raises(StorageUnavailable):
            model.fit(rows, callbacks=[make(tmp_path / "file" / "log")])
        assert model.history == ()


def test_a_row_that_cannot_be_written_is_written_later(rows, tmp_path, caplog):
    path = tmp_path / "log.csv"

    class Blocking(Callback):
        def on_epoch_end(self, model, epoch):
            if epoch.number == 1:
                path.unlink()
                path.mkdir()
            elif epoch.number == 3:
                path.rmdir()

    regressor().fit(rows, callbacks=[CSVLogger(path), Blocking()])
    assert [row["epoch"] for row in table(path)] == ["1", "2", "3", "4"]
    assert caplog.text.count("is not written") == 2


def curves(folder):
    """Return what TensorBoard shows: the numbers and values of each curve."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder))
        events.Reload()
    return {
        tag: [(event.step, event.value) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def close(first, second):
    return first.keys() == second.keys() and all(
        [step for step, _ in first[tag]] == [step for step, _ in second[tag]]
        and all(
            math.isclose(a, b, rel_tol=1e-6)
            for (_, a), (_, b) in zip(first[tag], second[tag], strict=True)
        )
        for tag in first
    )


def test_tensorboard_shows_what_the_history_has(rows, valid, tmp_path):
    model = regressor().fit(
        rows, valid=valid, callbacks=[TensorBoardLogger(tmp_path, every_steps=2)]
    )
    expected = {
        name: [(epoch.number, getattr(epoch, name)) for epoch in model.history]
        for name in ("loss", "valid_loss", "learning_rate")
    }
    assert close(curves(tmp_path), expected)
    losses = [loss for epoch in model.history for loss in epoch.steps]
    steps = curves(tmp_path / "steps")
    assert close({"loss": steps["loss"]}, {"loss": [*enumerate(losses, 1)][1::2]})


def test_the_loss_of_a_step_is_read_only_if_it_is_written(rows, tmp_path, monkeypatch):
    read, step_loss = [], MultitaskRegressor.step_loss

    def counted(model):
        read.append(model.position)
        return step_loss(model)

    monkeypatch.setattr(MultitaskRegressor, "step_loss", counted)
    for logger in (
        CSVLogger(tmp_path / "log.csv", every_steps=4),
        TensorBoardLogger(tmp_path, every_steps=4),
    ):
        read.clear()
        regressor().fit(rows, callbacks=[logger])
        assert read == [(epoch, 4) for epoch in range(4)]


@pytest.mark.parametrize("position", [(1, 1), (2, 3)])
def test_tensorboard_shows_resumed_training_without_repeats(rows, valid, tmp_path, position):
    def make():
        return TensorBoardLogger(tmp_path / "log", every_steps=1)

    regressor().fit(
        rows, valid=valid, callbacks=[TensorBoardLogger(tmp_path / "whole", every_steps=1)]
    )
    model = interrupted(rows, valid, position, make)
    state, weights = model.get_training_state(), model.get_weights()
    model.fit(rows, valid=valid, epochs=1, callbacks=[make()], resume=True)  # what is lost
    model.set_weights(weights)
    model.set_training_state(state)
    model.fit(rows, valid=valid, callbacks=[make()], resume=True)
    for part in ("", "steps"):
        assert close(curves(tmp_path / "log" / part), curves(tmp_path / "whole" / part))


def test_without_tensorboard_the_error_says_what_to_install(monkeypatch, tmp_path):
    for name in [name for name in sys.modules if name.split(".")[0] == "tensorboard"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    with pytest.raises(ParameterError, match=r"pip install .dc-core\[tensorboard\]"):
        TensorBoardLogger(tmp_path)


@pytest.mark.parametrize("make", [CSVLogger, TensorBoardLogger])
def test_a_number_of_steps_that_is_none_is_refused(make, tmp_path):
    with pytest.raises(ParameterError, match="every_steps"):
        make(tmp_path / "log", every_steps=0)
