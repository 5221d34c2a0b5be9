"""Stored arguments as one would write them: for people who look at a model."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any


def as_written(value: Any) -> str:
    """Return a stored value as one would write it: nested objects as calls, arrays by name.

    A text is written without quotes, unless it is in something else.
    """
    return value if isinstance(value, str) else _written(value)


def _written(value: Any) -> str:
    match value:
        case str():
            return json.dumps(value, ensure_ascii=False)
        case list():
            return f"[{_all(value)}]"
        case {"$tuple": list(items)}:
            return f"({_all(items)}{',' * (len(items) == 1)})"
        case {"$model": {"class": str(name), "params": dict(params)}} | {
            "$component": {"class": str(name), "params": dict(params)}
        }:
            return f"{name}({', '.join(f'{k}={_written(v)}' for k, v in params.items())})"
        case {"$dict": [*pairs]} if all(type(pair) is list and len(pair) == 2 for pair in pairs):
            return f"{{{', '.join(f'{_written(key)}: {_written(item)}' for key, item in pairs)}}}"
        case {"$array": str(name), **others} if not others:
            return f"array {name}"
        case {"$float": str(text), **others} if not others:
            return text
        case dict():
            named = (f"{key.removeprefix('$')}: {_written(v)}" for key, v in value.items())
            return f"{{{', '.join(named)}}}"
    return str(value)


def _all(items: Sequence[Any]) -> str:
    return ", ".join(map(_written, items))
