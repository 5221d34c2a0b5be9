"""Accept raw inputs in whatever form users have them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Any

from dc_core import Dataset, Ragged, dense_array, to_array
from dc_core.errors import DatasetError


def as_sequence(inputs: Any) -> Sequence[Any]:
    """Return the inputs in order: a list, a tuple, an array or a ragged column.

    Inputs are a sequence, an array, the X of a dataset, or a Series or one-column DataFrame of
    pandas, Polars or Arrow, where missing text is empty.

    Raises :class:`DatasetError` for a single string, and for anything without order or length.
    """
    if isinstance(inputs, str):
        raise DatasetError(
            "The input is a single string.", hint=f"Give a list of inputs: [{inputs!r}]."
        )
    if isinstance(inputs, Dataset):
        X = inputs.X
        inputs = X if isinstance(X, Ragged) else dense_array(X, "This")
    if isinstance(inputs, Ragged):
        ragged: Any = inputs
        return ragged  # type: ignore[no-any-return]
    if isinstance(inputs, list | tuple):
        return inputs
    unordered = isinstance(inputs, bytes | Mapping | AbstractSet)
    of_python = type(inputs).__module__ == "builtins"
    if unordered or (of_python and not hasattr(inputs, "__len__")):
        raise DatasetError(
            f"The inputs are of type {type(inputs).__name__}.",
            hint="Give them in order: a list, an array or a dataset.",
        )
    array = to_array("The input", inputs, missing=True)
    if array.ndim == 0:
        raise DatasetError("The input is a single value.", hint="Give a list of inputs.")
    if array.dtype.kind == "T" and array.ndim > 1:
        if array.ndim > 2 or array.shape[1] != 1:
            raise DatasetError(
                f"The inputs are text of shape {array.shape}.",
                hint="Give one text per row: shape (n,), or (n, 1).",
            )
        array = array[:, 0]
    found: Any = array.tolist() if array.dtype.kind == "T" else array
    return found  # type: ignore[no-any-return]
