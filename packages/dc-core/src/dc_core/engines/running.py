"""Run a task: hand out ranges of rows, and find out which rows kill their workers."""

from __future__ import annotations

import uuid
from collections import Counter
from itertools import count
from pathlib import Path
from typing import Any, Final

from dc_core.engines import directory as layout
from dc_core.engines.attempt import Attempt, AttemptLost
from dc_core.engines.choosing import as_engine
from dc_core.engines.contract import Engine, Outcome
from dc_core.engines.progress import Meter, Report, reporting
from dc_core.engines.shards import Shards
from dc_core.engines.task import Task
from dc_core.errors import EngineError, ParameterError, TaskFailed, TooManyCrashes
from dc_core.parameters import check_count

_PER_WORKER: Final = 2
"""How many calls are submitted for each worker: one runs, and the next is waiting."""

_LONGEST: Final = 10**7
"""The longest timeout in seconds."""

_HOPELESS: Final = 20
"""After how many failed rows in succession a run stops."""


def run(
    task: Task,
    directory: str | Path,
    *,
    engine: Any = "serial",
    shard_rows: int | None = None,
    retries: int = 1,
    timeout: float | None = None,
    progress: Report | bool | None = None,
) -> Shards:
    """Run ``task`` and return its results, which are in ``directory``.

    Only what is not finished there is done: a run that was interrupted continues, on any engine.
    Several runs of one directory at once do no harm.

    Args:
        task: What to do.
        directory: A new or empty directory, or one with a run of the same task. Every worker must
            be able to write to it under this name.
        engine: The name of an engine (``serial``, ``processes``, ``ray``, ``dask``), an
            :class:`Engine`, or a client of a cluster.
        shard_rows: How many rows a worker does at a time; by default 2048. A directory that exists
            keeps its own number.
        retries: How often a range is tried again after its worker has died.
        timeout: After how many seconds without a sign of life a worker is ended. A task gives one
            with :func:`alive`; for a task that does not, it is the time for a shard. Importing what
            the task needs counts, and is done again by the worker that replaces a dead one.
        progress: A function that is called with a :class:`Progress` after every shard, True or
            False to show it on standard error or not, or None to show it on a terminal.

    A worker that dies or times out costs its shard only. The shard is tried again, and then divided
    until the row that is to blame is found; that row's status is ``crash`` or ``timeout``.

    Raises :class:`TaskFailed` if the task raised an exception, :class:`TooManyCrashes` if nothing
    succeeds, :class:`RunMismatch` if the directory contains something else. What is finished is
    kept then, as it is on a Ctrl-C.
    """
    check_count("retries", retries, minimum=0)
    _check_timeout(timeout)
    grid = layout.DEFAULT_ROWS if shard_rows is None else shard_rows
    rows = check_count("shard_rows", grid, minimum=1)
    chosen = as_engine(engine)
    if timeout is not None and not chosen.isolated:
        raise ParameterError(
            f"{type(chosen).__name__} runs tasks in this process, which cannot time out.",
            hint='Use engine="processes".',
        )
    place = Path(directory).absolute()
    cls = type(task)
    name = f"{cls.__module__}.{cls.__qualname__}"
    header = layout.prepare(place, layout.Header(name, task.key, len(task), rows))
    with reporting(progress) as report:
        driver = _Driver(task, place, header, chosen, retries, timeout, report)
        if driver.work:
            try:
                with chosen:
                    driver.run()
            finally:
                driver.clear()
    layout.remove_temporary(place)
    return Shards(place)


def _check_timeout(timeout: object) -> None:
    if timeout is None:
        return
    is_number = isinstance(timeout, int | float) and not isinstance(timeout, bool)
    if not is_number or not 0 < timeout < _LONGEST:  # type: ignore[operator]
        raise ParameterError(
            f"timeout={timeout!r} must be a number of seconds between 0 and {_LONGEST:,}."
        )


class _Driver:
    """The state of one run: the rows to do, those being done, and those that failed."""

    def __init__(
        self,
        task: Task,
        directory: Path,
        header: layout.Header,
        engine: Engine,
        retries: int,
        timeout: float | None,
        report: Report,
    ) -> None:
        self.task = task
        self.directory = directory
        self.header = header
        self.engine = engine
        self.retries = retries
        self.timeout = timeout
        finished = layout.committed(directory)
        done = sum(stop - start for start, stop in finished)
        self.work = done < header.rows
        self.fresh = layout.missing(header, finished)
        self.suspects: list[layout.Rows] = []
        self.parts: set[layout.Rows] = set()
        self.deaths: Counter[layout.Rows] = Counter()
        self.condemned: list[tuple[int, str, str]] = []
        self.flying: dict[int, Attempt] = {}
        self.meter = Meter(header.rows, done, report)

    def run(self) -> None:
        """Run everything that is not finished."""
        numbers = count()
        while True:
            while len(self.flying) < _PER_WORKER * self.engine.workers:
                attempt = self.next_attempt()
                if attempt is None:
                    break
                number = next(numbers)
                self.engine.submit(number, attempt)
                self.flying[number] = attempt
            if not self.flying:
                break
            number, outcome = self.engine.wait()
            self.ended(self.flying.pop(number), outcome)
        self.commit_condemned()

    def next_attempt(self) -> Attempt | None:
        """Return the next rows to do; those that may kill a worker come first, to know it soon."""
        rows = self.suspects.pop() if self.suspects else next(self.fresh, None)
        if rows is None:
            return None
        return Attempt(
            self.task.part(*rows),
            self.directory,
            *rows,
            uuid.uuid4().hex,
            self.timeout,
            self.engine.isolated,
        )

    def ended(self, attempt: Attempt, outcome: Outcome) -> None:
        """Note how an attempt ended."""
        rows = (attempt.start, attempt.stop)
        if outcome.status == "crash" or isinstance(outcome.error, AttemptLost):
            status, message = attempt.cause_of_death()
            self.died(rows, status, message or outcome.message)
        elif outcome.status == "error":
            raise TaskFailed(
                f"{type(self.task).__name__} raised an exception for the rows {rows[0]} to "
                f"{rows[1] - 1}: {outcome.message}.",
                hint="Every finished shard is kept: correct the task and run it again.",
                start=rows[0],
                stop=rows[1],
            ) from outcome.error
        elif not layout.is_finished(self.directory, rows):
            raise EngineError(
                f"The results of the rows {rows[0]} to {rows[1] - 1} are not in {self.directory}.",
                hint="The directory must be one that all workers share, under the same name.",
            )
        else:
            self.commit_condemned()
            self.meter.add(rows[1] - rows[0])

    def died(self, rows: layout.Rows, status: str, message: str) -> None:
        """Try rows again whose worker has died, divide them, or give a single one up."""
        self.deaths[rows] += 1
        alone = rows[1] - rows[0] == 1
        # A part of a range that killed its worker is not tried again before it is divided.
        may_be_innocent = status == "crash" and (alone or rows not in self.parts)
        if may_be_innocent and self.deaths[rows] <= self.retries:
            self.suspects.append(rows)
        elif not alone:
            left, right = layout.halves(rows)
            self.parts |= {left, right}
            self.suspects += [right, left]
        else:
            self.condemned.append((rows[0], status, message))
            if len(self.condemned) >= _HOPELESS:
                raise TooManyCrashes(
                    f"{_HOPELESS} rows in succession crashed or timed out, up to row {rows[0]}: "
                    f"{message}",
                    hint="Run one row with engine='serial' to see why.",
                )

    def commit_condemned(self) -> None:
        """Commit the rows that failed, once it is clear that it is not everything that fails."""
        for row, status, message in self.condemned:
            layout.commit_failure(self.directory, row, status, message)
            self.meter.add(1, failed=True)
        self.condemned.clear()

    def clear(self) -> None:
        """Remove the files of cancelled attempts."""
        for attempt in self.flying.values():
            attempt.clear()
