"""Many processes that want one model at once: it is fetched once, and all of them get it whole.

Without leases several fetch it, and write the same bytes; each ends with the whole model.
"""

import os
import runpy
import signal
import subprocess
import sys
import threading
import time
import uuid
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import dc_hub
from dc_hub import from_pretrained, open_hub, publish
from dc_hub.errors import LockTimeout
from dc_hub.files import lease as lease_module
from dc_hub.remote import hub as hub_module
from dc_hub.remote.cache import Cache

web = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("web.py"))))

COUNT = 32

HERD = """
import os, sys, traceback
from contextlib import contextmanager
import dc_hub
from dc_hub.files.lease import Lease
from dc_hub.loading.opening import open_model
from dc_hub.remote import cache
if sys.argv[1].startswith("s3:"):
    import boto3
else:
    import dc_hub.remote.http
if sys.argv[3] == "without leases":
    @contextmanager
    def everybody(path, *, wait):
        yield Lease(path, "")
    cache.lease = everybody

def run():
    hub = dc_hub.open_hub(sys.argv[1])
    model = hub.fetch(hub.resolve("m"))
    if sys.argv[3] == "with leases":  # without, others may just be writing the same once more
        with open_model(model, "full"):
            pass

start, go = os.pipe()
children = []
for _ in range(int(sys.argv[2])):
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.close(go)
            os.read(start, 1)  # until the parent closes its end: all begin at once
            run()
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            sys.stderr.flush()
            os._exit(code)
    children.append(child)
os.close(go)
sys.exit(sum(os.waitpid(child, 0)[1] != 0 for child in children))
"""


def herd(url, leases):
    program = subprocess.run(
        [sys.executable, "-c", HERD, url, str(COUNT), leases], capture_output=True, text=True
    )
    assert program.returncode == 0, program.stderr[-4000:]


@pytest.fixture
def model(models):
    """A model of a megabyte."""
    model = models["Linear"]()
    model.coefficients = np.random.default_rng(0).normal(size=(125_000, 1))
    model.intercept = np.zeros(1)
    return model


@pytest.fixture
def served(hub, model):
    publish(model, "m", hub=hub)
    with web.serve(hub.path) as server:
        yield server


def check(cache, revision, directory):
    """Check that the cache holds exactly the model, with equal bytes, and nothing unfinished."""
    assert [path.name for path in (cache / "models").iterdir()] == [revision]
    assert list((cache / "partial").iterdir()) == []
    for file in directory.iterdir():
        assert (cache / "models" / revision / file.name).read_bytes() == file.read_bytes()


@pytest.mark.needs("fork")
def test_32_processes_fetch_a_model_of_a_server_once(served, hub, cache):
    herd(served.url, "with leases")
    stored = hub.resolve("m")
    check(cache, stored.revision, stored.path)
    counts = Counter(path.rpartition("/")[2] for path, _, _ in served.requests)
    assert counts["model.safetensors"] == counts["params.json"] == 1
    assert counts["main.json"] == COUNT


@pytest.mark.needs("fork")
def test_32_processes_whose_leases_do_not_work_get_the_whole_model_of_a_server(served, hub, cache):
    herd(served.url, "without leases")
    stored = hub.resolve("m")
    check(cache, stored.revision, stored.path)
    from_pretrained("m", hub=served.url, verify="full")


@pytest.fixture
def bucket(buckets):
    """The URL of a hub in a bucket of the test's own."""
    name = f"bucket-{uuid.uuid4().hex[:12]}"
    buckets.create_bucket(Bucket=name)
    return f"s3://{name}/team"


@pytest.mark.needs("fork")
@pytest.mark.parametrize("leases", ["with leases", "without leases"])
def test_32_processes_get_the_whole_model_of_a_bucket(bucket, hub, model, cache, leases):
    stored = publish(model, "m", hub=hub)
    publish(model, "m", hub=bucket)
    herd(bucket, leases)
    check(cache, stored.revision, stored.path)


FETCH = "import sys, dc_hub; h = dc_hub.open_hub(sys.argv[1]); h.fetch(h.resolve('m'))"


@pytest.fixture
def holder(served):
    """A process that holds the lease, because the server does not answer it."""
    asked, answer = threading.Event(), threading.Event()

    def hold(handler, data):
        if not asked.is_set():
            asked.set()
            answer.wait(60)

    served.faults["model.safetensors"] = hold
    program = subprocess.Popen([sys.executable, "-c", FETCH, served.url])
    assert asked.wait(60)
    program.answer = answer
    yield program
    answer.set()
    program.kill()
    program.wait()


PULL = """
import signal
from dc_hub.command.program import main
signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell may have it ignored
main()
"""


@pytest.mark.needs("process numbers")
def test_an_interrupt_ends_a_pull_that_waits_for_a_server(served, cache):
    asked, answer = threading.Event(), threading.Event()

    def hold(handler, data):
        asked.set()
        answer.wait(120)

    served.faults["model.safetensors"] = hold
    command = [sys.executable, "-c", PULL, "pull", "m", "--hub", served.url]
    program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        assert asked.wait(60)
        program.send_signal(signal.SIGINT)
        _, told = program.communicate(timeout=20)  # a server is waited for up to 30 s, four times
        assert program.returncode == 130
        assert "Traceback" not in told
    finally:
        answer.set()
        program.kill()
        program.communicate()
    assert [path.suffix for path in (cache / "partial").iterdir()] == [""]


@pytest.mark.needs("process numbers")
def test_an_interrupt_ends_a_program_to_which_a_large_file_still_arrives(hub, models, cache):
    model = models["Linear"]()
    model.coefficients = np.random.default_rng(0).normal(size=(5_000_000, 1))
    model.intercept = np.zeros(1)
    publish(model, "m", hub=hub)
    sending, ended = threading.Semaphore(0), threading.Event()

    def trickle(handler, data):
        """Send a part at a pace at which it takes minutes."""
        start, last = map(int, handler.headers["Range"][6:].split("-"))
        handler.send_response(206)
        handler.send_header("Content-Range", f"bytes {start}-{last}/{len(data)}")
        handler.send_header("Content-Length", str(last + 1 - start))
        handler.end_headers()
        sending.release()
        try:
            for i in range(start, last, 1000):
                handler.wfile.write(data[i : i + 1000])
                if ended.wait(0.02):
                    break
        except OSError:
            pass
        handler.close_connection = True
        return True

    with web.serve(hub.path) as server:
        server.faults["model.safetensors"] = trickle
        code = f"import signal; signal.signal(2, signal.default_int_handler); {FETCH}"
        command = [sys.executable, "-c", code, server.url]
        program = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        try:
            for _ in range(3):
                assert sending.acquire(timeout=60)
            program.send_signal(signal.SIGINT)
            _, told = program.communicate(timeout=20)
            assert "KeyboardInterrupt" in told
        finally:
            ended.set()
            program.kill()
            program.communicate()


@pytest.mark.needs("process numbers")
def test_a_process_that_is_killed_while_it_fetches_delays_nobody(served, holder):
    waiting = subprocess.Popen([sys.executable, "-c", FETCH, served.url])
    time.sleep(0.5)
    holder.kill()
    holder.wait()
    assert waiting.wait(60) == 0


@pytest.mark.needs("process numbers")
def test_a_process_that_is_stopped_while_it_fetches_delays_others_boundedly(
    served, holder, hub, cache, monkeypatch
):
    monkeypatch.setattr(lease_module, "TERM", 1.0)
    holder.send_signal(signal.SIGSTOP)
    before = time.monotonic()
    try:
        dc_hub.pull("m", hub=served.url)
        assert time.monotonic() - before < 30
    finally:
        holder.send_signal(signal.SIGCONT)
        holder.answer.set()
    assert holder.wait(30) == 0
    stored = hub.resolve("m")
    check(cache, stored.revision, stored.path)


def test_one_that_waits_too_long_is_told_who_holds_the_lease(served, holder, monkeypatch):
    monkeypatch.setattr(hub_module, "WAIT", 0.2)
    with pytest.raises(LockTimeout, match=f"Process {holder.pid} on ") as caught:
        open_hub(served.url).fetch(open_hub(served.url).resolve("m"))
    assert caught.value.path.endswith(".lock")
    assert Cache(Path(os.environ["DEEPCHEM_CACHE"])).revisions() == []
