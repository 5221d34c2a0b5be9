"""What is Dask's own: which cluster is used, and what happens when it changes during a run."""

import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from dc_core import engines
from dc_core.engines import Shards, run
from dc_core.errors import EngineError, ParameterError
from dc_core.testing.tasks import Squares, notes_of, squares_in

distributed = pytest.importorskip("distributed", reason='`nox -s "tests(dc-dask)"` installs Dask')
DaskEngine = pytest.importorskip("dc_dask").DaskEngine
Client, LocalCluster = distributed.Client, distributed.LocalCluster


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def complete(shards):
    return list(squares_in(shards)) == [(row, row * row) for row in range(shards.rows)]


def test_a_killed_dask_worker_costs_one_shard(client, tmp_path):
    (tmp_path / "notes").mkdir()
    task = Squares(200, notes=str(tmp_path / "notes"), seconds=0.01)
    victim = next(iter(client.run(os.getpid).values()))
    killed = threading.Event()

    def kill(progress):
        if progress.done >= 40 and not killed.is_set():
            killed.set()
            os.kill(victim, signal.SIGKILL)

    shards = run(task, tmp_path / "run", engine=client, shard_rows=10, progress=kill)
    assert killed.is_set()
    assert complete(shards)
    assert not shards.failures
    assert len(notes_of(task)) <= 20 + 1
    client.wait_for_workers(2)


def test_a_cluster_may_grow_and_shrink_during_a_run(tmp_path):
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False}
    with LocalCluster(dashboard_address="127.0.0.1:0", **options) as cluster:
        seen = []

        def scale(progress):
            seen.append(progress.done)
            if len(seen) == 2:
                cluster.scale(3)
            if len(seen) == 12:
                cluster.scale(1)

        task = Squares(200, seconds=0.005)
        assert complete(run(task, tmp_path, engine=cluster, shard_rows=10, progress=scale))


def test_a_cluster_that_is_gone_is_a_typed_error_and_keeps_what_is_finished(tmp_path):
    options = {"n_workers": 1, "threads_per_worker": 1, "processes": False}
    with LocalCluster(dashboard_address="127.0.0.1:0", **options) as cluster:

        def end(progress):
            if progress.done == 30:
                cluster.close()

        task = Squares(200)
        with pytest.raises(EngineError, match="Dask"):
            run(task, tmp_path, engine=cluster, shard_rows=10, progress=end)
    assert Shards(tmp_path).done >= 30
    assert complete(run(task, tmp_path))


def test_by_name_the_current_client_is_used(cluster, tmp_path):
    with Client(cluster) as client:
        engine = engines.engine("dask")
        with engine:
            assert engine.client is client
            assert engine.workers == 2
        assert complete(run(Squares(20), tmp_path, engine="dask", shard_rows=5))
        assert client.status == "running"


def test_without_a_client_there_is_a_cluster_while_the_engine_runs(tmp_path):
    engine = engines.engine("dask")
    with engine:
        client = engine.client
        assert engine.workers == engines.available_cpus()
        assert complete(run(Squares(20), tmp_path, engine=engine, shard_rows=5))
    assert client.status == "closed"
    assert client.cluster.status.name == "closed"


def test_an_address_is_connected_to(cluster, tmp_path):
    with DaskEngine(address=cluster.scheduler_address) as engine:
        assert complete(run(Squares(20), tmp_path, engine=engine, shard_rows=5))
    assert cluster.status.name == "running"


def test_a_scheduler_that_cannot_be_reached_is_a_typed_error(tmp_path, dask_timeout):
    with pytest.raises(EngineError, match=r"tcp://127\.0\.0\.1:9 cannot be reached"):
        run(Squares(4), tmp_path, engine=DaskEngine(address="tcp://127.0.0.1:9"))


@pytest.fixture
def dask_timeout():
    import dask

    with dask.config.set({"distributed.comm.timeouts.connect": "1s"}):
        yield


def test_impossible_options_are_refused(client):
    with pytest.raises(ParameterError, match="both given"):
        DaskEngine(client, address="tcp://127.0.0.1:9")
    with pytest.raises(EngineError, match="not started"):
        DaskEngine(client).workers  # noqa: B018
    asynchronous = type("Asynchronous", (Client,), {"__init__": lambda self: None})
    asynchronous.asynchronous = True
    asynchronous.__del__ = lambda self: None
    with pytest.raises(ParameterError, match="asynchronous"):
        DaskEngine(asynchronous())


def test_a_worker_that_cannot_run_calls_is_a_typed_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(EngineError, match=r"cannot run calls: EngineError: A worker cannot be"):
        run(Squares(4), tmp_path / "run", engine="dask")


def test_strangers_are_not_recognized_and_dask_is_not_imported():
    code = (
        "import sys\nfrom dc_core import plugins\n"
        "print(plugins.ENGINES.call('dask', 'dc_engine_for', client=object()))\n"
        "print('dask' in sys.modules, 'distributed' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\nFalse False\n"
