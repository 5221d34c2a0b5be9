"""Read ahead: the next batches are read in a thread while this one is used."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, TypeVar

from dc_core.calls import explained
from dc_core.interrupts import uninterrupted
from dc_core.parameters import check_count

T = TypeVar("T")

_END: Final[Any] = object()


@explained
def prefetch(items: Iterable[T], depth: int = 2) -> Iterator[T]:
    """Yield the ``items`` in their order, of which up to ``depth`` are read ahead in a thread.

    It is for batches that take long to read, or to compute in code that releases the interpreter's
    lock, as NumPy does: ``prefetch(dataset.batches(64, shuffle=True))``. Other code takes as long
    in two threads as in one, and so do batches that are read in no time: those of a dataset in
    memory, or memory-mapped on a local disk, where training steps take a hundred times as long.

    What reading an item raises is raised in its place. The thread ends with the items, when the
    iterator is closed or dropped, and after Ctrl-C; the item that it is reading is waited for.

    Raises :class:`ParameterError` immediately unless ``depth`` is at least 1.
    """
    return _read_ahead(iter(items), check_count("depth", depth, minimum=1))


def _read_ahead(source: Iterator[T], depth: int) -> Iterator[T]:
    with ThreadPoolExecutor(1, thread_name_prefix="prefetch") as thread:
        ahead: deque[Future[T]] = deque()
        try:
            with uninterrupted():  # while it starts its thread, the pool does not know it yet
                ahead.extend(thread.submit(next, source, _END) for _ in range(depth))
            while (item := ahead.popleft().result()) is not _END:
                ahead.append(thread.submit(next, source, _END))
                yield item
        finally:
            for waiting in ahead:
                waiting.cancel()
