"""Read and write the binary JSON of XGBoost's models, in which an array of numbers is one block.

XGBoost uses a part of UBJSON (https://ubjson.org): lengths are int64, keys and strings have a
length in front, and numbers are big-endian. Arrays of one type are NumPy arrays here.
"""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from dc_core.errors import StructureError

_DTYPES: Final[Mapping[str, np.dtype[Any]]] = {
    "i": np.dtype(np.int8),
    "U": np.dtype(np.uint8),
    "I": np.dtype(">i2"),
    "l": np.dtype(">i4"),
    "L": np.dtype(">i8"),
    "d": np.dtype(">f4"),
    "D": np.dtype(">f8"),
}
_CODES: Final = {dtype.newbyteorder("="): code for code, dtype in _DTYPES.items()}
_SCALARS: Final = {
    code: struct.Struct(">" + form) for code, form in zip("iUIlLdD", "bBhiqfd", strict=True)
}
_CONSTANTS: Final = {"Z": None, "T": True, "F": False}
_LENGTH: Final = _SCALARS["L"]
_DEEPEST: Final = 32


def loads(data: bytes) -> Any:
    """Return what ``data`` says: dicts, lists, strings, numbers, and arrays in native byte order.

    Raises :class:`StructureError` if it is no such document.
    """
    try:
        value, end = _value(data, 0, 0)
    except (IndexError, KeyError, UnicodeDecodeError, ValueError, struct.error) as error:
        if isinstance(error, StructureError):
            raise
        raise StructureError(f"The model is not UBJSON as XGBoost writes it: {error!r}.") from error
    if end != len(data):
        raise StructureError(f"The model ends after {end} of {len(data)} bytes.")
    return value


def dumps(value: Any) -> bytearray:
    """Return ``value`` as a document; arrays have the dtypes of :data:`_DTYPES`."""
    return bytearray(b"".join(_parts(value)))


def _value(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    code = chr(data[at])
    at += 1
    if code == "{":
        found = {}
        while data[at] != 0x7D:
            key, at = _text(data, at)
            found[key], at = _value(data, at, _deeper(depth))
        return found, at + 1
    if code == "[":
        return _array(data, at, depth)
    if code == "S":
        return _text(data, at)
    if code in _CONSTANTS:
        return _CONSTANTS[code], at
    form = _SCALARS[code]
    return form.unpack_from(data, at)[0], at + form.size


def _array(data: bytes, at: int, depth: int) -> tuple[Any, int]:
    if data[at] == 0x24:  # $: all items have the type that follows
        dtype = _DTYPES[chr(data[at + 1])]
        length, at = _length(data, at + 2)
        array = np.frombuffer(data, dtype, length, at)
        return array.astype(dtype.newbyteorder("=")), at + array.nbytes
    length, at = _length(data, at)
    items = []
    for _ in range(length):
        item, at = _value(data, at, _deeper(depth))
        items.append(item)
    return items, at


def _length(data: bytes, at: int) -> tuple[int, int]:
    if data[at : at + 2] != b"#L":
        raise StructureError("The model has an array without a length.")
    (length,) = _LENGTH.unpack_from(data, at + 2)
    if not 0 <= length <= len(data):
        raise StructureError(f"The model has an array of {length} items.")
    return length, at + 2 + _LENGTH.size


def _text(data: bytes, at: int) -> tuple[str, int]:
    if data[at] != 0x4C:
        raise StructureError("The model has a text without a length.")
    (length,) = _LENGTH.unpack_from(data, at + 1)
    at += 1 + _LENGTH.size
    if not 0 <= length <= len(data) - at:
        raise StructureError(f"The model has a text of {length} bytes.")
    return data[at : at + length].decode(), at + length


def _deeper(depth: int) -> int:
    if depth == _DEEPEST:
        raise StructureError(f"The model is nested more than {_DEEPEST} deep.")
    return depth + 1


def _parts(value: Any) -> Iterator[bytes | memoryview]:
    if isinstance(value, dict):
        yield b"{"
        for key, item in value.items():
            yield _sized(key)
            yield from _parts(item)
        yield b"}"
    elif isinstance(value, list):
        yield b"[#L" + _LENGTH.pack(len(value))
        for item in value:
            yield from _parts(item)
    elif isinstance(value, str):
        yield b"S" + _sized(value)
    elif isinstance(value, np.ndarray):
        code = _CODES[value.dtype.newbyteorder("=")]
        yield b"[$%c#L" % ord(code) + _LENGTH.pack(value.size)
        yield value.astype(_DTYPES[code], copy=False).tobytes()
    elif isinstance(value, float):
        yield b"d" + _SCALARS["d"].pack(value)
    else:
        yield b"L" + _LENGTH.pack(value)


def _sized(text: str) -> bytes:
    encoded = text.encode()
    return b"L" + _LENGTH.pack(len(encoded)) + encoded
