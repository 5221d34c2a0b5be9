"""Print the content of a model's files: bounded, aligned, and without effect on the terminal.

A file may hold a key of a megabyte or a hundred thousand weights. Every text that is printed here
is cut after ``MAX_TEXT`` characters and every list after ``MAX_ROWS`` rows, and both say so; the
padding of a column never exceeds ``MAX_PADDING``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    DownloadColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeRemainingColumn,
    TransferSpeedColumn,
)

from dc_core import escape_controls, json_line

MAX_TEXT: Final = 2_000
MAX_ROWS: Final = 1_000
MAX_PADDING: Final = 48

Row = tuple[str, ...]

out: Final = Console(soft_wrap=True, highlight=False, emoji=False)
err: Final = Console(stderr=True, soft_wrap=True, highlight=False, emoji=False)


def cut(text: str, limit: int = MAX_TEXT) -> str:
    """Return ``text``, or its first ``limit`` characters and how many it has."""
    return text if len(text) <= limit else f"{text[:limit]}… ({len(text):,} characters in all)"


def counted(number: int, noun: str) -> str:
    """Return how many there are of something: ``1 model``, ``1,000 models``."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def plain(text: str) -> str:
    """Return ``text`` for a console to print literally: cut, controls and markup escaped."""
    return escape(_shown(text))


def print_json(value: Any) -> None:
    """Print ``value`` as JSON on one line, in ASCII; NaN and infinity become null."""
    out.file.write(json_line(value) + "\n")


@contextmanager
def progress() -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback that shows the progress in bytes; None if nobody would see it."""
    if not err.is_terminal:
        yield None
        return
    columns = (BarColumn(), DownloadColumn(), TransferSpeedColumn(), TimeRemainingColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task("fetching", total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


@contextmanager
def telling() -> Iterator[None]:
    """Print dc-hub's informational log messages during the block, if somebody would see them."""
    if not err.is_terminal:
        yield
        return
    logger = logging.getLogger("dc_hub")
    before, handler = logger.level, _Told(logging.INFO)
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)


class _Told(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        err.print(plain(record.getMessage()), style="dim")


@contextmanager
def counting(what: str) -> Iterator[Callable[[int, int], None] | None]:
    """Yield a callback that shows how many of all are done; None if nobody would see it."""
    if not err.is_terminal:
        yield None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, TimeRemainingColumn(), console=err, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def print_columns(*sections: Iterable[Row]) -> None:
    """Print the rows of all sections, one a line, with aligned columns; the last is not padded."""
    shown: list[Row] = []
    for section in sections:
        rows = iter(section)
        shown += (tuple(map(_shown, row)) for row in islice(rows, MAX_ROWS))
        more = sum(1 for _ in rows)
        if more:
            shown.append((f"… and {more:,} more", "(--json prints all)"))
    widths = [
        min(max(len(row[i]) for row in shown if i < len(row) - 1), MAX_PADDING)
        for i in range(max(map(len, shown), default=0) - 1)
    ]
    for *cells, last in shown:
        padded = "  ".join(map(str.ljust, cells, widths))
        out.print(f"[bold]{escape(padded)}[/]  {escape(last)}")


def _shown(text: str) -> str:
    return escape_controls(cut(text))
