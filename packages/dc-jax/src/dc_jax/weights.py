"""The arrays of a module as named weights, and back."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

import numpy as np

from dc_core import WeightInfo, check_weights, number_by_layer, uninterrupted
from dc_core.errors import NotSerializable
from dc_jax.arrays import form_of, has_values, like, to_numpy
from dc_jax.structure import Weight, weights_of, with_arrays


def describe_weights(module: Any) -> dict[str, WeightInfo]:
    """Describe every array of ``module`` by its relative canonical name, allocating nothing.

    Raises :class:`NotSerializable`, naming the array, if one cannot be stored.
    """
    return {name: _info(weight) for name, weight in located(module).items()}


def export_weights(
    module: Any, names: Collection[str] | None = None, *, copy: bool = True
) -> dict[str, np.ndarray]:
    """Return the weights in ``names``, or all, exact in shape and dtype, as C-ordered arrays.

    With ``copy=False`` arrays on the CPU share their memory. Arrays without values are left out
    without ``names``, and by name they raise :class:`NotSerializable`.
    """
    table = located(module)
    asked = table.keys() if names is None else set(names)
    return {
        name: to_numpy(weight.value, weight.native, copy=copy)
        for name, weight in table.items()
        if name in asked and (names is not None or has_values(weight.value))
    }


def import_weights(
    module: Any,
    weights: Mapping[str, np.ndarray],
    allow_missing: Collection[str] = (),
    *,
    copy: bool = True,
) -> Any:
    """Return ``module`` with other weights, all or nothing.

    A module of Flax is changed and returned, of any other kind a new one is returned. With
    ``copy=False`` the arrays may use the memory of ``weights``.

    Raises :class:`WeightsMismatch` if names, shapes or dtypes differ.
    """
    table = located(module)
    check_weights({name: _info(weight) for name, weight in table.items()}, weights, allow_missing)
    arrays = {
        table[name].native: like(table[name].value, array, copy=copy)
        for name, array in weights.items()
    }
    with uninterrupted():
        return with_arrays(module, arrays)


def located(module: Any) -> dict[str, Weight]:
    """Return the arrays of ``module`` by their relative canonical names."""
    found = weights_of(module)
    numbered = number_by_layer(weight.native for weight in found)
    if len(set(numbered.values())) < len(found):
        raise NotSerializable(
            f"The names of the arrays of the {type(module).__name__} are ambiguous.",
            hint="Rename the keys of its dictionaries that contain slashes.",
        )
    return {numbered[weight.native]: weight for weight in found}


def _info(weight: Weight) -> WeightInfo:
    form = form_of(weight.value, weight.native)
    return WeightInfo(weight.native, form.shape, form.dtype, weight.aliases)
