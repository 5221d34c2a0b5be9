"""Comparing arrays bit for bit: a law of the kit knows no tolerance."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two arrays agree in shape, dtype and every bit (NaN payloads included)."""
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def difference(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> str:
    """Say in words where two sets of named arrays differ; empty when they agree bit for bit."""
    lacking = [name for name in expected if name not in found]
    if lacking:
        return f"{lacking[0]!r} is absent"
    surplus = [name for name in found if name not in expected]
    if surplus:
        return f"{surplus[0]!r} is there and should not be"
    for name, array in expected.items():
        other = found[name]
        if array.shape != other.shape or array.dtype != other.dtype:
            return f"{name!r} is {other.dtype}{other.shape} instead of {array.dtype}{array.shape}"
        if not same_bits(array, other):
            return f"{name!r} has other values"
    if list(expected) != list(found):
        return "the names are in another order"
    return ""


def flip(array: np.ndarray) -> None:
    """Invert every bit of a C-contiguous array in place, so that no value stays what it was."""
    octets = array.reshape(-1).view(np.uint8)
    np.invert(octets, out=octets)
