"""Numbers that XGBoost's models hold as text: read, written, and checked to come back exactly."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np

from dc_core.errors import NotSerializable, StructureError


def read_floats(text: str) -> np.ndarray:
    """Return the floats in ``"[1E-1,5E-1]"``, or in ``"5E-1"``, as ``(n,)`` float32.

    Raises :class:`NotSerializable` for text that is neither.
    """
    try:
        found: Any = json.loads(text)
        return np.atleast_1d(np.asarray(found, np.float32))
    except (OverflowError, TypeError, ValueError) as error:
        raise NotSerializable(f"XGBoost wrote {text!r} where numbers were expected.") from error


def write_floats(values: np.ndarray) -> str:
    """Return ``values``, ``(n,)`` float32, as XGBoost reads a list: the inverse of reading."""
    return f"[{','.join(map(write_float, values.tolist()))}]"


def write_float(value: float) -> str:
    """Return a float32 as the nine digits that determine it."""
    return f"{value:.8E}"


def write_parameter(name: str, value: float) -> str:
    """Return the text of a parameter that XGBoost reads back as exactly ``value``.

    XGBoost adds up, in float32, what stands before the point and after it, of which it reads 19
    digits; numbers with an exponent would lose their last bit.

    Raises :class:`StructureError` for a number that it would read as another one.
    """
    if math.copysign(1, value) < 0 or not (value == 0 or 1e-9 <= value <= 1e18):
        raise StructureError(f"{name!r} is {value!r}, which no parameter of an objective is.")
    return f"{value:.19f}"


def check_plain(name: str, values: np.ndarray) -> np.ndarray:
    """Return ``values`` if their text says exactly what they are.

    Raises :class:`StructureError` for NaN, infinities, and subnormal numbers, which XGBoost reads
    as other numbers.
    """
    tiny = np.abs(values) < np.finfo(values.dtype).tiny
    if not np.isfinite(values).all() or (tiny & (values != 0)).any():
        raise StructureError(f"{name!r} holds a number that is not finite, or subnormal.")
    return values
