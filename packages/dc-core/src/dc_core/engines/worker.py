"""A worker: a process of our own that runs one call after another, and may die.

It is a new interpreter that imports only what its calls need: never the user's program, so that a
script needs no ``if __name__ == "__main__"``. Calls go in through its standard input, and outcomes
come back through its standard output; what calls print goes to standard error.
"""

from __future__ import annotations

import os
import select
import signal
import struct
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from functools import partial
from typing import IO, Any, Final

from dc_core.engines.contract import Outcome
from dc_core.engines.pickling import dumps_outcome, loads, loads_outcome
from dc_core.engines.serial import attempt
from dc_core.errors import EngineError

THREADS: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "BLIS_NUM_THREADS",
    "NUMEXPR_NUM_THREADS",
    "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS",
    "POLARS_MAX_THREADS",
)
"""The variables by which native libraries are told how many threads to start."""

_PROGRAM: Final = (
    "import sys; sys.path[:] = sys.argv[1:]; del sys.argv[1:]; "
    "from dc_core.engines.worker import serve; serve()"
)
_LENGTH: Final = struct.Struct("<Q")
_PATIENCE: Final = 5
"""How many seconds a worker that has been told to end may take."""


class Worker:
    """A process that runs calls, made when it is first needed and again when it has died.

    ``threads`` is how many threads native libraries may start in it. One thread calls :meth:`run`
    and :meth:`close`; others may call :meth:`interrupt`.
    """

    def __init__(self, threads: int = 1) -> None:
        self._threads = threads
        self._process: subprocess.Popen[bytes] | None = None
        self._running = False
        self._killed = False
        self._lock = threading.Lock()

    def run(self, call: bytes, cancelled: Callable[[], bool] = lambda: False) -> Outcome:
        """Run a call, pickled by :func:`dumps`, and return how it ended.

        It is not run if it was ``cancelled`` before it has begun; after that, :meth:`interrupt`
        ends it.
        """
        with self._lock:
            if cancelled():
                return Outcome("crash", "The call was cancelled.")
            if self._process is None:
                self._process = _start(self._threads)
            process = self._process
            self._running = True
        try:
            _send(process.stdin, call)
            return loads_outcome(_receive(process.stdout))
        except (EOFError, OSError):
            return Outcome("crash", how_it_died(self._end(process)))
        except BaseException:
            # The process is in the middle of a call, so it cannot be used again.
            _kill(process)
            self._end(process)
            raise
        finally:
            with self._lock:
                self._running = False
                killed, self._killed = self._killed, False
            if killed and self._process is not None:  # when its call had just ended
                self._end(process)

    def interrupt(self) -> None:
        """Kill the process if it is running a call, which then is a crash."""
        with self._lock:
            if self._running and self._process is not None:
                self._killed = True
                _kill(self._process)

    def close(self) -> None:
        """End the process, which is running nothing."""
        if self._process is not None:
            if self._process.stdin is not None:
                _close(self._process.stdin)
            self._end(self._process)

    def _end(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for a process that is ending, with all that it has started; return its exit code."""
        with self._lock:
            try:
                process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                _kill(process)
            _kill(process)
            code = process.wait()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    _close(stream)
            self._process = None
        return code


def _start(threads: int) -> subprocess.Popen[bytes]:
    # A process group of its own: a Ctrl-C in the terminal is for the program, and what a worker
    # has started can be ended with it.
    group: Mapping[str, Any] = {} if sys.platform == "win32" else {"process_group": 0}
    try:
        return subprocess.Popen(
            [sys.executable, "-c", _PROGRAM, *sys.path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, **dict.fromkeys(THREADS, str(threads))},
            **group,
        )
    except OSError as error:
        raise EngineError(
            f"A worker cannot be started: {error}.",
            hint="Use fewer workers, or end other programs.",
        ) from error


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill a process and its children, if they still run."""
    if sys.platform == "win32":
        process.kill()
    else:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)


def _close(stream: IO[bytes]) -> None:
    # What is in the buffer cannot be written to a process that has died.
    with suppress(OSError):
        stream.close()


def how_it_died(code: int) -> str:
    """Return a description of a process's end from its exit code."""
    if code >= 0:
        return f"The worker ended with exit code {code}."
    try:
        name = signal.Signals(-code).name
    except ValueError:
        name = f"signal {-code}"
    hint = " The system does this when memory is full." if name == "SIGKILL" else ""
    return f"The worker was killed by {name}.{hint}"


def _send(stream: IO[bytes] | None, message: bytes) -> None:
    if stream is not None:
        stream.write(_LENGTH.pack(len(message)))
        stream.write(message)
        stream.flush()


def _receive(stream: IO[bytes] | None) -> bytes:
    """Return the next message; raise ``EOFError`` if there will be none."""
    head = stream.read(_LENGTH.size) if stream is not None else b""
    if len(head) < _LENGTH.size:
        raise EOFError
    (length,) = _LENGTH.unpack(head)
    message = stream.read(length) if stream is not None else b""
    if len(message) < length:
        raise EOFError
    return message


def serve() -> None:
    """Run the calls that arrive until the program that started this worker closes its input."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    calls, outcomes = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDWR)
    os.dup2(nothing, 0)
    try:
        os.dup2(2, 1)
    except OSError:  # there is no standard error
        os.dup2(nothing, 1)
    if sys.platform != "win32":
        # The program learns that a worker has died by its streams, which no other may hold open.
        for stream in (calls, outcomes):
            os.register_at_fork(after_in_child=partial(os.close, stream.fileno()))
    while True:
        try:
            message = _receive(calls)
        except EOFError:
            # Threads and exit handlers of tasks must not keep it.
            os._exit(0)
        with _ending_with(calls.fileno()):
            outcome = _run(message)
            sys.stdout.flush()
        _send(outcomes, dumps_outcome(outcome))


def _run(message: bytes) -> Outcome:
    try:
        call: Callable[[], object] = loads(message)
    except Exception as error:  # noqa: BLE001 - it is the outcome
        return Outcome("error", f"{type(error).__name__}: {error}", error)
    return attempt(call)


@contextmanager
def _ending_with(calls: int) -> Iterator[None]:
    """End this process when the other end of ``calls`` is closed, even while native code runs.

    The program that waits for an outcome sends nothing, so any event is the end of it. Only Linux
    kills a process on such an event; elsewhere a worker ends after its call.
    """
    if sys.platform == "linux":
        import fcntl

        flags = fcntl.fcntl(calls, fcntl.F_GETFL)
        fcntl.fcntl(calls, fcntl.F_SETOWN, os.getpid())
        fcntl.fcntl(calls, fcntl.F_SETFL, flags | os.O_ASYNC)
        try:
            if select.select([calls], [], [], 0)[0]:
                os._exit(0)
            yield
        finally:
            fcntl.fcntl(calls, fcntl.F_SETFL, flags)
    else:
        yield
