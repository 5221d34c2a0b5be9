"""The engine of this machine: as many worker processes as there are CPUs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from contextlib import suppress

from dc_core.engines.contract import Engine, Outcome
from dc_core.engines.cpus import available_cpus
from dc_core.engines.pickling import dumps
from dc_core.engines.worker import Worker
from dc_core.parameters import check_count


class Processes(Engine):
    """Runs calls in processes of this machine.

    ``workers`` is how many; None: as many as the CPUs that the affinity mask and the cgroup allow.
    ``threads`` is how many threads the native libraries (OpenMP, BLAS) of each may start: more
    threads than CPUs make all of them slow.

    A worker that dies costs the call that it was running, and is replaced.
    """

    def __init__(self, workers: int | None = None, *, threads: int = 1) -> None:
        self._workers = (
            available_cpus() if workers is None else check_count("workers", workers, minimum=1)
        )
        self._limit = check_count("threads", threads, minimum=1)
        self._threads: list[threading.Thread] = []

    @property
    def workers(self) -> int:
        """How many processes there are."""
        return self._workers

    def start(self) -> None:
        """Start a thread for each worker; it starts the process when the first call arrives."""
        self._calls: queue.SimpleQueue[tuple[int, bytes] | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[int, Outcome | BaseException]] = queue.SimpleQueue()
        self._submitted = 0
        self._processes = [Worker(self._limit) for _ in range(self._workers)]
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), name="dc-engine", daemon=True)
            for worker in self._processes
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, worker: Worker) -> None:
        while (item := self._calls.get()) is not None:
            number, call = item
            outcome: Outcome | BaseException
            try:
                outcome = worker.run(call)
            except BaseException as error:  # noqa: BLE001 - raised by wait()
                outcome = error
            self._ended.put((number, outcome))
        worker.close()

    def submit(self, number: int, call: Callable[[], object]) -> None:
        """Give the call to the next worker that is free."""
        self._calls.put((number, dumps(call)))
        self._submitted += 1

    def wait(self) -> tuple[int, Outcome]:
        """Wait for the next call that ends."""
        while True:
            # Windows does not interrupt a wait without an end.
            with suppress(queue.Empty):
                number, outcome = self._ended.get(timeout=1)
                self._submitted -= 1
                if isinstance(outcome, BaseException):
                    raise outcome
                return number, outcome

    def cancel(self) -> None:
        """Forget the calls that wait, and kill the processes of those that run."""
        with suppress(queue.Empty):
            while True:
                self._calls.get_nowait()
                self._submitted -= 1
        while self._submitted:
            for worker in self._processes:
                worker.interrupt()
            with suppress(queue.Empty):
                self._ended.get(timeout=0.05)
                self._submitted -= 1

    def close(self) -> None:
        """End the processes."""
        for _ in self._threads:
            self._calls.put(None)
        for thread, worker in zip(self._threads, self._processes, strict=True):
            while thread.is_alive():
                # A second Ctrl-C may have interrupted the cancelling.
                worker.interrupt()
                thread.join(0.05)
        self._threads, self._processes = [], []
