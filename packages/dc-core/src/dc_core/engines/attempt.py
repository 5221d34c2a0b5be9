"""One attempt of a worker at a range of rows, the same for every engine."""

from __future__ import annotations

import faulthandler
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import IO, Final

from dc_core.engines.directory import TEMPORARY, commit, discard, is_finished, name_of
from dc_core.engines.task import Task
from dc_core.engines.watchdog import watchdog
from dc_core.errors import EngineError

_SHOWN: Final = 4
"""How many calls of a traceback are shown in a message."""

_LOST: Final = "The process that ran this attempt has died."


class AttemptLost(EngineError):
    """The engine runs an attempt a second time: the process of the first one has died."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt at the rows from ``start`` up to ``stop``: a call to send to a worker.

    ``token`` names the attempt's files. If ``isolated``, it is the only thing that its process
    does, and may end it: after ``timeout`` seconds without a sign of life it does.
    """

    task: Task
    directory: Path
    start: int
    stop: int
    token: str
    timeout: float | None = None
    isolated: bool = True

    @property
    def path(self) -> Path:
        """The directory into which the attempt writes."""
        name = name_of((self.start, self.stop))
        return self.directory / f"{TEMPORARY}{name}-{self.token}"

    @property
    def log(self) -> Path:
        """The file in which a process that dies says where."""
        return self.path.with_name(f"{self.path.name}.log")

    def __call__(self) -> None:
        """Run the task and commit its files, unless another run has done so."""
        rows = (self.start, self.stop)
        if (self.directory / name_of(rows)).is_dir():
            return
        begun = time.perf_counter()
        try:
            with self._watched():
                self._make()
                made = self.path.stat().st_ino
                self.task.run(self.start, self.stop, self.path)
            if self.path.stat().st_ino != made:
                raise EngineError(f"{self.path} was removed while the task was running.")
            seconds = round(time.perf_counter() - begun, 6)
            commit(self.directory, self.path, rows, {"status": "ok", "seconds": seconds})
        except Exception:
            # Another run of the same directory may have been faster, and have cleared up.
            if not is_finished(self.directory, rows):
                raise
        finally:
            discard(self.path)

    def _make(self) -> None:
        try:
            self.path.mkdir()
        except FileExistsError:  # the first run is being cleared up at this moment
            raise AttemptLost(_LOST) from None

    @contextmanager
    def _watched(self) -> Iterator[None]:
        if not self.isolated:
            yield
            return
        try:
            log = self.log.open("x")
        except FileExistsError:
            raise AttemptLost(_LOST) from None
        try:
            with log, _faults_in(log), watchdog(log, self.timeout):
                yield
        finally:
            self.log.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the files of the attempt, if its process has died or was cancelled."""
        self.log.unlink(missing_ok=True)
        discard(self.path)

    def cause_of_death(self) -> tuple[str, str]:
        """Return the status and the message for an attempt whose process has died.

        What it has left is removed.
        """
        try:
            lines = self.log.read_text(encoding="utf-8", errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        self.clear()
        status = "timeout" if any(line.startswith("Timeout (") for line in lines) else "crash"
        reason = next((line for line in lines if line.startswith("Fatal Python error: ")), "")
        message = (
            f"There was no sign of life for {self.timeout} s."
            if status == "timeout"
            else reason.removeprefix("Fatal Python error: ")
        )
        ours = f'  File "{__file__}"'
        calls = takewhile(lambda line: not line.startswith(ours), lines)
        places = [line.strip() for line in calls if line.startswith("  File ")][:_SHOWN]
        return status, "\n".join(filter(None, [message, *places]))


@contextmanager
def _faults_in(log: IO[str]) -> Iterator[None]:
    """Let a process that is killed by a fault of its own write its traceback to ``log``."""
    before = faulthandler.is_enabled()
    faulthandler.enable(log, all_threads=False)
    try:
        yield
    finally:
        faulthandler.disable()
        if before and sys.__stderr__ is not None:
            faulthandler.enable(sys.__stderr__)
