"""End a process that hangs, even if it hangs in native code that holds the interpreter's lock."""

from __future__ import annotations

import faulthandler
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO, Final

_GRACE: Final = 1 / 8
"""How much later than asked the process may end, as a part of the timeout."""


@dataclass(slots=True)
class _Watch:
    log: IO[str]
    timeout: float
    since: float = 0

    def restart(self) -> None:
        self.since = time.monotonic()
        # A thread in C, which does not wait for the interpreter.
        faulthandler.dump_traceback_later(self.timeout * (1 + _GRACE), file=self.log, exit=True)


_current: _Watch | None = None


@contextmanager
def watchdog(log: IO[str], timeout: float | None) -> Iterator[None]:
    """End this process after ``timeout`` seconds without :func:`alive`; None: never.

    It writes its traceback to ``log`` first. A process has one watchdog at a time.
    """
    global _current
    if timeout is None:
        yield
        return
    _current = _Watch(log, timeout)
    _current.restart()
    try:
        yield
    finally:
        _current = None
        faulthandler.cancel_dump_traceback_later()


def alive() -> None:
    """Give a sign of life: the running task's timeout begins anew.

    A task that calls this after every row can be run with a timeout for one row; without it, the
    timeout is for all the rows of a shard. It takes less than a microsecond, most of the time.
    """
    watch = _current
    if watch is not None and time.monotonic() - watch.since > watch.timeout * _GRACE:
        watch.restart()
