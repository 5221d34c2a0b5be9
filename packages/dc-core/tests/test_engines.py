"""Running tasks: what is finished stays, and what crashes costs its row."""

import dataclasses
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_core import engines, plugins
from dc_core.engines import Processes, Serial, Shards, directory, run, running
from dc_core.engines.attempt import Attempt, AttemptLost
from dc_core.engines.directory import Header, commit_failure, committed, halves, missing, name_of
from dc_core.engines.mapping import _Map
from dc_core.errors import (
    BackendBroken,
    EngineError,
    EngineNotInstalled,
    ParameterError,
    RunMismatch,
    TaskFailed,
    TooManyCrashes,
)
from dc_core.testing.tasks import Squares, notes_of, squares_in


@pytest.fixture(scope="module")
def processes():
    with Processes(2) as engine:
        yield engine


@pytest.fixture
def notes(tmp_path):
    path = tmp_path / "notes"
    path.mkdir()
    return str(path)


def names(directory):
    return sorted(path.name for path in directory.iterdir())


def stop_at(rows):
    """Return a report of progress that presses Ctrl-C once ``rows`` rows are done."""

    def report(progress):
        if progress.done >= rows:
            raise KeyboardInterrupt

    return report


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_results_are_complete_and_in_the_order_of_rows(tmp_path, engine):
    shards = run(Squares(100), tmp_path, engine=engine, shard_rows=32)
    parts = [(shard.start, shard.stop) for shard in shards]
    assert parts == [(0, 32), (32, 64), (64, 96), (96, 100)]
    assert [len(shard) for shard in shards] == [32, 32, 32, 4]
    assert list(squares_in(shards)) == [(row, row * row) for row in range(100)]
    assert (len(shards), shards.rows, shards.done, shards.complete) == (4, 100, 100, True)
    assert shards.failures == []
    assert shards[-1].path == tmp_path / "000000000096-000000000100"
    assert names(tmp_path) == [shard.path.name for shard in shards] + ["run.json"]
    assert repr(shards) == f"Shards({str(tmp_path)!r}: 100 of 100 rows)"


def test_a_shard_says_what_it_is(tmp_path):
    run(Squares(10), tmp_path, shard_rows=8)
    record = json.loads((tmp_path / name_of((8, 10)) / "shard.json").read_bytes())
    assert (record["rows"], record["status"]) == (2, "ok")
    assert 0 < record["seconds"] < 5


def test_a_task_without_rows_is_complete(tmp_path):
    shards = run(Squares(0), tmp_path)
    assert (list(shards), shards.complete) == ([], True)


@pytest.mark.parametrize(("deed", "status"), [("abort", "crash"), ("hang", "timeout")])
def test_a_row_that_kills_its_worker_is_the_only_one_lost(tmp_path, processes, deed, status):
    timeout = 0.3 if deed == "hang" else None
    task = Squares(40, {13: deed, 14: deed})
    shards = run(task, tmp_path, engine=processes, shard_rows=16, timeout=timeout)
    lost = [(shard.start, shard.stop, shard.status) for shard in shards.failures]
    assert lost == [(13, 14, status), (14, 15, status)]
    assert [row for row, _ in squares_in(shards)] == [*range(13), *range(15, 40)]
    assert [name for name in names(tmp_path) if name.startswith("tmp-")] == []


def test_the_message_of_a_crash_says_where_it_was(tmp_path, processes):
    (crash,) = run(Squares(1, {0: "abort"}), tmp_path / "a", engine=processes).failures
    assert crash.message.startswith("Aborted\n")
    (hang,) = run(Squares(1, {0: "hang"}), tmp_path / "b", engine=processes, timeout=0.3).failures
    assert hang.message.startswith("There was no sign of life for 0.3 s.\n")
    for shard in (crash, hang):
        first, second = shard.message.splitlines()[1:]
        assert 'tasks.py", line' in first
        assert first.endswith("in do")
        assert second.endswith("in run")


def test_a_killed_worker_costs_its_shard_alone(tmp_path, processes, notes):
    task = Squares(64, {20: "die once"}, notes)
    shards = run(task, tmp_path / "run", engine=processes, shard_rows=16)
    assert shards.complete
    assert not shards.failures
    assert sorted(note["start"] for note in notes_of(task)) == [0, 16, 16, 32, 48]


def test_a_worker_that_was_killed_from_outside_says_so(tmp_path, processes, notes):
    task = Squares(1, {0: "die once"}, notes)
    (shard,) = run(task, tmp_path / "run", engine=processes, retries=0).failures
    assert "killed by SIGKILL. The system does this when memory is full." in shard.message


@pytest.mark.parametrize(("retries", "attempts"), [(0, 1), (2, 3)])
def test_a_shard_is_tried_again_as_often_as_asked(tmp_path, processes, notes, retries, attempts):
    task = Squares(1, {0: "abort"}, notes)
    run(task, tmp_path / "run", engine=processes, retries=retries)
    assert len(notes_of(task)) == attempts


def test_a_timeout_is_not_tried_again(tmp_path, processes, notes):
    task = Squares(1, {0: "hang"}, notes)
    run(task, tmp_path / "run", engine=processes, retries=3, timeout=0.3)
    assert len(notes_of(task)) == 1


def test_signs_of_life_make_a_timeout_one_for_rows(tmp_path, processes):
    task = Squares(30, seconds=0.05)
    shards = run(task, tmp_path, engine=processes, shard_rows=15, timeout=0.5)
    assert not shards.failures


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_an_exception_stops_the_run_and_names_its_rows(tmp_path, engine):
    with pytest.raises(TaskFailed, match=r"rows 96 to 111: ValueError: row 100 is bad") as caught:
        run(Squares(112, {100: "raise"}), tmp_path, engine=engine, shard_rows=16)
    assert (caught.value.start, caught.value.stop) == (96, 112)
    assert isinstance(caught.value.__cause__, ValueError)
    assert [name for name in names(tmp_path) if name.startswith("tmp-")] == []
    finished = {shard.start for shard in Shards(tmp_path)}
    assert len(finished) >= 3
    assert 96 not in finished


def test_an_exception_of_a_worker_shows_its_traceback(tmp_path, processes):
    with pytest.raises(TaskFailed) as caught:
        run(Squares(4, {2: "raise"}), tmp_path, engine=processes)
    (note,) = caught.value.__cause__.__notes__
    assert note.startswith("It was raised in a worker:\n")
    assert "in do\n" in note


def test_when_nothing_succeeds_the_run_stops_and_no_row_is_given_up(
    tmp_path, processes, monkeypatch
):
    monkeypatch.setattr(running, "_HOPELESS", 3)
    task = Squares(8, dict.fromkeys(range(8), "abort"))
    with pytest.raises(TooManyCrashes, match="3 rows in succession"):
        run(task, tmp_path, engine=processes, retries=0)
    assert list(Shards(tmp_path)) == []


def test_what_is_interrupted_continues_on_another_engine(tmp_path, processes, notes):
    task = Squares(80, notes=notes)
    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "run", engine=processes, shard_rows=16, progress=stop_at(32))
    unfinished = Shards(tmp_path / "run")
    finished = [shard.start for shard in unfinished]
    assert len(finished) >= 2
    assert not unfinished.complete
    earlier = len(notes_of(task))
    shards = run(task, tmp_path / "run")
    assert shards.complete
    again = [note["start"] for note in notes_of(task)[earlier:]]
    assert sorted(again + finished) == [0, 16, 32, 48, 64]


def test_a_complete_run_runs_nothing(tmp_path, notes):
    task = Squares(40, notes=notes)
    run(task, tmp_path / "run", shard_rows=16)
    earlier = len(notes_of(task))
    shards = run(task, tmp_path / "run", engine="processes")
    assert len(notes_of(task)) == earlier
    assert shards.complete


def test_a_directory_keeps_its_grid(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Squares(64), tmp_path, shard_rows=16, progress=stop_at(16))
    shards = run(Squares(64), tmp_path, shard_rows=5)
    assert [shard.start for shard in shards] == [0, 16, 32, 48]


def test_the_directory_of_a_failed_row_can_be_deleted_to_try_it_again(tmp_path, processes, notes):
    task = Squares(1, {0: "die once"}, notes)
    (failure,) = run(task, tmp_path / "run", engine=processes, retries=0).failures
    shutil.rmtree(failure.path)
    assert not run(task, tmp_path / "run", engine=processes).failures


def test_a_directory_of_another_task_is_refused(tmp_path):
    run(Squares(10), tmp_path)
    with pytest.raises(RunMismatch, match="number of rows is 10, not 11"):
        run(Squares(11), tmp_path)
    with pytest.raises(RunMismatch, match="another task: its key"):
        run(Squares(10, seconds=0.001), tmp_path)

    class Cubes(Squares):
        pass

    with pytest.raises(RunMismatch, match=r"its task is 'dc_core.testing.tasks.Squares'"):
        run(Cubes(10), tmp_path)


def test_a_directory_with_something_else_is_refused_and_left_alone(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for read in (Shards, lambda path: run(Squares(1), path)):
        with pytest.raises(RunMismatch, match=r"other files \(thesis.txt\)"):
            read(tmp_path)
        with pytest.raises(RunMismatch, match="is a file"):
            read(tmp_path / "thesis.txt")
    assert names(tmp_path) == ["thesis.txt"]
    with pytest.raises(RunMismatch, match="contains no run"):
        Shards(tmp_path / "nowhere")


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"format": 1}', b"\xff"])
def test_a_damaged_header_is_refused(tmp_path, content):
    (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(RunMismatch, match=r"run\.json cannot be read"):
        run(Squares(1), tmp_path)


def test_a_header_of_a_newer_format_says_what_to_install(tmp_path):
    (tmp_path / "run.json").write_text('{"format": 2}')
    with pytest.raises(RunMismatch, match="format 2") as caught:
        Shards(tmp_path)
    assert "pip install --upgrade dc-core" in str(caught.value)


def test_a_damaged_record_is_a_typed_error(tmp_path):
    shards = run(Squares(1), tmp_path)
    (shards[0].path / "shard.json").write_text("{")
    with pytest.raises(RunMismatch, match="only its rows are done anew"):
        list(Shards(tmp_path))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"timeout": 1}, "Serial runs tasks in this process, which cannot time out"),
        ({"timeout": 0}, "timeout=0 must be a number"),
        ({"timeout": float("nan")}, "timeout=nan must be a number"),
        ({"timeout": float("inf")}, "timeout=inf must be a number"),
        ({"timeout": "3"}, "timeout='3' must be a number"),
        ({"timeout": True}, "timeout=True must be a number"),
        ({"retries": -1}, "retries=-1"),
        ({"shard_rows": 0}, "shard_rows=0"),
        ({"progress": "yes"}, "progress='yes'"),
        ({"engine": "proceses"}, "Did you mean 'processes'"),
        ({"engine": "slurm"}, "There are: dask, processes, ray, serial"),
        ({"engine": object()}, "No installed engine recognizes a object"),
    ],
)
def test_an_impossible_setting_is_refused_before_anything_is_written(tmp_path, options, says):
    with pytest.raises(ParameterError, match=says):
        run(Squares(4), tmp_path / "run", **options)
    if "progress" not in options:
        assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("options", [{"workers": 0}, {"workers": 1.5}, {"threads": 0}])
def test_an_impossible_number_of_workers_is_refused(options):
    with pytest.raises(ParameterError, match=f"{next(iter(options))}="):
        Processes(**options)


def test_no_more_calls_are_submitted_than_workers_can_soon_run(tmp_path):
    flying = set()
    most = 0

    class Watched(Processes):
        def submit(self, number, call):
            nonlocal most
            super().submit(number, call)
            flying.add(number)
            most = max(most, len(flying))

        def wait(self):
            number, outcome = super().wait()
            flying.remove(number)
            return number, outcome

    run(Squares(1000), tmp_path, engine=Watched(2), shard_rows=10)
    assert (most, flying) == (4, set())


def test_only_the_part_that_is_needed_is_sent():
    task = _Map(len, [f"{i}" * 1000 for i in range(100)], None)
    assert len(engines.dumps(task.part(3, 4))) < len(engines.dumps(task)) / 20


def test_results_that_other_runs_have_committed_are_kept(tmp_path):
    """The second run does all the rest while the first one is at its first shard."""

    @dataclasses.dataclass(frozen=True)
    class Slow(Squares):
        def run(self, start, stop, directory):
            super().run(start, stop, directory)
            if not Path(self.notes, "second").exists():
                Path(self.notes, "second").touch()
                run(self, self.notes + "/run", shard_rows=8)

    task = Slow(30, notes=str(tmp_path))
    shards = run(task, tmp_path / "run", shard_rows=8)
    assert [(s.start, s.stop) for s in shards] == [(0, 8), (8, 16), (16, 24), (24, 30)]
    assert list(squares_in(shards)) == [(row, row * row) for row in range(30)]
    assert len(names(tmp_path / "run")) == 5


def test_two_programs_can_run_one_directory_at_once(tmp_path):
    code = (
        "import sys\nfrom dc_core.engines import run\nfrom dc_core.testing.tasks import Squares\n"
        "run(Squares(200, {70: 'abort'}, seconds=0.002), sys.argv[1], engine='processes', "
        "shard_rows=16)"
    )
    programs = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(2)]
    assert [program.wait(60) for program in programs] == [0, 0]
    shards = Shards(tmp_path)
    assert shards.complete
    assert [shard.start for shard in shards.failures] == [70]
    assert [row for row, _ in squares_in(shards)] == [row for row in range(200) if row != 70]
    assert [name for name in names(tmp_path) if name.startswith("tmp-")] == []


def test_a_disk_that_is_full_leaves_no_half_written_shard(tmp_path):
    resource = pytest.importorskip("resource")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
        with pytest.raises(TaskFailed, match="OSError") as caught:
            run(Squares(3000), tmp_path, shard_rows=200)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert isinstance(caught.value.__cause__, OSError)
    assert [shard.start for shard in Shards(tmp_path)] == list(range(0, caught.value.start, 200))
    assert run(Squares(3000), tmp_path).complete


def test_a_directory_that_workers_do_not_share_is_a_typed_error(tmp_path):
    class Elsewhere(Serial):
        def submit(self, number, call):
            elsewhere = tmp_path / "elsewhere"
            elsewhere.mkdir()
            super().submit(number, dataclasses.replace(call, directory=elsewhere))

    with pytest.raises(EngineError, match="are not in"):
        run(Squares(4), tmp_path / "run", engine=Elsewhere())


def test_a_worker_that_cannot_be_started_is_a_typed_error(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "python"))
    with pytest.raises(EngineError, match="A worker cannot be started"):
        run(Squares(4), tmp_path / "run", engine="processes")


# Ranges


@st.composite
def trees(draw):
    """Draw a grid, and ranges of its tree that do not overlap."""
    header = Header("task", "key", draw(st.integers(0, 200)), draw(st.integers(1, 70)))

    def some(rows):
        choice = draw(st.sampled_from(["finished", "missing", "divided"]))
        if choice == "divided" and rows[1] - rows[0] > 1:
            return [part for half in halves(rows) for part in some(half)]
        return [rows] if choice == "finished" else []

    return header, [rows for cell in header.cells() for rows in some(cell)]


@given(trees())
def test_missing_and_finished_ranges_are_all_rows_once(tree):
    header, finished = tree
    rows = sorted([*missing(header, finished), *finished])
    assert [row for start, stop in rows for row in range(start, stop)] == list(range(header.rows))


def test_a_range_within_a_finished_one_is_not_counted_twice(tmp_path):
    shards = run(Squares(8), tmp_path, shard_rows=8)
    commit_failure(tmp_path, 3, "crash", "in another run")
    assert committed(tmp_path) == [(0, 8)]
    assert [(shard.start, shard.status) for shard in Shards(tmp_path)] == [(0, "ok")]
    assert Shards(tmp_path).done == shards.done


def test_a_failure_that_another_run_has_committed_and_tidied_up_is_kept(tmp_path, monkeypatch):
    """The other run ends, and removes what is unfinished, while this one commits its failure."""
    run(Squares(8), tmp_path, shard_rows=8)
    commit = directory.commit

    def late(*arguments):
        directory.remove_temporary(tmp_path)
        commit(*arguments)

    monkeypatch.setattr(directory, "commit", late)
    commit_failure(tmp_path, 3, "crash", "in this run")
    assert [(shard.start, shard.status) for shard in Shards(tmp_path)] == [(0, "ok")]


def test_a_failure_that_cannot_be_committed_is_an_error(tmp_path, monkeypatch):
    run(Squares(8), tmp_path, shard_rows=8)
    shutil.rmtree(tmp_path / name_of((0, 8)))
    monkeypatch.setattr(directory, "commit", lambda *_: (tmp_path / "gone").stat())
    with pytest.raises(FileNotFoundError):
        commit_failure(tmp_path, 3, "crash", "in this run")


# Progress


def test_progress_is_reported_after_every_shard(tmp_path, processes):
    seen = []
    task = Squares(40, {3: "abort"})
    run(task, tmp_path, engine=processes, shard_rows=20, progress=seen.append)
    done = [progress.done for progress in seen]
    assert done == sorted(done)
    assert (done[-1], seen[-1].rows, seen[-1].failures) == (40, 40, 1)
    assert all(progress.rate > 0 for progress in seen)


def test_a_run_that_continues_counts_what_was_finished_but_not_in_the_rate(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(Squares(64), tmp_path, shard_rows=16, progress=stop_at(32))
    seen = []
    run(Squares(64), tmp_path, progress=seen.append)
    assert [progress.done for progress in seen] == [48, 64]


@pytest.mark.parametrize(
    ("progress", "text"),
    [
        ((1000, 9000, 0, 1234.5), "1,000 of 9,000 rows, 1,234 rows/s, 0:00:06 left"),
        ((1, 9000, 2, 0.25), "1 of 9,000 rows, 0.25 rows/s, 9:59:56 left, 2 failed"),
    ],
)
def test_progress_reads_as_a_line(progress, text):
    assert str(engines.Progress(*progress)) == text


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="there are no terminals to open")
def test_progress_is_a_line_on_a_terminal_and_nothing_elsewhere(tmp_path, capfd):
    run(Squares(4), tmp_path / "a")
    run(Squares(4), tmp_path / "b", progress=False)
    assert capfd.readouterr() == ("", "")
    run(Squares(4), tmp_path / "c", progress=True)
    out, err = capfd.readouterr()
    assert out == ""
    assert err.startswith("4 of 4 rows, ")
    code = (
        "import sys\nfrom dc_core.engines import run\nfrom dc_core.testing.tasks import Squares\n"
        "run(Squares(8), sys.argv[1], shard_rows=4)"
    )
    controller, terminal = os.openpty()
    program = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "d"],
        stderr=terminal,
        stdout=subprocess.PIPE,
        check=True,
    )
    os.close(terminal)
    assert program.stdout == b""
    with os.fdopen(controller, "rb", buffering=0) as screen:
        lines = screen.read(10_000).split(b"\r")
    assert lines[1].startswith(b"\x1b[K4 of 8 rows, ")
    assert lines[2].startswith(b"\x1b[K8 of 8 rows, ")
    assert lines[3] == b"\n"


# Plugins

PLUGIN = """
from dc_core import engines, hookimpl

@hookimpl
def dc_engine(options):
    return engines.Processes(**options)

@hookimpl
def dc_engine_for(client):
    return engines.Processes(1) if type(client).__name__ == "Cluster" else None
"""


def test_an_engine_of_a_plugin_runs_by_its_name_and_for_its_client(tmp_path, install):
    install("dist-mine", {"dc.engines": {"mine": "mine_engine"}}, {"mine_engine": PLUGIN})
    assert engines.engine("mine", workers=3).workers == 3
    assert run(Squares(4), tmp_path / "a", engine="mine").complete
    cluster = type("Cluster", (), {})()
    assert run(Squares(4), tmp_path / "b", engine=cluster).complete
    with pytest.raises(ParameterError, match="No installed engine recognizes a list"):
        run(Squares(4), tmp_path / "c", engine=[])
    with pytest.raises(ParameterError, match="Did you mean 'mine'"):
        run(Squares(4), tmp_path / "c", engine="min")


def test_a_broken_engine_harms_no_other(tmp_path, install):
    install(
        "dist-mine",
        {"dc.engines": {"mine": "mine_engine", "aaa": "no_such_module"}},
        {"mine_engine": PLUGIN},
    )
    cluster = type("Cluster", (), {})()
    assert run(Squares(4), tmp_path / "b", engine=cluster).complete
    with pytest.raises(BackendBroken, match="no_such_module"):
        run(Squares(4), tmp_path / "c", engine=object())


@pytest.mark.parametrize("statement", ["1 / 0", "raise SystemExit(3)"])
def test_an_engine_that_raises_when_it_is_asked_harms_no_other(tmp_path, install, statement):
    source = f"from dc_core import hookimpl\n@hookimpl\ndef dc_engine_for(client):\n    {statement}"
    sources = {"mine_engine": PLUGIN, "bad_engine": source}
    install("dist-mine", {"dc.engines": {"mine": "mine_engine", "aaa": "bad_engine"}}, sources)
    cluster = type("Cluster", (), {})()
    assert run(Squares(4), tmp_path / "b", engine=cluster).complete
    with pytest.raises(BackendBroken, match="'aaa' of dist-mine") as caught:
        run(Squares(4), tmp_path / "c", engine=object())
    assert caught.value.__cause__ is not None


def test_an_engine_in_conflict_harms_no_other(tmp_path, install):
    install("dist-mine", {"dc.engines": {"mine": "mine_engine"}}, {"mine_engine": PLUGIN})
    install("dist-a", {"dc.engines": {"aaa": "no_such_module"}})
    install("dist-b", {"dc.engines": {"aaa": "no_such_module"}})
    cluster = type("Cluster", (), {})()
    assert run(Squares(4), tmp_path / "b", engine=cluster).complete


@pytest.mark.parametrize("error", ["KeyboardInterrupt", "GeneratorExit"])
def test_a_ctrl_c_passes_while_engines_are_asked(install, error):
    source = (
        f"from dc_core import hookimpl\n@hookimpl\ndef dc_engine_for(client):\n    raise {error}"
    )
    install("dist-bad", {"dc.engines": {"bad": "bad_engine"}}, {"bad_engine": source})
    with pytest.raises((KeyboardInterrupt, GeneratorExit)):
        plugins.engine_for(object())


def test_a_plugin_cannot_replace_an_engine_of_dc_core(install):
    install("dist-mine", {"dc.engines": {"serial": "mine_engine"}}, {"mine_engine": PLUGIN})
    (line,) = [line for line in plugins.report() if line.name == "serial"]
    assert (line.status, line.distribution) == ("refused", "dist-mine")
    assert "dc-core has one of that name" in line.detail
    assert type(engines.engine("serial")) is Serial


def test_a_plugin_that_returns_no_engine_is_broken(install):
    source = "from dc_core import hookimpl\n@hookimpl\ndef dc_engine(options):\n    return 3"
    install("dist-bad", {"dc.engines": {"bad": "bad_engine"}}, {"bad_engine": source})
    with pytest.raises(BackendBroken, match=r"returned a int, not a dc_core\.engines\.Engine"):
        engines.engine("bad")


def test_a_known_engine_that_is_not_installed_says_what_to_install(monkeypatch):
    assert plugins.ENGINES.known == {"ray": "dc-ray", "dask": "dc-dask"}
    monkeypatch.setitem(plugins.ENGINES.known, "slurm", "dc-slurm")
    with pytest.raises(EngineNotInstalled, match="'slurm' is not installed") as caught:
        engines.engine("slurm")
    assert caught.value.hint == "Run: pip install dc-slurm"
    assert isinstance(caught.value, ImportError)


def test_an_attempt_that_begins_while_its_first_run_is_cleared_up_is_lost_and_not_an_error(
    tmp_path,
):
    attempt = Attempt(Squares(10), tmp_path, 0, 10, "token", isolated=False)
    attempt.path.mkdir()
    with pytest.raises(AttemptLost):
        attempt()
