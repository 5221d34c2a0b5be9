"""Arrays of numbers in LightGBM's text: how each kind is written, and that it comes back exactly.

LightGBM writes what prediction depends on with 17 digits, and statistics with six.
"""

from __future__ import annotations

from typing import Any, Final, Literal, TypeAlias

import numpy as np

from dc_core.errors import NotSerializable, StructureError

Kind: TypeAlias = Literal["exact", "integer", "rounded"]

_FORMATS: Final = {"exact": "%.17g", "integer": "%d", "rounded": "%g"}


def read(name: str, text: str, dtype: np.dtype[Any], count: int) -> np.ndarray:
    """Return the numbers in ``text`` as an array ``(count,)``.

    Raises :class:`NotSerializable` if they are others, or another number of them.
    """
    try:
        array = np.array(text.split(), dtype)
    except (OverflowError, ValueError) as error:
        raise NotSerializable(f"The model has {name}={text[:60]!r}: {error}.") from error
    if len(array) != count:
        raise NotSerializable(f"The model has {len(array)} numbers as {name}, not {count}.")
    return array


def write(name: str, array: np.ndarray, kind: Kind) -> list[str]:
    """Return the numbers of ``array`` as LightGBM writes them.

    Raises :class:`StructureError` for numbers that are not finite, or that it would not write so.
    """
    if kind == "integer":
        return list(map(str, array.tolist()))
    tiny = np.finfo(array.dtype).tiny
    if not np.isfinite(array).all() or ((np.abs(array) < tiny) & (array != 0)).any():
        raise StructureError(f"{name!r} holds a number that is not finite, or subnormal.")
    form = _FORMATS[kind]
    texts = [form % value for value in array.tolist()]
    if kind == "rounded" and not np.array_equal(np.array(texts, array.dtype), array):
        raise StructureError(f"{name!r} holds a number of more than six digits.")
    return texts
