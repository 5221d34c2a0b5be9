"""Print results on standard output, and everything else on standard error.

Nothing that comes from a file can control the terminal, and every message is bounded.
"""

from __future__ import annotations

import logging
import time
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import BarColumn, TextColumn
from rich.progress import Progress as Bar

from dc_core import FailureReport, escape_controls, json_line
from dc_core.engines import Progress

MAX_TEXT: Final = 2_000
"""The longest message, in characters."""

EVERY: Final = 5.0
"""Seconds between two lines of progress where there is no terminal."""

_COUNTED: Final = (
    "dc_core.steps",
    "dc_pipeline.pipeline",
    "dc_pipeline.scale.predicting",
    "dc_pipeline.storing",
)
"""Loggers of failures, which are counted at the end of a command."""

out: Final = Console(soft_wrap=True, highlight=False, emoji=False, markup=False)
err: Final = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False, markup=False)


def plain(text: str) -> str:
    """Return ``text`` on one line, cut, with control characters escaped."""
    cut = text if len(text) <= MAX_TEXT else f"{text[:MAX_TEXT]}… ({len(text):,} characters)"
    return escape_controls(cut)


def shown(path: str | Path) -> str:
    """Return ``path`` as text, from the working directory on if it is below that."""
    below = Path(path).is_relative_to(Path.cwd())
    return str(Path(path).relative_to(Path.cwd()) if below else path)


def print_json(value: Any) -> None:
    """Print ``value`` as JSON on one line, in ASCII; NaN and infinity become null."""
    out.file.write(json_line(value) + "\n")


def print_rows(rows: Iterable[Sequence[str]]) -> None:
    """Print rows of cells, one a line, in aligned columns; the first row is their names."""
    shown = [[plain(cell) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(*shown, strict=True)]
    for i, row in enumerate(shown):
        padded = "  ".join(map(str.ljust, row, widths)).rstrip()
        out.print(padded, style="bold" if i == 0 else None)


def counts_of(failures: FailureReport) -> dict[str, int]:
    """Return how many inputs and labels failed, by status."""
    return dict(Counter(failure.status for failure in failures))


def print_counts(failures: FailureReport, report: str | Path) -> None:
    """Print how many failed, by status, and where the ``report`` on them is."""
    counts = counts_of(failures)
    if counts:
        steps = ", ".join(f"{n:,} × {status}" for status, n in counts.items())
        err.print(
            plain(f"{sum(counts.values()):,} failed ({steps}); see {shown(report)}"), style="yellow"
        )


class Narrator:
    """Reports the steps of the work, unless it is ``quiet``."""

    def __init__(self, *, quiet: bool) -> None:
        self.quiet = quiet

    def say(self, text: str) -> None:
        """Print a line about the present step."""
        if not self.quiet:
            err.print(plain(text), style="dim")

    @contextmanager
    def progress(self, what: str) -> Iterator[Callable[[Progress], object] | bool]:
        """Yield a callback for the progress of an engine.

        It is a bar on a terminal; elsewhere a line every few seconds, and one at the end.
        """
        if self.quiet:
            yield False
        elif err.is_terminal:
            with _bar() as bar:
                task = bar.add_task(what, total=None, now="")
                yield lambda now: bar.update(task, completed=now.done, total=now.rows, now=now)
        else:
            yield _Lines(what)


class _Lines:
    """Prints progress as lines, not too many."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._next = 0.0

    def __call__(self, now: Progress) -> None:
        if now.done == now.rows or time.monotonic() >= self._next:
            err.print(plain(f"{self._what}: {now}"))
            self._next = time.monotonic() + EVERY


def _bar() -> Bar:
    return Bar(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[now]}", markup=False),
        console=err,
    )


@contextmanager
def warnings_on_one_line() -> Iterator[None]:
    """Print the warnings and log messages of this block, each on one line."""
    handler = _Handler(logging.WARNING)
    logging.getLogger().addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = _show_warning
            yield
    finally:
        logging.getLogger().removeHandler(handler)


class _Handler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        if record.name not in _COUNTED:
            _show_warning(record.getMessage())


def _show_warning(message: Warning | str, *details: Any, **more: Any) -> None:
    err.print(plain(f"warning: {message}"), style="yellow")
