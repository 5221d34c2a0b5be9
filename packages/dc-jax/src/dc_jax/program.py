"""Run a module on rows: how each library's modules are called, in training and in prediction.

- A module of Flax is called with all rows. In training it is in training mode, and its generators
  are seeded anew for each step.
- A module of Equinox is called with one row, and vectorized by ``jax.vmap(axis_name="batch")``. If
  it has layers with a state, it is called with the state too, and returns both.
- The function of a ``jax.tree_util.Partial`` is called with its arguments and all rows.

What takes an argument ``key`` gets a key of random numbers in training, and None in prediction.
What takes an argument ``training`` gets True or False. Named columns are keyword arguments.

A program is hashable, and equal for modules made alike, so that they share what is compiled.
"""

from __future__ import annotations

import inspect
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from dc_core.errors import DatasetError, DCError, ParameterError
from dc_jax.batches import Input
from dc_jax.libraries import is_equinox, is_flax, is_state_index, nnx
from dc_jax.loading import RaggedArray
from dc_jax.structure import Role, Structure, weights_of

_FAILURES = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
)


@dataclass(frozen=True)
class Program:
    """A module without its arrays, and how it is called."""

    structure: Structure
    name: str
    """The name of the module's class or function."""

    takes: frozenset[str]
    """The names among ``key`` and ``training`` that it takes."""

    stateful: bool = False
    """Whether it is a module of Equinox with a state."""

    per_row: bool = False
    """Whether it is called with one row."""

    def __hash__(self) -> int:
        """Return the hash, computed once: every call of what is compiled asks for it."""
        return self._hash

    @cached_property
    def _hash(self) -> int:
        return hash((self.structure, self.name, self.takes, self.stateful, self.per_row))

    @classmethod
    def of(cls, module: Any) -> Program:
        """Return the program of ``module``; raises what :func:`weights_of` raises."""
        weights_of(module)
        equinox = is_equinox(module)
        function = module.func if isinstance(module, jax.tree_util.Partial) else module
        states = [leaf for leaf in _with_indices(module) if is_state_index(leaf)] if equinox else []
        return cls(
            Structure.of(_comparable(module) if states else module),
            getattr(function, "__name__", type(function).__name__),
            _taken_by(function),
            stateful=bool(states),
            per_row=equinox,
        )

    def run(
        self, arrays: Mapping[str, Any], X: Input, key: Any, *, training: bool
    ) -> tuple[Any, dict[str, Any]]:
        """Return the output for X, and the arrays that the call changed, by name.

        Raises :class:`DatasetError` if the module fails on X.
        """
        module = self.structure.module(arrays)
        try:
            if self.per_row:
                return self._run_rows(module, X, key, training)
            options = self._options(key, training)
            if not is_flax(module):
                return self._call(module, X, options), {}
            return self._run_flax(module, X, key, options, training)
        except DCError:
            raise
        except _FAILURES as error:
            raise DatasetError(
                f"The {self.name} fails on X of {_form(X)}: {type(error).__name__}: "
                f"{str(error)[:500]}",
                hint="Give X the shape that the module takes; input_dtype sets its dtype. A module "
                "of Equinox is called with one row.",
            ) from error

    def _options(self, key: Any, training: bool) -> dict[str, Any]:
        options = {"key": key if training else None, "training": training}
        return {name: value for name, value in options.items() if name in self.takes}

    def _call(self, module: Any, X: Any, options: Mapping[str, Any]) -> Any:
        return module(**X, **options) if isinstance(X, dict) else module(X, **options)

    def _run_flax(
        self, module: Any, X: Input, key: Any, options: Mapping[str, Any], training: bool
    ) -> tuple[Any, dict[str, Any]]:
        flax = nnx()
        if training:
            module.train()
            for i, (_, stream) in enumerate(flax.iter_graph(module)):
                if isinstance(stream, flax.RngStream):
                    _seed(stream, jax.random.fold_in(key, i))
        else:
            module.eval()
        output = self._call(module, X, options)
        changed = {
            weight.native: weight.value
            for weight in weights_of(module)
            if weight.role is Role.STATE
        }
        return output, changed

    def _run_rows(
        self, module: Any, X: Input, key: Any, training: bool
    ) -> tuple[Any, dict[str, Any]]:
        equinox = sys.modules["equinox"]
        module = equinox.nn.inference_mode(module, value=not training)
        rows = _rows(X)
        keys = jax.random.split(key, rows) if training and "key" in self.takes else None
        options = {"training": training} if "training" in self.takes else {}

        def one(row: Any, key: Any, state: Any) -> Any:
            given = {**options, "key": key} if "key" in self.takes else options
            if not self.stateful:
                return self._call(module, row, given), None
            if isinstance(row, dict):
                return module(**row, state=state, **given)
            return module(row, state, **given)

        state = equinox.nn.State(module) if self.stateful else None
        mapped = jax.vmap(
            one,
            in_axes=(0, None if keys is None else 0, None),
            out_axes=(0, None),
            axis_name="batch",
        )
        output, state = mapped(X, keys, state)
        return output, self._states(module, state) if self.stateful else {}

    def _states(self, module: Any, state: Any) -> dict[str, Any]:
        """Return the state of a module of Equinox as the arrays that it begins with."""
        replaced = sys.modules["equinox"].tree_at
        later = jax.tree_util.tree_map(
            lambda leaf: (
                replaced(lambda index: index.init, leaf, state.get(leaf))
                if is_state_index(leaf)
                else leaf
            ),
            module,
            is_leaf=is_state_index,
        )
        return {
            weight.native: weight.value for weight in weights_of(later) if weight.role is Role.STATE
        }


def _comparable(module: Any) -> Any:
    """Return a module of Equinox whose places of states are known by number.

    Their markers are new objects in every module, so that no two are equal.
    """
    numbers: dict[Any, str] = {}

    def numbered(leaf: Any) -> Any:
        if not is_state_index(leaf):
            return leaf
        index = type(leaf)(leaf.init)
        marker = numbers.setdefault(leaf.marker, f"state.{len(numbers)}")
        object.__setattr__(index, "marker", marker)
        return index

    return jax.tree_util.tree_map(numbered, module, is_leaf=is_state_index)


def _with_indices(module: Any) -> list[Any]:
    leaves: list[Any] = jax.tree_util.tree_leaves(module, is_leaf=is_state_index)
    return leaves


def _seed(stream: Any, key: Any) -> None:
    """Let a stream of random numbers of Flax begin anew from ``key``, with its own generator."""
    own = stream.key[...]
    data = jax.random.key_data(own)
    drawn = jax.random.bits(key, data.shape, np.uint32)
    stream.key[...] = jax.random.wrap_key_data(drawn, impl=jax.random.key_impl(own))
    stream.count[...] = jnp.zeros_like(stream.count[...])


def _taken_by(function: Any) -> frozenset[str]:
    call = function if inspect.isroutine(function) else type(function).__call__
    try:
        parameters = inspect.signature(call).parameters
    except (TypeError, ValueError):
        return frozenset()
    return frozenset({"key", "training"} & parameters.keys())


def _rows(X: Input) -> int:
    column = next(iter(X.values())) if isinstance(X, dict) else X
    if any(isinstance(c, RaggedArray) for c in (X.values() if isinstance(X, dict) else (X,))):
        raise ParameterError(
            "A module of Equinox is called with one row, and ragged columns have rows of several "
            "lengths.",
            hint="Give the function that takes whole batches: "
            "jax.tree_util.Partial(apply, module).",
        )
    return len(column)


def _form(X: Any) -> str:
    if isinstance(X, dict):
        return "; ".join(f"{name}: {_form(column)}" for name, column in X.items())
    if isinstance(X, RaggedArray):
        return f"{len(X.offsets) - 1} ragged rows with values of {_form(X.values)}"
    return f"shape {tuple(X.shape)} and dtype {X.dtype}"
