"""JAX's arrays as NumPy's, and back, bit for bit; keys of random numbers as their data."""

from __future__ import annotations

from contextlib import nullcontext
from functools import lru_cache
from typing import Any, Final, NamedTuple, TypeAlias

import jax
import numpy as np

from dc_core import dtype_name
from dc_core.errors import NotSerializable, ParameterError

Array: TypeAlias = "jax.Array | np.ndarray | jax.ShapeDtypeStruct"
"""An array of JAX or NumPy, or the form of one that has no values yet."""

_KEYS: Final = {"key<fry>": "threefry2x32", "key<rbg>": "rbg", "key<urbg>": "unsafe_rbg"}
"""The generators of JAX by the dtypes of their keys."""


class Form(NamedTuple):
    """The shape and the dtype that an array is stored with."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]


def is_array(leaf: Any) -> bool:
    """Return whether ``leaf`` is an array, with or without values."""
    return isinstance(leaf, jax.Array | np.ndarray | jax.ShapeDtypeStruct)


def has_values(array: Array) -> bool:
    """Return whether ``array`` has values."""
    return not isinstance(array, jax.ShapeDtypeStruct | jax.core.Tracer)


def is_key(array: Array) -> bool:
    """Return whether ``array`` holds keys of random numbers."""
    return bool(jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key))


def key_implementation(array: Array) -> str:
    """Return the name of the generator whose keys ``array`` holds."""
    return _implementation(array, "key")


def key_of(data: np.ndarray, generator: object) -> jax.Array:
    """Return the keys of which ``data`` are the data.

    Raises :class:`ParameterError` if they cannot be those of the generator.
    """
    known = isinstance(generator, str) and generator in _KEYS.values()
    if not known or data.shape[-1:] != _data_shape(str(generator)):
        raise ParameterError(
            "The data are not those of a key of random numbers.",
            hint=f"The generators are {', '.join(map(repr, _KEYS.values()))}.",
        )
    return jax.random.wrap_key_data(data, impl=generator)


def form_of(array: Array, name: str) -> Form:
    """Return the form that ``array`` is stored in; keys are stored as their data, of uint32.

    Raises :class:`NotSerializable`, with ``name``, for a dtype that weights cannot have.
    """
    if is_key(array):
        return Form((*array.shape, *_data_shape(_implementation(array, name))), np.dtype(np.uint32))
    dtype = np.dtype(array.dtype)
    try:
        dtype_name(dtype)
    except ParameterError as error:
        raise NotSerializable(f"The array {name!r}: {error.args[0]}", hint=error.hint) from error
    return Form(tuple(array.shape), dtype)


def to_numpy(array: Array, name: str, *, copy: bool = True) -> np.ndarray:
    """Return ``array`` as a C-ordered NumPy array of its form.

    With ``copy=False`` it may share the memory of ``array``.

    Raises :class:`NotSerializable`, with ``name``, if it has no values.
    """
    if isinstance(array, jax.core.Tracer):
        what, hint = "is being traced", "Use the module outside of jax.jit and jax.grad."
    elif isinstance(array, jax.ShapeDtypeStruct):
        what, hint = "has no values", "Set or load the weights first."
    elif isinstance(array, jax.Array) and array.is_deleted():
        what, hint = (
            "was donated to a compiled function",
            "Use the object that the function returned.",
        )
    else:
        data = jax.random.key_data(array) if is_key(array) else array
        return np.array(data, order="C") if copy else np.asarray(data, order="C")
    raise NotSerializable(f"The array {name!r} {what}.", hint=hint)


def like(array: Array, value: np.ndarray, *, copy: bool = True) -> Any:
    """Return ``value``, which has the form of ``array``, as an array of its kind.

    NumPy's stay NumPy's. With ``copy=False`` the result may use the memory of ``value``.
    """
    value = value if value.dtype.isnative else value.astype(value.dtype.newbyteorder("="))
    if isinstance(array, np.ndarray):
        return np.array(value, order="C") if copy or not value.flags.writeable else value
    # Without 64 bits, JAX would round what has them.
    with jax.enable_x64(True) if value.dtype.itemsize > 4 else nullcontext():
        made = jax.numpy.array(value, copy=True) if copy else jax.device_put(value)
    if is_key(array):
        return jax.random.wrap_key_data(made, impl=_implementation(array, ""))
    return made


def _implementation(array: Array, name: str) -> str:
    found = _KEYS.get(str(array.dtype))
    if found is None:
        raise NotSerializable(
            f"The array {name!r} holds keys of a generator that is not JAX's own.",
            hint=f"Use one of {', '.join(map(repr, _KEYS.values()))}.",
        )
    return found


@lru_cache
def _data_shape(implementation: str) -> tuple[int, ...]:
    """Return the shape of the data of one key."""
    data = jax.eval_shape(lambda: jax.random.key_data(jax.random.key(0, impl=implementation)))
    return tuple(data.shape)
