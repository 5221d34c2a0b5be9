"""Make requests again that failed in a way that may pass, each time after a longer pause."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator
from itertools import count
from typing import Final, TypeVar

T = TypeVar("T")

PAUSE: Final = 0.2
"""Seconds before a request is made again; four times as many before the next."""

LONGEST_PAUSE: Final = 60.0
"""Seconds that a server may ask to wait (``Retry-After``); for longer ones nobody waits."""

_ATTEMPTS: Final = 4


class TryAgain(Exception):
    """A request failed in a way that may pass, after ``pause`` seconds if the server says so."""

    def __init__(self, message: str, pause: float = 0.0) -> None:
        super().__init__(message)
        self.pause = pause


def persist(attempt: Callable[[], T], passing: tuple[type[Exception], ...]) -> T:
    """Return what ``attempt`` returns, or raise the last of the ``passing`` errors."""
    for number in count(1):
        try:
            return attempt()
        except passing as error:
            _wait(number, error)
    raise AssertionError  # pragma: no cover


def persist_stream(
    pieces: Callable[[], Iterator[bytes]], passing: tuple[type[Exception], ...]
) -> Generator[bytes]:
    """Yield the bytes that ``pieces`` yields; if it breaks, from its start, but none twice."""
    done = 0
    for number in count(1):
        try:
            came = 0
            for piece in pieces():
                came += len(piece)
                if came > done:
                    yield piece[done - came :]
                    done = came
        except passing as error:
            _wait(number, error)
        else:
            return


def _wait(number: int, error: Exception) -> None:
    """Wait before the next attempt; raise ``error`` if attempt ``number`` was the last."""
    asked = error.pause if isinstance(error, TryAgain) else 0.0
    if number == _ATTEMPTS or asked > LONGEST_PAUSE:
        raise error
    time.sleep(max(PAUSE * 4 ** (number - 1), asked))
