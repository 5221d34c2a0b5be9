"""The contract of an engine, which runs calls in other processes and reports how they ended."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from types import TracebackType
from typing import ClassVar, Literal, Self


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a call ended.

    ``ok``: it returned. ``error``: it raised ``error``. ``crash``: its process has died, or is not
    known to live, and ``message`` says how.
    """

    status: Literal["ok", "error", "crash"]
    message: str = ""
    error: BaseException | None = None


class Engine(ABC):
    """Runs calls, several at a time, each in a process that may die without harm to the others.

    It is a context manager: workers live from :meth:`start` to :meth:`close`. An engine is used by
    one thread and one run at a time. It has no queue of its own to speak of: the caller submits at
    most twice as many calls as there are workers.

    To write one, implement ``workers``, ``submit``, ``wait`` and ``cancel``. The easy way is to
    have the cluster run :func:`run_isolated` on the bytes of :func:`dumps`.
    """

    isolated: ClassVar[bool] = True
    """Whether a call has a process to itself while it runs, so that it can crash and time out."""

    _depth: int = 0

    @property
    @abstractmethod
    def workers(self) -> int:
        """How many calls run at the same time, at least 1."""

    @abstractmethod
    def submit(self, number: int, call: Callable[[], object]) -> None:
        """Run ``call``, which can be pickled, as soon as a worker is free; return at once."""

    @abstractmethod
    def wait(self) -> tuple[int, Outcome]:
        """Wait until a submitted call has ended and return its number and how it ended.

        Each call is returned once. An exception raised here is a failure of the engine itself. A
        Ctrl-C interrupts the waiting.
        """

    @abstractmethod
    def cancel(self) -> None:
        """Forget every call that was submitted, and stop those that run where that is possible."""

    def start(self) -> None:  # noqa: B027 - optional
        """Get ready to run calls."""

    def close(self) -> None:  # noqa: B027 - optional
        """Free everything that :meth:`start` and the calls have taken; nothing is running."""

    def __enter__(self) -> Self:
        """Start the engine, unless it has been started in a block around this one."""
        if self._depth == 0:
            self.start()
        self._depth += 1
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Cancel running calls, and close the engine at the end of the outermost block."""
        self._depth -= 1
        try:
            self.cancel()
        finally:
            if self._depth == 0:
                self.close()
