"""Comparing and changing arrays bit by bit: the laws allow no tolerance."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from dc_core.dtypes import dtype_name

_FORMATS: Final = {"float16": (5, 10), "bfloat16": (8, 7), "float32": (8, 23), "float64": (11, 52)}
"""The widths of exponent and mantissa. The 8-bit floats share no convention for NaN."""


def same_bits(a: np.ndarray, b: np.ndarray) -> bool:
    """Tell whether two arrays agree in shape, dtype and every bit (NaN payloads included).

    Text and objects, whose bits are addresses, are compared by value.
    """
    if a.shape != b.shape or a.dtype != b.dtype:
        return False
    return a.tolist() == b.tolist() if a.dtype.hasobject else a.tobytes() == b.tobytes()


def difference(expected: Mapping[str, np.ndarray], found: Mapping[str, np.ndarray]) -> str:
    """Describe the first difference between named arrays; empty if they agree bit for bit."""
    missing = [name for name in expected if name not in found]
    if missing:
        return f"{missing[0]!r} is missing"
    unexpected = [name for name in found if name not in expected]
    if unexpected:
        return f"{unexpected[0]!r} is unexpected"
    for name, array in expected.items():
        other = found[name]
        if array.shape != other.shape or array.dtype != other.dtype:
            return f"{name!r} is {other.dtype}{other.shape} instead of {array.dtype}{array.shape}"
        if not same_bits(array, other):
            return f"{name!r} has different values"
    if list(expected) != list(found):
        return "the names are in a different order"
    return ""


def digest(array: np.ndarray) -> str:
    """Return the SHA-256 of an array's shape, dtype and bits.

    Text and objects are compared by their representation.
    """
    value = repr(array.tolist()).encode() if array.dtype.hasobject else array.tobytes()
    form = f"{array.shape} {array.dtype}".encode()
    return hashlib.sha256(form + value).hexdigest()


def flip(array: np.ndarray) -> None:
    """Invert every bit of an array in place, so that every value changes."""
    octets = array[..., np.newaxis].view(np.uint8)
    np.invert(octets, out=octets)


def edited(array: np.ndarray, where: slice, bits: int) -> np.ndarray:
    """Return a C-contiguous copy whose elements at the flat positions ``where`` are ``bits``.

    ``bits`` has at most 64 bits, which are cut or repeated to the size of an element.
    """
    changed = array.copy(order="C")
    flat = changed.reshape(-1)
    if array.dtype == np.bool_:
        flat[where] = bool(bits & 1)
        return changed
    octets = np.resize(np.frombuffer(bits.to_bytes(8, "little"), np.uint8), array.dtype.itemsize)
    flat[:, np.newaxis].view(np.uint8)[where] = octets
    return changed


def peculiar_values(dtype: np.dtype[Any]) -> dict[str, np.ndarray]:
    """Return the values that conversions tend to lose, as 0-d arrays; none if not floating."""
    integer, infinity = _real_part(dtype)
    if not infinity:
        return {}
    bits = {
        "a NaN with a payload": infinity | infinity >> 1 | 5,
        "a signalling NaN": infinity | 1,
        "a negative zero": 1 << (8 * integer.itemsize - 1),
        "a subnormal": 1,
    }
    return {
        what: np.full(dtype.itemsize // integer.itemsize, value, integer).view(dtype).reshape(())
        for what, value in bits.items()
    }


def mutants(array: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
    """Yield C-contiguous copies of ``array`` with one number changed, and what it was set to."""
    if array.dtype == np.bool_:
        for i in _places(array.size):
            mutant = array.copy()
            mutant.reshape(-1)[i] ^= True
            yield f"element {i} inverted", mutant
        return
    integer, infinity = _real_part(array.dtype)
    highest = 1 << (8 * integer.itemsize)
    numbers = array.reshape(-1).view(integer)
    for i in _places(numbers.size):
        bits = int(numbers[i])
        # Among them: 0, 1, the neighbours, and the least and greatest numbers of every kind.
        changed = {0, 1, bits + 1, bits - 1, ~bits, highest // 2, highest // 2 - 1, highest - 1}
        changed |= {infinity, infinity - 1}
        for other in sorted({value % highest for value in changed} - {bits}):
            mutant = array.copy()
            mutant.reshape(-1).view(integer)[i] = other
            yield f"the bits of element {i} set to {other:#x}", mutant


def _real_part(dtype: np.dtype[Any]) -> tuple[np.dtype[Any], int]:
    """Return the unsigned integer that holds a number's real part, and infinity; 0 if unknown."""
    parts = 2 if dtype.kind == "c" else 1
    name = {"complex64": "float32", "complex128": "float64"}.get(dtype.name, dtype_name(dtype))
    exponent, mantissa = _FORMATS.get(name, (0, 0))
    integer = np.dtype(f"u{dtype.itemsize // parts}").newbyteorder(dtype.byteorder)
    return integer, ((1 << exponent) - 1) << mantissa


def _places(count: int) -> list[int]:
    return sorted({0, count // 2, count - 1}) if count else []
