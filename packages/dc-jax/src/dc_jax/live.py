"""The arrays of a model's module as they are now, read and written in every step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import jax

from dc_jax.libraries import is_flax, is_variable
from dc_jax.structure import Structure, copy_arguments, weights_of, with_arrays


class Owner(Protocol):
    """What has a module, and can be given another."""

    module: Any


class LiveArrays:
    """The arrays of ``owner.module``, by native name."""

    def __init__(self, owner: Owner) -> None:
        self._owner = owner
        self._structure = Structure.of(owner.module)
        self._variables = _variables(owner.module) if is_flax(owner.module) else None

    def read(self) -> dict[str, Any]:
        """Return the arrays."""
        if self._variables is not None:
            return {name: each.get_raw_value() for name, each in self._variables.items()}
        module = self._owner.module
        if is_flax(module):
            return {weight.native: weight.value for weight in weights_of(module)}
        leaves = jax.tree_util.tree_leaves(module)
        named = zip(self._structure.leaves, leaves, strict=True)
        return {name: leaf for (name, _), leaf in named if name}

    def write(self, arrays: Mapping[str, Any]) -> None:
        """Give the module ``arrays``, which are all that it has."""
        if self._variables is not None:
            for name, variable in self._variables.items():
                variable.set_raw_value(arrays[name])
        elif is_flax(self._owner.module):
            with_arrays(self._owner.module, arrays)
        else:
            module = self._structure.tree(arrays)
            copy_arguments(self._owner.module, module)
            self._owner.module = module


def _variables(module: Any) -> dict[str, Any] | None:
    """Return the variables of a module of Flax by name; None if not all arrays are one."""
    leaves, _ = jax.tree_util.tree_flatten_with_path(module, is_leaf=is_variable)
    held = {id(leaf.get_raw_value()): leaf for _, leaf in leaves if is_variable(leaf)}
    found = {weight.native: held.get(id(weight.value)) for weight in weights_of(module)}
    distinct = len({id(each) for each in found.values()}) == len(found)
    return found if distinct and None not in found.values() else None
