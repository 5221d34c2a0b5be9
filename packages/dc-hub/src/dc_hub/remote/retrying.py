"""Make requests again that failed in a way that may pass, each time after a longer pause."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator
from contextlib import closing
from itertools import count
from typing import Final, TypeVar

from dc_hub.format.manifest import CHUNK

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
    """Call ``attempt`` until it succeeds, or raise the last of the ``passing`` errors."""
    for number in count(1):
        try:
            return attempt()
        except passing as error:
            _wait(number, error)
    raise AssertionError  # pragma: no cover


def persist_stream(
    pieces: Callable[[int], Generator[bytes]], passing: tuple[type[Exception], ...]
) -> Generator[bytes]:
    """Yield the pieces of ``pieces(0)``; if it breaks after n bytes, go on with ``pieces(n)``.

    The attempts are counted anew after each chunk of 16 MiB, so that a long stream may break as
    often as its chunks could, each by itself.
    """
    done = counted = number = 0
    while True:
        try:
            with closing(pieces(done)) as attempt:
                for piece in attempt:
                    done += len(piece)
                    yield piece
        except passing as error:
            if done - counted >= CHUNK:
                counted, number = done, 0
            number += 1
            _wait(number, error)
        else:
            return


def _wait(number: int, error: Exception) -> None:
    """Wait before the next attempt; raise ``error`` if attempt ``number`` was the last."""
    asked = error.pause if isinstance(error, TryAgain) else 0.0
    if number == _ATTEMPTS or asked > LONGEST_PAUSE:
        raise error
    time.sleep(max(PAUSE * 4 ** (number - 1), asked))
