"""The cache: its limit, what is reused of it, what is never removed from it, and full disks."""

import contextlib
import errno
import json
import os
import runpy
import shutil
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_core.errors import ParameterError
from dc_hub import from_pretrained, open_hub, publish
from dc_hub.errors import FileMissing, ModelRemoved, NoRoom
from dc_hub.files import using
from dc_hub.files.lease import lease
from dc_hub.files.sizes import parse_size, show_size
from dc_hub.format.manifest import CHUNK
from dc_hub.hubs.contract import StoredModel
from dc_hub.loading.opening import open_model
from dc_hub.remote.cache import Cache
from dc_hub.remote.reuse import known_chunks

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


@pytest.fixture
def served(hub):
    hub.path.mkdir()
    with web.serve(hub.path) as server:
        yield server


@pytest.fixture
def add(hub, models):
    """Publish a model of ``count`` numbers, all different for each ``seed``; return its digest."""

    def add(name, seed=0, count=100_000, alpha=1.0):
        model = models["Linear"](alpha)
        model.coefficients = np.random.default_rng(seed).normal(size=(count, 1))
        model.intercept = np.zeros(1)
        return publish(model, name, hub=hub).revision

    return add


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    """Count a model as unused as soon as nobody loads it."""
    monkeypatch.setattr(using, "GRACE", 0.0)


def asked_for(server, part):
    return [path for path, _, _ in server.requests if part in path]


# Sizes


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("123456789012345678", 123456789012345678),
        ("20GB", 20 * 10**9),
        ("20 gb", 20 * 10**9),
        ("1.5TiB", 3 << 39),
        ("500M", 500_000_000),
        (" 4KiB ", 4096),
        ("7B", 7),
    ],
)
def test_a_size_is_a_number_and_a_unit(text, size):
    assert parse_size(text, what="it") == size


@pytest.mark.parametrize("text", ["", "GB", "-1", "1e9", "20 G B", "20XB", "inf", "20iB", "٣GB"])
def test_what_is_not_a_size_is_a_typed_error(text):
    with pytest.raises(ParameterError, match="20GB"):
        parse_size(text, what="it")


def test_sizes_are_shown_for_people():
    assert list(map(show_size, (0, 999, 1500, 2 * 10**9))) == [
        "0 bytes",
        "999 bytes",
        "1.5 kB",
        "2 GB",
    ]


# The limit


def test_what_was_used_longest_ago_is_removed_to_make_room(served, add, cache, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", "2MB")  # two of 0.8 MB
    first, second, third = (add(name, seed) for seed, name in enumerate("abc"))
    from_pretrained("a", hub=served.url)
    from_pretrained("b", hub=served.url)
    os.utime(cache / "used" / second, (1, 1))  # so that `a` is the younger one
    from_pretrained("c", hub=served.url)
    assert Cache(cache).revisions() == sorted([first, third])
    assert second not in [path.name for path in (cache / "used").iterdir()]
    from_pretrained("b", hub=served.url)
    assert len(Cache(cache).revisions()) == 2


def test_a_use_counts_and_not_only_the_fetch(served, add, cache, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", "2MB")
    first, second, third = (add(name, seed) for seed, name in enumerate("abc"))
    from_pretrained("a", hub=served.url)
    from_pretrained("b", hub=served.url)
    for revision in (first, second):
        os.utime(cache / "used" / revision, (1, 1))
    from_pretrained("a", hub=served.url)
    from_pretrained("c", hub=served.url)
    assert Cache(cache).revisions() == sorted([first, third])


def test_a_model_larger_than_the_limit_is_a_typed_error_and_nothing_is_removed(
    served, add, cache, monkeypatch
):
    kept = add("small", 0, 10)
    from_pretrained("small", hub=served.url)
    add("large", 1)
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", "500kB")
    with pytest.raises(NoRoom, match=r"80\d kB.*500 kB.*DEEPCHEM_CACHE_LIMIT"):
        from_pretrained("large", hub=served.url)
    assert Cache(cache).revisions() == [kept]
    assert list((cache / "partial").iterdir()) == []


def test_a_limit_that_is_none_is_a_typed_error(served, add, monkeypatch):
    add("a")
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", "much")
    with pytest.raises(ParameterError, match="DEEPCHEM_CACHE_LIMIT is 'much'"):
        from_pretrained("a", hub=served.url)


HOLD = """
import sys
from pathlib import Path
from dc_hub.hubs.contract import StoredModel
from dc_hub.loading.opening import open_model
with open_model(StoredModel("a", sys.argv[2], Path(sys.argv[1]))):
    print("open", flush=True)
    sys.stdin.read()
"""


@contextlib.contextmanager
def loading(path, revision):
    """A process that is loading a model as long as the block takes."""
    program = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(path), revision],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert program.stdout.readline() == "open\n"
        yield program
    finally:
        program.kill()
        program.communicate()


@pytest.mark.needs("process numbers")
def test_a_model_that_a_process_is_loading_is_removed_only_when_the_process_is_dead(
    served, add, cache, monkeypatch, caplog
):
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", "1MB")  # one of 0.8 MB
    first, second, third = (add(name, seed) for seed, name in enumerate("abc"))
    path = dc_hub.pull("a", hub=served.url).path
    with loading(path, first) as program:
        dc_hub.pull("b", hub=served.url)
        assert Cache(cache).revisions() == sorted([first, second])
        assert "exceeds its limit by" in caplog.text
        program.kill()
        program.wait()
        assert len(list((cache / "used").glob(f"{first}.*"))) == 1
    dc_hub.pull("c", hub=served.url)
    assert Cache(cache).revisions() == [third]


def test_a_model_that_was_just_found_is_not_removed_before_it_is_opened(
    served, add, cache, monkeypatch
):
    monkeypatch.setattr(using, "GRACE", 60.0)
    revision = add("a")
    dc_hub.pull("a", hub=served.url)
    assert not Cache(cache).evict(revision)
    os.utime(cache / "used" / revision, (1, 1))
    assert Cache(cache).evict(revision)


def test_one_that_is_opened_while_it_is_removed_comes_back(served, add, cache, monkeypatch):
    revision = add("a")
    dc_hub.pull("a", hub=served.url)
    answers = iter((False, True))  # before the rename, and after
    monkeypatch.setattr("dc_hub.remote.cache.is_used", lambda *_: next(answers))
    assert not Cache(cache).evict(revision)
    from_pretrained("a", hub=served.url, verify="full")
    assert [path.name for path in (cache / "models").iterdir()] == [revision]


def test_a_mark_is_gone_after_the_load(served, add, cache):
    revision = add("a")
    from_pretrained("a", hub=served.url)
    assert [path.name for path in (cache / "used").iterdir()] == [revision]


def test_a_model_outside_a_cache_is_loaded_without_marks(hub, add):
    add("a")
    from_pretrained("a", hub=hub)
    assert not list(hub.path.rglob("used"))


def test_a_model_is_protected_from_the_moment_that_it_appears(cache, monkeypatch):
    """However long it was fetched, and before anything else is done with it."""
    monkeypatch.setattr(using, "GRACE", 60.0)
    revision, evicted = "a" * 64, []

    def fill(directory):
        (directory / "file").write_bytes(b"fetched")
        with contextlib.suppress(FileNotFoundError):
            os.utime(cache / "used" / revision, (1, 1))  # it took long

    def sync(directory):
        if Cache(cache).has(revision):
            evicted.append(Cache(cache).evict(revision))

    monkeypatch.setattr("dc_hub.remote.cache.sync_directory", sync)
    Cache(cache).add(revision, fill, wait=1.0)
    assert evicted == [False]


def test_one_that_is_fetched_again_while_its_old_files_are_removed_keeps_its_origin(
    served, add, cache, monkeypatch
):
    revision = add("a")
    dc_hub.pull("a", hub=served.url)
    origin = using.origin_of(cache, revision)
    remove = shutil.rmtree

    def fetch_and_remove(*arguments, **options):
        monkeypatch.setattr(shutil, "rmtree", remove)
        dc_hub.pull("a", hub=served.url)
        remove(*arguments, **options)

    monkeypatch.setattr(shutil, "rmtree", fetch_and_remove)
    assert Cache(cache).evict(revision)
    assert Cache(cache).has(revision)
    assert using.origin_of(cache, revision) == origin == using.Origin(served.url, "a")


# Removed while it is loaded


def test_a_model_that_is_removed_while_it_is_loaded_is_a_typed_error(hub, add):
    add("a")
    model = hub.resolve("a")

    def remove_and_read():
        with open_model(model) as opened:
            hub.remove("a")
            opened.contents.open("model.safetensors")

    with pytest.raises(ModelRemoved, match=r"was removed.*Load it again"):
        remove_and_read()
    with pytest.raises(ModelRemoved), open_model(model):
        raise AssertionError


def test_a_directory_that_never_was_there_is_not_called_removed(tmp_path):
    with pytest.raises(FileMissing) as caught, open_model(StoredModel("", "", tmp_path / "x")):
        raise AssertionError
    assert not isinstance(caught.value, ModelRemoved)


LOAD = """
import json, os, sys, time
sys.path.insert(0, sys.argv[3])
import conftest
import dc_hub
from dc_hub.errors import ModelRemoved
loaded = removed = 0
deadline = time.monotonic() + 2.0
while time.monotonic() < deadline or not loaded:
    try:
        model = dc_hub.from_pretrained("a", hub=sys.argv[1], revision=sys.argv[2], verify="full")
        assert float(model.coefficients.sum()) == float(sys.argv[4])
        loaded += 1
    except ModelRemoved:
        removed += 1
print(json.dumps([loaded, removed]))
"""


def test_a_loader_that_races_the_removal_gets_the_model_or_is_told(served, add, cache, hub):
    revision = add("a", count=30_000)
    total = float(from_pretrained("a", hub=hub).coefficients.sum())
    tests = str(Path(__file__).parent)
    arguments = [sys.executable, "-c", LOAD, served.url, revision, tests, repr(total)]
    programs = [subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    removed = turn = 0
    while any(program.poll() is None for program in programs):
        removed += Cache(cache).has(revision) and Cache(cache).evict(revision)
        turn += 1
        time.sleep(0.002 * (turn % 32))  # now and then long enough for a load on a busy machine
    results = [json.loads(program.communicate()[0]) for program in programs]
    assert [program.returncode for program in programs] == [0, 0]
    assert all(loaded for loaded, _ in results)
    assert removed > 0


# What other models have is not fetched again


def test_equal_weights_are_not_fetched_again(served, add, cache, caplog):
    caplog.set_level("INFO", logger="dc_hub")
    add("m", seed=0, alpha=1.0)
    first = dc_hub.pull("m", hub=served.url)
    assert "0 bytes of it from other models" in caplog.text
    add("m", seed=0, alpha=2.0)
    before = served.sent
    second = dc_hub.pull("m", hub=served.url)
    assert served.sent - before < 20_000
    assert len(asked_for(served, "model.safetensors")) == 1
    assert "800 kB of it from other models" in caplog.text
    assert from_pretrained("m", hub=served.url, verify="full").alpha == 2.0
    files = [model.path / "model.safetensors" for model in (first, second)]
    assert [file.stat().st_nlink for file in files] == [1, 1]


def test_equal_chunks_of_another_file_are_not_fetched_again(served, hub, add, models, cache):
    count = 3 * CHUNK // 8
    add("m", count=count)
    dc_hub.pull("m", hub=served.url)
    model = from_pretrained("m", hub=hub)
    model.coefficients = model.coefficients.copy()
    model.coefficients[count // 2] += 1.0  # in the middle chunk
    publish(model, "m", hub=hub)
    told = []
    asked = len(served.requests)
    dc_hub.pull("m", hub=served.url, report=lambda done, total: told.append((done, total)))
    ranges = [wanted for _, wanted, _ in served.requests[asked:] if wanted]
    assert [int(r[6:].split("-")[0]) for r in ranges] == [CHUNK]
    assert told[-1][0] == told[-1][1]
    from_pretrained("m", hub=served.url, verify="full")


def test_a_damaged_file_is_not_reused(served, add, cache):
    add("m", alpha=1.0)
    file = dc_hub.pull("m", hub=served.url).path / "model.safetensors"
    file.write_bytes(file.read_bytes()[:-1] + b"\xff")
    add("m", alpha=2.0)
    dc_hub.pull("m", hub=served.url)
    assert len(asked_for(served, "model.safetensors")) == 2
    from_pretrained("m", hub=served.url, verify="full")


DAMAGE = {
    "another manifest": lambda path: (path / "MANIFEST.json").write_bytes(b"{}"),
    "no manifest": lambda path: (path / "MANIFEST.json").unlink(),
    "no weights": lambda path: (path / "model.safetensors").unlink(),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_a_damaged_neighbour_does_not_disturb_a_fetch(served, add, damage):
    add("m", alpha=1.0)
    damage(dc_hub.pull("m", hub=served.url).path)
    add("m", alpha=2.0)
    assert from_pretrained("m", hub=served.url).alpha == 2.0


@pytest.mark.needs("file owners")
def test_a_link_in_the_place_of_a_neighbours_file_is_not_read(served, hub, add, tmp_path):
    add("m", alpha=1.0)
    file = dc_hub.pull("m", hub=served.url).path / "model.safetensors"
    file.rename(tmp_path / "elsewhere")
    file.symlink_to(tmp_path / "elsewhere")
    add("m", alpha=2.0)
    dc_hub.pull("m", hub=served.url)
    assert len(asked_for(served, "model.safetensors")) == 2


def test_what_is_reused_is_not_removed_to_make_room_for_it(served, add, cache, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", "1MB")
    add("m", alpha=1.0)
    dc_hub.pull("m", hub=served.url)
    second = add("m", alpha=2.0)
    dc_hub.pull("m", hub=served.url)
    assert len(asked_for(served, "model.safetensors")) == 1
    assert Cache(cache).revisions() == [second]


def test_a_chunk_that_goes_away_after_it_was_found_is_fetched(served, hub, add, cache):
    revision = add("m")
    dc_hub.pull("m", hub=served.url)
    manifest = hub.manifest(hub.resolve("m"))
    known = known_chunks(Cache(cache), type(manifest)(manifest.entries[:-1]))
    digest = manifest.entry("model.safetensors").sha256
    assert known.revisions == {revision}
    Cache(cache).discard(revision)
    assert known.read(digest, manifest.entry("model.safetensors").size) is None


# Full disks


@pytest.mark.needs("root")
def test_a_full_disk_is_a_typed_error_that_says_what_is_needed_and_what_gc_would_free(
    served, add, tmp_path, monkeypatch
):
    small = tmp_path / "disk"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(small)]
    if subprocess.run(mount, capture_output=True).returncode:
        pytest.skip("no file system can be mounted here")
    try:
        monkeypatch.setenv("DEEPCHEM_CACHE", str(small / "cache"))
        add("a", 0)
        dc_hub.pull("a", hub=served.url)
        revision = add("large", 1, count=1_000_000)
        with pytest.raises(NoRoom, match=r"needs \d\S* MB more") as caught:
            dc_hub.pull("large", hub=served.url)
        assert "dc-hub gc --cache` would free 80" in caught.value.hint
        cache = Cache(small / "cache")
        assert not cache.has(revision)
        from_pretrained("a", hub=served.url, verify="full")
        add("fits", 2)
        cache.discard(revision)
        assert cache.gc(older_than=0)
        from_pretrained("fits", hub=served.url)
    finally:
        subprocess.run(["umount", str(small)], check=True)


@pytest.mark.needs("resource limits")
def test_a_file_size_limit_is_a_typed_error_and_the_fetch_goes_on_later(served, add, cache):
    import resource

    add("a")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (400_000, before[1]))
    try:
        with pytest.raises(NoRoom, match=os.strerror(errno.EFBIG)):
            dc_hub.pull("a", hub=served.url)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    from_pretrained("a", hub=served.url)


@pytest.mark.needs("resource limits")
def test_a_lease_that_there_is_no_room_for_is_not_left_behind(tmp_path):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, before[1]))
    try:
        with pytest.raises(OSError, match=os.strerror(errno.EFBIG)), lease(tmp_path / ".lock"):
            raise AssertionError
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_a_hub_object_may_have_a_cache_with_a_limit_of_its_own(served, add, tmp_path):
    add("a")
    remote = open_hub(served.url)
    remote.cache = Cache(tmp_path / "other", limit=1000)
    with pytest.raises(NoRoom):
        from_pretrained("a", hub=remote)


def test_a_pull_tells_at_a_terminal_what_was_reused_and_is_quiet_elsewhere(
    served, add, monkeypatch, capsys
):
    from dc_hub.command import printing, program

    def pull():
        monkeypatch.setattr(sys, "argv", ["dc-hub", "pull", "m", "--hub", served.url])
        with pytest.raises(SystemExit):
            program.main()
        return capsys.readouterr().err

    add("m", alpha=1.0)
    assert "from other models" not in pull()
    add("m", alpha=2.0)
    monkeypatch.setattr(printing.err, "_force_terminal", True)
    told = pull()
    assert "800 kB of it from other models in the cache" in told


def test_a_process_that_waited_for_another_to_fetch_leaves_nothing_behind(tmp_path, monkeypatch):
    models, revision = Cache(tmp_path), "0" * 64

    @contextlib.contextmanager
    def waited(path, *, wait):
        """The lease comes when the other process has moved the model to its place."""
        models.path(revision).mkdir(parents=True)
        with lease(path, wait=wait) as mine:
            yield mine

    monkeypatch.setattr("dc_hub.remote.cache.lease", waited)
    assert models.add(revision, pytest.fail, wait=1) == models.path(revision)
    assert list((tmp_path / "partial").iterdir()) == []
