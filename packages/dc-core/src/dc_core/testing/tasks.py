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
            threads = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS",)}
            early = [name for name in ("numpy", "torch") if name in sys.modules]
            note |= {"threads": threads, "early": early}
            path.write_text(json.dumps(note))
        lines = []
        for row in range(start, stop):
            alive()
            time.sleep(self.seconds)
            if row in self.deeds:
                self.do(self.deeds[row], row)
            lines.append(f"{row * row}\n")
        (directory / "squares.txt").write_text("".join(lines))
        if self.notes:
            path.write_text(json.dumps({**note, "ended": time.time()}))

    def do(self, deed: str, row: int) -> None:
        """Do what is to happen at a row."""
        if deed == "abort":
            os.abort()
        elif deed == "hang":
            # Unlike time.sleep, this keeps the interpreter's lock, as native code that hangs does.
            ctypes.PyDLL(None).sleep(3600)
        elif deed == "raise":
            raise ValueError(f"row {row} is bad")
        elif deed == "raise what cannot be sent":
            raise Unsendable(row, "a bad row,")
        elif deed == "exit":
            sys.exit(3)
        elif deed == "print":
            sys.stdout.write("printed\n")
            os.write(1, b"written\n")
        elif deed == "die once":
            with_note = Path(self.notes, f"died at {row}")
            if not with_note.exists():
                with_note.touch()
                os.kill(os.getpid(), getattr(signal, "SIGKILL", signal.SIGTERM))


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
