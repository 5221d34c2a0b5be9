"""Import hostile weights in a process of its own, under a memory and a time limit.

    python -m dc_core.testing.hostile tests/test_mine.py::TestForest --cases 5000 --seed 1

Each case changes the exported weights of ``make(0)``, imports them into ``blank()`` and predicts.
They are refused with a typed error, or imported exactly. A case that ends or exhausts the process
is a fault, and the next case runs in a new process. Case C of seed S is the same in every run.
"""

from __future__ import annotations

import argparse
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
import time
import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final

import numpy as np

from dc_core.budget import byte_budget
from dc_core.errors import BudgetExceeded, StructureError, WeightsMismatch
from dc_core.output import json_line
from dc_core.testing.bits import difference
from dc_core.testing.fresh import load_suite, search_path, suite_file
from dc_core.testing.mutations import mutated

if TYPE_CHECKING:
    from dc_core.testing.backend.subject import BackendSubject

FAULTS: Final = ("crash", "hang", "memory", "untyped error", "inexact")
"""The outcomes that break the law; the others are refused, predicted and not predicted."""

_CODE: Final = "import sys; from dc_core.testing.hostile import work; work(*sys.argv[1:])"
_READY: Final = "ready"
_WAITS: Final = 30
"""How many times the limit on processor time a worker may take by the clock, plus a minute."""

_LIMITS: Final = {
    **{f"{library}_NUM_THREADS": "1" for library in ("OMP", "OPENBLAS", "MKL")},
    "MALLOC_ARENA_MAX": "1",
    "MALLOC_CHECK_": "3",
    "MALLOC_PERTURB_": "165",
}
"""One thread and one arena, because each reserves address space. The C library ends a process that
has written beyond a block of the heap, and fills blocks with other bytes than 0."""


@dataclass(frozen=True, slots=True)
class Case:
    """What became of one case: ``refused``, ``predicted``, ``not predicted``, or a fault."""

    number: int
    outcome: str
    detail: str = ""


def attack(suite: type[BackendSubject], cases: range, seed: int) -> Iterator[Case]:
    """Yield what becomes of each of ``cases``, which run in a worker process.

    Raises ``RuntimeError`` with the worker's errors if it cannot start.
    """
    command = [sys.executable, "-c", _CODE, suite_file(suite), suite.__qualname__, str(seed)]
    patience = 60 + _WAITS * suite.hostile_seconds
    worker = None
    try:
        for number in cases:
            worker = worker or _Worker(command)
            case = worker.ask(number, patience)
            yield case
            if case.outcome in ("crash", "hang", "memory"):
                worker.end()
                worker = None
    finally:
        if worker is not None:
            worker.end()


class _Worker:
    """A process that answers numbers of cases."""

    def __init__(self, command: list[str]) -> None:
        self._errors: IO[bytes] = tempfile.TemporaryFile()  # noqa: SIM115 - closed by end()
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, **_LIMITS, **_checked_heap(), "PYTHONPATH": search_path()},
        )
        self._questions: IO[str] = self._process.stdin  # type: ignore[assignment]
        self._written: IO[str] = self._process.stdout  # type: ignore[assignment]
        self._answers: queue.Queue[str] = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        if self._answers.get() != f"{_READY}\n":
            self._process.wait()
            self._errors.seek(0)
            said = self._errors.read().decode("utf-8", "replace").strip()
            self.end()
            raise RuntimeError(f"The process for hostile weights did not start:\n{said}")

    def _read(self) -> None:
        for line in self._written:
            self._answers.put(line)
        self._answers.put("")

    def ask(self, number: int, patience: float) -> Case:
        """Return what became of the case; a process that ends is an outcome too."""
        with suppress(OSError):  # it has ended, and says so below
            self._questions.write(f"{number}\n")
            self._questions.flush()
        try:
            answer = self._answers.get(timeout=patience)
        except queue.Empty:
            return Case(number, "hang", f"no answer after {patience:.0f} s")
        if answer:
            return Case(**json.loads(answer))
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Case(number, "hang" if how == "SIGPROF" else "crash", how)

    def end(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.wait()
        self._reader.join()
        self._written.close()
        self._errors.close()
        with suppress(OSError):
            self._questions.close()


def _checked_heap() -> dict[str, str]:
    """Return what makes the C library check its heap, where that is a library of its own."""
    name = "libc_malloc_debug.so.0"
    folders = (Path("/lib64"), Path("/usr/lib64"), *Path("/lib").glob("*-linux-gnu"))
    if not any((folder / name).exists() for folder in folders):
        return {}
    return {"LD_PRELOAD": " ".join(filter(None, (name, os.environ.get("LD_PRELOAD"))))}


def work(file: str, name: str, seed: str) -> None:
    """Answer each case number in the standard input with a line of JSON."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    warnings.simplefilter("ignore")
    np.seterr(all="ignore")
    suite: BackendSubject = load_suite(file, name)()
    exported = [suite.export(suite.make(n)) for n in (0, 1)]
    sources = [*exported, *(dict(damaged) for damaged in suite.corrupt(exported[0]).values())]
    first = _outcome(suite, exported[0])
    if first != ("predicted", ""):
        sys.exit(f"The weights of make(0), unchanged: {' '.join(first)}")
    _limit(suite.hostile_memory)
    answers.write(f"{_READY}\n")
    answers.flush()
    for line in sys.stdin:
        rng = np.random.default_rng([int(seed), int(line)])
        weights = mutated(sources, rng)
        _start_clock(suite.hostile_seconds)
        outcome, detail = _outcome(suite, weights)
        _start_clock(0)
        answers.write(f"{json_line(asdict(Case(int(line), outcome, detail[:300])))}\n")
        answers.flush()


def _outcome(suite: BackendSubject, weights: dict[str, np.ndarray]) -> tuple[str, str]:
    try:
        with byte_budget((64 << 20) + 4 * sum(array.nbytes for array in weights.values())):
            loaded = suite.load(suite.blank(), weights)
    except (WeightsMismatch, StructureError, BudgetExceeded):
        return "refused", ""
    except MemoryError as error:
        return "memory", f"importing: {error}"
    except Exception as error:  # noqa: BLE001 - it is the outcome
        return "untyped error", f"{type(error).__name__}: {error}"
    try:
        changed = difference(weights, suite.export(loaded))
    except Exception as error:  # noqa: BLE001 - it is the outcome
        return "untyped error", f"exporting: {type(error).__name__}: {error}"
    if changed:
        return "inexact", changed
    try:
        suite.predict(loaded)
    except MemoryError as error:
        return "memory", f"predicting: {error}"
    except Exception as error:  # noqa: BLE001 - frameworks may refuse to predict
        return "not predicted", f"{type(error).__name__}: {error}"
    return "predicted", ""


def _limit(memory: int) -> None:
    """Limit the address space to ``memory`` bytes more, where the system can."""
    if sys.platform != "win32":
        import resource

        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        status = Path("/proc/self/statm")
        if status.exists():
            maximum = int(status.read_text().split()[0]) * resource.getpagesize() + memory
            resource.setrlimit(resource.RLIMIT_AS, (maximum, maximum))


def _start_clock(seconds: float) -> None:
    """End the process after so many seconds of processor time; 0 stops the clock."""
    if sys.platform != "win32":
        signal.setitimer(signal.ITIMER_PROF, seconds)


def main(arguments: list[str] | None = None) -> int:
    """Run cases on a suite, print what became of them, and return 1 if there was a fault."""
    parser = argparse.ArgumentParser(
        prog="python -m dc_core.testing.hostile",
        description="Import hostile weights in a process of its own.",
    )
    parser.add_argument("suite", help="a file and a class in it: tests/test_mine.py::TestForest")
    parser.add_argument("--cases", type=int, default=2000, metavar="N")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first case")
    parser.add_argument("--seed", type=int, default=0, metavar="N")
    options = parser.parse_args(arguments)
    file, _, name = options.suite.partition("::")
    started, counts, faults = time.perf_counter(), Counter[str](), list[Case]()
    cases = range(options.first, options.first + options.cases)
    for case in attack(load_suite(file, name), cases, options.seed):
        counts[case.outcome] += 1
        if case.outcome in FAULTS:
            faults.append(case)
    for fault in faults:
        sys.stdout.write(f"case {fault.number}: {fault.outcome}: {fault.detail}\n")
    seconds = time.perf_counter() - started
    sys.stdout.write(f"{counted(counts)} in {seconds:.0f} s\n")
    return 1 if faults else 0


def counted(counts: Counter[str]) -> str:
    """Return the number of cases by outcome, as text."""
    parts = (f"{count} {outcome}" for outcome, count in counts.most_common())
    return f"{counts.total()} cases: {', '.join(parts)}"


if __name__ == "__main__":
    sys.exit(main())
