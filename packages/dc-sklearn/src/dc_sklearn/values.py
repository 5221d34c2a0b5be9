"""Plain values as named arrays: what an attribute may hold besides estimators and trees.

``<attribute>/0`` is a numeric array, and 0-d for a number. Every other kind says so in the path, so
that it comes back as what it was:

====================  ============================================================================
``fortran/0``         an array in Fortran order, transposed (the order decides the last bit of BLAS)
``strided/0, 1``      an array with axes in another order or reversed: its data, and per axis of the
                      data the array's axis and the sign of its stride, ``(2, ndim)``
``float/0``           a Python float (a NumPy one promotes float32, this one does not)
``none/0``            None, as an empty array
``str/0``             a string's UTF-8 bytes
``text/0 … 2``        an array of strings: UTF-8 bytes, offsets, width of its dtype (0: object)
``csr_matrix/0 … 3``  a sparse matrix: data, indices, indptr, shape (``csr_array`` likewise)
``dtype/0``           a dtype, its NumPy string
``slice/0``           a slice: start, stop, step, each with whether it is given, ``(3, 2)``
``list/0``            the numbers of a list, or its length, and the items at ``<attribute>/<i>``
``tuple/0``           the same for a tuple
``objects/0``         the shape of an array of objects; its items lie flat at ``<attribute>/<i>``
``dict/0``            the length of a dictionary; its keys lie at ``keys``, its items at ``<i>``
====================  ============================================================================
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

import numpy as np
from scipy import sparse

from dc_core import charge
from dc_core.errors import NotSerializable, StructureError, WeightsMismatch
from dc_core.structures import check_offsets
from dc_sklearn.slots import Reader, Slot, Slots

_NUMERIC: Final = "biufc"
_COMPACT: Final = {bool, int, np.int32, np.int64, np.float32, np.float64}
_DEEPEST: Final = 32
_MAX_TEXT: Final = 1 << 26
_DTYPE: Final = re.compile(r"[<>|=]?[biufcUSO]\d{0,9}")


def encode(path: str, value: Any) -> Slots:
    """Yield the slots of ``value``; raises :class:`NotSerializable`, naming ``path``."""
    if value is None:
        yield f"{path}/none/0", Slot.made(np.zeros(0, np.uint8))
    elif type(value) is float:
        yield f"{path}/float/0", Slot.made(np.array(value))
    elif isinstance(value, str):
        yield f"{path}/str/0", Slot.made(_bytes(value))
    elif isinstance(value, np.ndarray):
        yield from _encode_array(path, value)
    elif isinstance(value, bool | int | np.generic):
        yield f"{path}/0", Slot.made(_number(path, value))
    elif isinstance(value, np.dtype):
        if not _DTYPE.fullmatch(value.str):
            raise _refused(path, value)
        yield f"{path}/dtype/0", Slot.made(_bytes(value.str))
    elif isinstance(value, sparse.csr_matrix | sparse.csr_array):
        at = f"{path}/{type(value).__name__}"
        for i, part in enumerate((value.data, value.indices, value.indptr)):
            yield f"{at}/{i}", Slot.of(part)
        yield f"{at}/3", Slot.made(np.array(value.shape, np.int64))
    elif isinstance(value, slice):
        yield f"{path}/slice/0", Slot.made(_slice(path, value))
    elif type(value) in (list, tuple):
        at = f"{path}/{type(value).__name__}"
        if value and {type(item) for item in value} <= _COMPACT and len(set(map(type, value))) == 1:
            yield f"{at}/0", Slot.made(_number(path, list(value)))
            return
        yield f"{at}/0", count(len(value))
        yield from _encode_items(path, value)
    elif type(value) is dict:
        keys = _keys_of(value)
        if keys.ndim != 1 or keys.dtype.kind not in "biufU" or len(set(map(type, value))) > 1:
            raise _refused(path, value)
        yield f"{path}/dict/0", count(len(value))
        yield from _encode_array(f"{path}/keys", keys)
        yield from _encode_items(path, value.values())
    else:
        raise _refused(path, value)


def decode(reader: Reader, path: str) -> Any:
    """Return the value whose arrays lie at ``path``.

    Raises :class:`WeightsMismatch` or :class:`StructureError` where they are missing or contradict
    each other.
    """
    if path.count("/") > _DEEPEST:
        raise StructureError(f"{path[:80]!r}… is nested more than {_DEEPEST} deep.")
    kinds = {kind for kind in reader.below(path) if not kind.isdecimal() and kind != "keys"}
    if not kinds:
        return _plain(path, reader.take(f"{path}/0", keep=True))
    if len(kinds) > 1:
        raise StructureError(f"{path!r} is given as {' and as '.join(sorted(kinds))}.")
    (kind,) = kinds
    at = f"{path}/{kind}"
    match kind:
        case "none":
            reader.take(f"{at}/0", dtype=np.uint8, ndim=1)
            return None
        case "float":
            return float(reader.take(f"{at}/0", dtype=np.float64, ndim=0))
        case "str":
            return reader.take_text(f"{at}/0")
        case "dtype":
            return _dtype(at, reader.take_text(f"{at}/0"))
        case "fortran":
            return _numeric(at, reader.take(f"{at}/0", keep=True)).T
        case "strided":
            return _decode_strided(reader, at)
        case "text":
            return _decode_text(reader, at)
        case "csr_matrix" | "csr_array":
            return _decode_csr(reader, at, getattr(sparse, kind))
        case "slice":
            return _decode_slice(at, reader.take(f"{at}/0", dtype=np.int64, ndim=2))
        case "list":
            return _decode_sequence(reader, path, at)
        case "tuple":
            return tuple(_decode_sequence(reader, path, at))
        case "objects":
            return _decode_objects(reader, path, at)
        case "dict":
            items = _decode_items(reader, path, reader.take_length(f"{at}/0"))
            keys = decode(reader, f"{path}/keys")
            if not isinstance(keys, np.ndarray) or keys.shape != (len(items),):
                raise StructureError(f"{path!r} has {len(items)} items and other keys.")
            value = dict(zip(keys.tolist(), items, strict=True))
            if len(value) != len(items) or keys.dtype != _keys_of(value).dtype:
                raise StructureError(f"The keys of {path!r} are repeated, or of another dtype.")
            return value
        case _:
            raise WeightsMismatch(f"{path!r} is given as {kind!r}, which is not a kind of value.")


def _keys_of(value: dict[Any, Any]) -> np.ndarray:
    """Return the keys of ``value`` as an array of numbers or text as Python's own types give it."""
    return np.array(np.array(list(value)).tolist()) if value else np.zeros(0)


def _encode_array(path: str, value: np.ndarray) -> Slots:
    if value.dtype.kind in _NUMERIC:
        layout = _layout(value)
        if value.flags.c_contiguous or layout is None:
            yield f"{path}/0", Slot.of(value)
        elif layout.tolist() == [[*reversed(range(value.ndim))], [1] * value.ndim]:
            yield f"{path}/fortran/0", Slot.of(value.T)
        else:
            yield f"{path}/strided/0", Slot.of(_to_c_order(value, layout))
            yield f"{path}/strided/1", Slot.made(layout)
    elif value.ndim == 1 and (
        value.dtype.kind == "U"
        or (value.dtype.kind == "O" and all(type(v) is str for v in value) and len(value))
    ):
        texts = [str(text).encode() for text in value]
        offsets = np.cumsum([0, *map(len, texts)], dtype=np.int64)
        width = value.dtype.itemsize // 4 if value.dtype.kind == "U" else 0
        yield f"{path}/text/0", Slot.made(_bytes("".join(value.tolist())))
        yield f"{path}/text/1", Slot.made(offsets)
        yield f"{path}/text/2", Slot.made(np.array(width))
    elif value.dtype.kind == "O":
        yield f"{path}/objects/0", Slot.made(np.array(value.shape, np.int64))
        yield from _encode_items(path, value.ravel())
    else:
        raise _refused(path, value)


def _layout(value: np.ndarray) -> np.ndarray | None:
    """Return the axes by falling stride and the signs of their strides; None if it is C order.

    NumPy multiplies a matrix with reversed rows without BLAS, so the last bit depends on the signs.
    """
    axes = sorted(range(value.ndim), key=lambda axis: -abs(value.strides[axis]))
    signs = [-1 if value.strides[axis] < 0 else 1 for axis in axes]
    # The stride of an axis of length 1 means nothing.
    long = [(axis, sign) for axis, sign in zip(axes, signs, strict=True) if value.shape[axis] > 1]
    plain = long == sorted(long) and all(sign > 0 for _, sign in long)
    return None if plain or value.size == 0 else np.array((axes, signs), np.int64)


def _to_c_order(value: np.ndarray, layout: np.ndarray) -> np.ndarray:
    """Return a view of ``value`` in which every stride is positive and no axis is out of order."""
    axes, signs = layout.tolist()
    return value.transpose(axes)[tuple(slice(None, None, sign) for sign in signs)]


def _decode_strided(reader: Reader, at: str) -> np.ndarray:
    data = _numeric(at, reader.take(f"{at}/0", keep=True))
    layout = reader.take(f"{at}/1", dtype=np.int64, ndim=2)
    axes, signs = layout.tolist() if len(layout) == 2 else ([], [])
    if sorted(axes) != list(range(data.ndim)) or not {*signs} <= {-1, 1}:
        raise StructureError(f"{at!r} does not give each of {data.ndim} axes a place and a sign.")
    return data[tuple(slice(None, None, sign) for sign in signs)].transpose(np.argsort(axes))


def _encode_items(path: str, items: Iterable[Any]) -> Slots:
    for i, item in enumerate(items):
        yield from encode(f"{path}/{i}", item)


def _decode_items(reader: Reader, path: str, length: int) -> list[Any]:
    return [decode(reader, f"{path}/{i}") for i in range(length)]


def _decode_sequence(reader: Reader, path: str, at: str) -> list[Any]:
    given = reader.take(f"{at}/0")
    if given.ndim == 1:
        _numeric(at, given)
        return given.tolist() if given.dtype in (np.int64, np.bool_) else list(given)
    return _decode_items(reader, path, reader.take_length(f"{at}/0"))


def _decode_text(reader: Reader, at: str) -> np.ndarray:
    data = reader.take(f"{at}/0", dtype=np.uint8, ndim=1).tobytes()
    offsets = reader.take(f"{at}/1", dtype=np.int64, ndim=1)
    width = int(reader.take(f"{at}/2", dtype=np.int64, ndim=0))
    check_offsets(at, offsets, len(data))
    try:
        texts = [data[a:b].decode() for a, b in pairwise(offsets.tolist())]
    except UnicodeDecodeError as error:
        raise StructureError(f"{at!r} is not UTF-8 text: {error}.") from error
    longest = max(map(len, texts), default=0)
    if width == 0:
        return np.array(texts, dtype=object)
    if not longest <= width or width * len(texts) > _MAX_TEXT:
        raise StructureError(
            f"{at!r} has strings of up to {longest} characters in a width of {width}."
        )
    charge(4 * width * len(texts), f"The text {at!r}")
    return np.array(texts, dtype=f"<U{width}")


def _decode_csr(reader: Reader, at: str, kind: type[Any]) -> Any:
    data, indices, indptr = (reader.take(f"{at}/{i}", ndim=1, keep=True) for i in range(3))
    shape = tuple(reader.take(f"{at}/3", dtype=np.int64, ndim=1).tolist())
    integers = {indices.dtype, indptr.dtype} <= {np.dtype(np.int32), np.dtype(np.int64)}
    if not integers or len(shape) != 2 or min(shape) < 0:
        raise StructureError(f"The parts of the sparse matrix {at!r} do not fit together.")
    check_offsets(at, indptr, len(indices))
    inside = indices.size == 0 or (indices.min() >= 0 and indices.max() < shape[1])
    if len(indptr) != shape[0] + 1 or len(data) != len(indices) or not inside:
        raise StructureError(f"The sparse matrix {at!r} has entries outside its shape {shape}.")
    matrix = kind(shape, dtype=_numeric(at, data).dtype)
    # The constructor would narrow the indices' dtype.
    matrix.data, matrix.indices, matrix.indptr = data, indices, indptr
    return matrix


def _slice(path: str, value: slice) -> np.ndarray:
    parts = (value.start, value.stop, value.step)
    if not all(part is None or isinstance(part, int | np.integer) for part in parts):
        raise _refused(path, value)
    return np.array([(0 if part is None else part, part is not None) for part in parts], np.int64)


def _decode_slice(at: str, parts: np.ndarray) -> slice:
    if parts.shape != (3, 2):
        raise StructureError(f"{at!r} has shape {parts.shape}; a slice needs (3, 2).")
    return slice(*(value if given else None for value, given in parts.tolist()))


def _decode_objects(reader: Reader, path: str, at: str) -> np.ndarray:
    shape = tuple(reader.take(f"{at}/0", dtype=np.int64, ndim=1).tolist())
    length = int(np.prod([float(n) for n in shape]))
    if any(n < 0 for n in shape) or length > len(reader):
        raise StructureError(f"{path!r} has the shape {shape}, whose items were not given.")
    array = np.empty(length, dtype=object)
    for i in range(length):
        array[i] = decode(reader, f"{path}/{i}")
    return array.reshape(shape)


def count(n: int) -> Slot:
    """Return the slot of a length."""
    return Slot.made(np.array(n, np.int64))


def _plain(path: str, array: np.ndarray) -> Any:
    """Return an array, or what a 0-d one stands for: a Python int or bool, else a NumPy number."""
    _numeric(path, array)
    if array.ndim:
        return array
    return array.item() if array.dtype in (np.int64, np.bool_) else array[()]


def _number(path: str, value: Any) -> np.ndarray:
    try:
        array = np.array(value)
    except OverflowError as error:
        raise _refused(path, value) from error
    if array.dtype.kind not in _NUMERIC or (
        isinstance(value, int) and array.dtype.kind not in "bi"
    ):
        raise _refused(path, value)
    return array


def _numeric(path: str, array: np.ndarray) -> np.ndarray:
    if array.dtype.kind not in _NUMERIC:
        raise WeightsMismatch(f"The weight {path!r} has dtype {array.dtype}; it needs numbers.")
    return array


def _dtype(at: str, text: str) -> np.dtype[Any]:
    if not _DTYPE.fullmatch(text):
        raise StructureError(f"{at!r} is {text!r}, which is not the dtype of an array.")
    try:
        return np.dtype(text)
    except TypeError as error:
        raise StructureError(f"{at!r} is {text!r}, which is not the dtype of an array.") from error


def _bytes(text: str) -> np.ndarray:
    return np.frombuffer(text.encode(), np.uint8).copy()


def _refused(path: str, value: Any) -> NotSerializable:
    what = (
        f"an array of dtype {value.dtype}"
        if isinstance(value, np.ndarray)
        else type(value).__name__
    )
    return NotSerializable(
        f"The attribute {path.replace('/', '.')!r} is {what}, which has no stored form.",
        hint="Store a model without it, or ask for it to be supported.",
    )
