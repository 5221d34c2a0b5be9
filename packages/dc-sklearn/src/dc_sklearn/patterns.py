"""Regular expressions of vectorizers, which a file must not use to search for ever.

Python's matcher tries the ways to divide a text among repetitions: among nested ones they double
with every character.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

_REPEATS: Final = ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT")
_MAX_LENGTH: Final = 2000
_MAX_REPEATS: Final = 4
"""How many repetitions without end may follow each other."""


def fault_of(pattern: Any) -> str | None:
    """Return why ``pattern`` may take very long to search for; None if it does not."""
    if not isinstance(pattern, str) or len(pattern) > _MAX_LENGTH:
        return f"is not a str of at most {_MAX_LENGTH} characters"
    try:
        parsed = re._parser.parse(pattern)  # type: ignore[attr-defined]
    except (re.error, OverflowError, RecursionError) as error:
        return f"is not a regular expression ({error})"
    endless = 0
    for name, nested, unbounded in _operations(parsed, within=False):
        if name == "GROUPREF":
            return "refers to a group"
        if nested:
            return "has a repetition within another"
        endless += unbounded
    return None if endless <= _MAX_REPEATS else f"has more than {_MAX_REPEATS} repetitions"


def _operations(parsed: Any, *, within: bool) -> Iterator[tuple[str, bool, bool]]:
    """Yield each operation: its name, whether it repeats within a repetition, and without end."""
    for operation, argument in parsed:
        name = str(operation)
        repeats = name in _REPEATS and argument[1] > 1
        unbounded = repeats and argument[1] == re._constants.MAXREPEAT  # type: ignore[attr-defined]
        yield name, repeats and within, unbounded
        for part in _parts(argument):
            yield from _operations(part, within=within or repeats)


def _parts(argument: Any) -> Iterator[Any]:
    """Yield the patterns in an operation's argument."""
    if isinstance(argument, re._parser.SubPattern):  # type: ignore[attr-defined]
        yield argument
    elif isinstance(argument, list | tuple):
        for item in argument:
            yield from _parts(item)
