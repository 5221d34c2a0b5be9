"""The storage of a remote hub: files by path, read whole, or in part as a stream."""

from __future__ import annotations

import os
from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from typing import Final, Protocol

from dc_hub.errors import Offline

OFFLINE: Final = "DEEPCHEM_OFFLINE"
"""The environment variable that forbids to reach remote hubs, if it is set and not 0."""


def is_offline() -> bool:
    """Tell whether remote hubs must not be reached."""
    return os.environ.get(OFFLINE, "0") not in ("", "0")


def check_online(shown: str) -> None:
    """Raise :class:`Offline`, which names ``shown``, if remote hubs must not be reached."""
    if is_offline():
        raise Offline(
            f"{shown} is not on this machine, and {OFFLINE} is set.",
            path=shown,
            hint="Name a revision that was fetched before by its full digest, or pin it: "
            "lock='dchub.lock'.",
        )


class RangesUnsupported(Exception):
    """The server sends whole files only."""


class Store(Protocol):
    """Files by path, somewhere else. Paths are relative, with ``/``, and safe in URLs.

    Every method raises :class:`FileMissing` if there is no such file, and :class:`HubUnavailable`
    if the answer is none that makes sense, or if it takes too long.
    """

    @property
    def url(self) -> str:
        """Where the files are, for messages."""

    def read(self, path: str, limit: int) -> bytes:
        """Return a whole file of at most ``limit`` bytes.

        Raises :class:`LimitExceeded` for a larger one, without having read it.
        """

    def stream(
        self, path: str, size: int, start: int = 0, stop: int | None = None
    ) -> Generator[bytes]:
        """Yield the bytes from ``start`` to before ``stop`` of a file of ``size`` bytes, in pieces.

        Without ``stop`` they go to its end. There are never more. What breaks goes on where it
        broke. Raises :class:`RangesUnsupported` for a part of a file if only whole files are sent,
        perhaps after some pieces.
        """


def stream_part(store: Store, path: str, size: int, start: int, stop: int) -> Generator[bytes]:
    """Yield a part of a file as :meth:`Store.stream` does.

    From a server that sends whole files only, all that is before the part is read too.
    """
    try:
        for piece in store.stream(path, size, start, stop):
            yield piece
            start += len(piece)
    except RangesUnsupported:
        at = 0
        with closing(store.stream(path, size)) as pieces:
            for piece in pieces:
                if at + len(piece) > start:
                    yield piece[max(start - at, 0) : stop - at]
                at += len(piece)
                if at >= stop:
                    return


def without_first(count: int, pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Yield ``pieces`` without their first ``count`` bytes."""
    for piece in pieces:
        if count < len(piece):
            yield piece[count:]
        count = max(count - len(piece), 0)


def is_range(told: str, start: int, stop: int, size: int) -> bool:
    """Tell whether a ``Content-Range`` is that of a part of a file of ``size`` bytes."""
    return told in (f"bytes {start}-{stop - 1}/{n}" for n in (size, "*"))
