"""The header of a weights file: its tensors with their dtypes, shapes and positions.

Everything is checked against the rules and the file's size before anything is allocated, so that a
:class:`TensorInfo` can be trusted.
"""

from __future__ import annotations

import gc
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import dtype_from_name, dtype_name
from dc_hub.errors import LimitExceeded, NotSerializable, WeightsFileError
from dc_hub.format import strict_json

CODES: Final[Mapping[str, str]] = {
    "BOOL": "bool",
    "U8": "uint8",
    "I8": "int8",
    "U16": "uint16",
    "I16": "int16",
    "U32": "uint32",
    "I32": "int32",
    "U64": "uint64",
    "I64": "int64",
    "F16": "float16",
    "BF16": "bfloat16",
    "F32": "float32",
    "F64": "float64",
    "C64": "complex64",
    "F8_E4M3": "float8_e4m3fn",
    "F8_E4M3FNUZ": "float8_e4m3fnuz",
    "F8_E5M2": "float8_e5m2",
    "F8_E5M2FNUZ": "float8_e5m2fnuz",
    "F8_E8M0": "float8_e8m0fnu",
}
"""The dtypes of the format, and their names in dc-core."""

ALIGNMENT: Final = 64
"""The data of a weights file start at a multiple of this many bytes."""

CODE_OF: Final = {name: code for code, name in CODES.items()}
"""The inverse of :data:`CODES`."""

_LONG: Final = 1 << 20
"""A header of at least this many bytes is parsed without the garbage collector."""
_TOKENS: Final = 32
"""More of the characters ``[]{},:"`` than any tensor needs in the header."""
_FIELDS: Final = {"dtype", "shape", "data_offsets"}
_ORDINARY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:+-]*")
_SPECIAL: Final = re.compile(r"__.*__")
_FORBIDDEN: Final = frozenset({"Cc", "Cf", "Co", "Cs", "Zl", "Zp"})


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of a header: its bytes, tensors, axes of a tensor, and bytes of a name."""

    header: int = 1 << 24
    tensors: int = 100_000
    rank: int = 64 if int(np.__version__.partition(".")[0]) >= 2 else 32
    name: int = 512


LIMITS: Final = Limits()


class TensorInfo(NamedTuple):
    """One tensor of a file: its dtype and shape, and the bytes ``[start, end)`` of the file."""

    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int
    end: int


def name_fault(name: str, limits: Limits = LIMITS) -> str | None:
    """Return why ``name`` cannot be the name of a weight, or None if it can.

    A name is 1 to 512 bytes of UTF-8 in normalisation form C, without control, format or private
    characters and without backslashes. It is not an absolute path, and none of its parts is ``..``
    or one of Python's ``__special__`` names.
    """
    if not name:
        return "it is empty"
    if not _ORDINARY.fullmatch(name):
        if any(unicodedata.category(character) in _FORBIDDEN for character in name):
            return "it contains an invisible or private character"
        if not unicodedata.is_normalized("NFC", name):
            return "it is not in Unicode normalisation form C"
        if "\\" in name or name.startswith("/"):
            return "it looks like a path in the file system"
    if len(name) * 4 > limits.name and len(name.encode()) > limits.name:
        return f"it is longer than {limits.name} bytes"
    if ".." in name and ".." in name.split("/"):
        return "it contains .. as a part"
    if "__" in name and any(_SPECIAL.fullmatch(part) for part in re.split(r"[./]", name)):
        return "it is a special name of Python"
    return None


def read_header(
    read: Callable[[int, int], bytes], size: int, what: str, limits: Limits
) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Return the tensors, in the order of their bytes, and the metadata of a file.

    ``read(length, offset)`` returns bytes of the file, which has ``size`` of them; ``what`` names
    it in messages. Raises :class:`WeightsFileError` or :class:`LimitExceeded`.
    """
    start = read(8, 0)
    if len(start) < 8:
        raise WeightsFileError(
            f"{what} has {len(start)} bytes, too few for a weights file.",
            path=what,
            hint="Get it again: it is empty or was truncated.",
        )
    length = int.from_bytes(start, "little")
    if length > size - 8:
        raise WeightsFileError(
            f"{what} declares a header of {length} bytes but has only {size} bytes.",
            path=what,
            hint=_likely_origin(start),
        )
    if length > limits.header:
        raise LimitExceeded(
            f"{what} declares a header of {length} bytes; the limit is {limits.header}.", path=what
        )
    text = read(length, 8)
    if len(text) < length or not text.startswith(b"{"):
        raise WeightsFileError(
            f"{what} does not have a JSON header.", path=what, hint=_likely_origin(start)
        )
    if length < _LONG:
        return _parse(text, size, what, limits)
    with _paused_collector():
        return _parse(text, size, what, limits)


@contextmanager
def _paused_collector() -> Iterator[None]:
    """Pause Python's cyclic garbage collector while a long header is parsed.

    A header of 100 000 tensors makes nearly a million objects, none of them garbage, and looking
    through them again and again takes as long as parsing.
    """
    if not gc.isenabled():
        yield
        return
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def _parse(
    text: bytes, size: int, what: str, limits: Limits
) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Return the tensors and metadata of the header ``text`` in a file of ``size`` bytes."""
    if text.count(b"{") - (b'"__metadata__"' in text) > limits.tensors + 1:
        raise LimitExceeded(f"{what} has more than {limits.tensors} tensors.", path=what)
    header = strict_json.loads(
        text,
        what=what,
        limit=limits.header,
        depth=3,
        tokens=_TOKENS * limits.tensors,
        error=WeightsFileError,
    )
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
        raise WeightsFileError(f"{what} has metadata that are not strings.", path=what)
    begin = 8 + len(text)
    infos = [
        (name, _read_info(name, fields, begin, what, limits)) for name, fields in header.items()
    ]
    infos.sort(key=_place)
    place = begin
    for name, info in infos:
        if info.start != place:
            fault = "overlaps the tensor before it" if info.start < place else "follows a hole"
            raise WeightsFileError(f"The tensor {name!r} of {what} {fault}.", path=what)
        place = info.end
    if place != size:
        fault = "is too short" if place > size else f"has {size - place} bytes after its tensors"
        raise WeightsFileError(
            f"{what} {fault}.", path=what, hint="Get it again: it was truncated or extended."
        )
    return dict(infos), metadata


def _read_info(name: str, fields: Any, begin: int, what: str, limits: Limits) -> TensorInfo:
    """Check one entry of a header, and return it; the data start at byte ``begin``."""
    fault = name_fault(name, limits)
    if fault is not None:
        raise WeightsFileError(
            f"{what} has a tensor with the invalid name {name[: limits.name]!r}: {fault}.",
            path=what,
        )
    if type(fields) is not dict or fields.keys() != _FIELDS:
        raise _wrong(name, what, "does not have exactly the fields dtype, shape and data_offsets")
    code, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if type(code) is not str or code not in CODES:
        raise _wrong(name, what, f"has the unknown dtype {code!r}")
    if type(shape) is not list or not _are_counts(shape):
        raise _wrong(name, what, "has a shape that is not a list of non-negative integers")
    if len(shape) > limits.rank:
        raise LimitExceeded(
            f"The tensor {name!r} of {what} has {len(shape)} axes; the limit is {limits.rank}.",
            path=what,
        )
    if type(offsets) is not list or len(offsets) != 2 or not _are_counts(offsets):
        raise _wrong(name, what, "has data_offsets that are not two non-negative integers")
    start, end = offsets
    dtype = _dtype(code)
    size = dtype.itemsize * math.prod(shape)
    if end - start != size:
        raise _wrong(
            name, what, f"has {end - start} bytes, which does not match {code} of shape {shape}"
        )
    # NumPy multiplies the other extents even if one is 0.
    if size == 0 and dtype.itemsize * math.prod(filter(None, shape)) >= 1 << 63:
        raise _wrong(name, what, f"has the impossible shape {shape}")
    return TensorInfo(dtype, tuple(shape), begin + start, begin + end)


def _are_counts(numbers: list[Any]) -> bool:
    for number in numbers:  # noqa: SIM110 - a generator takes three times as long
        if type(number) is not int or number < 0:
            return False
    return True


def _place(item: tuple[str, TensorInfo]) -> tuple[int, int]:
    return item[1].start, item[1].end


def _wrong(name: str, what: str, fault: str) -> WeightsFileError:
    return WeightsFileError(f"The tensor {name!r} of {what} {fault}.", path=what)


def _likely_origin(start: bytes) -> str:
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "It looks like a pickle or zip archive (torch.save): convert it where it is trusted."
    return "It is not a safetensors file, or was truncated."


@cache
def _dtype(code: str) -> np.dtype[Any]:
    return dtype_from_name(CODES[code])


def make_header(
    arrays: Mapping[str, np.ndarray], order: list[str], metadata: Mapping[str, str]
) -> bytes:
    """Return the start of a file with ``arrays`` in ``order``: length, header and padding.

    Raises :class:`LimitExceeded`, and :class:`NotSerializable` if the metadata are not str.
    """
    if len(order) > LIMITS.tensors:
        raise LimitExceeded(f"There are {len(order)} tensors; the limit is {LIMITS.tensors}.")
    header: dict[str, Any] = {}
    if metadata:
        if not all(type(key) is type(value) is str for key, value in metadata.items()):
            raise NotSerializable("The metadata of a weights file map str to str.")
        header["__metadata__"] = dict(sorted(metadata.items()))
    place = 0
    for name in order:
        array = arrays[name]
        header[name] = {
            "dtype": CODE_OF[dtype_name(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    try:
        text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    except UnicodeEncodeError as error:
        raise NotSerializable(
            f"The metadata of a weights file cannot be encoded: {error}."
        ) from error
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > LIMITS.header:
        raise LimitExceeded(
            f"The header would have {len(text)} bytes; the limit is {LIMITS.header}.",
            hint="Store fewer tensors, or give them shorter names.",
        )
    return len(text).to_bytes(8, "little") + text
