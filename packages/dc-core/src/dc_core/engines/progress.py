"""How far a run is: a line on a terminal, or a call of the user's function."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from dc_core.errors import ParameterError


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a run is.

    ``done`` of ``rows`` rows are finished. ``failures`` and ``rate``, in rows per second, are of
    this run alone, which may have found some rows finished.
    """

    done: int
    rows: int
    failures: int
    rate: float

    def __str__(self) -> str:
        """Show the rows done, the rate, the failures and the remaining time."""
        words = [f"{self.done:,} of {self.rows:,} rows"]
        if self.rate:
            words.append(
                f"{self.rate:,.3g} rows/s" if self.rate < 100 else f"{self.rate:,.0f} rows/s"
            )
            minutes, seconds = divmod(round((self.rows - self.done) / self.rate), 60)
            hours, minutes = divmod(minutes, 60)
            words.append(f"{hours}:{minutes:02}:{seconds:02} left")
        if self.failures:
            words.append(f"{self.failures:,} failed")
        return ", ".join(words)


Report = Callable[[Progress], object]


class Meter:
    """Counts rows and reports them to ``report``."""

    def __init__(self, rows: int, done: int, report: Report) -> None:
        self._rows = rows
        self._done = done
        self._new = 0
        self._failures = 0
        self._report = report
        self._begun = time.perf_counter()

    def add(self, rows: int, *, failed: bool = False) -> None:
        """Count rows that are finished."""
        self._new += rows
        self._failures += rows * failed
        rate = self._new / max(time.perf_counter() - self._begun, 1e-9)
        self._report(Progress(self._done + self._new, self._rows, self._failures, rate))


@contextmanager
def reporting(progress: Report | bool | None) -> Iterator[Report]:
    """Yield the callback of a run: the user's function, a line on standard error, or nothing.

    True asks for the line, False for nothing, and None for the line if there is a terminal.
    """
    if not callable(progress) and progress not in (None, True, False):
        raise ParameterError(f"progress={progress!r} must be None, True, False or a function.")
    terminal = sys.stderr is not None and sys.stderr.isatty()
    if callable(progress):
        yield progress
    elif not progress and not (progress is None and terminal):
        yield lambda _: None
    elif terminal:
        shown: list[Progress] = []
        try:
            yield lambda now: _overwrite(now, shown)
        finally:
            if shown:
                sys.stderr.write("\n")
    else:
        yield lambda now: sys.stderr.write(f"{now}\n")


def _overwrite(now: Progress, shown: list[Progress]) -> None:
    """Replace the line that shows the progress."""
    shown[:] = [now]
    sys.stderr.write(f"\r\x1b[K{now}")
    sys.stderr.flush()
