"""What a call can change besides its arguments: the process's state, its output, its memory."""

from __future__ import annotations

import ctypes
import gc
import io
import locale
import logging
import os
import pickle
import random
import re
import signal
import sys
import tempfile
import threading
import tracemalloc
import warnings
import weakref
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager, nullcontext, redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from types import FrameType
from typing import Any, Final, Self, TypeVar

import numpy as np

T = TypeVar("T")

_DESCRIPTORS: Final = Path("/dev/fd")
_STATUS: Final = Path("/proc/self/status")
_RESET: Final = Path("/proc/self/clear_refs")


def process_state(modules: Collection[str] | None = None) -> dict[str, Any]:
    """Return the global state that belongs to the user's program, as comparable values.

    Warnings that other ``modules`` define are left out, by default those not imported.
    """
    modules = sys.modules if modules is None else modules
    generator = np.random.get_state(legacy=False)  # noqa: NPY002 - the state to protect
    return {
        "the state of the module random": random.getstate(),
        "NumPy's global random state": pickle.dumps(generator),
        "NumPy's error handling (np.seterr)": (np.geterr(), np.geterrcall()),
        "NumPy's print options": np.get_printoptions(),
        "os.environ": dict(os.environ),
        "the working directory": Path.cwd(),
        "the umask": _umask(),
        "the locale": locale.setlocale(locale.LC_ALL),
        "sys.path": list(sys.path),
        "the standard streams": (sys.stdin, sys.stdout, sys.stderr),
        "the interpreter's limits": (
            sys.getrecursionlimit(),
            sys.getswitchinterval(),
            sys.get_int_max_str_digits(),
        ),
        "the garbage collector": (gc.isenabled(), gc.get_threshold()),
        "the warning filters": [f for f in warnings.filters if f[2].__module__ in modules],
        "the root logger": (
            logging.root.level,
            list(logging.root.handlers),
            logging.root.manager.disable,
        ),
        "the signal handlers": {s: signal.getsignal(s) for s in signal.valid_signals()},
        "the hooks for uncaught errors": (sys.excepthook, threading.excepthook),
    }


def _umask() -> int:
    mask = os.umask(0o077)
    os.umask(mask)
    return mask


def change_of_state(
    call: Callable[[], object], framework: Callable[[], object] = lambda: None
) -> str:
    """Return what ``call`` changed of the process's state or the ``framework``'s; empty if none.

    Threads and open files that are gone afterwards belong to earlier calls; only those that it
    leaves behind count. Modules that it imports may filter the warnings that they define.
    """
    modules, threads, files = set(sys.modules), set(threading.enumerate()), _open_files()
    before = {**process_state(modules), "the framework's global state": framework()}
    call()
    after = {**process_state(modules), "the framework's global state": framework()}
    if set(threading.enumerate()) - threads:
        return "the running threads"
    if _open_files() - files:
        gc.collect()  # Files in reference cycles are closed some time.
        if _open_files() - files:
            return "the open files"
    return next((what for what, value in before.items() if after[what] != value), "")


def _open_files() -> set[tuple[int, int, int]]:
    """Return each open descriptor with the device and the number of its file."""
    found = set()
    for path in list(_DESCRIPTORS.iterdir()) if _DESCRIPTORS.exists() else ():
        with suppress(OSError):  # Listing them takes one, which is closed by now.
            status = os.fstat(int(path.name))
            found.add((int(path.name), status.st_dev, status.st_ino))
    return found


@contextmanager
def captured_output(*, error: bool = True) -> Iterator[list[str]]:
    """Capture standard output and error, those of native code too; the list has them afterwards.

    Without ``error``, standard error is left alone.
    """
    written: list[str] = []
    text = io.StringIO()
    with (
        tempfile.TemporaryFile() as native,
        redirect_stdout(text),
        redirect_stderr(text) if error else nullcontext(),
    ):
        _flush()
        saved = {descriptor: os.dup(descriptor) for descriptor in ((1, 2) if error else (1,))}
        try:
            for descriptor in saved:
                os.dup2(native.fileno(), descriptor)
            yield written
        finally:
            _flush()
            for descriptor, copy in saved.items():
                os.dup2(copy, descriptor)
                os.close(copy)
            native.seek(0)
            written += [text.getvalue(), native.read().decode("utf-8", "replace")]


def _flush() -> None:
    """Write what Python's and the C library's buffers hold to the standard descriptors."""
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    ctypes.CDLL("ucrtbase" if os.name == "nt" else None).fflush(None)


def survive(objects: dict[str, Any]) -> bool:
    """Empty the caller's dictionary and tell whether any of its values is still in memory.

    Raises ``TypeError`` if one cannot be referenced weakly.
    """
    references = [weakref.ref(value) for value in objects.values()]
    objects.clear()
    gc.collect()
    return any(reference() is not None for reference in references)


def peak_memory(call: Callable[[], object]) -> int:
    """Return how many bytes ``call`` had allocated at its peak.

    Python's and NumPy's allocations are counted everywhere; those of native code on Linux, where
    they touch memory.
    """
    tracing = tracemalloc.is_tracing()
    tracemalloc.start()  # Does nothing if it has been started.
    try:
        native_before = _reset_peak()
        tracemalloc.reset_peak()
        before, _ = tracemalloc.get_traced_memory()
        call()
        _, peak = tracemalloc.get_traced_memory()
        return max(peak - before, _resident("VmHWM") - native_before)
    finally:
        if not tracing:
            tracemalloc.stop()


def _reset_peak() -> int:
    """Reset the peak of the resident memory where the system can; return the present value."""
    try:
        _RESET.write_text("5")
    except OSError:
        return _resident("VmHWM")
    return _resident("VmRSS")


def _resident(key: str) -> int:
    """Return an entry of the process's status in bytes, 0 where there is none."""
    if not _STATUS.exists():
        return 0
    found = re.search(rf"^{key}:\s+(\d+) kB$", _STATUS.read_text(), re.MULTILINE)
    return int(found[1]) * 1024 if found else 0


class Interrupt:
    """A Ctrl-C when the given packages execute their ``at``-th line (None: never) in the block.

    ``lines`` counts the lines executed and ``counts`` has the counts at which each of them was;
    ``pressed`` tells whether the interrupt was sent.
    """

    def __init__(self, packages: set[str], at: int | None = None) -> None:
        self.packages = packages
        self.at = at
        self.lines = 0
        self.counts: dict[tuple[str, int], list[int]] = {}
        self.pressed = False

    def __enter__(self) -> Self:
        self._handler = signal.signal(signal.SIGINT, signal.default_int_handler)
        self._tracer = sys.gettrace()
        sys.settrace(self._enter)
        return self

    def __exit__(self, *_: object) -> None:
        sys.settrace(self._tracer)
        signal.signal(signal.SIGINT, self._handler)

    def _enter(self, frame: FrameType, event: str, argument: object) -> Any:
        package = frame.f_globals.get("__name__", "").partition(".")[0]
        return self._line if package in self.packages else None

    def _line(self, frame: FrameType, event: str, argument: object) -> Any:
        if event == "line":
            self.lines += 1
            line = (frame.f_code.co_filename, frame.f_lineno)
            self.counts.setdefault(line, []).append(self.lines)
            if self.lines == self.at:
                self.pressed = True
                signal.raise_signal(signal.SIGINT)
        return self._line


def interruptions(packages: set[str], call: Callable[[], object]) -> Iterator[Interrupt]:
    """Yield interrupts at each line of ``packages`` that ``call`` executes.

    They come when the line is executed for the last time, for the last but one, and half-way: a
    line can contain a whole loop, which is over when the line is executed for the last time.
    """
    with Interrupt(packages) as counted:
        call()
    chosen = {at for all_of in counted.counts.values() for at in _places_in(all_of)}
    for at in sorted(chosen):
        yield Interrupt(packages, at)


def apart(call: Callable[[], T]) -> T:
    """Return what ``call`` returns, and leave no handled exception behind if Ctrl-C ends it.

    If an interrupt comes between the last two instructions of a handler, CPython goes on taking the
    exception for one that is being handled, until the generator ends in which that happened.
    """

    def alone() -> Iterator[T]:
        yield call()

    return next(alone())


def _places_in(counts: list[int]) -> list[int]:
    return [*counts[-2:], counts[len(counts) // 2]]
