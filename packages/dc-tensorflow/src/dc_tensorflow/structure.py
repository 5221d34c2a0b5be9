"""Models and layers of Keras as components: a closed form of their configs.

Keras's own configs name modules and functions to import. What is stored names classes of a closed
table (``layers/Dense``, ``initializers/Zeros``) or classes and functions that the program has
registered with Keras, and holds plain data otherwise. Stored data are checked and become a config
again, so that Keras never reads a config that was not made here. Names of layers that Keras has
made up are numbered within their model, so that equal models are stored alike.

``Lambda`` layers hold code and are refused, as are layers that read files or use lookup tables.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Any, Final

import numpy as np

from dc_core import DCError, plain
from dc_core.errors import (
    BudgetExceeded,
    NotSerializable,
    ParameterError,
    UnknownClass,
    UnknownParameter,
)
from dc_tensorflow.frameworks import keras, tf
from dc_tensorflow.naming import stable_names
from dc_tensorflow.rng import isolated_rng
from dc_tensorflow.tables import CLASSES, POLICIES, maximum, module_of
from dc_tensorflow.weights import is_functional, layers_of, locate

PREFIX: Final = "keras/"
"""How the stored names of models and layers begin."""

_REGISTERED: Final = "Registered"
"""The last part of the stored name of an object whose class is registered with Keras."""

_KEYS: Final = frozenset(
    {"class", "class_name", "config", "function", "module", "registered_name", "slice", "tensor"}
)
"""Keys that plain dictionaries cannot have: they mark what is not plain."""

_MODELS: Final[Mapping[str, frozenset[str]]] = {
    "layers/Sequential": frozenset({"build_input_shape", "dtype", "layers", "name", "trainable"}),
    "layers/Functional": frozenset(
        {"dtype", "input_layers", "layers", "name", "output_layers", "trainable"}
    ),
}
"""The models that Keras makes of layers, and the parameters in their configs."""

_QUANTIZATION: Final = "quantization_config"

_MAX_DEPTH: Final = 64
_MAX_ITEMS: Final = 100_000
_MAX_TEXT: Final = 10_000

_FAULTS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    RuntimeError,
    TypeError,
    ValueError,
    tf.errors.OpError,
)
"""What Keras and TensorFlow raise for arguments that cannot be used."""


def describe(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and the arguments of ``obj``.

    None if its class, or that of a layer in it, is neither in the table nor registered.

    Raises :class:`NotSerializable`, naming the layer, for code and for what no config tells.
    """
    try:
        return _described(obj)
    except _NotRegistered:
        return None


class _NotRegistered(NotSerializable):
    """A class or function that is neither in the closed table nor registered with Keras."""


def _described(obj: Any) -> tuple[str, Mapping[str, Any]]:
    cls = type(obj)
    if _table_name(cls) is None and keras.saving.get_registered_name(cls) == cls.__name__:
        raise _not_registered(f"The {cls.__name__} {obj.name!r}")
    _check_unchanged(obj)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Keras warns of the lambdas that are refused below
        serialized = keras.saving.serialize_keras_object(obj)
    node = _Encoder(f"The {cls.__name__} {obj.name!r}").node(serialized)
    params = {"config": node["config"]}
    if not _builds_itself(obj) and obj.built and obj.get_build_config():
        params["build"] = _encoded_shapes(obj.get_build_config())
    kind = node["class"]
    if kind.startswith("layers/"):
        return PREFIX + kind.removeprefix("layers/"), params
    return PREFIX + _REGISTERED, {"class": kind, **params}


def build(name: str, params: Mapping[str, Any]) -> Any:
    """Return the object that :func:`describe` described, with initial weights.

    Raises :class:`UnknownClass` for a name outside the closed table, and :class:`ParameterError`
    for arguments that are not plain data of a possible size, or that the constructor refuses.
    """
    given = dict(params)
    kind = f"layers/{name.removeprefix(PREFIX)}"
    if name == PREFIX + _REGISTERED:
        kind = given.pop("class", None)
        if not isinstance(kind, str) or not kind.startswith("registered/"):
            raise ParameterError(f"class={kind!r} is not the name of a registered class.")
    elif not name.startswith(PREFIX) or kind not in CLASSES:
        raise UnknownClass(
            f"dc-tensorflow has no class {name!r}.",
            hint="Register it with Keras: @keras.saving.register_keras_serializable().",
        )
    for parameter in given:
        if parameter not in ("config", "build"):
            raise UnknownParameter(
                f"{name} takes no parameter {parameter!r}.", hint="It takes config and build."
            )
    decoder = _Decoder()
    serialized = decoder.node({"class": kind, "config": given.get("config")}, 0)
    built = given.get("build")
    if "build" in given:
        serialized["build_config"] = _decoded_shapes(built)
    made = _made(name, lambda: keras.saving.deserialize_keras_object(serialized))
    if not isinstance(made, keras.Layer):
        raise ParameterError(f"{name} made a {type(made).__name__}, which is not a layer.")
    return made


def check_storable(obj: Any) -> None:
    """Raise :class:`NotSerializable` if ``obj`` cannot be stored as what it is."""
    try:
        _described(obj)
    except _NotRegistered as error:
        raise NotSerializable(error.args[0], hint=error.hint) from None


def _made(name: str, make: Callable[[], Any]) -> Any:
    try:
        with isolated_rng():
            return make()
    except (DCError, MemoryError):
        raise
    except _FAULTS as error:
        if isinstance(error, tf.errors.ResourceExhaustedError):
            raise BudgetExceeded(
                f"{name} does not fit in memory: {str(error)[:200]}",
                hint="Check the sizes among its arguments.",
            ) from error
        raise ParameterError(
            f"{name} cannot be made of these arguments: {type(error).__name__}: {str(error)[:200]}",
            hint="They are those of a config of Keras.",
        ) from error


def _builds_itself(obj: Any) -> bool:
    """Return whether ``obj`` is built by its constructor, from its inputs."""
    if type(obj) is keras.Sequential:
        return bool(obj._layers) and isinstance(obj._layers[0], keras.layers.InputLayer)
    return is_functional(obj) and _table_name(type(obj)) is not None


def _table_name(cls: type[Any]) -> str | None:
    """Return the name of ``cls`` in the closed table, None if it is not there."""
    return next((name for name, known in CLASSES.items() if known is cls), None)


def _check_unchanged(obj: Any) -> None:
    """Raise :class:`NotSerializable` for what no config tells, such as shared weights."""
    for layer in layers_of(obj):
        if "call" in vars(layer):
            raise NotSerializable(
                f"The {type(layer).__name__} {layer.name!r} has had its call() replaced, which has "
                "no stored form.",
                hint="Write a class of your own, and register it with Keras.",
            )
    if _table_name(type(obj)) is None or not obj.built:
        return
    for places in locate(obj).values():
        owners = {place.native.partition("/")[0] for place in places}
        if len(owners) > 1:
            raise NotSerializable(
                f"The layers {' and '.join(sorted(owners))} share the weight "
                f"{places[0].native!r}, and the config does not say so.",
                hint="Call one layer twice in a functional model, or share it in a registered "
                "class.",
            )


class _Encoder:
    """Turns what Keras serializes into the stored form; ``shown`` names the object in errors.

    Keras's own layers have no plain dictionaries in their configs: there Keras puts code.
    """

    def __init__(self, shown: str, *, has_dicts: bool = True) -> None:
        self.shown = shown
        self.has_dicts = has_dicts

    def node(self, serialized: Mapping[str, Any], *, named: bool = False) -> dict[str, Any]:
        """Return the stored form of a serialized object; one that is ``named`` keeps its name."""
        name, module = serialized["class_name"], serialized.get("module")
        config, registered = serialized["config"], serialized.get("registered_name")
        inner = config.get("name") if isinstance(config, dict) else None
        shown = f"The {name} {inner!r}" if inner else f"{self.shown}: its {name}"
        if name == "Lambda":
            raise NotSerializable(
                f"{shown} holds code, which is never stored.",
                hint="Write a layer of your own, and register it with Keras: "
                "@keras.saving.register_keras_serializable().",
            )
        kind = module_of(module, name)
        if kind is None:
            if registered is None or keras.saving.get_registered_object(registered) is None:
                raise _not_registered(shown)
            kind = f"registered/{registered}"
        if inner and not named:
            (stable,) = stable_names([(name, inner)])
            config = {**config, "name": stable}
        encoder = _Encoder(shown, has_dicts=kind not in CLASSES or kind in _MODELS)
        encoded: dict[str, Any] = {}
        if kind in _MODELS:
            config = _with_stable_names(config)
            encoded["layers"] = [encoder.node(each, named=True) for each in config.pop("layers")]
        left_out = _nones(kind)
        for key, value in config.items():
            if key == _QUANTIZATION and value is not None:
                raise NotSerializable(
                    f"{shown} is quantized.", hint="Store the model from before its quantization."
                )
            if not (value is None and key in left_out):
                encoded[key] = encoder.value(value)
        made = {"class": kind, "config": encoded}
        if "inbound_nodes" in serialized:
            made["inbound_nodes"] = _Encoder(shown).value(serialized["inbound_nodes"])
        return made

    def value(self, value: Any) -> Any:
        """Return the stored form of a value in a config."""
        value = plain(value)
        if value is None or type(value) in (bool, int, float, str):
            return value
        if isinstance(value, list | tuple):
            return [self.value(item) for item in value]  # Keras takes tuples for lists too
        if isinstance(value, np.ndarray):
            return self.value(value.tolist())
        if not isinstance(value, Mapping):
            raise NotSerializable(
                f"{self.shown} has a {type(value).__name__} in its config.",
                hint="Configs hold numbers, text, and lists and dictionaries of these.",
            )
        if "class_name" in value and "config" in value:
            return self._object(value)
        if not self.has_dicts:
            raise NotSerializable(
                f"{self.shown} holds code, which is never stored.",
                hint="Use a function that is registered with Keras: "
                "@keras.saving.register_keras_serializable().",
            )
        if not all(isinstance(key, str) for key in value) or not _KEYS.isdisjoint(value):
            raise NotSerializable(f"{self.shown} has a dictionary with keys that are not names.")
        return {key: self.value(item) for key, item in value.items()}

    def _object(self, value: Mapping[str, Any]) -> Any:
        name, config = value["class_name"], value["config"]
        if name == "__keras_tensor__":
            shape = [None if n is None else int(n) for n in config["shape"]]
            return {"tensor": list(config["keras_history"]), "of": [shape, config["dtype"]]}
        if name == "__slice__":
            return {"slice": [config["start"], config["stop"], config["step"]]}
        if name == "__ellipsis__":
            return {"slice": "..."}
        if name == "DTypePolicy":
            if config["name"] not in POLICIES:
                raise NotSerializable(
                    f"{self.shown} has the dtype policy {config['name']!r}.",
                    hint="Store the model from before its quantization.",
                )
            return config["name"]
        if name == "function":
            registered = value.get("registered_name")
            if keras.saving.get_registered_object(registered) is None:
                raise _not_registered(f"{self.shown} uses the function {config!r}, which")
            return {"function": registered}
        return self.node(value)


def _with_stable_names(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the config of a model with names that are numbered within it."""
    entries = [dict(entry) for entry in config["layers"]]
    old = [entry["config"]["name"] for entry in entries]
    new = stable_names((entry["class_name"], entry["config"]["name"]) for entry in entries)
    renamed = dict(zip(old, new, strict=True))
    for entry in entries:
        name = renamed[entry["config"]["name"]]
        entry["config"] = {**entry["config"], "name": name}

    def rename(value: Any) -> Any:
        if isinstance(value, dict):
            if value.get("class_name") == "__keras_tensor__":
                first, *rest = value["config"]["keras_history"]
                history = [renamed[first], *rest]
                return {**value, "config": {**value["config"], "keras_history": history}}
            return {key: rename(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            is_place = len(value) == 3 and isinstance(value[0], str) and value[0] in renamed
            items = [rename(item) for item in value]
            if is_place:
                items[0] = renamed[value[0]]
            return items
        return value

    for entry in entries:
        if "inbound_nodes" in entry:
            entry["inbound_nodes"] = rename(entry["inbound_nodes"])
    places = {k: rename(config[k]) for k in ("input_layers", "output_layers") if k in config}
    return {**config, **places, "layers": entries}


class _Decoder:
    """Checks stored data and turns them into what Keras deserializes."""

    def __init__(self) -> None:
        self._items = 0

    def node(self, stored: Any, depth: int) -> dict[str, Any]:
        """Return the serialized form of a stored object."""
        kind, config = stored.get("class"), stored.get("config")
        if not isinstance(kind, str) or not isinstance(config, Mapping):
            raise ParameterError("A stored object needs a class and a config.")
        if not {"class", "config", "inbound_nodes"}.issuperset(stored):
            raise ParameterError(f"The stored {kind} has entries that it cannot have.")
        group, _, name = kind.partition("/")
        made: dict[str, Any]
        if group == "registered":
            cls = keras.saving.get_registered_object(name)
            if cls is None:
                raise UnknownClass(
                    f"No class is registered with Keras as {name!r}.",
                    hint="Import the module that registers it.",
                )
            made = {"module": None, "class_name": name.rpartition(">")[2], "registered_name": name}
        elif kind in CLASSES:
            cls = CLASSES[kind]
            made = {"module": cls.__module__, "class_name": name, "registered_name": None}
        else:
            raise UnknownClass(
                f"dc-tensorflow has no class {kind!r}.",
                hint="Register it with Keras: @keras.saving.register_keras_serializable().",
            )
        made["config"] = {
            key: self.value(value, depth + 1, name, key) for key, value in config.items()
        }
        if made["config"].get(_QUANTIZATION) is not None:
            raise ParameterError(f"{name} is quantized, which has no stored form.")
        for key in made["config"] if kind in _MODELS else ():
            if key not in _MODELS[kind]:
                raise UnknownParameter(
                    f"{name} takes no parameter {key!r}.",
                    hint=f"It takes {', '.join(sorted(_MODELS[kind]))}.",
                )
        if "inbound_nodes" in stored:
            made["name"] = made["config"].get("name")
            made["inbound_nodes"] = self.value(stored["inbound_nodes"], depth + 1, name, "nodes")
        return made

    def value(self, value: Any, depth: int, cls: str, parameter: str) -> Any:
        """Return a value of a config; raises :class:`ParameterError` unless it is possible."""
        self._items += 1
        if depth > _MAX_DEPTH or self._items > _MAX_ITEMS:
            raise ParameterError("The config is nested too deep, or has too many values.")
        if isinstance(value, str) and len(value) > _MAX_TEXT:
            raise ParameterError(f"{cls}({parameter}=…) is a text of {len(value)} characters.")
        if value is None or type(value) in (bool, float, str):
            return value
        if type(value) is int:
            if abs(value) > maximum(cls, parameter):
                raise ParameterError(
                    f"{cls}({parameter}=…) may be at most {maximum(cls, parameter)}."
                )
            return value
        if type(value) in (list, tuple):
            return type(value)(self.value(item, depth + 1, cls, parameter) for item in value)
        if not isinstance(value, Mapping) or not all(isinstance(key, str) for key in value):
            raise ParameterError(f"{cls}({parameter}=…) is a {type(value).__name__}.")
        if "class" in value:
            return self.node(value, depth)
        if "tensor" in value:
            return self._tensor(value)
        if value.keys() == {"slice"}:
            return self._slice(value["slice"])
        if value.keys() == {"function"}:
            return self._function(value["function"])
        if not _KEYS.isdisjoint(value):
            raise ParameterError(f"{cls}({parameter}=…) has a key that is not plain data.")
        return {key: self.value(item, depth + 1, cls, parameter) for key, item in value.items()}

    def _tensor(self, value: Mapping[str, Any]) -> dict[str, Any]:
        place, of = value["tensor"], value.get("of")
        if (
            value.keys() != {"tensor", "of"}
            or not isinstance(place, list)
            or [type(part) for part in place] != [str, int, int]
            or not isinstance(of, list)
            or len(of) != 2
            or not isinstance(of[0], list)
            or len(of[0]) > _MAX_DEPTH
            or not all(n is None or (type(n) is int and 0 <= n < 2**31) for n in of[0])
            or not isinstance(of[1], str)
        ):
            raise ParameterError(
                "A tensor is given by its layer, two numbers, a shape and a dtype."
            )
        config = {"shape": of[0], "dtype": of[1], "keras_history": list(place)}
        return {"class_name": "__keras_tensor__", "config": config}

    def _slice(self, value: Any) -> dict[str, Any]:
        if value == "...":
            return {"class_name": "__ellipsis__", "config": {}}
        if (
            not isinstance(value, list)
            or len(value) != 3
            or not all(n is None or (type(n) is int and abs(n) < 2**31) for n in value)
        ):
            raise ParameterError("A slice has three numbers.")
        start, stop, step = value
        return {"class_name": "__slice__", "config": {"start": start, "stop": stop, "step": step}}

    def _function(self, name: Any) -> dict[str, Any]:
        found = keras.saving.get_registered_object(name) if isinstance(name, str) else None
        if not inspect.isfunction(found):
            raise UnknownClass(
                f"No function is registered with Keras as {name!r}.",
                hint="Import the module that registers it.",
            )
        return {
            "class_name": "function",
            "config": name.rpartition(">")[2],
            "module": None,
            "registered_name": name,
        }


@cache
def _nones(kind: str) -> frozenset[str]:
    """Return the parameters of a class of the table whose default is None.

    Leaving out those that are None lets versions of Keras read models that lack the parameter.
    """
    if kind not in CLASSES:
        return frozenset()
    named = inspect.signature(CLASSES[kind].__init__).parameters.values()
    return frozenset(p.name for p in named if p.default is None)


def _encoded_shapes(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {key: _encoded_shapes(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_encoded_shapes(item) for item in value]
    return plain(value)


def _decoded_shapes(value: Any, depth: int = 0) -> Any:
    if depth < 8 and isinstance(value, Mapping) and len(value) < 1000:
        if not all(isinstance(key, str) and key not in _KEYS for key in value):
            raise ParameterError("A stored model is built for shapes by name.")
        return {key: _decoded_shapes(item, depth + 1) for key, item in value.items()}
    if depth == 0:
        raise ParameterError("A stored model is built for shapes by name.")
    if depth < 8 and isinstance(value, list) and len(value) < 1000:
        return [_decoded_shapes(item, depth + 1) for item in value]
    if value is None or (type(value) is int and 0 <= value < 2**31):
        return value
    raise ParameterError("The shapes that a stored model is built for are not shapes.")


def _not_registered(shown: str) -> _NotRegistered:
    return _NotRegistered(
        f"{shown} is not registered, so it cannot be stored.",
        hint="Register it with Keras: @keras.saving.register_keras_serializable(); the class then "
        "needs get_config().",
    )


def models_in(value: Any) -> Iterator[Any]:
    """Yield the layers and models in a constructor's argument, those in containers included."""
    if isinstance(value, keras.Layer):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from models_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from models_in(item)
