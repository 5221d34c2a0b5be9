"""Running tasks: what is finished stays, and what crashes costs its row."""

import pytest

from dc_core.engines import Processes, Shards, run
from dc_core.errors import (
    RunMismatch,
    TaskFailed,
    TooManyCrashes,
)
from dc_core.testing.tasks import Squares, notes_of, squares_in


@pytest.fixture(scope="module")
def processes():
    with Processes(2) as engine:
        yield engine


def names(directory):
    return sorted(path.name for path in directory.iterdir())


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_results_are_complete_and_in_the_order_of_rows(tmp_path, engine):
    shards = run(Squares(100), tmp_path, engine=engine, shard_rows=32)
    parts = [(shard.start, shard.stop) for shard in shards]
    assert parts == [(0, 32), (32, 64), (64, 96), (96, 100)]
    assert list(squares_in(shards)) == [(row, row * row) for row in range(100)]
    assert (len(shards), shards.rows, shards.done, shards.complete) == (4, 100, 100, True)
    assert shards.failures == []
    assert names(tmp_path) == [shard.path.name for shard in shards] + ["run.json"]


@pytest.mark.parametrize(("deed", "status"), [("abort", "crash"), ("hang", "timeout")])
def test_a_row_that_kills_its_worker_is_the_only_one_lost(tmp_path, processes, deed, status):
    timeout = 0.5 if deed == "hang" else None
    task = Squares(40, {13: deed, 14: deed})
    shards = run(task, tmp_path, engine=processes, shard_rows=16, timeout=timeout)
    assert [(s.start, s.stop, s.status) for s in shards.failures] == [
        (13, 14, status),
        (14, 15, status),
    ]
    assert 'tasks.py", line' in shards.failures[0].message
    assert [row for row, _ in squares_in(shards)] == [*range(13), *range(15, 40)]
    assert [name for name in names(tmp_path) if name.startswith("tmp-")] == []


def test_a_killed_worker_costs_its_shard_alone(tmp_path, processes):
    (tmp_path / "notes").mkdir()
    task = Squares(64, {20: "die once"}, str(tmp_path / "notes"))
    shards = run(task, tmp_path / "run", engine=processes, shard_rows=16)
    assert shards.complete
    assert not shards.failures
    assert sorted(note["start"] for note in notes_of(task)) == [0, 16, 16, 32, 48]


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_an_exception_stops_the_run_and_names_its_rows(tmp_path, engine):
    with pytest.raises(TaskFailed, match=r"rows 32 to 47: ValueError: row 40 is bad") as caught:
        run(Squares(64, {40: "raise"}), tmp_path, engine=engine, shard_rows=16)
    assert (caught.value.start, caught.value.stop) == (32, 48)
    assert isinstance(caught.value.__cause__, ValueError)
    assert not Shards(tmp_path).complete


def test_a_directory_of_another_task_is_refused(tmp_path):
    run(Squares(10), tmp_path)
    with pytest.raises(RunMismatch, match="number of rows is 10, not 11"):
        run(Squares(11), tmp_path)
    with pytest.raises(RunMismatch, match="another task: its key"):
        run(Squares(10, seconds=0.001), tmp_path)


def test_when_nothing_succeeds_the_run_stops_and_condemns_no_row(tmp_path, processes):
    task = Squares(30, dict.fromkeys(range(30), "abort"))
    with pytest.raises(TooManyCrashes, match="20 rows in succession"):
        run(task, tmp_path, engine=processes, shard_rows=30, retries=0)
    assert list(Shards(tmp_path)) == []


def test_what_is_interrupted_continues_on_another_engine(tmp_path, processes):
    (tmp_path / "notes").mkdir()
    task = Squares(80, notes=str(tmp_path / "notes"))

    def press(progress):
        if progress.done >= 32:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(task, tmp_path / "run", engine=processes, shard_rows=16, progress=press)
    finished = [shard.start for shard in Shards(tmp_path / "run")]
    assert len(finished) >= 2
    earlier = len(notes_of(task))
    shards = run(task, tmp_path / "run")
    assert shards.complete
    again = [note["start"] for note in notes_of(task)[earlier:]]
    assert sorted(again + finished) == [0, 16, 32, 48, 64]
