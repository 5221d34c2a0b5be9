"""Stored arguments as one would write them: for people who look at a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any


def as_written(value: Any) -> str:
    """Return a stored value as one would write it: nested objects as calls, arrays by name."""
    match value:
        case list():
            return f"[{_all(value)}]"
        case {"$tuple": list(items)}:
            return f"({_all(items)})"
        case {"$model": {"class": str(name), "params": dict(params)}} | {
            "$component": {"class": str(name), "params": dict(params)}
        }:
            return f"{name}({', '.join(f'{k}={as_written(v)}' for k, v in params.items())})"
        case {"$dict": [*pairs]} if all(type(pair) is list and len(pair) == 2 for pair in pairs):
            return ", ".join(f"{as_written(key)} {as_written(item)}" for key, item in pairs)
        case dict():
            return ", ".join(f"{key.removeprefix('$')} {as_written(v)}" for key, v in value.items())
    return str(value)


def _all(items: Sequence[Any]) -> str:
    return ", ".join(map(as_written, items))
