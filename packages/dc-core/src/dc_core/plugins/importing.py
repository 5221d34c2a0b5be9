"""Import the objects that entry points name, once, and explain failures."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from importlib import import_module, metadata
from types import TracebackType
from typing import Any, Final

from dc_core.plugins.causes import is_passing, out_of_resources, passed_through
from dc_core.plugins.discovery import distribution_of, unreadable

_failed: Final[dict[str, tuple[BaseException, TracebackType | None]]] = {}
"""Failed imports, by module or by module and attribute, with their tracebacks."""


def load(entry: metadata.EntryPoint) -> Any:
    """Return the object that ``entry`` names; raise whatever its module raises.

    What failed is not tried again until :func:`forget` is called: native libraries that were
    imported by half can crash the process when they are imported again. A Ctrl-C passes and is not
    remembered, nor is a lack of memory or open files, which raises :class:`OutOfResources`.
    """
    _once(entry.module, partial(import_module, entry.module))
    return _once(entry.value, entry.load)


def _once(what: str, step: Callable[[], Any]) -> Any:
    if what in _failed:
        error, traceback = _failed[what]
        raise error.with_traceback(traceback)
    try:
        return step()
    except (KeyboardInterrupt, GeneratorExit):
        raise
    except BaseException as error:
        if is_passing(error):
            raise out_of_resources(f"{what!r} cannot be imported", error) from error
        _failed[what] = error, error.__traceback__
        raise


def forget() -> None:
    """Forget failures, so that the imports are tried again."""
    _failed.clear()


def hint_about(error: BaseException, entry: metadata.EntryPoint) -> str:
    """Return advice on ``error``, which using ``entry`` raised.

    Frameworks read the metadata of all distributions, so one that is damaged can break them.
    """
    if passed_through(error, metadata.__name__):
        for line in unreadable():
            return f"The entry points of {line.distribution} cannot be read. {line.hint}"
    distribution = distribution_of(entry)
    return f"Run: pip install --force-reinstall {distribution}, or report it to its authors."
