"""Weights files: the safetensors format, read and written with NumPy alone.

A file consists of its header (:mod:`dc_hub.format.header`) and the bytes of the tensors, without
gaps. Arrays are views of a private map of the file, or are read into memory of their own.

https://github.com/huggingface/safetensors describes the format; docs/format.md says where this
reader is stricter.
"""

from __future__ import annotations

import io
import mmap
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Protocol, Self

import numpy as np

from dc_core import charge, dtype_name, explained, raw_bits
from dc_core.errors import ParameterError
from dc_hub.errors import LimitExceeded, NotSerializable, WeightsFileError
from dc_hub.files.paths import open_regular, reading
from dc_hub.files.system import read_at, read_into
from dc_hub.format.header import (
    ALIGNMENT,
    CODE_OF,
    LIMITS,
    Limits,
    TensorInfo,
    make_header,
    name_fault,
    read_header,
)

_BLOCK: Final = 1 << 22
"""The number of bytes converted at a time of an array that is not contiguous."""


Readable = io.RawIOBase | io.BytesIO
"""A binary file, unbuffered and seekable."""


class SupportsWrite(Protocol):
    """A writable binary file; ``write`` returns the number of bytes written."""

    def write(self, data: bytes | memoryview, /) -> int | None:
        """Write ``data`` or a first part of it."""


class TensorFile(Mapping[str, np.ndarray]):
    """An open weights file: a mapping from names to tensors, in the order of their bytes.

    ``file[name]`` is a view of a private map: writing to it does not change the file, and it is
    valid as long as the array exists. :meth:`read` returns an array in memory of its own. Both
    raise :class:`WeightsFileError` if the file was changed after it was opened, and for a BOOL byte
    over 1. What is not a file of this machine is read into memory instead of mapped.
    """

    def __init__(self, file: Readable, *, what: str, limits: Limits = LIMITS) -> None:
        """Check the header of the open ``file``, which is closed with this object.

        ``what`` names the file in messages. Raises :class:`WeightsFileError` or
        :class:`LimitExceeded`.
        """
        self._what = what
        self._source = _OnDisk(file) if isinstance(file, io.FileIO) else _Elsewhere(file)
        self._map: mmap.mmap | None = None
        with reading(what):
            self._infos, self.metadata = read_header(
                self._source.read, self._source.size, what, limits
            )

    @classmethod
    def open(cls, path: str | os.PathLike[str], *, limits: Limits = LIMITS) -> Self:
        """Open the weights file ``path``, which must be a regular file and not a link.

        Raises what :func:`dc_hub.files.paths.open_regular` and the constructor raise.
        """
        place = Path(path)
        file = open_regular(place.parent, place.name)
        try:
            return cls(file, what=str(place), limits=limits)
        except BaseException:
            file.close()
            raise

    def info(self, name: str) -> TensorInfo:
        """Return the dtype, shape and position of the tensor ``name``. Raises ``KeyError``."""
        return self._infos[name]

    def __getitem__(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` as a view of the private map."""
        dtype, shape, start, end = self._infos[name]
        self._check_unchanged()
        if start == end:
            return np.empty(shape, dtype)
        if self._map is None:
            with reading(self._what):
                self._map = self._source.map()
        array: np.ndarray = np.ndarray(shape, dtype, self._map, start)
        _check_bool(name, array, self._what)
        return array if array.flags.aligned else array.copy()

    def read(self, name: str) -> np.ndarray:
        """Return the tensor ``name`` in memory of its own, read without a second copy."""
        dtype, shape, start, end = self._infos[name]
        self._check_unchanged()
        charge(end - start, f"The tensor {name!r}")
        content = np.empty(end - start, np.uint8)
        view = content.data
        done = 0
        while done < len(view):
            with reading(self._what):
                count = self._source.read_into(view[done:], start + done)
            if count == 0:
                raise self._changed()
            done += count
        array = content.view(dtype).reshape(shape)
        _check_bool(name, array, self._what)
        return array

    def __contains__(self, name: object) -> bool:
        """Tell whether the file has a tensor with that name."""
        return name in self._infos

    def __iter__(self) -> Iterator[str]:
        """Iterate over the names, in the order of the bytes."""
        return iter(self._infos)

    def __len__(self) -> int:
        """Return the number of tensors."""
        return len(self._infos)

    def close(self) -> None:
        """Close the file; arrays taken from it stay valid."""
        self._map = None
        self._source.close()

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
        if self._source.is_changed():
            raise self._changed()

    def _changed(self) -> WeightsFileError:
        return WeightsFileError(
            f"{self._what} was changed while it was open.",
            path=self._what,
            hint="Load it again once nothing writes to it.",
        )


class _OnDisk:
    """The bytes of an open file, which others may change."""

    def __init__(self, file: io.FileIO) -> None:
        self._file = file
        self._stamp = _stamp(file)
        self.size = self._stamp[0]
        self.close = file.close

    def read(self, length: int, offset: int) -> bytes:
        return read_at(self._file.fileno(), length, offset)

    def read_into(self, view: memoryview, offset: int) -> int:
        return read_into(self._file.fileno(), view, offset)

    def map(self) -> mmap.mmap:
        return mmap.mmap(self._file.fileno(), self.size, access=mmap.ACCESS_COPY)

    def is_changed(self) -> bool:
        return _stamp(self._file) != self._stamp


class _Elsewhere:
    """The bytes of a file in memory, or of one that is fetched where it is read."""

    def __init__(self, file: Readable) -> None:
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        self.close = file.close

    def read(self, length: int, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.read(length) or b""

    def read_into(self, view: memoryview, offset: int) -> int:
        self._file.seek(offset)
        return self._file.readinto(view) or 0

    def map(self) -> mmap.mmap:
        memory = mmap.mmap(-1, self.size)
        with memoryview(memory) as view:
            done = 0
            while count := self.read_into(view[done:], done):
                done += count
        return memory

    def is_changed(self) -> bool:
        return False


@explained
def read_tensors(path: str | os.PathLike[str], *, limits: Limits = LIMITS) -> dict[str, np.ndarray]:
    """Return every tensor of the weights file ``path`` in memory of its own.

    Peak memory is the size of the tensors. Later changes to the file do not affect the arrays.
    Raises what :class:`TensorFile` raises.
    """
    with TensorFile.open(path, limits=limits) as file:
        return {name: file.read(name) for name in file}


@explained
def write_tensors(
    file: SupportsWrite,
    tensors: Mapping[str, np.ndarray],
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write ``tensors`` to ``file`` in the safetensors format; equal input gives equal bytes.

    Tensors are stored C-ordered and little-endian. The data start at a multiple of 64 bytes, and
    tensors whose size is a multiple of 64 bytes come first, so that all of those are aligned:
    matrix products may round differently from one alignment to another. Within both groups larger
    elements come first, so that each tensor is aligned to its elements; then names decide.
    Contiguous arrays are written without a copy. Everything is checked before the first byte is
    written.

    Raises :class:`NotSerializable` for a value that is not an array of numbers and for an invalid
    name, and :class:`LimitExceeded`.
    """
    arrays = check_tensors(tensors)
    order = sorted(arrays, key=lambda name: _rank(name, arrays[name]))
    write_all(file, make_header(arrays, order, metadata or {}))
    for name in order:
        for block in _blocks(arrays[name]):
            write_all(file, block)


def check_tensors(tensors: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return ``tensors`` as plain arrays, if they can be stored in weights files.

    Raises :class:`NotSerializable` or :class:`LimitExceeded`, naming the tensor.
    """
    return {name: _checked(name, array) for name, array in tensors.items()}


def _rank(name: str, array: np.ndarray) -> tuple[bool, int, str]:
    return array.nbytes % ALIGNMENT != 0, -array.dtype.itemsize, name


def _stamp(file: io.FileIO) -> tuple[int, int]:
    status = os.fstat(file.fileno())
    return status.st_size, status.st_mtime_ns


def _check_bool(name: str, array: np.ndarray, what: str) -> None:
    if array.dtype == np.bool_ and array.size and array.view(np.uint8).max() > 1:
        raise WeightsFileError(
            f"The BOOL tensor {name!r} of {what} has bytes other than 0 and 1.", path=what
        )


def _checked(name: str, array: Any) -> np.ndarray:
    """Return ``array`` as a plain array, if it can be stored as ``name``."""
    fault = name_fault(name) if type(name) is str else "it is not a str"
    if fault is not None:
        raise NotSerializable(f"A weight cannot be stored as {name!r}: {fault}.", path=str(name))
    if not isinstance(array, np.ndarray) or isinstance(array, np.ma.MaskedArray):
        raise NotSerializable(
            f"The weight {name!r} is a {type(array).__name__}, not an array.",
            path=name,
            hint="Give a plain NumPy array.",
        )
    plain = np.asarray(array)
    try:
        known = dtype_name(plain.dtype) in CODE_OF
    except ParameterError:
        known = False
    if not known:
        raise NotSerializable(
            f"The weight {name!r} has dtype {plain.dtype}, which weights files do not support.",
            path=name,
            hint=f"They support {', '.join(sorted(CODE_OF))}.",
        )
    if plain.ndim > LIMITS.rank:
        raise LimitExceeded(
            f"The weight {name!r} has {plain.ndim} axes; the limit is {LIMITS.rank}.", path=name
        )
    if plain.dtype == np.bool_ and plain.size and plain.view(np.uint8).max() > 1:
        raise NotSerializable(f"The bool weight {name!r} has bytes other than 0 and 1.", path=name)
    return plain


def _blocks(array: np.ndarray) -> Iterator[memoryview]:
    """Yield the bytes of ``array``, C-ordered and little-endian, copying only if they are not."""
    bits = raw_bits(array)
    stored = bits.dtype.newbyteorder("<")
    if bits.flags.c_contiguous and bits.dtype == stored:
        yield bits.reshape(-1).view(np.uint8).data
        return
    with np.nditer(
        bits,
        flags=["external_loop", "buffered", "zerosize_ok"],
        op_dtypes=[stored],
        order="C",
        casting="equiv",
        buffersize=_BLOCK // stored.itemsize,
    ) as blocks:
        for block in blocks:
            yield np.ascontiguousarray(block).view(np.uint8).data


def write_all(file: SupportsWrite, data: bytes | memoryview) -> None:
    """Write all of ``data``: an unbuffered file may accept only a part at a time.

    Raises ``BlockingIOError`` if the file accepts nothing.
    """
    rest = memoryview(data)
    while len(rest):
        count = file.write(rest)
        if not count:
            raise BlockingIOError("the file accepts no more bytes and does not block")
        rest = rest[count:]
