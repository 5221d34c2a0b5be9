"""Killed at any system call, or let down by any, an operation leaves the old state or the new one.

The calls are those that the kernel sees (see syscalls.py). By default a process is killed before
each call that changes a file or asks a server, and each of those calls fails once; with
DC_HUB_TESTS_EVERY_CALL=1 that is each system call, and every error that it can fail with.
"""

from __future__ import annotations

import errno
import os
import re
import runpy
import shutil
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_hub import HubError, LocalHub, open_hub, publish, save, write_index
from dc_hub.errors import HubUnavailable, ModelNotFound, RevisionNotFound
from dc_hub.format.manifest import read_manifest, verify_directory
from dc_hub.hubs.index import parse_index
from dc_hub.remote.cache import Cache

syscalls = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("syscalls.py"))))

EVERY_CALL = bool(os.environ.get("DC_HUB_TESTS_EVERY_CALL"))
GONE = (ModelNotFound, RevisionNotFound, HubUnavailable)
"""What removing something again may say, once it is removed."""

pytestmark = [
    pytest.mark.skipif(not syscalls.available, reason="system calls are watched on Linux, x86-64"),
    pytest.mark.needs("fork", "process numbers"),
    pytest.mark.filterwarnings("ignore:This process:DeprecationWarning"),
]


@pytest.fixture(scope="module", autouse=True)
def watched():
    """Skip where the system does not let a process watch its children."""
    if syscalls.available:
        try:
            syscalls.watch(lambda: None, typed=HubError)
        except PermissionError as error:
            pytest.skip(str(error))


@dataclass
class World:
    """A place with a hub, a cache and a project, as they are before an operation."""

    place: Path
    template: Path
    url: str = ""

    @property
    def hub(self):
        return LocalHub(self.place / "hub")

    @property
    def cache(self):
        return Cache(self.place / "cache")

    @property
    def remote(self):
        return open_hub(self.url)

    def reset(self):
        shutil.rmtree(self.place, ignore_errors=True)
        shutil.copytree(self.template, self.place, symlinks=True)


@contextmanager
def served(folder):
    """Serve a folder over HTTP in a process of its own, and yield the URL."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--directory", str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert server.stdout is not None
        port = re.search(r"port (\d+)", server.stdout.readline())[1]
        yield f"http://127.0.0.1:{port}"
    finally:
        server.kill()
        server.communicate()


@pytest.fixture(scope="module")
def memory(tmp_path_factory):
    """A folder in memory, where the system has one: trials sync their files all the time."""
    if not os.access("/dev/shm", os.W_OK):
        yield tmp_path_factory.mktemp("memory")
        return
    with tempfile.TemporaryDirectory(dir="/dev/shm") as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def server(memory):
    """The URL of a server of the template's hub."""
    (memory / "template" / "hub").mkdir(parents=True)
    with served(memory / "template" / "hub") as url:
        yield url


def make_template(template, models):
    """A hub with the models ``m`` (two revisions) and ``lab/other``, a cache, and a project."""
    hub = LocalHub(template / "hub")
    publish(models.one, "m", hub=hub, tag="v1")
    publish(models.two, "m", hub=hub, tag="v2")
    publish(models.three, "lab/other", hub=hub, golden=np.ones((2, 4)), shard_size=64)
    (template / "cache").mkdir()
    dc_hub.pin("m@v1", hub=hub, lock=template / "dchub.lock")
    write_index(hub.path)
    save(models.three, models.saved, golden=np.ones((2, 4)))
    old = time.time() - 1e6
    for leftover in ("m/.tmp-a", "m/revisions/.tmp-b", "m/refs/.lock.c"):
        (hub.path / leftover).mkdir()
        for file in ("one", "two"):
            (hub.path / leftover / file).write_bytes(b"half")
        for path in [*(hub.path / leftover).glob("*"), hub.path / leftover]:
            os.utime(path, (old, old))


@pytest.fixture
def world(memory, server, models, dataset, monkeypatch):
    """A copy of the template, which is made once and served over HTTP."""
    Linear, template = models["Linear"], memory / "template"
    one, two, three = (Linear(alpha).fit(dataset) for alpha in (1.0, 2.0, 3.0))
    trained = SimpleNamespace(one=one, two=two, three=three, saved=memory / "saved")
    if not trained.saved.exists():
        make_template(template, trained)
    monkeypatch.setenv("DEEPCHEM_CACHE", str(memory / "world" / "cache"))
    # A lease that was created and has no owner yet can only be waited for.
    monkeypatch.setattr("dc_hub.files.lease.TERM", 0.05)
    world = World(memory / "world", template, server)
    world.models = trained
    hub = LocalHub(template / "hub")
    world.revisions = {tag: hub.resolve("m", tag).revision for tag in ("v1", "v2")}
    world.reset()
    world.unfinished = set(leftovers(world))
    return world


def damaged(world):
    """Let the cache hold a model of which one file is damaged."""
    pulled = dc_hub.pull("m@v1", hub=world.url)
    file = pulled.path / "README.md"
    file.write_bytes(file.read_bytes()[:-1] + b"?")


PUBLISH = {
    "the first revision": lambda w: publish(
        w.models.three,
        "lab/new",
        hub=w.hub,
        tag="v1",
        golden=np.ones((2, 4)),
        shard_size=64,
    ),
    "the next revision": lambda w: publish(w.models.three, "m", hub=w.hub, tag="v3"),
    "a directory": lambda w: dc_hub.publish_directory(w.models.saved, "m", hub=w.hub),
    "a saved model": lambda w: save(w.models.three, w.place / "saved"),
}
MANAGE = {
    "a new tag": lambda w: dc_hub.set_tag("m", "v9", hub=w.hub),
    "a moved tag": lambda w: dc_hub.move_tag("m", "main", hub=w.hub, revision="v1"),
    "a deleted tag": lambda w: dc_hub.delete_tag("m", "v1", hub=w.hub),
    # by its digest: a tag that was deleted names nothing any more
    "a removed revision": lambda w: dc_hub.rm(
        f"m@{w.revisions['v2']}", hub=w.hub, remove_tags=True
    ),
    "a removed model": lambda w: dc_hub.rm("m", hub=w.hub),
    "collected garbage": lambda w: w.hub.gc("m"),
    "an index": lambda w: write_index(w.hub.path),
    "a pin": lambda w: dc_hub.pin("m@v2", hub=w.hub, lock=w.place / "dchub.lock"),
}
PULL = {
    "a pull": lambda w: dc_hub.pull("lab/other", hub=w.url),
    "a pull of a damaged model": lambda w: dc_hub.pull("m@v1", hub=w.url),
    "a load": lambda w: dc_hub.from_pretrained("m", hub=w.url),
}
OPERATIONS = PUBLISH | MANAGE | PULL
BEFORE = {"a pull of a damaged model": damaged}


def state(world):
    """Return all that a reader can find, each part of it verified."""
    hub, found = world.hub, {}
    names = hub.names() if hub.path.exists() else []
    for name in names:
        revisions, tags = hub.revisions(name), hub.tags(name)
        for revision in revisions:
            hub.fetch(hub.resolve(name, revision), verify=True)
        assert set(tags.values()) <= set(revisions), (name, tags)
        found |= {(name, "tag", tag): target for tag, target in tags.items()}
        found |= {(name, "revision", revision): True for revision in revisions}
    for revision in world.cache.revisions():
        folder = world.cache.path(revision)
        with suppress(HubError):  # one that was damaged before may be there, and is not used
            verify_directory(folder, read_manifest(folder, revision, str(folder)))
            found["cache", revision] = True
    found["pins"] = tuple(dc_hub.read_pins(world.place / "dchub.lock").items())
    found["index"] = tuple(sorted(parse_index((hub.path / "index.json").read_bytes(), "index")))
    if (world.place / "saved").exists():
        found["saved"] = dc_hub.verify(world.place / "saved").revision
    return found


def leftovers(world):
    """Return what is unfinished in hub and cache; nothing is collected in a user's own folder."""
    found = [
        *(p for p in world.place.glob("*/**/*") if p.name.startswith((".tmp-", ".lock"))),
        *world.cache.folder.glob("partial/*"),
    ]
    return sorted(str(path.relative_to(world.place)) for path in found)


def collect(world):
    """Remove leftovers as a user does, and return what stays all the same."""
    world.hub.gc(older_than=0.0)
    world.cache.gc(older_than=0.0)
    return leftovers(world)


def outcome(world, operation):
    """Run an operation here to its end, and return the state after it."""
    with suppress(*GONE):
        OPERATIONS[operation](world)
    return state(world)


def check_between(found, old, new):
    """Check that each thing in ``found`` is as it was or as it will be."""
    for key in found.keys() | old.keys() | new.keys():
        assert found.get(key) in (old.get(key), new.get(key)), key


def begin(world, operation):
    """Return the states before and after an operation, and bring back the one before it."""
    if operation in BEFORE:
        BEFORE[operation](world)
        world.template = world.template.with_name("changed")
        shutil.rmtree(world.template, ignore_errors=True)
        shutil.copytree(world.place, world.template, symlinks=True)
    old = state(world)
    new = outcome(world, operation)
    world.reset()
    return old, new


def check_recovery(world, operation, new):
    assert outcome(world, operation) == new
    assert collect(world) == []


def anything(call):
    return True


def changing(call):
    return call.changes


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_killed_at_any_call_leaves_the_old_state_or_the_new(
    world, operation, record_property
):
    old, new = begin(world, operation)
    counted = anything if EVERY_CALL else changing
    number, seen = 0, []
    while True:
        number += 1
        run = syscalls.watch(
            lambda: OPERATIONS[operation](world),
            syscalls.killed_at(number, counted),
            typed=HubError,
        )
        if not run.killed:
            break
        found = state(world)
        check_between(found, old, new)
        seen.append(found)
        check_recovery(world, operation, new)
        world.reset()
    record_property("trials", number)
    assert run.error == "", run.trace
    assert number > 5
    assert old in seen
    assert old == new or new in seen


CODES = (errno.ENOSPC, errno.EIO, errno.EROFS, errno.EMFILE, errno.EDQUOT)


def failing(world, operation, call, code, states, **how):
    """Let one call (or all from there on) fail; check the outcome; tell whether there was one."""
    old, new = states
    run = syscalls.watch(
        lambda: OPERATIONS[operation](world),
        syscalls.failing_at(call, code, **how),
        typed=HubError,
    )
    told = f"{errno.errorcode[code]} of {[*map(str, run.failed)]}: {run.error}\n{run.trace}"
    assert not run.killed, told
    assert not run.error.startswith("untyped"), told
    found = state(world)
    check_between(found, old, new)
    assert found == new or run.error, told
    unfinished = {path for path in leftovers(world) if ".tmp-" in path}
    if run.error and not how.get("and_after"):
        assert unfinished <= world.unfinished, told
    if run.failed:
        check_recovery(world, operation, new)
        world.reset()
    return bool(run.failed)


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_call_that_fails_is_a_typed_error_and_nothing_is_lost(world, operation, record_property):
    states = begin(world, operation)
    trials = 0
    for number, code in enumerate(CODES):
        calls = range(1, 10**6) if EVERY_CALL else range(number + 1, 10**6, len(CODES))
        which = anything if EVERY_CALL else changing
        for call in calls:
            trials += 1
            if not failing(world, operation, call, code, states, which=which):
                break
    record_property("trials", trials)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS], ids=["full", "read-only"])
@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_disk_that_stays_full_or_read_only_loses_nothing(world, operation, code):
    states = begin(world, operation)
    call = 1
    while failing(world, operation, call, code, states, and_after=True, which=changing):
        call += 1 if EVERY_CALL else 4


@pytest.mark.parametrize("operation", PUBLISH)
def test_what_is_renamed_was_synced_before_and_its_folder_is_synced_after(world, operation):
    """What a power cut needs, which no kill can show."""
    calls = syscalls.watch(lambda: OPERATIONS[operation](world), typed=HubError).calls
    told = [(call.name, call.about) for call in calls]
    renames = [i for i, (name, _) in enumerate(told) if name == "rename"]
    assert renames
    for i in renames:
        moved = told[i][1]
        written = {
            call.about
            for call in calls[:i]
            if call.creates and (call.about == moved or call.about.startswith(f"{moved}/"))
        }
        assert written
        for path in {moved, *written}:
            assert ("fsync", path) in told[:i]
        assert ("fsync", str(Path(moved).parent)) in told[i:]
