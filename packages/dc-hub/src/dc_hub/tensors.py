"""Weights files: the safetensors format, read and written with NumPy alone.

A file is eight bytes of header length (little-endian), a JSON header padded with spaces, and the
tensors' bytes, gapless. The header is checked completely, against the rules and the file's size,
before anything is allocated. Then arrays are views of a private map of the file, or are read eagerly
into memory of their own.

https://huggingface.co/docs/safetensors describes the format; docs/format.md says what is stricter
here.
"""

from __future__ import annotations

import io
import json
import math
import mmap
import os
import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Final, NamedTuple, Protocol, Self

import numpy as np
from dc_core import dtype_name, dtype_named, raw_bits
from dc_core.errors import ParameterError

from dc_hub import jsonio
from dc_hub.errors import LimitExceeded, NotSerializable, WeightsFileError
from dc_hub.paths import open_regular

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
"""The format's dtypes and their names in dc-core."""

ALIGNMENT: Final = 64
"""The data of a file that is written here starts at a multiple of this many bytes."""

_CODE_OF: Final = {name: code for code, name in CODES.items()}
_BLOCK: Final = 1 << 22
_FIELDS: Final = {"dtype", "shape", "data_offsets"}
_ORDINARY: Final = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_./:+-]*")
_SPECIAL: Final = re.compile(r"__.*__")
_FORBIDDEN: Final = frozenset({"Cc", "Cf", "Cn", "Co", "Cs", "Zl", "Zp"})


class SupportsWrite(Protocol):
    """A binary file that can be written; ``write`` returns how many bytes it took."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write ``data``, or its beginning."""


@dataclass(frozen=True, slots=True)
class Limits:
    """How large a weights file's header may be: bytes, tensors, axes, and bytes of a name."""

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


class TensorFile(Mapping[str, np.ndarray]):
    """An open weights file: a mapping of its tensors' names, in the order of their bytes.

    ``file[name]`` is a view of a private map: writable, without effect on the file, and alive for as
    long as the array is. :meth:`read` gives an array in memory of its own instead. Both raise
    :class:`WeightsFileError` when the file was changed after it was opened, and for a BOOL byte
    over 1.
    """

    def __init__(self, file: io.FileIO, *, what: str, limits: Limits = LIMITS) -> None:
        """Take the open ``file`` (it is closed with this object) and check its header.

        ``what`` names the file in messages. Raises :class:`WeightsFileError` or
        :class:`LimitExceeded`.
        """
        self._file = file
        self._what = what
        self._map: mmap.mmap | None = None
        self._stamp = _stamp(file)
        self._infos, self.metadata = _read_header(file.fileno(), self._stamp[0], what, limits)

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, limits: Limits = LIMITS) -> Self:
        """Open the weights file ``path``, which must be a regular file and no link.

        Raises what :func:`dc_hub.paths.open_regular` and the constructor raise.
        """
        place = Path(path)
        file = open_regular(place.parent, place.name)
        try:
            return cls(file, what=str(place), limits=limits)
        except BaseException:
            file.close()
            raise

    def info(self, name: str) -> TensorInfo:
        """Return the dtype, shape and place of the tensor ``name``; ``KeyError`` if there is none."""
        return self._infos[name]

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` as a view of the private map."""
        dtype, shape, start, end = self._infos[name]
        self._check_unchanged()
        if start == end:
            return np.empty(shape, dtype)
        if self._map is None:
            self._map = mmap.mmap(self._file.fileno(), self._stamp[0], access=mmap.ACCESS_COPY)
        array: np.ndarray = np.ndarray(shape, dtype, self._map, start)
        _check_bool(name, array, self._what)
        return array if array.flags.aligned else array.copy()

    def read(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` in memory of its own, allocated once and read into."""
        dtype, shape, start, end = self._infos[name]
        self._check_unchanged()
        content = np.empty(end - start, np.uint8)
        view = memoryview(content)
        done = 0
        while done < len(view):
            count = os.preadv(self._file.fileno(), [view[done:]], start + done)
            if count == 0:
                raise self._changed()
            done += count
        array = content.view(dtype).reshape(shape)
        _check_bool(name, array, self._what)
        return array

    def __contains__(self, name: object) -> bool:
        """Tell whether the file has a tensor of that name."""
        return name in self._infos

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the bytes."""
        return iter(self._infos)

    def __len__(self) -> int:
        """Return how many tensors there are."""
        return len(self._infos)

    def close(self) -> None:
        """Close the file; arrays that were handed out stay valid."""
        self._map = None
        self._file.close()

    def __enter__(self) -> Self:
        """Return the file itself."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the file."""
        self.close()

    def _check_unchanged(self) -> None:
        if _stamp(self._file) != self._stamp:
            raise self._changed()

    def _changed(self) -> WeightsFileError:
        return WeightsFileError(
            f"{self._what} was changed while it was open.",
            path=self._what,
            hint="Load it again once nothing writes to it.",
        )


def read_tensors(path: str | os.PathLike[str], *, limits: Limits = LIMITS) -> dict[str, np.ndarray]:
    """Return every tensor of the weights file ``path`` in memory of its own.

    The peak is the tensors' size. Use it where others can write to the storage: nothing that
    happens to the file afterwards reaches the arrays. Raises what :class:`TensorFile` raises.
    """
    with TensorFile.open(path, limits=limits) as file:
        return {name: file.read(name) for name in file}


def write_tensors(
    file: SupportsWrite,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write ``tensors`` to ``file`` in the safetensors format; equal input gives equal bytes.

    Tensors are C-ordered and little-endian, those of larger items first and then by name, so that
    each is aligned to its item; the data starts 64-byte aligned. Contiguous arrays are written
    without a copy. Everything is checked before the first byte is written.

    Raises :class:`NotSerializable` for a value that is no array of numbers and for a name that the
    format refuses, and :class:`LimitExceeded`.
    """
    arrays = {name: _checked(name, array) for name, array in tensors.items()}
    order = sorted(arrays, key=lambda name: (-arrays[name].dtype.itemsize, name))
    _write_all(file, _header(arrays, order, metadata or {}))
    for name in order:
        for block in _blocks(arrays[name]):
            _write_all(file, block)


def name_fault(name: str, limits: Limits = LIMITS) -> str | None:
    """Return what is wrong with ``name`` as the name of a weight, None if it can be one.

    A name is 1 to 512 bytes of UTF-8 in normalisation form C, without control, format, private or
    unassigned characters, without backslashes, and neither a path that is absolute or leads upwards
    nor one of Python's ``__special__`` names in any of its parts.
    """
    if not name:
        return "it is empty"
    if not _ORDINARY.fullmatch(name):
        if any(unicodedata.category(character) in _FORBIDDEN for character in name):
            return "it contains a character that cannot be seen or read"
        if not unicodedata.is_normalized("NFC", name):
            return "it is not in Unicode normalisation form C"
        if "\\" in name or name.startswith("/"):
            return "it looks like a path of the file system"
    if len(name) * 4 > limits.name and len(name.encode()) > limits.name:
        return f"it is longer than {limits.name} bytes"
    if ".." in name and ".." in name.split("/"):
        return "it leads upwards"
    if "__" in name and any(_SPECIAL.fullmatch(part) for part in re.split(r"[./]", name)):
        return "it is a special name of Python"
    return None


def _stamp(file: io.FileIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _read_header(
    descriptor: int, size: int, what: str, limits: Limits
) -> tuple[dict[str, TensorInfo], dict[str, str]]:
    """Return the checked tensors of a file of ``size`` bytes in the order of their bytes."""
    start = os.pread(descriptor, 8, 0)
    if len(start) < 8:
        raise WeightsFileError(
            f"{what} has {len(start)} bytes, which is too short for a weights file.",
            path=what,
            hint="Get it again: it is empty or was cut off.",
        )
    length = int.from_bytes(start, "little")
    if length > size - 8:
        raise WeightsFileError(
            f"{what} announces a header of {length} bytes and has {size} in all.",
            path=what,
            hint=_likely_origin(start),
        )
    if length > limits.header:
        raise LimitExceeded(
            f"{what} announces a header of {length} bytes; {limits.header} are allowed.", path=what
        )
    text = os.pread(descriptor, length, 8)
    if len(text) < length or not text.startswith(b"{"):
        raise WeightsFileError(
            f"{what} has no header of JSON.", path=what, hint=_likely_origin(start)
        )
    header = jsonio.loads(
        text,
        what=what,
        limit=limits.header,
        depth=3,
        containers=3 * limits.tensors + 2,
        error=WeightsFileError,
    )
    metadata = header.pop("__metadata__", {})
    if type(metadata) is not dict or not all(type(value) is str for value in metadata.values()):
        raise WeightsFileError(f"{what} has metadata that are not all strings.", path=what)
    if len(header) > limits.tensors:
        raise LimitExceeded(
            f"{what} has {len(header)} tensors; {limits.tensors} are allowed.", path=what
        )
    begin = 8 + length
    infos = [
        (_read_info(name, fields, begin, what, limits), name) for name, fields in header.items()
    ]
    infos.sort(key=lambda item: (item[0].start, item[0].end))
    place = begin
    for info, name in infos:
        if info.start != place:
            fault = "overlaps the tensor before it" if info.start < place else "follows a hole"
            raise WeightsFileError(f"The tensor {name!r} of {what} {fault}.", path=what)
        place = info.end
    if place != size:
        fault = "ends too early" if place > size else f"has {size - place} bytes after its tensors"
        raise WeightsFileError(
            f"{what} {fault}.", path=what, hint="Get it again: it was cut off or added to."
        )
    return {name: info for info, name in infos}, metadata


def _read_info(name: str, fields: Any, begin: int, what: str, limits: Limits) -> TensorInfo:
    """Return one checked entry of a header whose data begins at byte ``begin``."""
    fault = name_fault(name, limits)
    if fault is not None:
        raise WeightsFileError(
            f"{what} has a tensor called {name[: limits.name]!r}, which is refused: {fault}.",
            path=what,
        )
    if type(fields) is not dict or fields.keys() != _FIELDS:
        raise _wrong(name, what, "does not have just a dtype, a shape and data_offsets")
    code, shape, offsets = fields["dtype"], fields["shape"], fields["data_offsets"]
    if type(code) is not str or code not in CODES:
        raise _wrong(name, what, f"has the unknown dtype {code!r}")
    if type(shape) is not list or not all(type(n) is int and n >= 0 for n in shape):
        raise _wrong(name, what, "has a shape that is no list of integers from 0")
    if len(shape) > limits.rank:
        raise LimitExceeded(
            f"The tensor {name!r} of {what} has {len(shape)} axes; {limits.rank} are allowed.",
            path=what,
        )
    if (
        type(offsets) is not list
        or len(offsets) != 2
        or not all(type(n) is int for n in offsets)
        or not 0 <= offsets[0] <= offsets[1]
    ):
        raise _wrong(name, what, "has data_offsets that are no two ascending integers from 0")
    dtype = _dtype(code)
    # The extents beside a 0 count too: NumPy multiplies them all.
    if dtype.itemsize * math.prod(n for n in shape if n) >= 1 << 63:
        raise _wrong(name, what, f"has the impossible shape {shape}")
    start, end = offsets
    if end - start != dtype.itemsize * math.prod(shape):
        raise _wrong(name, what, f"has {end - start} bytes, which do not fit {code} of {shape}")
    return TensorInfo(dtype, tuple(shape), begin + start, begin + end)


def _wrong(name: str, what: str, fault: str) -> WeightsFileError:
    return WeightsFileError(f"The tensor {name!r} of {what} {fault}.", path=what)


def _likely_origin(start: bytes) -> str:
    if start.startswith((b"PK\x03\x04", b"\x80")):
        return "It looks like a pickle or zip archive (torch.save): convert it where it is trusted."
    return "It is no safetensors file, or was cut off."


def _check_bool(name: str, array: np.ndarray, what: str) -> None:
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise _wrong(name, what, "is BOOL and has bytes other than 0 and 1")


@cache
def _dtype(code: str) -> np.dtype[Any]:
    return dtype_named(CODES[code])


def _checked(name: str, array: Any) -> np.ndarray:
    """Return ``array`` as a plain array if it can be stored under ``name``."""
    fault = name_fault(name) if type(name) is str else "it is no str"
    if fault is not None or name == "__metadata__":
        raise NotSerializable(f"A weight cannot be stored as {name!r}: {fault}.", path=str(name))
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise NotSerializable(
            f"The weight {name!r} is a {type(array).__name__}.",
            path=name,
            hint="Give a plain NumPy array.",
        )
    plain = np.asarray(array)
    try:
        known = dtype_name(plain.dtype) in _CODE_OF
    except ParameterError:
        known = False
    if not known:
        raise NotSerializable(
            f"The weight {name!r} has dtype {plain.dtype}, which weights files cannot hold.",
            path=name,
            hint=f"They hold {', '.join(sorted(_CODE_OF))}.",
        )
    if plain.ndim > LIMITS.rank:
        raise LimitExceeded(
            f"The weight {name!r} has {plain.ndim} axes; {LIMITS.rank} are allowed.", path=name
        )
    if plain.dtype == np.bool_ and plain.size and plain.view(np.uint8).max() > 1:
        raise NotSerializable(
            f"The weight {name!r} is bool and has bytes other than 0 and 1.", path=name
        )
    return plain


def _header(
    arrays: Mapping[str, np.ndarray], order: list[str], metadata: Mapping[str, str]
) -> bytes:
    if len(order) > LIMITS.tensors:
        raise LimitExceeded(f"{len(order)} tensors are given; {LIMITS.tensors} are allowed.")
    header: dict[str, Any] = {}
    if metadata:
        if not all(type(key) is type(value) is str for key, value in metadata.items()):
            raise NotSerializable("A weights file's metadata are str to str.")
        header["__metadata__"] = dict(sorted(metadata.items()))
    place = 0
    for name in order:
        array = arrays[name]
        header[name] = {
            "dtype": _CODE_OF[dtype_name(array.dtype)],
            "shape": list(array.shape),
            "data_offsets": [place, place + array.nbytes],
        }
        place += array.nbytes
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode()
    text += b" " * (-(8 + len(text)) % ALIGNMENT)
    if len(text) > LIMITS.header:
        raise LimitExceeded(
            f"The header would have {len(text)} bytes; {LIMITS.header} are allowed.",
            hint="Store fewer tensors a file, or give them shorter names.",
        )
    return len(text).to_bytes(8, "little") + text


def _blocks(array: np.ndarray) -> Iterator[memoryview]:
    """Yield the bytes of ``array`` in C order, little-endian, copying only where they are not so."""
    bits = array.view(raw_bits(array.dtype))
    stored = bits.dtype.newbyteorder("<")
    if bits.flags.c_contiguous and bits.dtype == stored:
        yield memoryview(bits.reshape(-1).view(np.uint8))
        return
    with np.nditer(
        bits,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_flags=[["readonly", "contig"]],
        op_dtypes=[stored],
        order="C",
        casting="equiv",
        buffersize=_BLOCK // stored.itemsize,
    ) as blocks:
        for block in blocks:
            yield memoryview(block.view(np.uint8))


def _write_all(file: SupportsWrite, data: bytes | memoryview) -> None:
    """Write all of ``data``: an unbuffered file may take only a part at a time."""
    rest = memoryview(data)
    while len(rest):
        count = file.write(rest)
        if not count:
            raise BlockingIOError("the file takes no more bytes and does not block")
        rest = rest[count:]
