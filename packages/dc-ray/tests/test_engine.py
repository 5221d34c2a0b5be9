"""What is Ray's own: which cluster is used, and what happens when its workers die."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from dc_core import engines
from dc_core.engines import run
from dc_core.errors import EngineError
from dc_core.testing.tasks import Squares, notes_of, squares_in

ray = pytest.importorskip("ray", reason='`nox -s "tests(dc-ray)"` installs Ray')
RayEngine = pytest.importorskip("dc_ray").RayEngine


def complete(shards):
    return list(squares_in(shards)) == [(row, row * row) for row in range(shards.rows)]


def parent_of(pid):
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def test_a_killed_ray_worker_costs_one_shard(connected, tmp_path):
    (tmp_path / "notes").mkdir()
    task = Squares(200, notes=str(tmp_path / "notes"), seconds=0.01)
    killed = []

    def kill(progress):
        running = [note for note in notes_of(task) if "ended" not in note]
        if progress.done >= 40 and running and not killed:
            killed.append(parent_of(running[-1]["pid"]))
            os.kill(killed[0], signal.SIGKILL)

    shards = run(task, tmp_path / "run", engine="ray", shard_rows=10, progress=kill)
    assert killed
    assert complete(shards)
    assert not shards.failures
    assert len(notes_of(task)) <= 20 + 1


def test_the_cluster_that_the_program_is_connected_to_is_used(connected, tmp_path):
    for name, engine in {"a": "ray", "b": ray, "c": connected}.items():
        assert complete(run(Squares(20), tmp_path / name, engine=engine, shard_rows=5))
    with RayEngine() as engine:
        assert engine.workers == 2
    assert ray.is_initialized()


def test_without_a_cluster_there_is_one_while_the_engine_runs(disconnected, tmp_path):
    with engines.engine("ray") as engine:
        assert engine.workers == engines.available_cpus()
        assert complete(run(Squares(20), tmp_path, engine=engine, shard_rows=5))
    assert not ray.is_initialized()


def test_a_cluster_that_is_not_there_is_a_typed_error(disconnected, tmp_path):
    with pytest.raises(EngineError, match="The Ray cluster cannot be reached"):
        run(Squares(4), tmp_path, engine=RayEngine("auto"))


def test_strangers_are_not_recognized_and_ray_is_not_imported():
    code = (
        "import sys\nfrom dc_core import plugins\n"
        "print(plugins.ENGINES.call('ray', 'dc_engine_for', client=object()))\n"
        "print(plugins.ENGINES.call('ray', 'dc_engine_for', client=sys))\n"
        "print('ray' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n[]\nFalse\n"
