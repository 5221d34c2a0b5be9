"""Build Keras models without drawing the initial weights that they do not need.

Keras creates no values in a stateless scope. What the variables will take is charged to the load's
byte budget before they get zeros, because their sizes come from a file. A class that needs values
in its constructor is built again outside of the scope, where each variable is charged.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import Any, Final, TypeVar

from keras.src.backend.common import global_state

from dc_core import Component, DCError, charge
from dc_tensorflow.frameworks import keras, tf
from dc_tensorflow.rng import isolated_rng
from dc_tensorflow.weights import layers_of

T = TypeVar("T")

_PENDING: Final = "uninitialized_variables"


def skeleton(build: Callable[[], T]) -> T:
    """Return ``build()`` with weights of 0 where possible, and else with its initial weights."""
    with isolated_rng():
        try:
            return _without_values(build)
        except DCError:
            raise
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            # The constructor may have needed values. Any other error is raised again.
            return charged(build)


def _without_values(build: Callable[[], T]) -> T:
    others = len(_pending())
    try:
        with keras.StatelessScope(initialize_variables=False):
            built = build()
        for variable in _pending()[others:]:
            _charge(variable.shape, variable.dtype, variable.path)
        for variable in _uninitialized(built):
            variable._initializer = keras.initializers.Zeros()
    except BaseException:
        # Keras would initialise them when the next scope ends.
        global_state.set_global_attribute(_PENDING, _pending()[:others])
        raise
    with keras.StatelessScope():
        pass  # whose end initialises what is pending, unless it is within another scope
    return built


def _pending() -> list[Any]:
    """Return the variables that Keras has not initialised yet."""
    return list(global_state.get_global_attribute(_PENDING) or ())


def charged(build: Callable[[], T]) -> T:
    """Return ``build()``, after charging each variable before it is made."""

    def create(following: Callable[..., Any], **options: Any) -> Any:
        initial = options.get("initial_value")
        if callable(initial):
            # Keras gives no shape. A function that is only compiled has its form, and no values.
            form = tf.function(initial, autograph=False).get_concrete_function().structured_outputs
            _charge(tuple(form.shape), form.dtype.name, options.get("name") or "variable")
        return following(**options)

    with tf.variable_creator_scope(create):
        return build()


def _charge(shape: tuple[int, ...], dtype: str, name: str) -> None:
    size = math.prod(shape) * tf.as_dtype(dtype).size
    charge(size, f"A variable {name!r} of shape {tuple(shape)}")


def _uninitialized(built: object) -> Iterator[Any]:
    """Yield the variables of what was built that have no values."""
    if isinstance(built, keras.Layer):
        seen: set[int] = set()
        for layer in layers_of(built):
            if isinstance(layer, keras.Layer):
                for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
                    if variable._value is None and id(variable) not in seen:
                        seen.add(id(variable))
                        yield variable
    elif isinstance(built, Component):
        yield from _uninitialized(built.native)
        for child in built.children().values():
            yield from _uninitialized(child)
