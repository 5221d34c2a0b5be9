"""Run a call in a process of its own, from within the worker of a cluster.

A cluster's workers run several calls at once, keep results in memory and are costly to replace: a
call that may crash must not run inside one.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import Final

from dc_core.engines.contract import Outcome
from dc_core.engines.worker import Worker

_IDLE: Final = 60
"""After how many seconds without a call a process ends."""


@dataclass(eq=False)
class _Idle:
    worker: Worker
    timer: threading.Timer | None = None


_lock: Final = threading.Lock()
_idle: Final[list[_Idle]] = []
_running: Final[dict[Worker, str]] = {}
_stopped: Final[deque[str]] = deque(maxlen=1000)


def run_isolated(call: bytes, owner: str = "") -> Outcome:
    """Run a call, pickled by :func:`dumps`, in a child process, and return how it ended.

    The process is kept for the next call, and ends with the calling process, or when it has had
    nothing to do for a minute. Native libraries start one thread in it. ``owner`` is for
    :func:`stop_isolated`.
    """
    with _lock:
        idle = _idle.pop() if _idle else _Idle(Worker())
        worker = idle.worker
        _running[worker] = owner
    if idle.timer is not None:
        idle.timer.cancel()
    try:
        outcome = worker.run(call, lambda: owner in _stopped)
    finally:
        with _lock:
            del _running[worker]
    _keep(worker)
    return outcome


def stop_isolated(owner: str) -> None:
    """Kill the calls that :func:`run_isolated` runs for ``owner``, and end idle processes.

    Later calls of this owner are not run.
    """
    with _lock:
        _stopped.append(owner)
        idle = list(_idle)
        _idle.clear()
        running = [worker for worker, other in _running.items() if other == owner]
    for worker in running:
        worker.interrupt()
    for item in idle:
        if item.timer is not None:
            item.timer.cancel()
        item.worker.close()


def _keep(worker: Worker) -> None:
    """Keep an idle process for a while."""
    item = _Idle(worker)
    item.timer = threading.Timer(_IDLE, _end, [item])
    item.timer.daemon = True
    with _lock:
        _idle.append(item)
    item.timer.start()


def _end(item: _Idle) -> None:
    """End a process that is still idle."""
    with _lock:
        if item not in _idle:
            return
        _idle.remove(item)
    item.worker.close()
