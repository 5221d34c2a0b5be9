"""The engine of this machine: as many worker processes as there are CPUs."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from functools import partial

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
        # How often calls were cancelled: those of an earlier number are not wanted any more.
        self._generation = 0
        self._calls: queue.SimpleQueue[tuple[int, int, bytes] | None] = queue.SimpleQueue()
        self._ended: queue.SimpleQueue[tuple[int, int, Outcome | BaseException]] = (
            queue.SimpleQueue()
        )
        self._processes = [Worker(self._limit) for _ in range(self._workers)]
        self._threads = [
            threading.Thread(target=self._work, args=(worker,), name="dc-engine", daemon=True)
            for worker in self._processes
        ]
        for thread in self._threads:
            thread.start()

    def _work(self, worker: Worker) -> None:
        while (item := self._calls.get()) is not None:
            generation, number, call = item
            outcome: Outcome | BaseException
            try:
                outcome = worker.run(call, partial(self._is_old, generation))
            except BaseException as error:  # noqa: BLE001 - raised by wait()
                outcome = error
            self._ended.put((generation, number, outcome))
        worker.close()

    def _is_old(self, generation: int) -> bool:
        return generation != self._generation

    def submit(self, number: int, call: Callable[[], object]) -> None:
        """Give the call to the next worker that is free."""
        self._calls.put((self._generation, number, dumps(call)))

    def wait(self) -> tuple[int, Outcome]:
        """Wait for the next call that ends."""
        while True:
            try:
                # Windows does not interrupt a wait without an end.
                generation, number, outcome = self._ended.get(timeout=1)
            except queue.Empty:
                continue
            if self._is_old(generation):
                continue
            if isinstance(outcome, BaseException):
                raise outcome
            return number, outcome

    def cancel(self) -> None:
        """Forget the calls that wait, and kill the processes of those that run."""
        self._generation += 1
        for worker in self._processes:
            worker.interrupt()

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
