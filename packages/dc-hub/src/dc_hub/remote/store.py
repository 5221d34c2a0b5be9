"""What a remote hub is made of: files by path, which are read whole or by ranges."""

from __future__ import annotations

import os
from collections.abc import Generator
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

    def read_range(self, path: str, start: int, stop: int, size: int) -> bytes:
        """Return the bytes from ``start`` to before ``stop`` of a file of ``size`` bytes.

        Raises :class:`RangesUnsupported` if only whole files can be read.
        """

    def stream(self, path: str, size: int) -> Generator[bytes]:
        """Yield a whole file of ``size`` bytes in pieces, and not one byte more."""
