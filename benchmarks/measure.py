"""Measure several ways to do the same thing, alternating between fresh processes.

A *way* is a function that prepares what it needs (imports, data, a small warm-up run) and returns
the action to measure. Every measurement runs in a fresh interpreter (``worker.py``), so that no
imports, caches or heap carry over. The ways alternate, A B A B …, so that a drift of the machine
affects all of them equally.

CPU seconds include all threads and the child processes waited for. Memory is the peak above what
the process used before the action, taken in runs whose times are discarded. *Anonymous* memory
(``RssAnon``, sampled from outside every millisecond) is what the action itself allocates;
*resident* memory (``VmHWM``, from the kernel) also counts pages of mapped files, which belong to
the page cache.
"""

from __future__ import annotations

import json
import os
import re
import select
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import median
from typing import Any, Literal, NamedTuple

Start = Callable[..., Callable[[], Any]]
Metric = Literal["cpu", "wall", "anonymous", "resident", "rate"]

HERE = Path(__file__).parent
RESET_PEAK = "5"  # what clear_refs(5) calls the peak of the resident memory
ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "HF_HUB_OFFLINE": "1",
}


@dataclass(frozen=True, slots=True)
class Way:
    """One way to do something: its name in the table and the function that prepares the action.

    ``start(folder, **options)`` returns the action. A way that needs another Python
    names its ``environment``, and one of a library that need not be here what it ``needs``.
    """

    name: str
    start: Start
    options: Mapping[str, Any] = field(default_factory=dict)
    environment: str | None = None
    needs: str = ""

    @property
    def absent(self) -> bool:
        """Whether the library that it needs is not installed."""
        return bool(self.needs) and find_spec(self.needs) is None


@dataclass(frozen=True, slots=True)
class Figures:
    """Medians for one way: seconds per call, memory in MiB, items per CPU second."""

    cpu: float
    wall: float
    anonymous: float | None = None
    resident: float | None = None
    rate: float | None = None


class WayFailed(Exception):
    """A way failed before it reported its figures."""


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

    Each process runs the action ``calls`` times. A way is left out if the library that it needs is
    absent, or if its environment is not in ``environments``, which maps names to interpreters.
    """
    pythons: dict[str | None, Path] = {None: Path(sys.executable)}
    pythons.update(environments or {})
    present = [way for way in ways if way.environment in pythons and not way.absent]
    taken: dict[str, list[Call]] = {way.name: [] for way in present}
    peaks: dict[str, list[Memory]] = {way.name: [] for way in present}
    for _ in range(repeats):
        for way in present:
            taken[way.name] += run(way, folder, pythons[way.environment], calls=calls).calls
    for _ in range(min(repeats, 3) if memory else 0):
        for way in present:
            peaks[way.name].append(run(way, folder, pythons[way.environment], sample=True).peak)
    return {way.name: _figures(taken[way.name], peaks[way.name]) for way in present}


class Call(NamedTuple):
    """One call of the action: seconds, and the number of items if it returned one."""

    wall: float
    cpu: float
    done: int | None


class Memory(NamedTuple):
    """Memory of a process, in MiB."""

    anonymous: float
    resident: float


@dataclass(frozen=True, slots=True)
class Run:
    """Measurements of one process: each call, and its peak memory above the start."""

    calls: list[Call]
    peak: Memory


def run(
    way: Way,
    folder: Path,
    python: str | Path = sys.executable,
    *,
    calls: int = 1,
    sample: bool = False,
) -> Run:
    """Start ``way`` in a fresh interpreter and run its action ``calls`` times.

    Raises :class:`WayFailed` with the end of the standard error of the process.
    """
    module, function = way.start.__module__, way.start.__qualname__
    arguments = (module, function, folder, str(calls), json.dumps(dict(way.options)))
    with (
        tempfile.TemporaryFile("w+") as errors,
        subprocess.Popen(
            [python, HERE / "worker.py", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=errors,
            text=True,
            env=os.environ | ENVIRONMENT,
        ) as process,
    ):
        ready = process.stdout.readline()
        if ready:
            Path(f"/proc/{process.pid}/clear_refs").write_text(RESET_PEAK)
        before = _memory(process.pid)
        peak = before.anonymous
        if ready:
            print("go", file=process.stdin, flush=True)
        while ready and sample and not select.select([process.stdout], [], [], 0.001)[0]:
            peak = max(peak, _memory(process.pid).anonymous)
        done = process.stdout.readline()
        after = _memory(process.pid)
        # The worker lives until its input is closed, so that its memory could be read.
        process.stdin.close()
        if process.wait() != 0:
            errors.seek(0)
            raise WayFailed(f"{way.name} failed:\n{errors.read()[-4000:]}")
    anonymous = max(peak, after.anonymous) - before.anonymous
    return Run(
        [Call(*call) for call in json.loads(done)],
        Memory(anonymous, after.resident - before.resident),
    )


def _memory(pid: int) -> Memory:
    """Return the current anonymous and the peak resident memory of the process."""
    status = Path(f"/proc/{pid}/status").read_text()
    kilobytes = dict(re.findall(r"^(\w+):\s+(\d+) kB$", status, re.MULTILINE))
    # A process that has ended has neither line.
    return Memory(int(kilobytes.get("RssAnon", 0)) / 1024, int(kilobytes.get("VmHWM", 0)) / 1024)


def _figures(calls: list[Call], peaks: list[Memory]) -> Figures:
    cpu = median(call.cpu for call in calls)
    done = calls[0].done
    return Figures(
        cpu=cpu,
        wall=median(call.wall for call in calls),
        anonymous=median(peak.anonymous for peak in peaks) if peaks else None,
        resident=median(peak.resident for peak in peaks) if peaks else None,
        rate=None if done is None else done / cpu,
    )
