"""Run calls on a Ray cluster, each in a child process of the worker that Ray chose.

The child can crash or hang without harm to the Ray worker, which takes a second to replace, and
what it prints does not reach the program's standard output.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from dc_core.engines import Engine, Outcome, available_cpus, dumps, run_isolated
from dc_core.errors import EngineError

_PATIENCE: Final = 5
"""How many seconds cancelled calls may take to stop."""


class RayEngine(Engine):
    """Runs calls on a Ray cluster, one for each CPU that the cluster has.

    Every node needs dc-core and the packages that the tasks use, and must reach the directories of
    the runs under the same names. If the program is connected to a cluster (``ray.init()``), that
    is used. Otherwise the engine connects to ``address``, or starts a cluster on this machine, and
    disconnects at the end.
    """

    def __init__(self, address: str | None = None) -> None:
        self._address = address
        self._ours = False
        self._calls: dict[Any, int] = {}

    @property
    def workers(self) -> int:
        """The number of CPUs of the cluster, at least 1."""
        import ray

        return max(1, int(ray.cluster_resources().get("CPU", 1)))

    def start(self) -> None:
        """Connect to the cluster, or start one."""
        import ray

        self._ours = not ray.is_initialized()
        if self._ours:
            # The number of CPUs can be set for a new cluster only.
            new = {} if self._address else {"num_cpus": available_cpus()}
            try:
                ray.init(address=self._address, include_dashboard=False, **new)
            except (ConnectionError, RuntimeError) as error:
                raise EngineError(
                    f"The Ray cluster cannot be reached: {error}.",
                    hint="Start it (ray start --head), or check its address.",
                ) from error
        self._run = ray.remote(num_cpus=1, max_retries=0)(run_isolated)

    def close(self) -> None:
        """Disconnect from the cluster if the engine connected."""
        import ray

        if self._ours:
            ray.shutdown()

    def submit(self, number: int, call: Callable[[], object]) -> None:
        """Give the call to the scheduler."""
        self._calls[self._run.remote(dumps(call))] = number

    def wait(self) -> tuple[int, Outcome]:
        """Wait for the next call that ends."""
        import ray
        from ray.exceptions import RayError, RayTaskError

        (reference, *_), _ = ray.wait(list(self._calls), num_returns=1)
        number = self._calls.pop(reference)
        try:
            return number, ray.get(reference)
        except RayTaskError as error:
            raise EngineError(
                f"A worker of Ray cannot run calls: {error}.",
                hint="Install dc-core and what the task uses on every node.",
            ) from error
        except RayError as error:
            return number, Outcome("crash", f"Ray has lost the call: {error}")

    def cancel(self) -> None:
        """Cancel every call, and kill the workers of those that run, with their children."""
        import ray

        if self._calls:
            for reference in self._calls:
                ray.cancel(reference, force=True)
            ray.wait(list(self._calls), num_returns=len(self._calls), timeout=_PATIENCE)
        self._calls.clear()
