"""The smallest parts in which two JSON values differ, such as the arguments of two models."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: its place, and the value before and after (None if there is none)."""

    where: str
    before: Any
    after: Any


def changes(where: str, before: Any, after: Any) -> Iterable[Change]:
    """Walk two JSON values side by side and yield the smallest parts that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            place = f"{where}.{key}" if where else key
            yield from changes(place, before.get(key), after.get(key))
    elif json.dumps(before, sort_keys=True) != json.dumps(after, sort_keys=True):
        yield Change(where, before, after)  # 1, 1.0 and true are equal in Python, but not in JSON
