"""Values that a splitter is given for the rows: an array, or the name of something they have."""

from __future__ import annotations

from typing import Any

import numpy as np

from dc_core import Dataset, to_array
from dc_core.errors import DatasetError, ParameterError


def check_values(name: str, values: Any) -> Any:
    """Return ``values`` as an array ``(n,)``, or unchanged if it is a name.

    It may be an array, a list or a Series of numbers, text, or dates. Dates become NumPy's
    ``datetime64``.

    Raises :class:`ParameterError`, with ``name``, for anything else.
    """
    if isinstance(values, str):
        return values
    try:
        array = _dates(values)
        array = to_array(name, values, missing=True) if array is None else array
    except (DatasetError, ValueError) as error:
        raise ParameterError(f"{name} cannot be used: {error}") from error
    if array.ndim != 1 or array.dtype.kind not in "biufTM":
        raise ParameterError(
            f"{name} has shape {array.shape} and dtype {array.dtype}.",
            hint='Give one number, text or date per row, or a name: "ids", a column or a task.',
        )
    return array


def row_values(name: str, values: Any, dataset: Dataset) -> np.ndarray:
    """Return the checked ``values`` for the rows of ``dataset``, ``(n,)``.

    A name is ``"ids"``, that of a column of X, or that of a task, whose labels they are.

    Raises :class:`DatasetError` if there is no such column or task, the lengths differ, or a value
    is NaN or NaT. An empty text is a value like any other.
    """
    array = _named(name, values, dataset) if isinstance(values, str) else values
    if len(array) != len(dataset):
        raise DatasetError(f"{name} has {len(array)} values; the dataset has {len(dataset)} rows.")
    return check_present(name, array)


def _named(name: str, value: str, dataset: Dataset) -> np.ndarray:
    if value == "ids":
        return dataset.ids
    if value in dataset.tasks:
        return dataset.y[:, list(dataset.tasks).index(value)]
    if value not in dataset.columns:
        raise DatasetError(
            f"The dataset has no {value!r} to take as {name}.",
            hint=f'Give an array, "ids", or one of {[*dataset.columns, *dataset.tasks]}.',
        )
    column = dataset.with_columns(value).X
    if not isinstance(column, np.ndarray) or column.ndim != 1:
        raise DatasetError(
            f"The column {value!r} does not hold one value per row.", hint="Choose another."
        )
    return np.asarray(column)


def check_present(name: str, array: np.ndarray) -> np.ndarray:
    """Return ``array``; raises :class:`DatasetError` if a value of it is NaN or NaT."""
    missing = np.flatnonzero(array != array)
    if len(missing):
        raise DatasetError(
            f"{name} is missing for {len(missing)} rows, such as row {missing[0]}.",
            hint="Leave these rows out before splitting: dataset.select(rows).",
        )
    return array


def _dates(values: Any) -> np.ndarray | None:
    """Return dates and times as ``datetime64``, None if ``values`` are something else."""
    array = np.asarray(values)
    if array.dtype.kind == "O" and array.size and all(hasattr(v, "year") for v in array.flat):
        # Those with a time zone become UTC.
        aware = [v.replace(tzinfo=None) - v.utcoffset() if _offset(v) else v for v in array.flat]
        array = np.array(aware, "datetime64[us]").reshape(array.shape)
    return array if array.dtype.kind == "M" else None


def _offset(value: Any) -> bool:
    return getattr(value, "tzinfo", None) is not None
