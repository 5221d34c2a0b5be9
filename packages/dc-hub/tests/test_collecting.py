"""``gc``: what nobody needs is removed, while others publish and load; nothing else is."""

import json
import os
import runpy
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_core.errors import ParameterError
from dc_hub import LocalHub, from_pretrained, gc, open_hub, publish
from dc_hub.command import program
from dc_hub.errors import HubUnavailable
from dc_hub.files import using
from dc_hub.files.lease import owner
from dc_hub.hubs.contract import StoredModel
from dc_hub.loading.opening import open_model
from dc_hub.remote.cache import Cache

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(using, "GRACE", 0.0)


def age(path, days):
    """Make a file or a directory with its content look as if it had not changed for days."""
    then = time.time() - days * 86_400
    for inner in [*(path.rglob("*") if path.is_dir() else ()), path]:
        os.utime(inner, (then, then), follow_symlinks=False)


@pytest.fixture
def two(hub, models, dataset):
    """A model of two revisions, the first of which has no tag; both are old."""
    first = publish(models["Linear"](1.0).fit(dataset), "lab/m", hub=hub)
    second = publish(models["Linear"](2.0).fit(dataset), "lab/m", hub=hub)
    age(hub.path, 30)
    return first, second


def leave(path, *, old):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.mkdir()
    (path / "file").write_bytes(b"x" * 100)
    age(path, 30 if old else 0)
    return path


def test_what_crashed_processes_left_is_removed_and_nothing_else(hub, two, cache):
    old = [
        leave(hub.path / ".tmp-1", old=True),
        leave(hub.path / "lab" / ".tmp-2", old=True),
        leave(hub.path / "lab" / "m" / "revisions" / ".tmp-3", old=True),
        leave(hub.path / "gone" / ".tmp-4", old=True),
        leave(cache / "partial" / ("a" * 64), old=True),
        leave(cache / "models" / ".tmp-5", old=True),
    ]
    new = [
        leave(hub.path / "lab" / "m" / "revisions" / ".tmp-6", old=False),
        leave(cache / "partial" / ("b" * 64), old=False),
    ]
    found = gc(hub=hub, dry_run=True)
    assert sorted(garbage.path for garbage in found) == sorted(old)
    assert {garbage.size for garbage in found} == {100}
    assert all(path.exists() for path in old)
    assert sorted(garbage.path for garbage in gc(hub=hub)) == sorted(old)
    assert not any(path.exists() for path in old)
    assert all(path.exists() for path in new)
    assert hub.revisions("lab/m") == sorted(model.revision for model in two)
    assert gc(hub=hub) == []


def test_leftovers_of_each_of_several_hubs_are_found(hub, two, tmp_path):
    (tmp_path / "second").mkdir()
    old = [leave(path / ".tmp-1", old=True) for path in (hub.path, tmp_path / "second")]
    assert [garbage.path for garbage in gc(hub=[hub, tmp_path / "second"])] == old


def test_a_publication_that_takes_days_is_not_a_leftover(hub, two):
    folder = leave(hub.path / "lab" / "m" / "revisions" / ".tmp-1", old=True)
    with (folder / "file").open("ab") as file:
        file.write(b"more")  # which does not change the folder's own time
    assert gc(hub=hub) == []


@pytest.mark.needs("process numbers")
def test_a_download_that_a_living_process_holds_is_no_leftover(hub, two, cache):
    folder = leave(cache / "partial" / ("a" * 64), old=True)
    lock = folder.with_name(f"{folder.name}.lock")
    lock.write_text(owner())
    assert gc(hub=hub) == []
    host, _, rest = owner().split()
    lock.write_text(f"{host} {2**22 + 1} {rest}")
    age(lock, 30)
    assert {garbage.path for garbage in gc(hub=hub)} == {folder, lock}


def test_marks_of_dead_processes_are_removed(hub, two, cache):
    revision = "a" * 64
    (cache / "models" / revision).mkdir(parents=True)
    (cache / "used").mkdir()
    (cache / "used" / revision).touch()
    alive, ancient = cache / "used" / f"{revision}.1", cache / "used" / f"{revision}.2"
    for mark in (alive, ancient):
        mark.write_text(owner())
    age(ancient, 2)
    gone = cache / "used" / ("b" * 64)
    gone.touch()
    assert sorted(garbage.path for garbage in gc(hub=hub)) == sorted([ancient, gone])
    assert alive.exists()


def test_the_note_of_a_model_that_is_about_to_appear_stays(hub, two, cache, monkeypatch):
    monkeypatch.setattr(using, "GRACE", 60.0)
    (cache / "used").mkdir(parents=True)
    using.touch(cache, "a" * 64)
    assert gc(hub=hub) == []


def test_revisions_without_tags_are_removed_on_request_if_they_are_old(hub, two):
    first, second = two
    assert gc(hub=hub) == []
    assert gc(hub=hub, unreferenced=True, keep_days=31) == []
    (found,) = gc(hub=hub, unreferenced=True, dry_run=True)
    assert (found.kind, found.name, found.revision) == ("revision", "lab/m", first.revision)
    assert found.size == sum(file.stat().st_size for file in first.path.iterdir())
    assert gc(hub=hub, unreferenced=True) == [found]
    assert hub.revisions("lab/m") == [second.revision]
    assert from_pretrained("lab/m", hub=hub, verify="full").alpha == 2.0


def test_a_model_without_any_tag_is_removed_whole(hub, two):
    dc_hub.delete_tag("lab/m", "main", hub=hub, force=True)
    assert len(gc(hub=hub, unreferenced=True)) == 2
    assert hub.names() == []


def test_a_revision_that_gets_a_tag_meanwhile_stays(hub, two, monkeypatch):
    first, _ = two
    remove = LocalHub.remove

    def tag_first(self, name, revision, **more):
        dc_hub.set_tag(f"{name}@{revision}", "v1", hub=self)
        return remove(self, name, revision, **more)

    monkeypatch.setattr(LocalHub, "remove", tag_first)
    assert gc(hub=hub, unreferenced=True) == []
    assert from_pretrained("lab/m@v1", hub=hub).alpha == 1.0
    assert first.path.exists()


def test_publishing_a_revision_again_makes_it_young(hub, two, models, dataset):
    again = publish(models["Linear"](1.0).fit(dataset), "lab/m", hub=hub, tag="x", move_main=False)
    dc_hub.delete_tag("lab/m", "x", hub=hub)
    assert again.revision == two[0].revision
    assert gc(hub=hub, unreferenced=True) == []


# The cache


@pytest.fixture
def cached(hub, two, cache):
    """Two models in the cache, and the server that they came from."""
    with web.serve(hub.path) as server:
        for model in two:
            dc_hub.pull("lab/m", hub=server.url, revision=model.revision)
            os.utime(cache / "used" / model.revision, (1, 1) if model is two[0] else None)
        yield server


def test_cached_models_are_removed_on_request_those_used_longest_ago_first(hub, two, cached, cache):
    sizes = [sum(f.stat().st_size for f in model.path.iterdir()) for model in two]
    assert gc(hub=hub) == []
    assert gc(hub=hub, cache=True, limit=sum(sizes)) == []
    (found,) = gc(hub=hub, cache=True, limit=sum(sizes) - 1)
    assert (found.kind, found.name, found.revision) == ("cached", "lab/m", two[0].revision)
    assert Cache(cache).revisions() == [two[1].revision]
    assert [garbage.revision for garbage in gc(hub=hub, cache=True)] == [two[1].revision]
    assert Cache(cache).revisions() == []
    assert from_pretrained("lab/m", hub=cached.url).alpha == 2.0


def test_a_cached_model_that_is_being_loaded_stays(hub, two, cached, cache):
    model = StoredModel("lab/m", two[0].revision, Cache(cache).path(two[0].revision))
    with open_model(model):
        assert [garbage.revision for garbage in gc(hub=hub, cache=True)] == [two[1].revision]
    assert Cache(cache).revisions() == [two[0].revision]


# Hubs that are not there, or elsewhere


def test_a_default_hub_that_is_not_there_yet_has_no_garbage_and_a_named_one_is_an_error(tmp_path):
    assert gc() == []
    with pytest.raises(HubUnavailable):
        gc(hub=tmp_path / "none")


def test_revisions_of_a_hub_elsewhere_are_not_removed(cached):
    assert gc(hub=cached.url) == []
    with pytest.raises(ParameterError, match="dc-hub rm"):
        gc(hub=open_hub(cached.url), unreferenced=True)


@pytest.mark.parametrize("options", [{"keep_days": -1}, {"limit": -1}])
def test_negative_numbers_are_a_typed_error(hub, options):
    with pytest.raises(ParameterError):
        gc(hub=hub, **options)


# Races

PUBLISH = """
import sys, time
sys.path.insert(0, sys.argv[2])
import numpy as np
import conftest, dc_hub
from dc_hub.errors import RevisionNotFound
model = conftest.Linear()
deadline = time.monotonic() + 3.0
count = 0
while time.monotonic() < deadline or not count:
    model.coefficients, model.intercept = np.full((4, 2), float(count)), np.full(2, float(count))
    try:
        dc_hub.publish(model, "m", hub=sys.argv[1])
    except RevisionNotFound:  # it took longer for its tag than it was kept
        continue
    count += 1
print(count)
"""

LOAD = """
import sys, time
sys.path.insert(0, sys.argv[2])
import conftest, dc_hub
from dc_hub.errors import ModelRemoved, ModelNotFound, RevisionNotFound
deadline = time.monotonic() + 3.0
loaded = 0
while time.monotonic() < deadline or not loaded:
    try:
        model = dc_hub.from_pretrained("m", hub=sys.argv[1])
    except (ModelRemoved, ModelNotFound, RevisionNotFound):
        continue
    assert (model.coefficients == model.intercept[0]).all()
    loaded += 1
print(loaded)
"""


def test_gc_in_a_loop_disturbs_neither_publishers_nor_loaders(hub, models):
    model = models["Linear"]()
    model.coefficients, model.intercept = np.zeros((4, 2)), np.zeros(2)
    publish(model, "m", hub=hub)
    tests = str(Path(__file__).parent)
    programs = [
        subprocess.Popen(
            [sys.executable, "-c", code, str(hub.path), tests], stdout=subprocess.PIPE, text=True
        )
        for code in (PUBLISH, LOAD, LOAD)
    ]
    removed = 0
    while any(program.poll() is None for program in programs):
        removed += len(gc(hub=hub, unreferenced=True, keep_days=0.5 / 86_400))
        time.sleep(0.01)
    counts = [int(program.communicate()[0]) for program in programs]
    assert [program.returncode for program in programs] == [0, 0, 0]
    assert min(counts) > 0
    assert removed > 0
    dc_hub.verify("m", hub=hub)


# The command


@pytest.fixture
def run(monkeypatch, capsys):
    def run(*arguments, answer=""):
        monkeypatch.setattr(sys, "argv", ["dc-hub", *map(str, arguments)])
        monkeypatch.setattr("click.termui.visible_prompt_func", lambda _: answer)
        with pytest.raises(SystemExit) as caught:
            program.main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


def test_the_command_shows_what_it_would_remove_and_does_nothing_if_told_so(run, hub, two):
    code, out, _ = run("gc", "--unreferenced", "--dry-run", "--hub", hub.path)
    assert code == 0
    assert two[0].revision[:12] in out
    assert "1 item" in out
    assert "would be removed" in out
    code, out, _ = run("gc", "--unreferenced", "--dry-run", "--json", "--hub", hub.path)
    assert json.loads(out)[0]["revision"] == two[0].revision
    assert two[0].path.exists()


def test_the_command_asks_before_it_removes_models(hub, two):
    command = [
        *(Path(sys.executable).with_name("dc-hub"), "gc", "--unreferenced", "--hub", hub.path),
    ]
    no = subprocess.run(command, input="n\n", capture_output=True, text=True)
    assert no.returncode == 1
    assert "Remove 1 item" in no.stderr
    assert two[0].path.exists()
    yes = subprocess.run(command, input="y\n", capture_output=True, text=True)
    assert yes.returncode == 0, yes.stderr
    assert not two[0].path.exists()


def test_the_command_removes_without_asking_if_told_so(run, hub, two):
    code, out, _ = run("gc", "--unreferenced", "--yes", "--hub", hub.path, "--json")
    assert (code, json.loads(out)[0]["kind"]) == (0, "revision")
    assert not two[0].path.exists()


@pytest.mark.parametrize(
    "arguments", [("--limit", "1GB"), ("--cache", "--limit", "much"), ("--keep-days", "-1")]
)
def test_wrong_usage_exits_with_two(run, hub, two, arguments):
    assert run("gc", *arguments, "--hub", hub.path)[0] == 2
