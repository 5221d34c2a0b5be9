"""Build a module without allocating or initialising the weights that it will be given.

The constructor is traced, as by ``nnx.eval_shape`` and ``eqx.filter_eval_shape``: every array that
it makes with JAX has a shape and a dtype and no values. Because nothing is computed, a file cannot
ask for memory by large numbers. A constructor that needs values, or that keeps an array elsewhere
than among its leaves, makes that array with NumPy.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, TypeVar

import jax

from dc_core import Component
from dc_core.errors import ParameterError
from dc_jax.libraries import is_flax, is_module
from dc_jax.structure import Structure, copy_arguments, weights_of

T = TypeVar("T")


def skeleton(build: Callable[[], T]) -> T:
    """Return ``build()``, whose modules have the forms of their arrays instead of values.

    Raises :class:`ParameterError` if the constructor needs values.
    """
    built: list[T] = []
    owners: list[Any] = []

    def trace() -> list[dict[str, Any]]:
        built[:] = [build()]
        owners[:] = _owners(built[0])
        return [_traced(module) for _, module in owners]

    try:
        forms = jax.eval_shape(trace)
    except (
        jax.errors.ConcretizationTypeError,
        jax.errors.TracerArrayConversionError,
        jax.errors.UnexpectedTracerError,
    ) as error:
        raise ParameterError(
            "The module cannot be built without values: its constructor computes with those of an "
            f"array of JAX. ({str(error).splitlines()[0]})",
            hint="Compute with NumPy in the constructor, or load the weights into a module that "
            "you have built: load_weights(name, into=module).",
        ) from error
    if not owners:
        # No module: a key of random numbers, or what makes them, which a constructor needs.
        return build()
    result: Any = built[0]
    for (owner, module), arrays in zip(owners, forms, strict=True):
        made = _with_forms(module, arrays)
        if owner is None:
            result = made
        else:
            owner.native = made
    return result  # type: ignore[no-any-return]


def _owners(built: Any) -> list[tuple[Any, Any]]:
    """Return the modules in what was built, each with the component that has it, if any."""
    if is_module(built):
        return [(None, built)]
    return list(_within(built)) if isinstance(built, Component) else []


def _within(component: Component) -> Iterator[tuple[Any, Any]]:
    if is_module(component.native):
        yield component, component.native
    for child in component.children().values():
        yield from _within(child)


def _traced(module: Any) -> dict[str, Any]:
    return {
        weight.native: weight.value
        for weight in weights_of(module)
        if isinstance(weight.value, jax.core.Tracer)
    }


def _with_forms(module: Any, forms: dict[str, Any]) -> Any:
    """Return a new module: one of Flax that was made in a trace cannot be changed outside of it."""
    if not forms and not is_flax(module):
        return module
    arrays = {weight.native: weight.value for weight in weights_of(module)}
    made = Structure.of(module).module(arrays | forms)
    copy_arguments(module, made)
    return made
