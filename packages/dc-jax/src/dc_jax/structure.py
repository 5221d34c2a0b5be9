"""The arrays of a module by name, and the module from arrays: what all of JAX's libraries share.

A module is a pytree. Its weights are the arrays among its leaves: what else there is, functions and
numbers of Python, comes from its constructor. A weight's native name is its path: attributes, keys
and positions, with dots between them.

The variables of Flax are shared between the modules that refer to them: such a weight has one name
and aliases. An array that occurs twice in any other pytree is two weights, because every
transformation of JAX makes it two.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from enum import Enum
from typing import Any, NamedTuple

import jax
import numpy as np

import dc_core as core
from dc_core.errors import NotClaimed, NotSerializable
from dc_jax.arrays import Array, is_array, is_key
from dc_jax.libraries import (
    is_equinox,
    is_flax,
    is_function,
    is_state,
    is_state_index,
    is_variable,
    nnx,
)


class Role(Enum):
    """What an array of a module is."""

    PARAMETER = "parameter"
    """Gradients change it."""

    STATE = "state"
    """The module may change it while it runs, like the statistics of a batch norm."""

    RANDOM = "random"
    """It belongs to a generator of random numbers."""

    CONSTANT = "constant"


class Weight(NamedTuple):
    """An array of a module: its names, and what it is."""

    native: str
    value: Array
    role: Role
    aliases: tuple[str, ...] = ()


def weights_of(module: Any) -> list[Weight]:
    """Return the arrays of ``module``, in a stable order.

    It is a module of Flax or Equinox, the state of one of Equinox, or a ``jax.tree_util.Partial``.
    Gradients change the parameters of Flax (``nnx.Param``), the arrays of Equinox but for the
    states of its layers, and all arrays of other pytrees; but integers and keys never.

    Raises :class:`NotClaimed` for any other object, and :class:`NotSerializable` if two arrays
    would have one name, or one would have none.
    """
    if is_flax(module):
        found = list(_flax_weights(module))
    elif is_equinox(module) or is_function(module) or is_state(module):
        found = list(_tree_weights(module))
    else:
        raise NotClaimed(
            f"dc-jax does not serve objects of type {type(module).__name__}.",
            hint="It serves modules of Flax NNX and of Equinox, and any pytree of arrays with its "
            "function: jax.tree_util.Partial(apply, params).",
        )
    _check_names(module, [name for each in found for name in (each.native, *each.aliases)])
    return found


def copy_arguments(source: Any, target: Any) -> None:
    """Let the modules of Equinox in ``target`` have the arguments that those in ``source`` had.

    The two have the same structure. Modules of Flax keep theirs.
    """
    if is_equinox(source):
        core.copy_arguments(source, target)
        for each in fields(source):
            copy_arguments(getattr(source, each.name), getattr(target, each.name))
    elif isinstance(source, list | tuple):
        for one, other in zip(source, target, strict=True):
            copy_arguments(one, other)
    elif isinstance(source, dict):
        for key, value in source.items():
            copy_arguments(value, target[key])


def with_arrays(module: Any, arrays: Mapping[str, Any]) -> Any:
    """Return ``module`` with other arrays for the weights that ``arrays`` names.

    A module of Flax is changed and returned; instead of any other, a new one is.
    """
    structure = Structure.of(module)
    tree = structure.tree(
        {weight.native: weight.value for weight in weights_of(module)} | dict(arrays)
    )
    if not is_flax(module):
        copy_arguments(module, tree)
        return tree
    nnx().update(module, tree)
    return module


@dataclass(frozen=True)
class Structure:
    """What a module is without its arrays: equal for modules made alike, and hashable.

    ``graph`` is the definition of a module of Flax; ``structure`` has the form of its state, or of
    the whole pytree. ``leaves`` are the names of the arrays, and in their places what else is among
    the leaves.
    """

    graph: Any
    structure: Any
    leaves: tuple[tuple[str, Any], ...]

    @classmethod
    def of(cls, module: Any) -> Structure:
        """Return the structure of ``module``."""
        if is_flax(module):
            graph, state = nnx().split(module)
            names = [name for name, _ in _named(state)]
            leaves, structure = jax.tree_util.tree_flatten(state)
        else:
            graph = None
            names = [name for name, _ in _named(module)]
            leaves, structure = jax.tree_util.tree_flatten(module)
        return cls(
            graph,
            structure,
            tuple(
                (name, None) if is_array(leaf) else ("", leaf)
                for name, leaf in zip(names, leaves, strict=True)
            ),
        )

    def tree(self, arrays: Mapping[str, Any]) -> Any:
        """Return the module, or the state of a module of Flax, that has ``arrays``."""
        leaves = [arrays[name] if name else leaf for name, leaf in self.leaves]
        return self.structure.unflatten(leaves)

    def module(self, arrays: Mapping[str, Any]) -> Any:
        """Return a new module that has ``arrays``."""
        tree = self.tree(arrays)
        if self.graph is None:
            return tree
        return nnx().merge(self.graph, tree)


def _tree_weights(module: Any) -> Iterator[Weight]:
    equinox = is_equinox(module)
    states: set[int] = set()
    if equinox:
        indices = jax.tree_util.tree_leaves(module, is_leaf=is_state_index)
        held = [jax.tree_util.tree_leaves(each) for each in indices if is_state_index(each)]
        states = {id(leaf) for leaves in held for leaf in leaves}
    for name, leaf in _named(module):
        if not is_array(leaf):
            continue
        # NumPy's arrays are constants to Equinox.
        constant = not _is_inexact(leaf) or (equinox and isinstance(leaf, np.ndarray))
        role = Role.CONSTANT if constant else Role.PARAMETER
        yield Weight(name, leaf, Role.STATE if id(leaf) in states else role)


def _flax_weights(module: Any) -> Iterator[Weight]:
    try:
        leaves, _ = jax.tree_util.tree_flatten_with_path(module, is_leaf=is_variable)
    except RecursionError as error:
        raise NotSerializable(
            f"The {type(module).__name__} refers to itself.",
            hint="Store it without the reference to its parent.",
        ) from error
    places: dict[int, list[str]] = {}
    for path, leaf in leaves:
        if is_variable(leaf):
            places.setdefault(id(leaf), []).append(joined(path))
    for path, leaf in leaves:
        if isinstance(leaf, nnx().Module):
            raise NotSerializable(
                f"The {type(leaf).__name__} at {joined(path)!r} is no pytree.",
                hint="Leave out pytree=False where its class is defined.",
            )
        if is_array(leaf):
            yield Weight(joined(path), leaf, Role.STATE)
        for inner, value in _within(leaf) if is_variable(leaf) else ():
            names = [".".join(filter(None, (place, inner))) for place in places[id(leaf)]]
            if is_array(value) and names:
                yield Weight(names[0], value, _role(leaf, value), tuple(names[1:]))
        places[id(leaf)] = []


def _role(variable: Any, value: Array) -> Role:
    if isinstance(variable, nnx().RngState):
        return Role.RANDOM
    is_parameter = isinstance(variable, nnx().Param) and _is_inexact(value)
    return Role.PARAMETER if is_parameter else Role.STATE


def _named(tree: Any) -> Iterator[tuple[str, Any]]:
    """Yield the name and the value of each leaf of a pytree or of the state of a module of Flax."""
    if is_state(tree):
        tree = _state_by_name(tree)
    # The place of the arguments says nothing, nor does that of the only argument.
    skipped = 0
    if is_function(tree):
        skipped = 2 if len(tree.args) == 1 and not tree.keywords else 1
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_variable)
    for path, leaf in leaves:
        name = joined(path[skipped:])
        if is_variable(leaf):
            for inner, value in _within(leaf):
                yield ".".join(filter(None, (name, inner))), value
        else:
            yield name or "0", leaf


def _within(variable: Any) -> Iterator[tuple[str, Any]]:
    """Yield the leaves of the value of a variable: one, as a rule, whose path is empty."""
    for path, value in jax.tree_util.tree_flatten_with_path(variable.get_raw_value())[0]:
        yield joined(path), value


def _state_by_name(state: Any) -> dict[Any, Any]:
    """Return the states of layers by the paths of the layers, in their order if those are unknown.

    Paths begin with the name of the module's class.
    """
    try:
        values, keys = state.tree_flatten()
    except ValueError as error:
        raise NotSerializable(
            "The state was used already: a newer one took its place.",
            hint="Store the state that the last call of the module returned.",
        ) from error
    known = all(isinstance(key, str) for key in keys)
    names = [key.partition(".")[2] or key for key in keys] if known else range(len(keys))
    return dict(zip(names, values, strict=True))


def joined(path: Iterable[Any], separator: str = ".") -> str:
    """Return a path of a pytree as text."""
    return separator.join(str(_key(entry)) for entry in path)


def _key(entry: Any) -> Any:
    """Return what an entry of a path stands for: an attribute, a key or a position."""
    for attribute in ("name", "idx", "key"):
        if hasattr(entry, attribute):
            return getattr(entry, attribute)
    return entry


def _check_names(module: Any, names: list[str]) -> None:
    known: set[str] = set()
    for name in names:
        if name in known or "" in name.replace("/", ".").split("."):
            raise NotSerializable(
                f"Two arrays of the {type(module).__name__} have the name {name!r}."
                if name in known
                else f"{name!r} cannot be the name of an array of the {type(module).__name__}.",
                hint="Rename the keys of its dictionaries: a dot stands between the parts of a "
                "name.",
            )
        known.add(name)


def _is_inexact(array: Array) -> bool:
    return not is_key(array) and bool(jax.numpy.issubdtype(array.dtype, np.inexact))
