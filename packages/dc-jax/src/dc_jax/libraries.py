"""Which library an object belongs to, told without importing any."""

from __future__ import annotations

import sys
from typing import Any

import jax


def is_flax(obj: Any) -> bool:
    """Return whether ``obj`` is a module of Flax NNX."""
    return _is_a(obj, "flax.nnx", "Module")


def is_variable(obj: Any) -> bool:
    """Return whether ``obj`` is a variable of Flax NNX."""
    return _is_a(obj, "flax.nnx", "Variable")


def is_equinox(obj: Any) -> bool:
    """Return whether ``obj`` is a module of Equinox."""
    return _is_a(obj, "equinox", "Module")


def is_state(obj: Any) -> bool:
    """Return whether ``obj`` is the state of the layers of a module of Equinox."""
    return _is_a(obj, "equinox.nn", "State")


def is_state_index(obj: Any) -> bool:
    """Return whether ``obj`` is the place of a state in a module of Equinox."""
    return _is_a(obj, "equinox.nn", "StateIndex")


def is_function(obj: Any) -> bool:
    """Return whether ``obj`` is a function with its arguments: a ``jax.tree_util.Partial``."""
    return isinstance(obj, jax.tree_util.Partial)


def is_module(obj: Any) -> bool:
    """Return whether ``obj`` is of one of the kinds of modules that this package serves."""
    return is_flax(obj) or is_equinox(obj) or is_function(obj)


def nnx() -> Any:
    """Return Flax NNX, which is imported if there is a module of it."""
    return sys.modules["flax.nnx"]


def _is_a(obj: Any, library: str, name: str) -> bool:
    cls = getattr(sys.modules.get(library), name, None)
    return cls is not None and isinstance(obj, cls)
