"""Measure ways to do the same thing, each in processes of its own, turn by turn.

A *way* is a function that prepares everything it needs (imports, data, a small run to warm up) and
returns the action to be measured. Every measurement starts the way in a fresh interpreter
(``worker.py``), so that no import, cache or heap of one is left to the next. The ways take turns,
A B A B …, so that a drift of the machine meets all of them.

CPU seconds are those of the process, all its threads, and the processes it waited for. Memory is
the peak of *anonymous* memory (``RssAnon``) above what the process held before the action: pages of
a mapped file are the kernel's cache and cost nobody anything. It is sampled every millisecond from
outside, in runs whose times are thrown away.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median
from typing import Any, Literal

Start = Callable[..., Callable[[], Any]]
Metric = Literal["cpu", "wall", "memory", "rate"]

HERE = Path(__file__).parent
MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do the thing: its name in the table and the function that prepares the action.

    ``start(folder, **options)`` returns the action. A way that needs another Python than this one
    names its ``environment``.
    """

    name: str
    start: Start
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str | None = None


@dataclass(frozen=True, slots=True)
class Figures:
    """What one way takes, as medians: seconds a call, memory in MiB, things done per CPU second."""

    cpu: float
    wall: float
    memory: float | None = None
    rate: float | None = None


class WayFailed(Exception):
    """A way did not come back with its figures."""


def measure(
    ways: Sequence[Way],
    folder: Path,
    *,
    repeats: int,
    calls: int = 1,
    memory: bool = False,
    environments: Mapping[str, Path] | None = None,
) -> dict[str, Figures]:
    """Return the figures of each way by its name: medians of ``repeats`` fresh processes.

    Each process makes the action ``calls`` times. A way whose environment is not among
    ``environments`` (its interpreter by name) is left out.
    """
    here = {None: Path(sys.executable), **(environments or {})}
    present = [way for way in ways if way.environment in here]
    calls_of = defaultdict(list)
    peaks = defaultdict(list)
    for _ in range(repeats):
        for way in present:
            calls_of[way.name] += run(way, folder, here[way.environment], calls=calls).calls
    for _ in range(min(repeats, 3) if memory else 0):
        for way in present:
            peaks[way.name].append(run(way, folder, here[way.environment], sample=True).peak)
    return {way.name: _figures(calls_of[way.name], peaks[way.name]) for way in present}


@dataclass(frozen=True, slots=True)
class Run:
    """What one process reports: (wall s, CPU s, things done) of each call, and the peak in MiB."""

    calls: list[tuple[float, float, int | None]]
    peak: float


def run(
    way: Way, folder: Path, python: Path | None = None, *, calls: int = 1, sample: bool = False
) -> Run:
    """Start ``way`` in a fresh interpreter and make its action ``calls`` times.

    Raises :class:`WayFailed` with the end of what the process wrote to its standard error.
    """
    with _worker(way, folder, python or Path(sys.executable), calls) as (process, errors):
        ready = process.stdout.readline()
        before = anonymous_memory(process.pid) if ready else 0
        peak = before
        if ready:
            process.stdin.write("go\n")
            process.stdin.flush()
            while sample and not select.select([process.stdout], [], [], 0.001)[0]:
                peak = max(peak, anonymous_memory(process.pid))
        done = process.stdout.readline() if ready else ""
        if not done:
            process.wait()
            errors.seek(0)
            raise WayFailed(f"{way.name} failed:\n{errors.read()[-4000:]}")
        peak = max(peak, anonymous_memory(process.pid))
    return Run([tuple(call) for call in json.loads(done)], (peak - before) / MIB)


def anonymous_memory(pid: int) -> int:
    """Return how many bytes of anonymous memory the process holds now (Linux ``RssAnon``)."""
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"^RssAnon:\s+(\d+) kB$", status, re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


@contextmanager
def _worker(way: Way, folder: Path, python: Path, calls: int) -> Iterator[tuple[Any, Any]]:
    """Start ``worker.py``; its standard output is the channel, its standard error a file."""
    module, function = way.start.__module__, way.start.__qualname__
    with tempfile.TemporaryFile("w+") as errors:
        options = json.dumps(dict(way.options))
        process = subprocess.Popen(
            [python, HERE / "worker.py", module, function, folder, str(calls), options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env={**os.environ, **_ENVIRONMENT},
        )
        try:
            yield process, errors
        finally:
            # Closing its input lets a worker that waits for its next line end.
            process.stdin.close()
            process.stdout.close()
            process.wait()


_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


def _figures(calls: list[tuple[float, float, int | None]], peaks: list[float]) -> Figures:
    wall = median(wall for wall, _, _ in calls)
    cpu = median(cpu for _, cpu, _ in calls)
    done = calls[0][2]
    return Figures(
        cpu=cpu,
        wall=wall,
        memory=median(peaks) if peaks else None,
        rate=done / cpu if done else None,
    )
