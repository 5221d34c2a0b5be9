"""What others do meanwhile: content and tags change, clocks go back, processes fork, disks fill."""

import gzip
import hashlib
import os
import runpy
import signal
import socket
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import which
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_hub import from_pretrained, open_hub, publish
from dc_hub.errors import HashMismatch, HubError, ModelRemoved, ReadOnlyHub
from dc_hub.files import lease as lease_module
from dc_hub.files.lease import lease
from dc_hub.format.manifest import CHUNK
from dc_hub.hubs.staging import Staging
from dc_hub.remote import http, retrying
from dc_hub.remote.cache import Cache

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))


@pytest.fixture(autouse=True)
def brisk(monkeypatch):
    monkeypatch.setattr(http, "READ", 5.0)
    monkeypatch.setattr(retrying, "PAUSE", 0.0)


@pytest.fixture
def large(hub, models):
    """A server of a hub with the model ``big``, of three chunks."""
    X = np.random.default_rng(0).normal(size=5_000_000)
    model = models["Linear"]()
    model.coefficients, model.intercept = X[:, None], np.zeros(1)
    publish(model, "big", hub=hub)
    with web.serve(hub.path) as server:
        yield server


def test_content_that_changes_in_the_middle_of_a_download_is_refused_and_the_rest_is_kept(
    large, cache
):
    (weights,) = large.root.glob("big/revisions/*/model.safetensors")
    whole = weights.read_bytes()
    asked = threading.Lock()

    def swap(handler, data):
        with asked:
            if handler.headers["Range"].startswith(f"bytes={2 * CHUNK}-"):
                other = large.root.parent / "other"
                other.write_bytes(bytes(byte ^ 1 for byte in whole[-64:]).rjust(len(whole)))
                other.replace(weights)  # at once: other requests read it at this moment
                start, stop = 2 * CHUNK, len(whole)
                told = {"Content-Range": f"bytes {start}-{stop - 1}/{stop}"}
                handler.answer(206, weights.read_bytes()[start:], told)
                return True
        return False

    large.faults["model.safetensors"] = swap
    with pytest.raises(HashMismatch, match="something else"):
        from_pretrained("big", hub=large.url)
    assert list((cache / "models").glob("*")) == []
    weights.write_bytes(whole)
    large.faults.clear()
    before = large.sent
    from_pretrained("big", hub=large.url, verify="full")
    assert large.sent - before < len(whole)


def test_a_tag_that_moves_in_the_middle_of_a_pull_gives_the_model_it_pointed_at(
    hub, models, dataset
):
    one, two = (models["Linear"](alpha).fit(dataset) for alpha in (1.0, 2.0))
    first = publish(one, "m", hub=hub)
    second = publish(two, "m", hub=hub, move_main=False, tag="v2")
    moved = []

    def move(handler, data):
        if not moved:
            moved.append(True)
            hub.move_tag("m", "main", second.revision, expected=first.revision)

    with web.serve(hub.path) as server:
        server.faults["MANIFEST.json"] = move
        pulled = dc_hub.pull("m", hub=server.url)
        assert moved
        assert pulled.revision == first.revision
        assert dc_hub.load(pulled.path).alpha == 1.0
        assert from_pretrained("m", hub=server.url).alpha == 2.0


@pytest.mark.parametrize("told", [True, False])
def test_a_gigabyte_of_zeros_in_a_megabyte_is_never_unpacked(hub, linear, told):
    """With the header that says so, and without."""
    publish(linear, "m", hub=hub)
    bomb = gzip.compress(bytes(1 << 24)) * 64

    def answer(handler, data):
        handler.answer(200, bomb, {"Content-Encoding": "gzip"} if told else {})
        return True

    for file in ("main.json", "MANIFEST.json", "model.safetensors"):
        with web.serve(hub.path) as server:
            server.faults[file] = answer
            started = time.process_time()
            with pytest.raises(HubError):
                from_pretrained("m", hub=server.url)
            assert time.process_time() - started < 1


def test_a_clock_that_goes_back_breaks_no_lease_that_is_held(tmp_path, monkeypatch):
    """A minute passes for the waiter, and an hour back for the file system and the machine."""
    path, now = tmp_path / ".lock", [0.0]
    with lease(path) as mine:

        def sleep(seconds):
            now[0] += max(seconds, 0.5)
            os.utime(path, (1e9 - 60 * now[0],) * 2)  # the holder renews it

        clock = SimpleNamespace(monotonic=lambda: now[0], sleep=sleep, time=lambda: 1e9 - now[0])
        monkeypatch.setattr(lease_module, "time", clock)
        with pytest.raises(dc_hub.errors.LockTimeout), lease(path, wait=60.0):
            raise AssertionError
        assert mine.held()


def test_a_lease_from_the_future_is_broken_after_its_term(tmp_path, monkeypatch):
    monkeypatch.setattr(lease_module, "TERM", 0.1)
    lock = tmp_path / ".lock"
    lock.write_text("elsewhere 1 token")
    os.utime(lock, (time.time() + 1e6,) * 2)
    with lease(lock, wait=5.0) as mine:
        assert mine.held()


def dead_process():
    """Return the number of a process that has ended."""
    process = subprocess.Popen([sys.executable, "-c", ""])
    process.wait()
    return process.pid


@pytest.mark.needs("process numbers")
def test_of_two_waiters_one_breaks_a_dead_lease(tmp_path, monkeypatch):
    """One looks away just before it breaks the lease, and the other tries all it can meanwhile."""
    path, took, done = tmp_path / ".lock", threading.Event(), threading.Event()
    path.write_text(f"{socket.gethostname()} {dead_process()} token")
    original, first = lease_module._read, threading.get_ident()
    looked = []

    def other():
        with suppress(dc_hub.errors.LockTimeout), lease(path, wait=0.2):
            took.set()
            done.wait(10)

    waiter = threading.Thread(target=other)

    def read(file):
        text = original(file)
        if file == path and threading.get_ident() == first:
            looked.append(text)
            if len(looked) == 2:  # the second time, it is about to remove what it has seen
                waiter.start()
                took.wait(0.5)
        return text

    monkeypatch.setattr(lease_module, "_read", read)
    try:
        with suppress(dc_hub.errors.LockTimeout), lease(path, wait=0.2) as mine:
            assert not (took.is_set() and mine.held())
            assert mine.held()
    finally:
        done.set()
        waiter.join()
    assert len(looked) >= 2
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("host", [None, "elsewhere"])
def test_a_waiter_that_died_while_it_broke_a_lease_stops_nobody(tmp_path, monkeypatch, host):
    monkeypatch.setattr(lease_module, "TERM", 0.1)
    path = tmp_path / ".lock"
    dead = f"{host or socket.gethostname()} {dead_process()}"
    path.write_text(f"{dead} lease")
    claim = tmp_path / f".lock.{hashlib.sha256(path.read_bytes()).hexdigest()}"
    claim.write_text(f"{dead} claim")
    with lease(path, wait=5.0) as mine:
        assert mine.held()
    assert list(tmp_path.iterdir()) == []


def test_a_model_that_is_removed_while_it_is_published_is_a_typed_error(hub, linear):
    publish(linear, "lab/m", hub=hub)

    def write(staging):
        staging.write("a", b"1")
        hub.remove("lab/m")
        staging.write("b", b"2")

    with pytest.raises(ModelRemoved, match="while it was being published") as caught:
        hub.publish("lab/m", write)
    assert caught.value.hint
    publish(linear, "lab/m", hub=hub)
    assert from_pretrained("lab/m", hub=hub).alpha == linear.alpha


def test_a_model_that_is_removed_before_its_tag_moves_is_a_typed_error(hub, linear, monkeypatch):
    move = Staging.move_to

    def moved(staging, destination):
        path = move(staging, destination)
        hub.remove("m")
        return path

    monkeypatch.setattr(Staging, "move_to", moved)
    with pytest.raises(ModelRemoved, match="while it was being published"):
        publish(linear, "m", hub=hub)


def test_what_a_publisher_lacks_itself_is_not_said_to_be_removed(hub, tmp_path):
    def write(staging):
        (tmp_path / "nothing").read_bytes()

    with pytest.raises(HubError) as caught:
        hub.publish("m", write)
    assert not isinstance(caught.value, ModelRemoved)


def test_a_clock_that_goes_back_never_lets_a_changed_file_pass(hub, models, cache, monkeypatch):
    """A file that seems to come from the future is not remembered as verified."""
    model = models["Linear"]()
    model.coefficients, model.intercept = np.zeros((100_000, 1)), np.zeros(1)
    weights = publish(model, "m", hub=hub).path / "model.safetensors"
    now = time.time_ns()
    monkeypatch.setattr(time, "time_ns", lambda: now - 10**15)
    from_pretrained("m", hub=hub)
    assert list(cache.glob("verified/*.json")) == []
    status = weights.stat()
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    with pytest.raises(HashMismatch):
        from_pretrained("m", hub=hub)


def test_a_clock_that_goes_back_removes_nothing_from_the_cache(hub, linear, cache, monkeypatch):
    publish(linear, "m", hub=hub)
    with web.serve(hub.path) as server:
        pulled = dc_hub.pull("m", hub=server.url)
    (cache / "partial" / ("a" * 64)).mkdir(parents=True)
    yesterday = time.time() - 1e6
    monkeypatch.setattr(time, "time", lambda: yesterday)
    assert Cache(cache).gc() == []
    assert pulled.path.is_dir()
    assert (cache / "partial" / ("a" * 64)).is_dir()


@contextmanager
def busy(action, threads=4):
    """Repeat ``action`` in several threads during the block; it must never raise."""
    ended = threading.Event()

    def work():
        count = 0
        while not ended.is_set():
            action()
            count += 1
        return count

    with ThreadPoolExecutor(threads) as pool:
        jobs = [pool.submit(work) for _ in range(threads)]
        try:
            yield
        finally:
            ended.set()
        assert all(job.result() > 0 for job in jobs)


def forked(action):
    """Run ``action`` in a forked child; return what went wrong there, or nothing."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            signal.alarm(60)  # so that one that waits for ever is noticed
            action()
        except BaseException as error:  # noqa: BLE001 - it is reported
            os.write(writer, f"{type(error).__name__}: {error}".encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader, "rb") as told:
        text = told.read().decode()
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return text or (f"the child ended with {status}" if status else "")


@pytest.mark.needs("fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_process_that_forks_while_its_threads_load_has_children_that_load(hub, linear):
    """They multiply no matrices: OpenBLAS does not outlive a fork within a product."""
    publish(linear, "m", hub=hub)

    def load():
        loaded = from_pretrained("m", hub=hub)
        assert loaded.coefficients.tobytes() == linear.coefficients.tobytes()

    with busy(load, threads=2):
        assert [forked(load) for _ in range(5)] == [""] * 5


@pytest.mark.needs("fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_the_weights_of_a_loaded_model_are_each_processs_own_after_a_fork(hub, models):
    model = models["Linear"]()
    model.coefficients, model.intercept = np.zeros((100_000, 1)), np.zeros(1)
    publish(model, "m", hub=hub)
    loaded = from_pretrained("m", hub=hub)

    def write():
        loaded.coefficients[:] = 1.0
        assert loaded.coefficients.sum() == 100_000

    assert forked(write) == ""
    assert loaded.coefficients.sum() == 0
    assert from_pretrained("m", hub=hub, verify="full").coefficients.sum() == 0


@pytest.mark.needs("fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_children_of_a_process_that_has_asked_a_server_ask_it_for_themselves(hub, models, dataset):
    """They have not the connections of their parent, which would mix up the answers."""
    for i in range(4):
        publish(models["Linear"](float(i)).fit(dataset), f"m{i}", hub=hub)
    publish(models["Linear"](9.0).fit(dataset), "m", hub=hub)
    with web.serve(hub.path) as server:
        opened, connections = open_hub(server.url), []
        server.faults["refs"] = lambda handler, _: connections.append(handler.client_address)
        opened.resolve("m")
        assert forked(lambda: opened.resolve("m")) == ""
        assert len(connections) == len({*connections}) == 2
        assert from_pretrained("m", hub=opened).alpha == 9.0

        def child(i):
            for _ in range(2):
                assert from_pretrained(f"m{i}", hub=opened).alpha == float(i)

        with busy(lambda: from_pretrained("m", hub=opened), threads=1):
            assert [forked(lambda i=i: child(i)) for i in range(4)] == [""] * 4


@pytest.mark.needs("fork")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_children_of_a_process_that_has_asked_a_bucket_ask_it_for_themselves(buckets, linear):
    buckets.create_bucket(Bucket="forked")
    publish(linear, "m", hub="s3://forked")
    opened = open_hub("s3://forked")
    opened.resolve("m")
    client = opened.store._client

    def child():
        opened.resolve("m")
        assert opened.store._client is not client

    assert forked(child) == ""


@contextmanager
def somebody_else(path):
    """Become a user without rights, who may enter the folders that lead to ``path``."""
    opened = [p for p in (path, *path.parents) if p.exists() and p.stat().st_mode & 0o777 == 0o700]
    for folder in opened:
        folder.chmod(0o755)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        for folder in opened:
            folder.chmod(0o700)


@pytest.mark.needs("root")
def test_a_cache_that_can_only_be_read_serves_what_it_has_and_refuses_the_rest(
    hub, linear, models, dataset, cache
):
    publish(linear, "m", hub=hub)
    publish(models["Linear"](5.0).fit(dataset), "other", hub=hub)
    with web.serve(hub.path) as server:
        dc_hub.pull("m", hub=server.url)
        with somebody_else(cache):
            assert from_pretrained("m", hub=server.url).alpha == linear.alpha
            with pytest.raises(ReadOnlyHub, match="cannot be written"):
                from_pretrained("other", hub=server.url)
        assert Cache(cache).revisions() == [hub.resolve("m").revision]
        assert from_pretrained("other", hub=server.url).alpha == 5.0


@pytest.mark.needs("root")
def test_what_another_user_left_and_nobody_else_may_look_at_stops_nobody(
    hub, linear, models, dataset, cache
):
    home = publish(linear, "m", hub=hub).path.parent
    left = home / ".tmp-theirs"
    left.mkdir(mode=0o700)
    (left / "file").write_bytes(b"half")
    os.utime(left, (1, 1))
    for folder in (hub.path, home.parent, home, home.with_name("refs")):
        folder.chmod(0o777)
    with somebody_else(hub.path):
        publish(models["Linear"](5.0).fit(dataset), "m", hub=hub)
        assert dc_hub.gc(hub=hub) == []
        assert from_pretrained("m", hub=hub).alpha == 5.0
    assert (left / "file").read_bytes() == b"half"


FULL = """
import sys
import numpy as np
import dc_hub
from dc_core import Estimator, register_model
from dc_hub import errors

@register_model("full/Net")
class Net(Estimator):
    fitted = ("numbers",)
    def __init__(self, number=0):
        self.number = number
    def fit(self, dataset):
        return self
    def predict(self, dataset):
        return self.numbers

def net(number):
    model = Net(number)
    model.numbers = np.full(20_000, float(number))
    return model

hub = dc_hub.LocalHub(sys.argv[1] + "/hub")
stored, refused = [], None
for number in range(20):
    try:
        dc_hub.publish(net(number), f"m{number}", hub=hub)
        stored.append(number)
    except errors.HubUnavailable as error:
        refused = error
        break
assert refused is not None and "no room" in str(refused), refused
assert 1 <= len(stored) < 19, stored
for number in stored:
    assert dc_hub.from_pretrained(f"m{number}", hub=hub, verify="full").number == number
assert hub.tags("m0").keys() == {"main"}
left = [str(p) for p in hub.path.rglob("*") if p.name.startswith(".")]
assert left == [], left
dc_hub.rm("m0", hub=hub)
dc_hub.publish(net(99), "new", hub=hub)
assert dc_hub.from_pretrained("new", hub=hub, verify="full").number == 99
print("full and well")
"""


@pytest.mark.needs("root")
@pytest.mark.skipif(which("unshare") is None, reason="needs unshare to mount a file system")
def test_a_file_system_that_is_really_full_loses_nothing(tmp_path):
    place = tmp_path / "small"
    place.mkdir()
    mount = f"mount -t tmpfs -o size=1m none {place}"
    mounted = subprocess.run(["unshare", "-m", "sh", "-c", mount], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("this system does not let root mount")
    program = tmp_path / "program.py"
    program.write_text(textwrap.dedent(FULL))
    command = f"{mount} && exec {sys.executable} {program} {place}"
    run = subprocess.run(
        ["unshare", "-m", "sh", "-c", command], capture_output=True, text=True, check=False
    )
    assert run.stdout == "full and well\n", run.stderr
