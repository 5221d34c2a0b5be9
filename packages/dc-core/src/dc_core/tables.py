"""Read and make DataFrames and Series of pandas, Polars and Arrow through narwhals.

narwhals is imported only for a value that is neither NumPy's nor built in; it imports none of the
three.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from importlib.util import find_spec
from typing import Any, Final

import numpy as np

from dc_core.dtypes import TEXT
from dc_core.errors import DatasetError, ParameterError

BACKENDS: Final = ("pandas", "polars", "pyarrow")
"""The libraries that :func:`make_table` can use, in order of preference."""


def read_table(value: Any) -> Any:
    """Return ``value`` as a narwhals DataFrame or Series, or None if it is neither.

    Raises :class:`DatasetError` for a lazy frame, which has no rows yet, and for columns that
    narwhals cannot tell apart.
    """
    if type(value).__module__.partition(".")[0] in ("builtins", "numpy"):
        return None
    import narwhals as nw

    try:
        table = nw.from_native(value, pass_through=True, allow_series=True)
        if isinstance(table, nw.LazyFrame):
            raise DatasetError("The frame is lazy.", hint="Compute it first: frame.collect().")
        if isinstance(table, nw.DataFrame):
            list(table.columns)
    except nw.exceptions.NarwhalsError as error:
        raise DatasetError(
            f"The DataFrame cannot be read: {' '.join(str(error).split())}.",
            hint="Give each column a name of its own.",
        ) from error
    return table if isinstance(table, nw.DataFrame | nw.Series) else None


def table_array(part: str, table: Any) -> np.ndarray:
    """Return a narwhals Series as ``(n,)``, and a DataFrame as :func:`columns_array` does."""
    if hasattr(table, "columns"):
        # Columns are read by position: pandas' names may be of any type.
        return columns_array(part, list(table.iter_columns()))
    return series_array(part, table)


def columns_array(part: str, columns: Sequence[Any]) -> np.ndarray:
    """Return narwhals Series of numbers as ``(n, columns)``; one of text is ``(n,)``.

    Missing numbers are NaN, and missing text is empty. ``part`` names the columns in errors.

    Raises :class:`DatasetError` for several columns of which one is text, for none, and for values
    that are neither numbers nor text.
    """
    names = [series.name for series in columns]
    arrays = [series_array(f"{part}[{series.name!r}]", series) for series in columns]
    if not arrays:
        raise DatasetError(f"{part} is a DataFrame without columns.")
    text = [name for name, array in zip(names, arrays, strict=True) if array.dtype.kind == "T"]
    if not text:
        return np.column_stack(arrays)
    if len(arrays) > 1:
        raise DatasetError(
            f"{part} is a DataFrame of {len(arrays)} columns, and {_listed(text)} text.",
            hint=f"Choose one column: df[{text[0]!r}].",
        )
    return arrays[0]


def make_table(columns: Mapping[str, Any], backend: str | None) -> Any:
    """Return a DataFrame of ``columns``, of the library that ``backend`` names.

    The default is the first of :data:`BACKENDS` that is installed. Raises :class:`ParameterError`
    for any other library, and if it is not installed.
    """
    import narwhals as nw

    if backend is not None and backend not in BACKENDS:
        raise ParameterError(
            f"There is no DataFrame backend {backend!r}.", hint=f"Choose from {_listed(BACKENDS)}."
        )
    wanted = BACKENDS if backend is None else (backend,)
    found: Any = next((name for name in wanted if find_spec(name) is not None), None)
    if found is None:
        raise ParameterError(
            f"A DataFrame needs {' or '.join(wanted)}.", hint=f"pip install {wanted[0]}"
        )
    return nw.from_dict(dict(columns), backend=found).to_native()


def series_array(part: str, series: Any) -> np.ndarray:
    """Return a narwhals Series of numbers or text as ``(n,)``; ``part`` names it in errors.

    Missing numbers are NaN, and missing text is empty. Raises :class:`DatasetError` for values that
    are neither.
    """
    import narwhals as nw

    dtype = series.dtype
    if dtype in (nw.String, nw.Categorical, nw.Enum):
        values = ["" if _is_missing(value) else value for value in series.to_list()]
        if all(isinstance(value, str) for value in values):
            return np.array(values, TEXT)
    if dtype.is_numeric() or dtype == nw.Boolean:
        array: np.ndarray = series.to_numpy()
        if array.dtype.kind == "O":  # missing bools, decimals
            array = np.array(
                [math.nan if _is_missing(value) else float(value) for value in series.to_list()]
            )
        return array
    raise DatasetError(
        f"{part} has values of type {dtype}.",
        hint="Give columns of numbers or text; convert or leave out the others.",
    )


def _is_missing(value: Any) -> bool:
    # pandas.NA compares as neither equal nor unequal.
    return value is None or type(value).__name__ == "NAType" or value != value


def _listed(names: Iterable[Any]) -> str:
    shown = [repr(name) for name in names]
    return ", ".join(shown[:5]) + (" …" if len(shown) > 5 else "")
