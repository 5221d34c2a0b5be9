"""Change an object as a whole, even if the user presses Ctrl-C or the system ends the process."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType
from typing import Any, Final

_DEFERRED: Final = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def uninterrupted() -> Iterator[None]:
    """Delay a Ctrl-C until the block has finished.

    Check first, then commit in this block: an interrupt finds the object either as it was or
    completely changed. The signal is then handled as usual, so ``KeyboardInterrupt`` is raised at
    the end of the block. Threads other than the main one receive no signals; there it does nothing.
    """
    handler = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(handler):
        yield
        return
    held: list[FrameType | None] = []
    signal.signal(signal.SIGINT, lambda _, frame: held.append(frame))
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)
        if held:
            handler(signal.SIGINT, held[0])


class DeferredSignals:
    """Ctrl-C and SIGTERM of a block that takes them between its steps; see `deferred_signals`."""

    def __init__(self) -> None:
        self._handlers: dict[int, Any] = {}
        self._pending: tuple[int, FrameType | None] | None = None
        self._whole = False

    @property
    def pending(self) -> int:
        """The number of a signal that has come and is not taken yet; 0 if there is none."""
        return 0 if self._pending is None else self._pending[0]

    def check(self, number: int = 0) -> None:
        """Raise the exception of a signal that has come: between two steps nothing is half done.

        ``number`` is a signal that another process of the same training got, which this one takes
        as if it had come here, unless it ignores it.
        """
        if self._pending is not None:
            (number, frame), self._pending = self._pending, None
            self._deliver(number, frame)
        elif number in self._handlers:
            self._deliver(number, None)

    def whole(self) -> AbstractContextManager[None]:
        """Let nothing interrupt the block, not even a second signal."""
        return _Whole(self)

    def _receive(self, number: int, frame: FrameType | None) -> None:
        impatient = self._pending is not None and not self._whole
        self._pending = (number, frame)
        if impatient:
            self.check()

    def _deliver(self, number: int, frame: FrameType | None) -> None:
        handler = self._handlers[number]
        if callable(handler):
            handler(number, frame)
        else:
            raise SystemExit(128 + number)


class _Whole:
    """The block of `DeferredSignals.whole`; a class, because it is entered in every step."""

    __slots__ = ("_signals",)

    def __init__(self, signals: DeferredSignals) -> None:
        self._signals = signals

    def __enter__(self) -> None:
        self._signals._whole = True

    def __exit__(self, *_: object) -> None:
        self._signals._whole = False


@contextmanager
def deferred_signals() -> Iterator[DeferredSignals]:
    """Take Ctrl-C and SIGTERM between the steps of the block, where it calls ``check()``.

    ``check()`` raises ``KeyboardInterrupt`` for Ctrl-C, and for SIGTERM ``SystemExit(143)``, unless
    the program handles these signals itself; then it calls those handlers. A second signal does not
    wait for the step to end, but never comes within ``whole()``. Signals that a program ignores
    stay ignored. Threads other than the main one receive no signals; there it does nothing.
    """
    deferred = DeferredSignals()
    if threading.current_thread() is threading.main_thread():
        for number in _DEFERRED:
            handler = signal.getsignal(number)
            if callable(handler) or (handler is signal.SIG_DFL and number == signal.SIGTERM):
                deferred._handlers[number] = handler
    try:
        for taken in deferred._handlers:
            signal.signal(taken, deferred._receive)
        yield deferred
    finally:
        for taken, handler in deferred._handlers.items():
            signal.signal(taken, handler)
        deferred.check()
