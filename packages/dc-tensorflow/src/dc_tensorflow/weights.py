"""The variables of a Keras model or a ``tf.Module`` as named arrays, and back.

A weight's native name is the path of its layer and the variable's name: ``encoder/dense/kernel``.
Layers of a ``Sequential`` or functional model have their own names there, numbered within the model
where Keras has made them up; other layers and modules are named after the attribute that holds
them. A variable or layer that appears in several places is one weight, whose other names are
aliases.

Weights are what predictions depend on: trainable variables and statistics. States of random
generators, metrics and optimizers are not. What layers derive from their weights, as
``Normalization`` does, is made anew after an import.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import (
    WeightInfo,
    check_weights,
    dtype_from_name,
    number_by_layer,
    uninterrupted,
)
from dc_core.errors import NotSerializable, ParameterError
from dc_tensorflow.frameworks import keras, tf
from dc_tensorflow.naming import automatic_name, stable_names, unique_name

_RECORDS: Final = frozenset(
    {
        "_inbound_nodes",
        "_layers",
        "_losses",
        "_metrics",
        "_non_trainable_variables",
        "_outbound_nodes",
        "_seed_generators",
        "_tracker",
        "_trainable_variables",
    }
)
"""Attributes in which Keras keeps what others hold too; TensorFlow's begin with ``_self_``."""

_IMPORTS: Final = "_dc_imports"
"""The attribute of an object that counts how often its weights were set."""


class Place(NamedTuple):
    """A variable and its native name."""

    native: str
    variable: Any


def describe_weights(obj: Any) -> dict[str, WeightInfo]:
    """Describe every weight of ``obj`` by its relative canonical name, allocating nothing.

    Raises :class:`NotSerializable`, naming the weight, if one cannot be stored, and for a Keras
    model that is not built.
    """
    return {name: _info(places) for name, places in locate(obj).items()}


def export_weights(obj: Any, names: Collection[str] | None = None) -> dict[str, np.ndarray]:
    """Return copies of the weights in ``names``, or all, as C-ordered arrays of the same bits."""
    wanted = None if names is None else set(names)
    return {
        name: to_array(places[0].variable)
        for name, places in locate(obj).items()
        if wanted is None or name in wanted
    }


def import_weights(
    obj: Any, weights: Mapping[str, np.ndarray], allow_missing: Collection[str] = ()
) -> None:
    """Set the weights of ``obj``, all or nothing; tied weights stay tied.

    Raises :class:`WeightsMismatch` if names, shapes or dtypes differ.
    """
    table = locate(obj)
    check_weights({name: _info(places) for name, places in table.items()}, weights, allow_missing)
    with uninterrupted():
        for name, array in weights.items():
            contiguous = np.array(array, order="C", copy=None)
            table[name][0].variable.assign(tf.convert_to_tensor(contiguous))
        _derive(obj)
        vars(obj)[_IMPORTS] = times_imported(obj) + 1


def times_imported(obj: Any) -> int:
    """Return how often :func:`import_weights` has given ``obj`` its weights."""
    count: int = vars(obj).get(_IMPORTS, 0)
    return count


def to_array(variable: Any) -> np.ndarray:
    """Return a copy of the value of ``variable`` as an array of the same shape and dtype."""
    return np.asarray(value_of(variable).numpy())


def value_of(variable: Any) -> Any:
    """Return the value of a variable of Keras or TensorFlow as a tensor."""
    return tf.convert_to_tensor(
        variable.value if isinstance(variable, keras.Variable) else variable
    )


def locate(obj: Any) -> dict[str, tuple[Place, ...]]:
    """Return the places of each variable by canonical name: the first one, then its aliases."""
    if isinstance(obj, keras.Layer) and not obj.built:
        raise NotSerializable(
            f"The {type(obj).__name__} {obj.name!r} is not built: its weights have no shapes yet.",
            hint="Begin it with keras.Input((n_features,)), or call it on one batch first.",
        )
    places: dict[int, list[Place]] = {}
    names: set[str] = set()
    for path, variable in _walk(obj, (), ()):
        native = unique_name("/".join(part or "_" for part in path), names)
        names.add(native)
        places.setdefault(id(variable), []).append(Place(native, variable))
    numbered = number_by_layer((found[0].native for found in places.values()), "/")
    return {numbered[found[0].native]: tuple(found) for found in places.values()}


def layers_of(obj: Any) -> Iterator[Any]:
    """Yield ``obj`` and all layers and modules in it, some of them several times."""
    yield obj
    for _, part in _parts(obj):
        yield from layers_of(part)


def _walk(
    obj: Any, path: tuple[str, ...], within: tuple[int, ...]
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the variables of ``obj`` and of what it holds, each with its path."""
    if id(obj) in within:
        return  # it holds itself
    for name, variable in _own_variables(obj):
        yield (*path, name), variable
    for name, part in _parts(obj):
        yield from _walk(part, (*path, *name.split("/")), (*within, id(obj)))


def _own_variables(obj: Any) -> Iterator[tuple[str, Any]]:
    """Yield the variables of a layer or module itself by name."""
    held = [(name, value) for name, value in _held(obj) if _is_variable(value)]
    if not isinstance(obj, keras.Layer):
        yield from held
        return
    attributes = {id(variable): name for name, variable in reversed(held)}
    tracked = [*obj._trainable_variables, *obj._non_trainable_variables]
    others = [value for _, value in held if isinstance(value, tf.Variable)]
    names: set[str] = set()
    for variable in [*tracked, *others]:
        name = variable.name.partition(":")[0].rpartition("/")[2]
        if isinstance(variable, tf.Variable) or automatic_name("Variable", name) == "variable":
            name = attributes.get(id(variable), "variable")  # the other one is Keras's own count
        name = unique_name(name, names)
        names.add(name)
        yield name, variable


def _parts(obj: Any) -> Iterator[tuple[str, Any]]:
    """Yield the layers and modules that ``obj`` holds by name, those in containers included."""
    held = [(name, value) for name, value in _held(obj) if _is_part(value)]
    if not isinstance(obj, keras.Layer):
        yield from held
        return
    if isinstance(obj, keras.Sequential) or is_functional(obj):
        layers = list(obj.layers)
        yield from zip(_names_of(layers), layers, strict=True)
        known = {id(layer) for layer in layers} | {id(vars(obj).get("_functional"))}
        yield from ((name, value) for name, value in held if id(value) not in known)
        return
    yield from held
    known = {id(value) for _, value in held}
    rest = [layer for layer in obj._layers if id(layer) not in known]
    yield from zip(_names_of(rest), rest, strict=True)


def _names_of(layers: Sequence[Any]) -> list[str]:
    return stable_names((type(layer).__name__, layer.name) for layer in layers)


def is_functional(obj: Any) -> bool:
    """Return whether ``obj`` is a model made of the inputs and outputs of layers."""
    return isinstance(obj, keras.Model) and hasattr(obj, "operations")


def _is_variable(value: Any) -> bool:
    return isinstance(value, keras.Variable | tf.Variable)


def _is_part(value: Any) -> bool:
    return isinstance(value, keras.Layer | tf.Module) and not _is_variable(value)


def _held(obj: Any) -> Iterator[tuple[str, Any]]:
    """Yield what the attributes of ``obj`` hold, in containers too, by the attributes' names."""
    names: set[str] = set()
    ignored = _RECORDS if isinstance(obj, keras.Layer) else frozenset()
    for attribute, value in list(vars(obj).items()):
        if attribute in ignored or attribute.startswith("_self_"):
            continue
        for path, item in _items(attribute.lstrip("_"), value, 0):
            name = unique_name(path, names)
            names.add(name)
            yield name, item


_MAX_DEPTH: Final = 20


def _items(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if _is_variable(value) or _is_part(value):
        yield path, value
    elif depth < _MAX_DEPTH and isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _items(f"{path}/{i}", item, depth + 1)
    elif depth < _MAX_DEPTH and isinstance(value, dict):
        for key, item in value.items():
            yield from _items(f"{path}/{key}", item, depth + 1)


def _info(places: tuple[Place, ...]) -> WeightInfo:
    first, *others = places
    variable = first.variable
    keras_s = isinstance(variable, keras.Variable)
    shape, name = tuple(variable.shape), variable.dtype if keras_s else variable.dtype.name
    if None in shape:
        raise NotSerializable(
            f"The variable {first.native!r} has no fixed shape, so it cannot be stored.",
            hint="Give it a shape: tf.Variable(value).",
        )
    try:
        dtype = dtype_from_name(name)
    except ParameterError as error:
        raise NotSerializable(f"The variable {first.native!r}: {error}") from error
    return WeightInfo(first.native, shape, dtype, tuple(place.native for place in others))


def _derive(obj: Any) -> None:
    """Let layers compute anew what they derive from their weights."""
    derives = False
    for layer in layers_of(obj):
        if isinstance(layer, keras.layers.Normalization):
            layer.finalize_state()
            derives = True
    if derives and isinstance(obj, keras.Model):
        # Functions that Keras has compiled hold the former values as constants.
        obj.train_function = obj.test_function = obj.predict_function = None
