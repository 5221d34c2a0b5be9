"""Checkpoints in directories and in hubs: killed training goes on exactly, and nothing is lost."""

from __future__ import annotations

import http.server
import logging
import random
import resource
import runpy
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from torch import nn

import dc_hub
from dc_core import NumpyDataset
from dc_core.errors import (
    AlreadyExists,
    CheckpointsInUse,
    NotSerializable,
    ParameterError,
    StorageUnavailable,
    TrainingStateError,
)
from dc_hub import LocalHub
from dc_pipeline import (
    ECFP,
    GeneratorPipeline,
    NormalizationTransformer,
    Pipeline,
    SmilesTokens,
)
from dc_torch import (
    Callback,
    Checkpoint,
    MultitaskClassifier,
    MultitaskRegressor,
    SequenceGenerator,
    TorchModel,
)

SOAK = runpy.run_path(str(Path(__file__).parent / "soak" / "__main__.py"))


@pytest.fixture(autouse=True)
def own_folders(tmp_path, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(tmp_path / "hub"))


@pytest.fixture(params=["directory", "hub"])
def where(request, tmp_path):
    return str(tmp_path / "run") if request.param == "directory" else "lab/run"


def linear(n, seed, sign=1):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 8)).astype(np.float32)
    return NumpyDataset(X, sign * X @ np.linspace(-1, 1, 8)[:, None])


@pytest.fixture
def rows():
    return linear(60, seed=0)


@pytest.fixture
def valid():
    """Rows of another law: the first epoch is the best one."""
    return linear(20, seed=1, sign=-1)


def regressor(**options):
    settings = {"layer_sizes": (8,), "epochs": 5, "batch_size": 16, "dropout": 0.2}
    return MultitaskRegressor(1, 8, **{**settings, **options})


def same(first, second):
    return {*first} == {*second} and all(
        first[name].tobytes() == second[name].tobytes() for name in first
    )


def same_end(first, second):
    return same(first, second) and same(first.get_training_state(), second.get_training_state())


class Ending(Callback):
    """Ends training at a position, by what is called."""

    def __init__(self, position, end):
        self.position, self.end = position, end

    def on_step(self, model, step, steps):
        if model.position == self.position:
            self.end()


class Recording(Callback):
    def __init__(self):
        self.steps = 0

    def on_step(self, model, step, steps):
        self.steps += 1


def pressed():
    raise KeyboardInterrupt


def fitted(model, rows, valid, where, *others, resume="auto", **options):
    checkpoint = Checkpoint(where, **options)
    return model.fit(rows, valid=valid, callbacks=[checkpoint, *others], resume=resume)


def interrupted(rows, valid, where, position, *others, model=None, end=pressed, **options):
    """Train until a position, where ``end`` is called."""
    model = model or regressor()
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        fitted(model, rows, valid, where, *others, Ending(position, end), **options)
    return model


def files_of(where, name, tmp_path):
    """Return the directory of a checkpoint."""
    if where.startswith("/"):
        return Path(where, name)
    return LocalHub(tmp_path / "hub").resolve(where, name).path


def damage(where, name, tmp_path):
    (weights,) = files_of(where, name, tmp_path).glob("model*.safetensors")
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)


def test_resuming_from_any_checkpoint_equals_training_that_never_stopped(rows, valid, where):
    whole = regressor().fit(rows, valid=valid)
    checkpoint = Checkpoint(where, every=2, every_steps=3)
    regressor().fit(rows, valid=valid, callbacks=[checkpoint])
    assert checkpoint.names() == [
        "epoch-0000-step-000003",
        "epoch-0001-step-000002",
        "epoch-0002",
        "epoch-0002-step-000001",
        "epoch-0003",
        "epoch-0003-step-000003",
        "epoch-0004",
        "epoch-0004-step-000002",
        "epoch-0005",
    ]
    for name in checkpoint.names():
        address = f"{where}/{name}" if where.startswith("/") else f"{where}@{name}"
        model = MultitaskRegressor.from_pretrained(address, training=True)
        assert model.position == tuple(int(part) for part in (f"{name}-step-0").split("-")[1:4:2])
        assert same_end(model.fit(rows, valid=valid, resume=True), whole)


def test_weights_stored_during_training_are_the_last_ones_and_the_best_are_in_the_state(
    rows, valid, where
):
    last = []

    class Last(Callback):
        def on_epoch_end(self, model, epoch):
            last.append(model.get_weights())

    checkpoint = Checkpoint(where, best=True)
    model = regressor().fit(rows, valid=valid, callbacks=[checkpoint, Last()])
    stored = MultitaskRegressor.from_pretrained(checkpoint.newest(), training=True)
    assert same(stored.get_weights(), last[-1])
    assert not same(last[-1], last[0])
    assert same(MultitaskRegressor.from_pretrained(checkpoint.best()), model)
    assert same(stored.fit(rows, valid=valid, resume=True), model)


@pytest.mark.parametrize("kind", ["hub", "pipeline"])
def test_a_program_that_is_killed_and_run_again_ends_with_the_same_weights(tmp_path, kind):
    expected = SOAK["run"](tmp_path / "whole", kind, 3)
    digest, kills = SOAK["killed_until_it_ends"](
        tmp_path / "killed", kind, 3, random.Random(1), longest=70
    )
    assert digest == expected
    assert kills >= 1


@pytest.mark.parametrize(
    ("number", "position"),
    [(signal.SIGINT, (0, 1)), (signal.SIGTERM, (2, 3)), (signal.SIGTERM, (3, 4))],
)
def test_what_interrupts_training_loses_no_step(rows, valid, where, position, number):
    whole = regressor().fit(rows, valid=valid)
    interrupted(rows, valid, where, position, end=lambda: signal.raise_signal(number), every=None)
    checkpoint = Checkpoint(where, every=None)
    assert len(checkpoint.names()) == 1
    recording = Recording()
    model = regressor().fit(rows, valid=valid, callbacks=[checkpoint, recording], resume="auto")
    assert recording.steps == 20 - 4 * position[0] - position[1]
    assert same_end(model, whole)


def test_training_that_has_ended_is_not_done_again(rows, valid, where):
    whole = fitted(regressor(), rows, valid, where, every=2)
    names, recording = Checkpoint(where).names(), Recording()
    again = fitted(regressor(), rows, valid, where, recording, every=2)
    assert recording.steps == 0
    assert same_end(again, whole)
    assert Checkpoint(where).names() == names == ["epoch-0002", "epoch-0004", "epoch-0005"]


def test_training_that_a_callback_ended_is_not_gone_on_with(rows, valid, where):
    class Stopping(Callback):
        def on_epoch_end(self, model, epoch):
            return epoch.number == 2

    first = fitted(regressor(), rows, valid, where, Stopping())
    second = fitted(regressor(), rows, valid, where, Stopping())
    assert second.position == (2, 0)
    assert same_end(first, second)


def test_a_checkpoint_has_what_callbacks_after_it_did(rows, valid, where):
    class Halving(Callback):
        def on_epoch_end(self, model, epoch):
            model.learning_rate_factor *= 0.5

        def on_step(self, model, step, steps):
            if step == 2:
                model.learning_rate_factor *= 0.9

    whole = regressor().fit(rows, valid=valid, callbacks=[Halving()])
    interrupted(rows, valid, where, (2, 3), Halving(), every_steps=2)
    newest = Checkpoint(where).names()[-1]
    if where.startswith("/"):
        shutil.rmtree(Path(where, newest))
    else:
        LocalHub(dc_hub.open_hub().path).remove(where, newest, remove_tags=True)
    assert Checkpoint(where).names()[-1] == "epoch-0002-step-000002"
    assert same_end(fitted(regressor(), rows, valid, where, Halving()), whole)


def test_the_last_checkpoints_and_the_best_are_kept(rows, valid, where, tmp_path):
    checkpoint = Checkpoint(where, keep_last=2)
    regressor().fit(rows, valid=valid, callbacks=[checkpoint])
    assert checkpoint.names() == ["epoch-0001", "epoch-0004", "epoch-0005"]
    if not where.startswith("/"):
        hub = LocalHub(tmp_path / "hub")
        tags = hub.tags(where)
        assert sorted(tags) == ["epoch-0001", "epoch-0004", "epoch-0005", "main"]
        assert tags["main"] == tags["epoch-0005"]
        assert len(hub.revisions(where)) == 3


def test_checkpoints_of_before_an_interruption_are_removed_as_well(rows, valid, where):
    interrupted(rows, valid, where, (3, 1), keep_last=2)
    assert Checkpoint(where).names() == ["epoch-0001", "epoch-0003", "epoch-0003-step-000001"]
    fitted(regressor(), rows, valid, where, keep_last=2)
    assert Checkpoint(where).names() == ["epoch-0001", "epoch-0004", "epoch-0005"]


def test_the_best_epoch_is_stored_whenever_it_is(rows, where):
    checkpoint = Checkpoint(where, every=4, keep_last=1, best=True)
    model = regressor(learning_rate=0.3, epochs=7).fit(
        rows, valid=linear(20, seed=1), callbacks=[checkpoint]
    )
    losses = [epoch.valid_loss for epoch in model.history]
    best = int(np.argmin(losses)) + 1
    assert best not in (4, 7)
    assert checkpoint.names() == [f"epoch-{best:04}", "epoch-0007"]
    assert checkpoint.best().endswith(f"epoch-{best:04}")
    assert same(MultitaskRegressor.from_pretrained(checkpoint.best()), model)


def test_minutes_count_too(rows, tmp_path):
    where = str(tmp_path / "run")
    checkpoint = Checkpoint(where, every=None, every_minutes=1e-9)
    regressor(epochs=1).fit(rows, callbacks=[checkpoint])
    assert len(checkpoint.names()) == 4
    other = Checkpoint(f"{where}-slow", every=None, every_minutes=60)
    regressor(epochs=1).fit(rows, callbacks=[other])
    assert other.names() == ["epoch-0001"]


def test_what_is_not_a_checkpoint_is_never_removed(rows, valid, tmp_path):
    where = tmp_path / "run"
    interrupted(rows, valid, str(where), (1, 2))
    mine = where / "epoch-0000"
    regressor(epochs=1).fit(rows).to_pretrained(mine)
    (where / "notes.txt").write_text("mine")
    copy = where / "epoch-0001.7"
    shutil.copytree(where / "epoch-0001", copy)
    fitted(regressor(), rows, valid, str(where), keep_last=1)
    assert mine.is_dir()
    assert copy.is_dir()
    assert (where / "notes.txt").read_text() == "mine"
    assert not (where / "epoch-0003").exists()


def test_other_revisions_and_tags_in_the_hub_are_never_removed(rows, valid, tmp_path):
    hub = LocalHub(tmp_path / "hub")
    interrupted(rows, valid, "run", (2, 2))
    dc_hub.set_tag("run", "mine", revision="epoch-0002")
    other = regressor(epochs=1).fit(rows).to_pretrained("run", move_main=False, tag="epoch-0000")
    fitted(regressor(), rows, valid, "run", keep_last=1)
    tags = hub.tags("run")
    assert tags.keys() == {"epoch-0000", "epoch-0001", "epoch-0005", "main", "mine"}
    assert tags["epoch-0000"] == other.revision
    assert sorted(hub.revisions("run")) == sorted(set(tags.values()))


def test_a_checkpoint_that_was_stored_but_not_tagged_is_removed(rows, valid, tmp_path):
    hub = LocalHub(tmp_path / "hub")
    interrupted(rows, valid, "run", (2, 2))
    hub.delete_tag("run", "epoch-0002")
    assert len(hub.revisions("run")) == 3
    fitted(regressor(), rows, valid, "run", keep_last=1)
    assert sorted(hub.revisions("run")) == sorted(set(hub.tags("run").values()))


def test_damaged_checkpoints_are_passed_over_and_stay(rows, valid, where, tmp_path, caplog):
    whole = regressor().fit(rows, valid=valid)
    interrupted(rows, valid, where, (3, 2))
    damaged = Checkpoint(where).names()[-2:]
    contents = {}
    for name in damaged:
        damage(where, name, tmp_path)
        contents[name] = {
            path.name: path.read_bytes() for path in files_of(where, name, tmp_path).iterdir()
        }
    recording = Recording()
    with caplog.at_level(logging.WARNING):
        model = fitted(regressor(), rows, valid, where, recording, keep_last=1)
    assert same_end(model, whole)
    assert recording.steps == 12
    for name in damaged:
        assert f"the checkpoint {name} is passed over" in caplog.text
        folder = files_of(where, name, tmp_path)
        assert contents[name] == {path.name: path.read_bytes() for path in folder.iterdir()}
    assert same_end(fitted(regressor(), rows, valid, where), whole)


def test_training_starts_if_all_checkpoints_are_damaged(rows, valid, where, tmp_path, caplog):
    interrupted(rows, valid, where, (1, 2))
    names = Checkpoint(where).names()
    for name in names:
        damage(where, name, tmp_path)
    model = fitted(regressor(), rows, valid, where)
    assert same_end(model, regressor().fit(rows, valid=valid))
    assert {*names, "epoch-0001.2", "epoch-0005"} <= {*Checkpoint(where).names()}


@pytest.mark.parametrize(
    ("other", "said"),
    [
        (lambda: regressor(learning_rate=0.5), r"options.learning_rate is 0.001 there, and 0.5"),
        (lambda: regressor(layer_sizes=(9,)), "layer_sizes"),
        (lambda: MultitaskClassifier(1, 8, layer_sizes=(8,)), "torch/MultitaskRegressor.* there"),
        (lambda: TorchModel(nn.Linear(8, 1)), "the class is 'torch/MultitaskRegressor'"),
    ],
    ids=["config", "architecture", "class", "module"],
)
def test_a_checkpoint_of_another_model_is_refused(rows, valid, tmp_path, other, said):
    where = str(tmp_path / "run")
    interrupted(rows, valid, where, (2, 2))
    model, recording = other(), Recording()
    before = model.get_weights()
    if isinstance(model, MultitaskClassifier):
        rows = NumpyDataset(rows.X, (rows.y > 0).astype(float))
        valid = NumpyDataset(valid.X, (valid.y > 0).astype(float))
    for resume in ("auto", False):
        with pytest.raises((TrainingStateError, AlreadyExists), match=said if resume else "alr"):
            fitted(model, rows, valid, where, recording, resume=resume)
    assert same(model.get_weights(), before)
    assert (model.get_training_state(), recording.steps) == ({}, 0)


@pytest.mark.parametrize("change", ["fewer", "labels", "tasks"])
def test_a_checkpoint_of_other_data_is_refused(rows, valid, tmp_path, change):
    where = str(tmp_path / "run")
    interrupted(rows, valid, where, (2, 2))
    other = {
        "fewer": rows.select(range(50)),
        "labels": NumpyDataset(rows.X, rows.y + 1),
        "tasks": NumpyDataset(rows.X, rows.y, tasks=["other"]),
    }[change]
    model = regressor()
    before = model.get_weights()
    judge = valid if change != "tasks" else NumpyDataset(valid.X, valid.y, tasks=["other"])
    with pytest.raises(TrainingStateError, match="other data"):
        fitted(model, other, judge, where)
    assert same(model.get_weights(), before)
    assert model.get_training_state() == {}
    assert same_end(fitted(model, rows, valid, where), regressor().fit(rows, valid=valid))


def occupy(tmp_path, rows, what):
    run = tmp_path / "run"
    if what == "file":
        run.write_text("mine")
    elif what == "files":
        run.mkdir()
        (run / "thesis.txt").write_text("mine")
    elif what == "model":
        regressor(epochs=1).fit(rows).to_pretrained(run)
    elif what == "index":
        run.mkdir()
        (run / "checkpoints.json").write_text("{}")
    elif what == "name":
        regressor(epochs=1).fit(rows).to_pretrained("run")
        return "run"
    return str(run)


@pytest.mark.parametrize("resume", [False, "auto"])
@pytest.mark.parametrize("what", ["file", "files", "model", "index", "name"])
def test_a_place_that_is_occupied_is_found_before_training(tmp_path, rows, what, resume):
    where = occupy(tmp_path, rows, what)
    there = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    recording = Recording()
    with pytest.raises(AlreadyExists):
        fitted(regressor(), rows, None, where, recording, resume=resume)
    assert recording.steps == 0
    assert there == {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}


TRAINS = """
import sys, time
sys.path.insert(0, sys.argv[2])
from test_checkpoints import Callback, fitted, linear, regressor


class Waiting(Callback):
    def on_step(self, model, step, steps):
        if model.position == (1, 2):
            print("begun", flush=True)
            sys.stdin.readline()


fitted(regressor(), linear(60, seed=0), linear(20, seed=1, sign=-1), sys.argv[1], Waiting())
"""


@contextmanager
def another_program(where):
    """Let another program train with checkpoints in ``where``; it waits within the second epoch."""
    command = [sys.executable, "-c", TRAINS, where, str(Path(__file__).parent)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as program:
        assert program.stdout.readline() == "begun\n"
        try:
            yield program
        finally:
            program.kill()


@pytest.mark.parametrize("resume", [False, "auto"])
def test_a_place_that_another_program_trains_into_is_refused(rows, valid, where, resume):
    recording, model = Recording(), regressor()
    with another_program(where) as program:
        with pytest.raises(CheckpointsInUse, match=f"Process {program.pid} on .*") as caught:
            fitted(model, rows, valid, where, recording, resume=resume)
        assert isinstance(caught.value, dc_hub.errors.HubError)
        assert Path(caught.value.path).name == "run"
        assert (recording.steps, model.history) == (0, ())
        program.stdin.write("go on\n")
        program.stdin.close()
        assert program.wait() == 0
    again = fitted(regressor(), rows, valid, where)
    assert same_end(again, regressor().fit(rows, valid=valid))


def test_what_a_killed_program_has_left_is_taken_over_at_once(rows, valid, where):
    with another_program(where) as program:
        program.kill()
        program.wait()
        began = time.monotonic()
        model = fitted(regressor(), rows, valid, where)
    assert time.monotonic() - began < 30
    assert same_end(model, regressor().fit(rows, valid=valid))


def test_a_program_whose_place_was_taken_over_stores_nothing_more(rows, valid, where, tmp_path):
    folder = Path(where) if where.startswith("/") else tmp_path / "hub" / where

    def taken_over():
        (folder / ".lock").write_text("elsewhere 77 another")

    model, checkpoint = regressor(), Checkpoint(where)
    with pytest.raises(CheckpointsInUse, match="Process 77 on elsewhere has taken over"):
        model.fit(rows, valid=valid, callbacks=[checkpoint, Ending((2, 1), taken_over)])
    assert checkpoint.names() == ["epoch-0001", "epoch-0002"]
    assert model.position == (3, 0)
    assert (folder / ".lock").exists()


def test_training_leaves_no_lease_behind_however_it_ends(rows, valid, where, tmp_path):
    interrupted(rows, valid, where, (2, 2))
    with pytest.raises(TrainingStateError):
        fitted(regressor(learning_rate=0.5), rows, valid, where)
    fitted(regressor(), rows, valid, where)
    assert not list(tmp_path.rglob("*.lock*"))
    other = f"{where}2"
    with pytest.raises(NotSerializable):
        fitted(regressor(loss=lambda output, y: (output - y) ** 2), rows, valid, other)
    assert not list(tmp_path.rglob("run2"))


@pytest.mark.parametrize("options", [{"epochs": 7}, {"patience": 1}, {"accumulate": 2}])
def test_training_goes_on_from_a_checkpoint_with_another_end(rows, valid, where, options):
    interrupted(rows, valid, where, (2, 2))
    model = fitted(regressor(**options), rows, valid, where)
    expected = {"epochs": 7, "patience": len(model.history)}.get(next(iter(options)), 5)
    assert len(model.history) == expected
    assert len(Checkpoint(where).names()) >= 3


def test_a_checkpoint_of_other_validation_rows_is_refused(rows, valid, where):
    interrupted(rows, valid, where, (2, 2))
    model = regressor()
    with pytest.raises(TrainingStateError, match="other validation rows"):
        fitted(model, rows, linear(20, seed=2), where)
    assert model.get_training_state() == {}


def test_checkpoints_are_not_mixed_with_those_of_earlier_training(rows, where):
    model = fitted(regressor(), rows, None, where)
    with pytest.raises(AlreadyExists, match=r'resume="auto"'):
        fitted(regressor(), rows, None, where, resume=False)
    first = MultitaskRegressor.from_pretrained(
        f"{where}/epoch-0002" if where.startswith("/") else f"{where}@epoch-0002", training=True
    )
    with pytest.raises(AlreadyExists, match="up to epoch-0005"):
        fitted(first, rows, None, where, resume=True)
    assert first.position == (2, 0)
    model.fit(rows, epochs=1, callbacks=[Checkpoint(where)], resume=True)
    assert Checkpoint(where).names()[-1] == "epoch-0006"


@pytest.fixture
def web_hub(tmp_path):
    """A hub on a web server, which nobody can write to."""
    regressor(epochs=1).fit(linear(20, 0)).to_pretrained("other", hub=tmp_path / "served")

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *arguments):
            pass

    handler = partial(Quiet, directory=str(tmp_path / "served"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_place_that_cannot_be_written_is_found_before_training(rows, tmp_path, web_hub):
    (tmp_path / "file").write_text("mine")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{unused.getsockname()[1]}"
    for where, options in (
        (str(tmp_path / "file" / "run"), {}),
        ("net", {"hub": tmp_path / "file"}),
        ("net", {"hub": web_hub}),
        (f"{nowhere}/net", {}),
    ):
        recording = Recording()
        with pytest.raises(StorageUnavailable):
            fitted(regressor(), rows, None, where, recording, **options)
        assert recording.steps == 0


class Unregistered(nn.Linear):
    pass


def test_a_model_that_cannot_be_stored_is_found_before_training(rows, where, tmp_path):
    recording = Recording()
    with pytest.raises(NotSerializable, match="not registered"):
        fitted(TorchModel(nn.Sequential(Unregistered(8, 1))), rows, None, where, recording)
    assert recording.steps == 0
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"evry_steps": 2}, "Did you mean 'every_steps'"),
        ({"training": True}, "Leave it out"),
        ({"keep_last": 0}, "keep_last"),
        ({"every_minutes": -1}, "every_minutes"),
    ],
)
def test_an_option_that_cannot_be_used_is_found_before_training(rows, tmp_path, options, said):
    with pytest.raises(ParameterError, match=said):
        fitted(regressor(), rows, None, str(tmp_path / "run"), **options)


def test_a_place_for_the_number_of_the_epoch_is_refused():
    with pytest.raises(ParameterError, match="directory of all checkpoints"):
        Checkpoint("./run/{epoch:03}")


def test_going_on_by_itself_needs_a_checkpoint(rows):
    with pytest.raises(ParameterError, match="Checkpoint"):
        regressor().fit(rows, resume="auto")
    with pytest.raises(ParameterError, match="resume"):
        regressor().fit(rows, resume="always")


def test_the_number_of_epochs_is_that_of_all_runs(rows, where):
    assert fitted(regressor(), rows, None, where, every=2).position == (5, 0)
    checkpoint = Checkpoint(f"{where}-short")
    for _ in range(2):
        model = regressor().fit(rows, epochs=3, callbacks=[checkpoint], resume="auto")
        assert model.position == (3, 0)


def test_of_two_places_the_newest_checkpoint_counts(rows, valid, tmp_path):
    whole = regressor().fit(rows, valid=valid)

    def places():
        return [
            Checkpoint(str(tmp_path / "often"), every=1, keep_last=2),
            Checkpoint("seldom", every=2),
        ]

    model = regressor()
    with pytest.raises(KeyboardInterrupt):
        model.fit(rows, valid=valid, callbacks=[*places(), Ending((3, 2), pressed)])
    shutil.rmtree(tmp_path / "often" / "epoch-0003-step-000002")
    dc_hub.rm("seldom@epoch-0003-step-000002", remove_tags=True)
    recording, again = Recording(), regressor()
    again.fit(rows, valid=valid, callbacks=[*places(), recording], resume="auto")
    assert recording.steps == 8
    assert same_end(again, whole)
    assert places()[1].names() == ["epoch-0002", "epoch-0004", "epoch-0005"]


class Full(Callback):
    """Lets the system refuse files of more than some bytes, between two epochs."""

    def __init__(self, first, last):
        self.first, self.last = first, last
        self.before = resource.getrlimit(resource.RLIMIT_FSIZE)

    def on_epoch_end(self, model, epoch):
        full = self.first <= epoch.number < self.last
        soft = 4096 if full else self.before[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, self.before[1]))

    def on_fit_end(self, model):
        resource.setrlimit(resource.RLIMIT_FSIZE, self.before)


def test_a_full_disk_is_logged_and_training_goes_on(rows, valid, where, caplog):
    model = regressor(layer_sizes=(300,))
    checkpoint = Checkpoint(where)
    model.fit(rows, valid=valid, callbacks=[Full(2, 4), checkpoint])
    assert checkpoint.names() == ["epoch-0001", "epoch-0004", "epoch-0005"]
    assert "training goes on, but the checkpoint epoch-0002 is not stored" in caplog.text
    assert same(model, regressor(layer_sizes=(300,)).fit(rows, valid=valid))


def test_what_cannot_be_stored_at_the_end_is_an_error_and_the_last_checkpoint_is_kept(
    rows, valid, where
):
    class FullToTheEnd(Full):
        def on_fit_end(self, model):
            pass

    model, full = regressor(layer_sizes=(300,)), FullToTheEnd(3, 9)
    try:
        with pytest.raises(StorageUnavailable):
            fitted(model, rows, valid, where, full)
    finally:
        Full.on_fit_end(full, model)
    assert model.position == (5, 0)
    assert Checkpoint(where).names() == ["epoch-0001", "epoch-0002"]
    again = fitted(regressor(layer_sizes=(300,)), rows, valid, where)
    assert same_end(again, model)


SMILES = ["C" * n + tail for n in range(1, 21) for tail in ("", "O", "N")]


def pipeline():
    return Pipeline(
        MultitaskRegressor(1, 64, layer_sizes=(8,), epochs=4, batch_size=16, dropout=0.2),
        ECFP(size=64),
        [NormalizationTransformer("y")],
    )


@pytest.mark.parametrize("position", [(0, 2), (2, 3)])
def test_within_a_pipeline_the_whole_pipeline_is_stored_and_resumed(where, position):
    smiles = NumpyDataset(SMILES, np.array([[float(len(s))] for s in SMILES]))
    valid = NumpyDataset(SMILES[:9], -np.array([[float(len(s))] for s in SMILES[:9]]))
    whole = pipeline().fit(smiles, valid=valid)
    interrupted(smiles, valid, where, position, model=pipeline(), every_steps=1, keep_last=2)
    newest = Checkpoint(where).newest()
    stored = Pipeline.from_pretrained(newest, training=True)
    assert len(stored.training_rows) == len(SMILES)
    assert stored.predict(["CCO"]).shape == (1, 1)
    model = fitted(pipeline(), smiles, valid, where, every_steps=1, keep_last=2)
    assert same_end(model, whole)
    assert same_end(stored.fit(smiles, valid=valid, resume=True), whole)
    with pytest.raises(TrainingStateError, match="other data"):
        fitted(pipeline(), smiles.select(range(50)), valid, where)
    with pytest.raises(TrainingStateError, match="featurizer"):
        fitted(Pipeline(model.model, ECFP(3, 64)), smiles, valid, where)


def test_a_generator_in_a_pipeline_is_resumed(tmp_path):
    where = str(tmp_path / "run")
    tokens = SmilesTokens.learn(SMILES)

    def build():
        network = SequenceGenerator(
            tokens.size, hidden_size=8, embedding_size=4, max_length=24, epochs=3, batch_size=16
        )
        return GeneratorPipeline(network, tokens)

    rows = NumpyDataset(SMILES)
    whole = build().fit(rows)
    with pytest.raises(KeyboardInterrupt):
        build().fit(rows, callbacks=[Checkpoint(where), Ending((1, 1), pressed)])
    stored = GeneratorPipeline.from_pretrained(Checkpoint(where).newest())
    assert len(stored.sample(3, seed=0)) == 3
    again = build().fit(rows, callbacks=[Checkpoint(where)], resume="auto")
    assert same_end(again, whole)


def test_classes_with_other_names_are_refused(rows):
    where = "run"
    y = (rows.y > 0).astype(float)

    def named(names):
        return NumpyDataset(rows.X, y, tasks=["active"], classes={"active": names})

    def build():
        return MultitaskClassifier(1, 8, layer_sizes=(8,), epochs=3, batch_size=16)

    interrupted(named(["no", "yes"]), None, where, (1, 2), model=build())
    with pytest.raises(Exception, match="class"):
        fitted(build(), named(["yes", "no"]), None, where)
    model = fitted(build(), named(["no", "yes"]), None, where)
    assert dict(model.classes) == {"active": ("no", "yes")}


def test_options_of_storing_are_passed_on(rows, tmp_path):
    hub = tmp_path / "mine"
    checkpoint = Checkpoint("net", hub=hub, tag="running", metadata={"task": "logS"}, licence="MIT")
    regressor(epochs=2).fit(rows, callbacks=[checkpoint])
    assert LocalHub(hub).tags("net").keys() == {"epoch-0001", "epoch-0002", "main", "running"}
    metadata = dc_hub.info("net", hub=hub).metadata
    assert (metadata["task"], metadata["checkpoint"]) == ("logS", "epoch-0002")
