"""Change an object as a whole, even if the user presses Ctrl-C."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


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
