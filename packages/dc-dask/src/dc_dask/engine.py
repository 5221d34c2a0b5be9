"""Run calls on a Dask cluster, each in a child process of the worker that Dask chose.

The child can crash or hang without harm to the Dask worker, its other threads, and the results of
other programs that it holds.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

from dc_core.engines import (
    Engine,
    Outcome,
    available_cpus,
    dumps,
    run_isolated,
    stop_isolated,
)
from dc_core.errors import EngineError, ParameterError

if TYPE_CHECKING:
    from distributed import Client


class DaskEngine(Engine):
    """Runs calls on a Dask cluster.

    Every worker of the cluster needs dc-core and the packages that the tasks use, and must reach
    the directories of the runs under the same names.

    Args:
        client: A client, a cluster, or None: then the current client of the program is used if it
            has one, and otherwise the engine starts a cluster on this machine and ends it.
        address: The address of a scheduler to connect to, in place of a client.
    """

    def __init__(self, client: Any = None, *, address: str | None = None) -> None:
        if client is not None and address is not None:
            raise ParameterError(
                "client= and address= were both given.", hint="Give one of the two."
            )
        if getattr(client, "asynchronous", False):
            raise ParameterError(
                "An asynchronous client cannot be waited for.",
                hint="Use Client(address) without asynchronous=True.",
            )
        self._given = client
        self._address = address
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """The client of the cluster, which is connected to it.

        Raises :class:`EngineError` if it is not, or if the engine is not started.
        """
        if self._client is None:
            raise EngineError("The engine is not started.", hint="Use it in a with block.")
        if not self._connected:
            raise EngineError(
                f"The Dask scheduler is gone: the client is {self._client.status}.",
                hint="Start a cluster and run the task again: it continues.",
            )
        return self._client

    @property
    def _connected(self) -> bool:
        return self._client is not None and self._client.status == "running"

    @property
    def workers(self) -> int:
        """The number of threads of all workers; 1 while the cluster has none yet."""
        threads: dict[str, int] = self.client.nthreads()
        return max(1, sum(threads.values()))

    def start(self) -> None:
        """Connect to the cluster, or start one."""
        from distributed import as_completed

        with ExitStack() as stack:
            self._client = self._connect(stack)
            self._numbers: dict[str, int] = {}
            self._ended = as_completed(loop=self._client.loop)
            self._owner = uuid.uuid4().hex
            self._ours = stack.pop_all()

    def _connect(self, stack: ExitStack) -> Client:
        from distributed import Client, LocalCluster, default_client

        if isinstance(self._given, Client):
            return self._given
        if self._given is not None or self._address is not None:
            target = self._given if self._given is not None else self._address
            try:
                return stack.enter_context(Client(target, set_as_default=False))
            except OSError as error:
                raise EngineError(
                    f"The Dask scheduler {target} cannot be reached: {error}.",
                    hint="Start it, or check its address.",
                ) from error
        try:
            return default_client()
        except ValueError:  # there is none
            pass
        # Its threads only wait for child processes, so it needs no processes of its own.
        cluster = stack.enter_context(
            LocalCluster(
                n_workers=1,
                threads_per_worker=available_cpus(),
                processes=False,
                dashboard_address="127.0.0.1:0",
            )
        )
        return stack.enter_context(Client(cluster, set_as_default=False))

    def close(self) -> None:
        """End the child processes, and disconnect from the cluster if the engine connected."""
        try:
            if self._connected:
                self.client.run(stop_isolated, self._owner)
        finally:
            self._client = None
            self._ours.close()

    def submit(self, number: int, call: Callable[[], object]) -> None:
        """Give the call to the scheduler."""
        future = self.client.submit(
            run_isolated,
            dumps(call),
            self._owner,
            key=f"dc-engine-{self._owner}-{number}",
            pure=False,
            retries=0,
        )
        self._numbers[future.key] = number
        self._ended.add(future)

    def wait(self) -> tuple[int, Outcome]:
        """Wait for the next call that ends."""
        from distributed.scheduler import KilledWorker

        future = next(self._ended)
        number = self._numbers.pop(future.key)
        try:
            if future.status == "finished":
                return number, future.result()
            if future.status != "error":
                return number, Outcome("crash", f"Dask has lost the call: it is {future.status}.")
            error = future.exception()
            if isinstance(error, KilledWorker):
                return number, Outcome("crash", f"A worker of Dask has died: {error}")
            raise EngineError(
                f"A worker of Dask cannot run calls: {type(error).__name__}: {error}.",
                hint="Install dc-core and what the task uses on every worker.",
            ) from error
        finally:
            future.release()

    def cancel(self) -> None:
        """Cancel every call, and kill the child processes of those that run."""
        if self._numbers and self._connected:
            self.client.cancel(list(self._ended.futures))
            self.client.run(stop_isolated, self._owner)
            self._owner = uuid.uuid4().hex
        self._ended.clear()
        self._numbers.clear()
