"""Tasks that behave well or badly, on purpose, for the laws of engines."""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import time
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dc_core.engines.task import Task
from dc_core.engines.watchdog import alive


class Unsendable(Exception):
    """An exception that cannot be pickled."""

    def __init__(self, row: int, what: str) -> None:
        super().__init__(f"{what} {row}")
        self.generator = (n for n in range(row))


@dataclass(frozen=True)
class Squares(Task):
    """Squares the numbers of its rows, after ``seconds`` for each.

    ``deeds`` says what happens at a row instead, and ``notes`` is a directory in which every
    attempt leaves a note.
    """

    rows: int
    deeds: Mapping[int, str] = field(default_factory=dict)
    notes: str = ""
    seconds: float = 0

    def __len__(self) -> int:
        """Return the number of rows."""
        return self.rows

    def run(self, start: int, stop: int, directory: Path) -> None:
        """Write the squares, one a line."""
        note: dict[str, Any] = {
            "start": start,
            "stop": stop,
            "pid": os.getpid(),
            "begun": time.time(),
        }
        if self.notes:
            path = Path(self.notes, f"{uuid.uuid4().hex}.json")
            note["threads"] = os.environ.get("OMP_NUM_THREADS")
            write_note(path, note)
        lines = []
        for row in range(start, stop):
            alive()
            time.sleep(self.seconds)
            if row in self.deeds:
                self.do(self.deeds[row], row)
            lines.append(f"{row * row}\n")
        (directory / "squares.txt").write_text("".join(lines))
        if self.notes:
            write_note(path, {**note, "ended": time.time()})

    def do(self, deed: str, row: int) -> None:
        """Do what is to happen at a row."""
        if deed == "abort":
            os.abort()
        elif deed == "hang":
            # Unlike time.sleep, this keeps the interpreter's lock, as native code that hangs does.
            ctypes.PyDLL(None).sleep(3600)
        elif deed == "raise":
            raise ValueError(f"row {row} is bad")
        elif deed == "print":
            sys.stdout.write("printed\n")
            os.write(1, b"written\n")
        elif deed == "die once":
            spare = Path(self.notes, "spare")
            if not spare.exists():
                spare.touch()
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


def raise_from(kind: str) -> None:
    """Raise a ``ValueError``, a ``SystemExit`` or an exception that cannot be sent."""
    if kind == "SystemExit":
        sys.exit(3)
    raise Unsendable(3, "cannot be sent:") if kind == "Unsendable" else ValueError("a bad value")


def note_and_sleep(note: Any, seconds: float) -> None:
    """Write the number of this process to the path ``note``, and do nothing for a while."""
    write_note(note, os.getpid())
    time.sleep(seconds)


def interrupt_itself() -> None:
    """Send this process what a terminal sends on a Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)
    time.sleep(0.01)


def write_note(path: Path, note: Any) -> None:
    """Write a note that is complete whenever it is read."""
    unfinished = path.with_suffix(".tmp")
    unfinished.write_text(json.dumps(note))
    unfinished.replace(path)


def notes_of(task: Squares) -> list[dict[str, Any]]:
    """Return the notes that attempts at ``task`` have left, in the order of their beginnings."""
    notes = [json.loads(path.read_text()) for path in Path(task.notes).glob("*.json")]
    return sorted(notes, key=lambda note: note["begun"])


def squares_in(shards: Any) -> Iterator[tuple[int, int]]:
    """Yield each row with a result, and that result, in the order of ``shards``."""
    for shard in shards:
        if shard.status == "ok":
            values = (shard.path / "squares.txt").read_text().split()
            yield from zip(range(shard.start, shard.stop), map(int, values), strict=True)
