"""The engine of worker processes: how they begin and end, and what they leave to the program."""

import faulthandler
import os
import signal
import subprocess
import sys
import threading
import time
from functools import partial
from pathlib import Path

import pytest

from dc_core import engines
from dc_core.engines import Processes, available_cpus, isolation, run
from dc_core.engines import worker as engine_worker
from dc_core.engines.worker import Worker, how_it_died
from dc_core.errors import NotSerializable
from dc_core.testing.tasks import Squares, note_and_sleep, notes_of, squares_in

pytestmark = pytest.mark.skipif(not Path("/proc").exists(), reason="it looks into /proc")

SCRIPT = """
import sys
from pathlib import Path
from dc_core.engines import Task, run

class Lengths(Task):
    def __init__(self, words):
        self.words = words
    def __len__(self):
        return len(self.words)
    def run(self, start, stop, directory):
        lengths = [len(word) for word in self.words[start:stop]]
        (directory / "lengths.txt").write_text(repr(lengths))

print("begun")
shards = run(Lengths(["a", "bb", "ccc"]), sys.argv[1], engine="processes", shard_rows=1)
print([(shard.path / "lengths.txt").read_text() for shard in shards])
"""

HANGS = """
import sys
from dc_core.engines import run
from dc_core.testing.tasks import Squares
run(Squares(64, {40: "hang"}, sys.argv[2]), sys.argv[1], engine="processes", shard_rows=16)
"""


def runs(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def wait_for(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes"
    path.mkdir()
    return str(path)


def start(code, *arguments, **options):
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)], **options)


@pytest.fixture
def hanging(tmp_path, notes):
    """Start a program one of whose workers hangs in native code; return it and its task."""
    program = start(HANGS, tmp_path / "run", notes, stderr=subprocess.PIPE, text=True)
    task = Squares(64, {40: "hang"}, notes)
    wait_for(lambda: len(notes_of(task)) == 4 and len(list(tmp_path.glob("run/0*"))) == 3)
    yield program, task
    program.kill()
    program.communicate()


def test_workers_end_with_the_program_even_if_they_hang(hanging):
    program, task = hanging
    pids = {note["pid"] for note in notes_of(task)}
    assert len(pids) == available_cpus() == sum(map(runs, pids))
    program.kill()
    wait_for(lambda: not any(map(runs, pids)))


def test_a_program_that_is_killed_continues_with_what_is_finished(tmp_path, hanging, notes):
    program, task = hanging
    program.kill()
    program.wait()
    shards = run(task, tmp_path / "run", engine="processes", timeout=0.3)
    assert [shard.start for shard in shards.failures] == [40]
    assert len(list(squares_in(shards))) == 63
    assert sorted(note["start"] for note in notes_of(task))[:4] == [0, 16, 32, 32]
    assert not list((tmp_path / "run").glob("tmp-*"))


def test_ctrl_c_ends_the_program_and_its_workers(tmp_path, hanging):
    program, task = hanging
    program.send_signal(signal.SIGINT)
    _, written = program.communicate(timeout=30)
    assert written.rstrip().endswith("KeyboardInterrupt")
    assert written.count("Traceback") == 1
    assert not any(runs(note["pid"]) for note in notes_of(task))
    assert {path.name[:4] for path in (tmp_path / "run").iterdir()} == {"0000", "run."}


def test_a_script_needs_no_guard_and_its_classes_reach_the_workers(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "run"], capture_output=True, text=True, check=True
    )
    assert done.stdout == "begun\n['[1]', '[2]', '[3]']\n"
    assert done.stderr == ""


def test_without_cloudpickle_classes_of_a_script_are_a_typed_error(tmp_path):
    script = tmp_path / "script.py"
    script.write_text("import sys\nsys.modules['cloudpickle'] = None\n" + SCRIPT)
    done = subprocess.run(
        [sys.executable, script, tmp_path / "run"], capture_output=True, text=True, check=False
    )
    assert "NotSerializable: Lengths is defined in the running program" in done.stderr
    assert "pip install cloudpickle" in done.stderr


def test_without_cloudpickle_tasks_of_modules_run(tmp_path):
    code = (
        "import sys\nsys.modules['cloudpickle'] = None\n"
        "from dc_core.engines import run\nfrom dc_core.testing.tasks import Squares\n"
        "run(Squares(8), sys.argv[1], engine='processes')"
    )
    assert start(code, tmp_path).wait(60) == 0


def test_modules_beside_the_script_are_found_by_workers(tmp_path):
    (tmp_path / "helper.py").write_text("def double(x):\n    return 2 * x\n")
    script = tmp_path / "script.py"
    script.write_text(
        "from dc_core import engines\nimport helper\n"
        "print([r.value for r in engines.map(helper.double, [1, 2], engine='processes')])"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, check=True)
    assert done.stdout == "[2, 4]\n"


def test_a_call_with_a_lock_is_refused():
    with pytest.raises(NotSerializable, match="cannot be sent to a worker"):
        engines.dumps(partial(print, threading.Lock()))


def test_children_of_a_dead_worker_neither_delay_nor_survive_it(tmp_path):
    child = tmp_path / "child"

    def fork_and_die(path):
        if os.fork() == 0:
            Path(path).write_text(str(os.getpid()))
            time.sleep(3600)
        wait_for_file = 1000
        while not Path(path).exists() and wait_for_file:
            wait_for_file -= 1
            time.sleep(0.01)
        time.sleep(0.05)
        os.abort()

    begun = time.monotonic()
    (result,) = engines.map(fork_and_die, [child], engine="processes", retries=0)
    assert result.status == "crash"
    assert time.monotonic() - begun < 20
    wait_for(lambda: not runs(int(child.read_text())))


def test_what_a_worker_says_about_its_end():
    assert how_it_died(3) == "The worker ended with exit code 3."
    assert how_it_died(-signal.SIGSEGV) == "The worker was killed by SIGSEGV."
    assert how_it_died(-63) == "The worker was killed by signal 63."


def test_a_started_engine_keeps_its_processes(tmp_path, notes):
    task = Squares(40, notes=notes)
    with Processes(1) as engine:
        run(task, tmp_path / "a", engine=engine, shard_rows=8)
        run(task, tmp_path / "b", engine=engine, shard_rows=8)
        (pid,) = {note["pid"] for note in notes_of(task)}
        assert runs(pid)
    assert not runs(pid)


def test_an_isolated_call_reuses_an_idle_process_and_ends_it_in_time(tmp_path, monkeypatch):
    monkeypatch.setattr(isolation, "_IDLE", 0.2)
    pids = []
    for i in range(2):
        call = engines.dumps(partial(note_and_sleep, tmp_path / str(i), 0))
        assert engines.run_isolated(call).status == "ok"
        pids.append(int((tmp_path / str(i)).read_text()))
    assert pids[0] == pids[1] != os.getpid()
    wait_for(lambda: not runs(pids[0]))
    call = engines.dumps(partial(note_and_sleep, tmp_path / "again", 0))
    assert engines.run_isolated(call).status == "ok"


def test_stopping_kills_the_calls_of_one_owner_and_its_later_ones(tmp_path):
    outcomes = {}

    def isolated(owner, seconds):
        call = engines.dumps(partial(note_and_sleep, tmp_path / owner, seconds))
        outcomes[owner] = engines.run_isolated(call, owner)

    threads = [
        threading.Thread(target=isolated, args=item) for item in {"mine": 60, "yours": 1}.items()
    ]
    for thread in threads:
        thread.start()
    wait_for(lambda: all((tmp_path / owner).exists() for owner in ("mine", "yours")))
    engines.stop_isolated("mine")
    for thread in threads:
        thread.join()
    assert outcomes["mine"].status == "crash"
    assert outcomes["yours"].status == "ok"
    assert not runs(int((tmp_path / "mine").read_text()))
    isolated("mine", 0)
    assert outcomes["mine"].message == "The call was cancelled."
    engines.stop_isolated("yours")
    assert not runs(int((tmp_path / "yours").read_text()))


def test_a_call_whose_waiting_is_interrupted_leaves_no_process_in_use(tmp_path):
    """As on a Ctrl-C in a cluster's worker: its process must not serve the next call."""
    call = engines.dumps(partial(note_and_sleep, tmp_path / "pid", 60))
    main = threading.main_thread().ident
    timer = threading.Timer(1, signal.pthread_kill, [main, signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        engines.run_isolated(call)
    timer.join()
    assert not runs(int((tmp_path / "pid").read_text()))
    assert engines.run_isolated(engines.dumps(os.getpid)).status == "ok"


def test_a_worker_runs_calls_after_it_has_died():
    worker = Worker()
    try:
        assert worker.run(engines.dumps(os.abort)).status == "crash"
        assert worker.run(engines.dumps(os.getpid)).status == "ok"
    finally:
        worker.close()


def test_serial_leaves_the_fault_handler_alone(tmp_path):
    before = faulthandler.is_enabled()
    run(Squares(4), tmp_path)
    assert faulthandler.is_enabled() == before


def test_a_worker_imports_neither_numpy_nor_plugins():
    code = "from dc_core.engines import worker, attempt; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert {"numpy", "pluggy", "dc_core.component"}.isdisjoint(done.stdout.split())


# CPUs


def machine(root, cgroup, **files):
    """Write what a system says about a process's cgroup."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(cgroup)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.fixture
def many(monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: range(64))


@pytest.mark.parametrize(
    ("cgroup", "files", "cpus"),
    [
        ("0::/job/step\n", {"job/step/cpu.max": "max 100000\n"}, 64),
        ("0::/job/step\n", {"job/step/cpu.max": "400000 100000\n"}, 4),
        ("0::/job/step\n", {"job/step/cpu.max": "max 100000", "job/cpu.max": "250000 100000"}, 2),
        ("0::/of/the/host\n", {"cpu.max": "300000 100000\n"}, 3),
        ("0::/\n", {"cpu.max": "50000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "nonsense"}, 64),
        ("0::/\n", {}, 64),
        (
            "5:memory:/job\n4:cpu,cpuacct:/job\n",
            {"cpu/job/cpu.cfs_quota_us": "800000", "cpu/job/cpu.cfs_period_us": "100000"},
            8,
        ),
        (
            "4:cpu,cpuacct:/job\n",
            {
                "cpu,cpuacct/cpu.cfs_quota_us": "700000\n",
                "cpu,cpuacct/cpu.cfs_period_us": "100000\n",
                "cpu,cpuacct/job/cpu.cfs_quota_us": "-1\n",
                "cpu,cpuacct/job/cpu.cfs_period_us": "100000\n",
            },
            7,
        ),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 64),
    ],
)
def test_the_quota_of_the_cgroup_limits_the_cpus(tmp_path, many, cgroup, files, cpus):
    assert available_cpus(machine(tmp_path, cgroup, **files)) == cpus


def test_without_cgroups_the_affinity_mask_counts(tmp_path):
    assert available_cpus(tmp_path) == len(os.sched_getaffinity(0))
    assert Processes().workers == available_cpus() >= 1


def test_a_worker_that_is_killed_when_its_call_has_just_ended_is_not_used_again(monkeypatch):
    worker = Worker()
    loads = engine_worker.loads_outcome

    def ended(message):
        worker.interrupt()
        return loads(message)

    call = engines.dumps(partial(int, "1"))
    with monkeypatch.context() as patched:
        patched.setattr(engine_worker, "loads_outcome", ended)
        assert worker.run(call).status == "ok"
    assert worker.run(call).status == "ok"
    worker.close()
