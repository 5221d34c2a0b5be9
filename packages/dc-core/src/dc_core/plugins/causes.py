"""The message of an exception in a plugin, in one line: plugins may raise anything."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from types import TracebackType
from typing import Final

from dc_core.errors import OutOfResources
from dc_core.output import escape_controls

_EXHAUSTED: Final = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOMEM})


def one_line(text: str) -> str:
    r"""Return ``text`` on one line, with invisible characters as escapes such as ``\x1b``."""
    return escape_controls(" ".join(text.split()))


def cause_text(error: BaseException) -> str:
    """Return the type of ``error`` and its message on one line, even if its ``str`` raises."""
    name = type(error).__name__
    try:
        message = str(error)
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as another:  # noqa: BLE001 - it is named in the text
        message = f"(no message: str() raised {type(another).__name__})"
    return one_line(f"{name}: {message}" if message else name)


def is_passing(error: BaseException) -> bool:
    """Tell whether ``error`` comes from a lack of memory or open files, so it may not come again.

    Native libraries that cannot be opened raise an ImportError that has the reason in its text.
    """
    reasons = tuple(map(os.strerror, _EXHAUSTED))
    return any(
        isinstance(cause, MemoryError)
        or (isinstance(cause, OSError) and cause.errno in _EXHAUSTED)
        or (isinstance(cause, ImportError) and cause_text(cause).endswith(reasons))
        for cause in _chain(error)
    )


def out_of_resources(what: str, error: BaseException) -> OutOfResources:
    """Return the error that ``what`` now, for instance cannot be imported, because of ``error``."""
    return OutOfResources(
        f"{what} now: {cause_text(error)}.",
        hint="Close files or free memory, or raise the limit (ulimit -n); then try again.",
    )


def passed_through(error: BaseException, module: str) -> bool:
    """Tell whether ``error``, or an error that it comes from, was raised in or below ``module``."""
    return any(
        frame.tb_frame.f_globals.get("__name__") == module
        for cause in _chain(error)
        for frame in _frames(cause.__traceback__)
    )


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    """Yield ``error`` and the errors that it comes from, each once."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        yield error
        error = error.__cause__ or error.__context__


def _frames(traceback: TracebackType | None) -> Iterator[TracebackType]:
    while traceback is not None:
        yield traceback
        traceback = traceback.tb_next
