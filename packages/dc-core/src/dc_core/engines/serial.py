"""The engine that runs everything in this process, one call after another."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import ClassVar

from dc_core.engines.contract import Engine, Outcome


class Serial(Engine):
    """Runs calls in this process: for small runs, for debugging, and as the reference.

    A row that crashes ends the program, and there are no timeouts.
    """

    isolated: ClassVar[bool] = False

    def __init__(self) -> None:
        self._calls: deque[tuple[int, Callable[[], object]]] = deque()

    @property
    def workers(self) -> int:
        """One call at a time."""
        return 1

    def submit(self, number: int, call: Callable[[], object]) -> None:
        """Remember the call; :meth:`wait` runs it."""
        self._calls.append((number, call))

    def wait(self) -> tuple[int, Outcome]:
        """Run the next call."""
        number, call = self._calls.popleft()
        return number, attempt(call)

    def cancel(self) -> None:
        """Forget the calls that have not run."""
        self._calls.clear()


def attempt(call: Callable[[], object]) -> Outcome:
    """Run ``call`` in this process and return how it ended."""
    try:
        call()
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it is the outcome
        return Outcome("error", f"{type(error).__name__}: {error}", error)
    return Outcome("ok")
