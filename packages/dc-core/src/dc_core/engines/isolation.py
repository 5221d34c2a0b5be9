"""Run a call in a process of its own, from within the worker of a cluster.

A cluster's workers run several calls at once, keep results in memory and are costly to replace: a
call that may crash must not run inside one.
"""

from __future__ import annotations

import threading
from typing import Final

from dc_core.engines.contract import Outcome
from dc_core.engines.worker import Worker

_IDLE: Final = 60
"""After how many seconds without a call a process ends."""

_idle: list[tuple[Worker, threading.Timer]] = []
_lock: Final = threading.Lock()


def run_isolated(call: bytes) -> Outcome:
    """Run a call, pickled by :func:`dumps`, in a child process, and return how it ended.

    The process is kept for the next call, and ends with the calling process, or when it has had
    nothing to do for a minute. Native libraries start one thread in it.
    """
    with _lock:
        worker, timer = _idle.pop() if _idle else (Worker(), None)
    if timer is not None:
        timer.cancel()
    try:
        return worker.run(call)
    finally:
        timer = threading.Timer(_IDLE, _end, [worker])
        timer.daemon = True
        with _lock:
            _idle.append((worker, timer))
        timer.start()


def _end(worker: Worker) -> None:
    """End a process that is still idle."""
    with _lock:
        found = [item for item in _idle if item[0] is worker]
        if found:
            _idle.remove(found[0])
    if found:
        worker.close()
