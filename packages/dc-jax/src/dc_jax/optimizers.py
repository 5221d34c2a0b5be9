"""Optimizers of optax, by name or the user's own, and their state as named arrays.

Each is made with the learning rate 1, and its updates are multiplied with that of the step: the
rate is then no part of what is compiled, nor of the state.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, Final, TypeAlias

import jax
import numpy as np
import optax

from dc_core.errors import DCError, NotSerializable, ParameterError, TrainingStateError
from dc_jax.arrays import form_of, like, to_numpy
from dc_jax.structure import joined

OPTIMIZERS: Final[Mapping[str, Callable[..., Any]]] = {
    "adadelta": optax.adadelta,
    "adagrad": optax.adagrad,
    "adam": optax.adam,
    "adamax": optax.adamax,
    "adamw": optax.adamw,
    "lamb": optax.lamb,
    "lion": optax.lion,
    "nadam": optax.nadam,
    "radam": optax.radam,
    "rmsprop": optax.rmsprop,
    "sgd": optax.sgd,
}
"""The optimizers that a config can name."""

OptimizerChoice: TypeAlias = Any
"""An optimizer's name, or an ``optax.GradientTransformation``."""

_OURS: Final = ("learning_rate", "mask", "weight_decay_mask")
"""The arguments of optax's optimizers that the trainer gives, or that are functions."""


def check_optimizer(optimizer: OptimizerChoice, options: Mapping[str, Any]) -> None:
    """Raise :class:`ParameterError` unless :func:`make_optimizer` can make the optimizer."""
    made = make_optimizer(optimizer, options)
    try:
        jax.eval_shape(made.init, {"": np.zeros(1, np.float32)})
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise _impossible(optimizer, options, error) from error


def make_optimizer(optimizer: OptimizerChoice, options: Mapping[str, Any]) -> Any:
    """Return the ``optax.GradientTransformation`` with the learning rate 1.

    Equal names and options give the same object, so that what is compiled with it is shared.

    Raises :class:`ParameterError` for an unknown name and for options that it does not have.
    """
    if not isinstance(optimizer, str):
        if not isinstance(optimizer, optax.GradientTransformation):
            raise ParameterError(
                f"optimizer={optimizer!r} is not known.",
                hint=f"Use one of {', '.join(map(repr, OPTIMIZERS))}, or an "
                "optax.GradientTransformation such as optax.adam(1.0).",
            )
        if options:
            raise ParameterError(
                "optimizer_options are for optimizers by name.",
                hint="Give them to optax's function: optimizer=optax.adam(1.0, b1=0.8).",
            )
        return optimizer
    if optimizer not in OPTIMIZERS:
        raise ParameterError(
            f"optimizer={optimizer!r} is not known.",
            hint=f"Use one of {', '.join(map(repr, OPTIMIZERS))}, or an "
            "optax.GradientTransformation.",
        )
    for name, value in options.items():
        if name in _OURS or not isinstance(value, bool | int | float | str | None):
            raise ParameterError(
                f"optimizer_options[{name!r}]={value!r} cannot be given.",
                hint="Options are numbers and flags; learning_rate is an option of the model.",
            )
    try:
        return _made(optimizer, tuple(sorted(options.items())))
    except (ArithmeticError, AttributeError, TypeError, ValueError) as error:
        raise _impossible(optimizer, options, error) from error


@cache
def _made(name: str, options: tuple[tuple[str, Any], ...]) -> Any:
    return OPTIMIZERS[name](learning_rate=1.0, **dict(options))


def _impossible(optimizer: Any, options: Mapping[str, Any], error: Exception) -> DCError:
    shown = f"optax.{optimizer}" if isinstance(optimizer, str) else "the transformation"
    return ParameterError(
        f"The optimizer {optimizer!r} cannot be made with {dict(options)}: {error}",
        hint=f"optimizer_options are arguments of {shown}; the trainer gives it the learning rate.",
    )


def state_to_arrays(state: Any) -> dict[str, np.ndarray]:
    """Return the state of an optimizer as arrays named by their paths: ``0/mu/first.kernel``.

    Raises :class:`TrainingStateError` for a state that cannot be stored.
    """
    try:
        return {name: to_numpy(leaf, name) for name, leaf in _named(state)}
    except NotSerializable as error:
        raise TrainingStateError(str(error.args[0]), hint=error.hint) from error


def state_from_arrays(state: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """Return a state like ``state`` with the values of ``arrays``.

    Raises :class:`TrainingStateError` if names, shapes or dtypes differ, if a number is NaN, or if
    a count is negative.
    """
    leaves = dict(_named(state))
    if leaves.keys() != arrays.keys():
        name = min(leaves.keys() ^ arrays.keys())
        raise TrainingStateError(
            f"The optimizer's state {name!r} is missing."
            if name in leaves
            else f"The optimizer keeps no state {name!r}.",
            hint="The state is of another model, or of one with another optimizer.",
        )
    for name, leaf in leaves.items():
        form, array = form_of(leaf, name), arrays[name]
        if (array.shape, array.dtype) != form:
            raise TrainingStateError(
                f"The optimizer's state {name!r} has shape {array.shape} and dtype {array.dtype}; "
                f"this model's has {form.shape} and {form.dtype}.",
                hint="The state is of another model.",
            )
        counts = array.dtype.kind in "iu"
        if (
            (array < 0).any()
            if counts
            else bool(
                np.isnan(array if array.dtype.kind in "fc" else array.astype(np.float32)).any()
            )
        ):
            raise TrainingStateError(
                f"The optimizer's state {name!r} has {'negative counts' if counts else 'NaN'}.",
                hint="The file was damaged or edited.",
            )
    return jax.tree_util.tree_unflatten(
        jax.tree_util.tree_structure(state),
        [like(leaf, arrays[name]) for name, leaf in leaves.items()],
    )


def _named(state: Any) -> list[tuple[str, Any]]:
    leaves, _ = jax.tree_util.tree_flatten_with_path(state)
    return [(joined(path, "/"), leaf) for path, leaf in leaves]
