"""The laws of an engine: what runs of tasks rely on."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from abc import abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar, Final

from dc_core.engines.contract import Engine, Outcome
from dc_core.engines.running import run
from dc_core.engines.shards import Shards
from dc_core.errors import NotSerializable
from dc_core.testing.process import captured_output
from dc_core.testing.suite import LawBroken, Suite, law, skip
from dc_core.testing.tasks import (
    Squares,
    interrupt_itself,
    note_and_sleep,
    notes_of,
    raise_from,
    squares_in,
)

_SHARD: Final = 8
"""How many rows a shard has in the laws."""

_PATIENCE: Final = 2
"""How many seconds something may take that should take none."""


class EngineSuite(Suite):
    """Every law of an engine; a subclass writes ``make``."""

    keeps_workers: ClassVar[bool] = False
    """Whether worker processes belong to a cluster that goes on after the engine is closed."""

    @abstractmethod
    def make(self) -> Engine:
        """Return a new engine with two workers, or with one if it is not isolated."""

    @law(since="0.1")
    def test_results_are_those_of_serial(self) -> None:
        """Every row has the result that the serial engine gives, in the order of the rows."""
        with self._run(Squares(5 * _SHARD + 1)) as shards:
            self._all_squared(shards)

    @law(since="0.1")
    def test_as_many_calls_run_at_once_as_there_are_workers(self) -> None:
        """As many calls run at the same time as there are workers, and never more."""
        engine = self.make()
        with engine:
            workers = engine.workers
            if workers < 1:
                raise LawBroken(f"It has {workers} workers.", hint="Return at least 1.")
            with self._noted(rows=4 * workers * _SHARD, seconds=0.02) as task, _place() as place:
                run(task, place, engine=engine, shard_rows=_SHARD)
                notes = notes_of(task)
        most = max(sum(b["begun"] <= a["begun"] < b["ended"] for b in notes) for a in notes)
        if most != workers:
            raise LawBroken(
                f"It has {workers} workers, and {most} calls ran at once.",
                hint="Give each worker one call at a time, and all of them one.",
            )

    @law(since="0.1")
    def test_every_call_ends_once(self) -> None:
        """Each number that was submitted comes back once, after every start."""
        engine = self.make()
        for _ in range(2):
            with engine:
                submitted = range(100, 100 + 2 * engine.workers)
                for number in submitted:
                    engine.submit(number, partial(time.sleep, 0.01))
                ended = sorted(engine.wait()[0] for _ in submitted)
            if ended != list(submitted):
                raise LawBroken(
                    f"The calls {list(submitted)} were submitted, and {ended} ended.",
                    hint="Return the number with which a call was submitted.",
                )

    @law(since="0.1")
    def test_submitting_does_not_wait(self) -> None:
        """Submitting returns before the call has run."""
        with self.make() as engine:
            begun = time.perf_counter()
            engine.submit(0, partial(time.sleep, _PATIENCE))
            if time.perf_counter() - begun >= _PATIENCE:
                raise LawBroken(
                    "Submitting a call took as long as the call.",
                    hint="Return at once, and run the call in the background or in wait().",
                )

    @law(since="0.1")
    def test_an_exception_is_an_error(self) -> None:
        """A call that raises an exception is an error, with the exception if it can be sent."""
        for kind in (ValueError, SystemExit):
            outcome = self._outcome(partial(raise_from, kind.__name__))
            if outcome.status != "error" or not isinstance(outcome.error, kind):
                raise LawBroken(
                    f"A call that raised {kind.__name__} gave {outcome}.",
                    hint="Let dc_core.engines.run_isolated run the call and return its outcome.",
                )
        outcome = self._outcome(partial(raise_from, "Unsendable"))
        if outcome.status != "error" or "cannot be sent" not in outcome.message:
            raise LawBroken(
                f"An exception that cannot be pickled gave {outcome}.",
                hint="Return the exception's text if the exception cannot be sent.",
            )

    @law(since="0.1")
    def test_calls_that_cannot_be_pickled_are_refused(self) -> None:
        """Submitting a call that cannot be pickled raises NotSerializable."""
        self._isolated()
        with self.make() as engine:
            try:
                engine.submit(0, partial(note_and_sleep, threading.Lock()))
            except NotSerializable:
                return
        raise LawBroken(
            "A call that contains a lock was submitted, and it raised nothing.",
            hint="Use dc_core.engines.dumps in submit().",
        )

    @law(since="0.1")
    def test_a_killed_worker_costs_its_shard_alone(self) -> None:
        """When a worker is killed, its shard runs again and no other does."""
        self._isolated()
        with (
            self._noted(rows=6 * _SHARD, deeds={2 * _SHARD + 1: "die once"}) as task,
            self._run(task),
        ):
            times = Counter(note["start"] for note in notes_of(task))
        for start in range(0, len(task), _SHARD):
            expected = 2 if start == 2 * _SHARD else 1
            if times[start] != expected:
                raise LawBroken(
                    f"A worker was killed in the rows from {2 * _SHARD}; the rows from {start} "
                    f"ran {times[start]} times.",
                    hint="Report the call of the dead worker as a crash, and no other.",
                )

    @law(since="0.1")
    def test_a_row_that_crashes_is_isolated(self) -> None:
        """A row that aborts its process is a crash, and every other row is done."""
        self._isolated()
        self._loses(Squares(3 * _SHARD, {_SHARD + 3: "abort"}), None, "crash")

    @law(since="0.1")
    def test_a_row_that_hangs_is_isolated(self) -> None:
        """A row that hangs in native code is a timeout, and every other row is done."""
        self._isolated()
        self._loses(Squares(3 * _SHARD, {_SHARD + 3: "hang"}), 0.3, "timeout")

    @law(since="0.1")
    def test_another_engine_continues_its_runs(self) -> None:
        """A run that was interrupted continues on serial, and nothing finished runs again."""
        self._continues(self.make(), "serial")

    @law(since="0.1")
    def test_it_continues_the_runs_of_another_engine(self) -> None:
        """A run that was interrupted on serial continues, and nothing finished runs again."""
        self._continues("serial", self.make())

    @law(since="0.1")
    def test_cancelled_calls_are_forgotten(self) -> None:
        """After cancelling, the calls have stopped, and only new ones come back."""
        self._isolated()
        with self.make() as engine, _place() as place:
            note = place / "note"
            engine.submit(0, partial(note_and_sleep, note, 60))
            for number in range(1, 2 * engine.workers):
                engine.submit(number, partial(time.sleep, 0.01))
            _wait_for(note.exists)
            pid = int(note.read_text())
            engine.cancel()
            if not _wait_for(lambda: not _runs(pid)):
                os.kill(pid, 9)
                raise LawBroken(
                    "A cancelled call goes on.", hint="Kill the process that runs the call."
                )
            engine.submit(1000, partial(time.sleep, 0))
            number, _ = engine.wait()
            if number != 1000:
                raise LawBroken(
                    f"After cancelling, the call 1000 was submitted, and {number} ended.",
                    hint="Forget every call that was submitted before.",
                )

    @law(since="0.1")
    def test_workers_ignore_ctrl_c(self) -> None:
        """A Ctrl-C, which a terminal sends to every process, does not end a worker's call."""
        self._isolated()
        outcome = self._outcome(interrupt_itself)
        if outcome.status != "ok":
            raise LawBroken(
                f"A call whose process got SIGINT gave {outcome}.",
                hint="Ignore SIGINT in workers: the program cancels their calls.",
            )

    @law(since="0.1")
    def test_native_libraries_start_one_thread(self) -> None:
        """Workers tell OpenMP and BLAS to start one thread, before NumPy is imported."""
        self._isolated()
        with self._noted(rows=_SHARD) as task, self._run(task):
            (note,) = notes_of(task)
        if note["threads"] != "1":
            raise LawBroken(
                f"In a worker, OMP_NUM_THREADS is {note['threads']}.",
                hint="Let dc_core.engines.run_isolated run the call.",
            )

    @law(since="0.1")
    def test_workers_print_nothing_to_standard_output(self) -> None:
        """Neither workers nor the engine print to the program's standard output."""
        self._isolated()
        with captured_output(error=False) as written, self._run(Squares(_SHARD, {1: "print"})):
            pass
        if any(written):
            raise LawBroken(
                f"It wrote {''.join(written)!r} to standard output.",
                hint="Send what workers print to standard error.",
            )

    @law(since="0.1")
    def test_closing_ends_processes_and_threads(self) -> None:
        """After closing, the engine's processes and threads are gone."""
        with self._run(Squares(_SHARD)):
            pass  # what frameworks start once for all stays
        threads = set(threading.enumerate())
        with self._noted(rows=4 * _SHARD) as task, self._run(task):
            pids = {note["pid"] for note in notes_of(task)} - {os.getpid()}
        left = [] if self.keeps_workers else [pid for pid in pids if _runs(pid)]
        if left:
            raise LawBroken(
                f"{len(left)} workers still run.", hint="End them in close(), and wait for it."
            )
        if not _wait_for(lambda: set(threading.enumerate()) <= threads):
            raise LawBroken(
                f"It left the threads {set(threading.enumerate()) - threads}.",
                hint="End them in close(), and join them.",
            )

    @contextmanager
    def _run(self, task: Squares, **options: Any) -> Iterator[Shards]:
        with _place() as place:
            yield run(task, place, engine=self.make(), shard_rows=_SHARD, **options)

    @contextmanager
    def _noted(self, rows: int, **options: Any) -> Iterator[Squares]:
        """Yield a task that leaves notes."""
        with _place() as place:
            yield Squares(rows, notes=str(place), **options)

    def _outcome(self, call: Callable[[], object]) -> Outcome:
        with self.make() as engine:
            engine.submit(0, call)
            return engine.wait()[1]

    def _isolated(self) -> None:
        if not self.make().isolated:
            skip("the engine runs calls in the program's own process")

    def _all_squared(self, shards: Shards, without: int | None = None) -> None:
        """Break the law unless every row but ``without`` has its square."""
        expected = [(row, row * row) for row in range(shards.rows) if row != without]
        if list(squares_in(shards)) != expected:
            raise LawBroken(
                f"The results of {shards} are not the squares of the rows.",
                hint="Run each call as it was submitted.",
            )

    def _loses(self, task: Squares, timeout: float | None, status: str) -> None:
        """Break the law unless the row with a deed fails with ``status``, and no other does."""
        ((row, deed),) = task.deeds.items()
        with self._run(task, timeout=timeout, retries=0) as shards:
            lost = [(shard.start, shard.stop, shard.status) for shard in shards.failures]
            if lost != [(row, row + 1, status)]:
                raise LawBroken(
                    f"Row {row} had to {deed}. Rows without a result: {lost}.",
                    hint="Report a call as a crash if its process dies, and only then.",
                )
            self._all_squared(shards, without=row)

    def _continues(self, first: Engine | str, second: Engine | str) -> None:
        """Break the law unless ``second`` does what ``first`` has not finished."""

        def interrupt(progress: Any) -> None:
            if progress.done >= 2 * _SHARD:
                raise KeyboardInterrupt

        with self._noted(rows=8 * _SHARD) as task, _place() as place:
            with suppress(KeyboardInterrupt):
                run(task, place, engine=first, shard_rows=_SHARD, progress=interrupt)
            finished = {shard.start for shard in Shards(place)}
            ran = len(notes_of(task))
            shards = run(task, place, engine=second, shard_rows=_SHARD)
            again = {note["start"] for note in notes_of(task)[ran:]}
            if again & finished or len(finished) < 2:
                raise LawBroken(
                    f"The shards {sorted(finished)} were finished; the next run did "
                    f"{sorted(again)}.",
                    hint="Run each call once, and leave the directory of a run alone.",
                )
            self._all_squared(shards)


@contextmanager
def _place() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="dc-engine-") as place:
        yield Path(place)


def _wait_for(condition: Callable[[], bool]) -> bool:
    """Wait until ``condition`` holds; return whether it did in time."""
    end = time.perf_counter() + _PATIENCE
    while not condition():
        if time.perf_counter() > end:
            return False
        time.sleep(0.01)
    return True


def _runs(pid: int) -> bool:
    if os.name == "nt":
        return False  # there os.kill ends the process
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    status = Path(f"/proc/{pid}/stat")
    # A process that has ended and was not waited for yet has the state Z.
    with suppress(OSError):
        return status.read_text().rpartition(")")[2].split()[0] != "Z"
    return not Path("/proc/self/stat").exists()
