"""NumPy dtypes by name, including those that NumPy lacks: bfloat16 and the 8-bit floats.

If ``ml_dtypes`` is installed, they are its dtypes. If not, an array holds the raw bits in a
structured dtype with one field named after the logical type, ``[("bfloat16", "<u2")]``: it is
copied, compared and stored exactly, and cannot be mistaken for integers.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from dc_core.errors import ParameterError

TEXT: Final = np.dtypes.StringDType()
"""The dtype of text: strings of any length. Weights cannot have it."""

NATIVE: Final = frozenset(
    [
        "bool",
        "int8",
        "int16",
        "int32",
        "int64",
        "uint8",
        "uint16",
        "uint32",
        "uint64",
        "float16",
        "float32",
        "float64",
        "complex64",
        "complex128",
    ]
)
"""The names of the dtypes that every NumPy has and that weights may have."""

EXTENDED: Final[dict[str, str]] = {
    "bfloat16": "<u2",
    "float8_e4m3fn": "<u1",
    "float8_e4m3fnuz": "<u1",
    "float8_e5m2": "<u1",
    "float8_e5m2fnuz": "<u1",
    "float8_e8m0fnu": "<u1",
}
"""Logical dtypes that NumPy lacks, with the integer dtypes that hold their bits."""


@cache
def dtype_from_name(name: str) -> np.dtype[Any]:
    """Return the dtype called ``name`` (a key of :data:`EXTENDED` or a name in :data:`NATIVE`)."""
    if name in NATIVE:
        return np.dtype(name)
    if name in EXTENDED:
        installed = find_spec("ml_dtypes") is not None
        scalar = getattr(import_module("ml_dtypes"), name, None) if installed else None
        return np.dtype([(name, EXTENDED[name])]) if scalar is None else np.dtype(scalar)
    raise ParameterError(
        f"{name!r} is not a dtype that weights can have.",
        hint=f"Use one of {', '.join(sorted(NATIVE | EXTENDED.keys()))}.",
    )


def dtype_name(dtype: np.dtype[Any]) -> str:
    """Return the name of ``dtype``: the inverse of :func:`dtype_from_name`.

    Raises :class:`ParameterError` for dtypes that weights cannot have: objects, strings, dates.
    """
    if dtype.fields and len(dtype.fields) == 1:
        (name,) = dtype.fields
        if name in EXTENDED and dtype.itemsize == np.dtype(EXTENDED[name]).itemsize:
            return name
    elif dtype.name in NATIVE or dtype.name in EXTENDED:
        return dtype.name
    raise ParameterError(
        f"Arrays of dtype {dtype} cannot be weights.",
        hint="Weights are numbers: store text and objects as constructor arguments.",
    )


def raw_bits(array: np.ndarray) -> np.ndarray:
    """Return the bits of ``array`` as unsigned integers of its byte order: ``(*shape, k)``.

    ``k`` is 2 for complex numbers, and else 1. The memory is shared. Compared in this form, equal
    means equal in every bit: NaN equals itself, and 0.0 differs from -0.0.

    Raises :class:`ParameterError` for dtypes that weights cannot have.
    """
    dtype_name(array.dtype)
    width = array.dtype.itemsize // (2 if array.dtype.kind == "c" else 1)
    word = np.dtype(f"u{width}").newbyteorder(array.dtype.byteorder)
    return array[..., np.newaxis].view(word)
