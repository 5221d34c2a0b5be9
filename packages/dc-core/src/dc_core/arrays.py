"""Convert user input to arrays of numbers or text, never of objects.

Text is held in NumPy's variable-width strings (``StringDType``, dtype kind ``T``). In a fixed-width
array every row is as wide as the longest: one SMILES of 100 kB among 90 000 rows would take 37 GiB.
"""

from __future__ import annotations

import math
from typing import Any, Final

import numpy as np

from dc_core.dtypes import TEXT
from dc_core.errors import DatasetError
from dc_core.tables import read_table, table_array

_DEEPEST: Final = 64  # NumPy's own limit of dimensions


def to_array(part: str, values: Any, *, missing: bool = False) -> np.ndarray:
    """Return ``values`` as an array of numbers, bools or text.

    ``values`` is an array, nested lists, or a DataFrame or Series of pandas, Polars or Arrow (see
    :func:`dc_core.tables.table_array`). An array of the right dtype is returned unchanged.
    ``part`` names the values in errors. With ``missing``, None is NaN, or ``""`` in text.

    Raises :class:`DatasetError` for ragged lists, and for any other kind of value.
    """
    table = read_table(values)
    if table is not None:
        return table_array(part, table)
    try:
        if isinstance(values, list | tuple) and _has_text(values):
            return _text_of(part, _without_none(values) if missing else values)
        array = np.asarray(values)
        if array.dtype.kind in "UT":
            return as_text(array)
        if array.dtype.kind == "O":
            items = array.ravel().tolist()
            if missing:
                items = _without_none(items) if _has_text(items) else _nan_for_none(items)
            if _has_text(items):
                return _text_of(part, items).reshape(array.shape)
            if missing and all(isinstance(item, int | float | np.number) for item in items):
                return np.array(items, np.float64).reshape(array.shape)
    except UnicodeEncodeError as error:
        raise DatasetError(f"{part} holds text that is not Unicode: {error}.") from error
    except ValueError as error:
        raise DatasetError(f"{part} is ragged: {error}.") from error
    if array.dtype.kind not in "biufcV" or array.dtype.hasobject:
        raise DatasetError(
            f"{part} has dtype {array.dtype}.",
            hint="Give numbers or strings; arrays of Python objects are not stored.",
        )
    return array


def as_text(array: np.ndarray) -> np.ndarray:
    """Return ``array`` with the dtype :data:`TEXT`; one that has it is returned unchanged."""
    # astype(copy=False) would copy: two arrays of text have different instances of the dtype.
    return array if array.dtype == TEXT else array.astype(TEXT)


def _text_of(part: str, values: Any) -> np.ndarray:
    # Most text is a flat list: a set of its types is the fastest check.
    if set(map(type, values)) != {str} and not _all_text(values):
        raise DatasetError(
            f"{part} mixes text with other values, so it would have dtype object.",
            hint="Give text or numbers; for missing text give an empty string.",
        )
    # Conversion through objects takes three quarters of the time.
    return np.array(values, dtype=object).astype(TEXT)


def _has_text(values: Any, depth: int = _DEEPEST) -> bool:
    return depth > 0 and any(
        isinstance(value, str) or (isinstance(value, list | tuple) and _has_text(value, depth - 1))
        for value in values
    )


def _all_text(values: Any, depth: int = _DEEPEST) -> bool:
    return depth > 0 and all(
        isinstance(value, str) or (isinstance(value, list | tuple) and _all_text(value, depth - 1))
        for value in values
    )


def _is_missing(value: Any) -> bool:
    return value is None or (isinstance(value, float) and math.isnan(value))


def _without_none(values: Any) -> list[Any]:
    return [
        _without_none(value)
        if isinstance(value, list | tuple)
        else ("" if _is_missing(value) else value)
        for value in values
    ]


def _nan_for_none(values: list[Any]) -> list[Any]:
    return [math.nan if value is None else value for value in values]
