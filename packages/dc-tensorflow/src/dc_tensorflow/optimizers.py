"""Optimizers of Keras, by name or the user's own, and their state as named arrays."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, TypeAlias

import numpy as np

from dc_core import registry
from dc_core.errors import ParameterError, TrainingStateError
from dc_tensorflow.frameworks import keras, tf
from dc_tensorflow.rng import isolated_rng
from dc_tensorflow.weights import to_array

OPTIMIZERS: Final[Mapping[str, type[Any]]] = {
    "adadelta": keras.optimizers.Adadelta,
    "adafactor": keras.optimizers.Adafactor,
    "adagrad": keras.optimizers.Adagrad,
    "adam": keras.optimizers.Adam,
    "adamax": keras.optimizers.Adamax,
    "adamw": keras.optimizers.AdamW,
    "ftrl": keras.optimizers.Ftrl,
    "lamb": keras.optimizers.Lamb,
    "lion": keras.optimizers.Lion,
    "nadam": keras.optimizers.Nadam,
    "rmsprop": keras.optimizers.RMSprop,
    "sgd": keras.optimizers.SGD,
}
"""The optimizers that a config can name; registered classes have names of their own."""

OptimizerChoice: TypeAlias = str | type[Any]
"""An optimizer's name, or its class if it has none."""

_OURS: Final[Mapping[str, str]] = {
    "learning_rate": "learning_rate",
    "clipnorm": "gradient_clip",
    "global_clipnorm": "gradient_clip",
    "clipvalue": "gradient_clip_value",
    "use_ema": "average='ema'",
    "ema_momentum": "average_decay",
    "ema_overwrite_frequency": "average",
    "gradient_accumulation_steps": "accumulate",
    "loss_scale_factor": "",
    "name": "",
}
"""Arguments of Keras's optimizers that are the trainer's, and its options for them."""


def named_optimizer(optimizer: Any) -> OptimizerChoice:
    """Return the name of ``optimizer``, which is a name or a class; the class if it has no name.

    A class of your own has one if it is registered with
    ``@dc_core.register_component("mylab/MyOptimizer")``.

    Raises :class:`ParameterError` for what is no optimizer, and :class:`UnknownClass` for a
    registered name that is not known.
    """
    if isinstance(optimizer, keras.Optimizer):
        raise ParameterError(
            f"optimizer={type(optimizer).__name__}(...) is an object.",
            hint="Give the class, or a name, and its arguments as optimizer_options: the trainer "
            "makes it for the variables that are trained.",
        )
    cls = _class_of(optimizer)
    if cls is None or not issubclass(cls, keras.Optimizer):
        raise ParameterError(
            f"optimizer={optimizer!r} is not known.",
            hint=f"Use one of {', '.join(map(repr, OPTIMIZERS))}, or a subclass of "
            "keras.Optimizer.",
        )
    names = (name for name, known in OPTIMIZERS.items() if known is cls)
    return next(names, None) or registry.components.name_of(cls) or cls


def _class_of(optimizer: Any) -> type[Any] | None:
    if isinstance(optimizer, type):
        return optimizer
    if not isinstance(optimizer, str):
        return None
    if "/" in optimizer:
        return registry.components.lookup(optimizer)
    return OPTIMIZERS.get(optimizer)


def make_optimizer(
    optimizer: OptimizerChoice, learning_rate: float, options: Mapping[str, Any]
) -> Any:
    """Return a new ``optimizer``; raises :class:`ParameterError` for options it does not have."""
    for name, ours in _OURS.items():
        if name in options:
            raise ParameterError(
                f"{name!r} is not one of optimizer_options: the trainer does that itself.",
                hint=f"Use the option {ours}." if ours else "Leave it out.",
            )
    cls: Any = _class_of(optimizer)
    try:
        with isolated_rng():
            return cls(learning_rate=learning_rate, **options)
    except (ArithmeticError, AttributeError, RuntimeError, TypeError, ValueError) as error:
        raise ParameterError(
            f"The optimizer {optimizer!r} cannot be made with {dict(options)}: {error}",
            hint=f"optimizer_options are arguments of keras.optimizers.{cls.__name__}; the trainer "
            "gives it the variables and learning_rate.",
        ) from error


def optimizer_state(optimizer: Any, parameters: Sequence[str]) -> dict[str, np.ndarray]:
    """Return the state of a built optimizer as arrays.

    They are named ``<parameter>/<quantity>`` and, for what belongs to no parameter, ``<quantity>``;
    ``parameters`` are the names of those that it was built for. The learning rate is left out: each
    step sets it.
    """
    return {name: to_array(variable) for name, variable in _variables(optimizer, parameters)}


def load_optimizer_state(
    optimizer: Any, parameters: Sequence[str], state: Mapping[str, np.ndarray]
) -> None:
    """Set the state of ``optimizer`` to what :func:`optimizer_state` returned.

    Raises :class:`TrainingStateError` if names, shapes or dtypes are others, or a value is NaN.
    """
    variables = dict(_variables(optimizer, parameters))
    if variables.keys() != state.keys():
        different = sorted(variables.keys() ^ state.keys())[0]
        raise TrainingStateError(
            f"The optimizer's state {different!r} is missing, or {type(optimizer).__name__} does "
            "not keep it.",
            hint="The state is incomplete, or of a model with another optimizer.",
        )
    for name, variable in variables.items():
        array, kept = state[name], to_array(variable)
        if (array.shape, array.dtype) != (kept.shape, kept.dtype):
            raise TrainingStateError(
                f"The state {name!r} is {array.dtype}{array.shape}; this model's is "
                f"{kept.dtype}{kept.shape}.",
                hint="The state is of another model.",
            )
        if array.dtype.kind != "i" and np.isnan(array.astype(np.float64)).any():
            raise TrainingStateError(
                f"The state {name!r} is NaN, which {type(optimizer).__name__} never keeps.",
                hint="The file was damaged or edited.",
            )
    for name, variable in variables.items():
        variable.assign(tf.convert_to_tensor(state[name]))


def _variables(optimizer: Any, parameters: Sequence[str]) -> Iterator[tuple[str, Any]]:
    """Yield the variables of an optimizer by name.

    Those that belong to a parameter each are in lists, in the order of the parameters.
    """
    known: set[int] = {id(optimizer._learning_rate)}
    ours = {id(variable) for variable in optimizer.variables}
    for attribute, value in vars(optimizer).items():
        name = attribute.strip("_")
        if attribute.startswith(("_self_", "_trainable_variables", "_variables")):
            continue
        if isinstance(value, keras.Variable) and id(value) in ours - known:
            known.add(id(value))
            yield name, value
        elif isinstance(value, list) and len(value) == len(parameters):
            for parameter, each in zip(parameters, value, strict=True):
                if isinstance(each, keras.Variable) and id(each) in ours - known:
                    known.add(id(each))
                    yield f"{parameter}/{name}", each
    if not ours <= known:
        others = [variable.path for variable in optimizer.variables if id(variable) not in known]
        raise TrainingStateError(
            f"{type(optimizer).__name__} keeps {others[0]!r} where it cannot be found.",
            hint="Keep variables in attributes: one, or a list with one for each parameter.",
        )
