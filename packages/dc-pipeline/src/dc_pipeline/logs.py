"""The logging of failures, which a caller can take over that has the numbers of their rows."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Final

from dc_core import FailureReport

_LOGS: Final = ContextVar("logs", default=True)


def log_failures(logger: logging.Logger, report: FailureReport, what: str) -> None:
    """Log a warning about the failures in ``what``, if there are any."""
    if report.failures and _LOGS.get():
        logger.warning("%s: %s", what, report)


@contextmanager
def unlogged() -> Iterator[None]:
    """Let :func:`log_failures` log nothing within the block."""
    token = _LOGS.set(False)
    try:
        yield
    finally:
        _LOGS.reset(token)
