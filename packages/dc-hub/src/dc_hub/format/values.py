"""Constructor arguments as JSON, and back: a closed set of values, each exact.

Values that JSON has are stored as they are. Others are objects with one key, a tag that starts with
``$``. Arrays are stored with the weights and referred to by name. Saving anything else is an error
that names the argument. Nothing in a file can import anything: models, components and enumerations
are given by their registered names.
"""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable, Collection, Mapping
from enum import Enum
from pathlib import PurePath
from typing import Any, Final, NoReturn

import numpy as np

from dc_core import dtype_from_name, dtype_name, plugins, registry
from dc_core.dtypes import EXTENDED, NATIVE
from dc_core.errors import ParameterError, PluginError
from dc_hub.errors import NotSerializable, ParamsError, UnknownClass
from dc_hub.format.record import check_class

Describe = Callable[[Any], Mapping[str, Any] | None]
"""Describes an object: ``{"$model": body}`` or ``{"$component": body}``, or None.

``body`` has ``class``, ``class_version``, ``backend`` and ``params``, whose values are not encoded
yet.
"""

Build = Callable[[str, Mapping[str, Any], str], Any]
"""Makes an object from its kind (``model`` or ``component``), its body (with ``params`` decoded),
and the path of the argument."""

MAX_DEPTH: Final = 32
"""The maximum depth of nested containers and objects in an argument."""

_SAFE_INTEGER: Final = (1 << 53) - 1
_MAX_BITS: Final = 1024
_INTEGER: Final = re.compile(r"-?[1-9][0-9]{15,308}")
_FLOATS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_PLAIN_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")
_PYTHON_TYPES: Final = {f"python.{cls.__name__}": cls for cls in (bool, int, float, complex, str)}
_BODY: Final = {"class", "class_version", "backend", "params"}
_MAX_PAIRS: Final = 1000
"""The maximum number of keys if some are not strings: their hashes are easy to make collide."""


def encode(value: Any, *, path: str, arrays: dict[str, np.ndarray], component: Describe) -> Any:
    """Return ``value`` as JSON.

    ``path`` names the argument in messages: ``layers``, ``layers.0``. Its arrays are added to
    ``arrays`` as ``params.<path>``, or under another name if that is taken. ``component`` describes
    nested objects, whose ``params`` are encoded in turn.

    Raises :class:`NotSerializable`, naming the argument, for a value that cannot be stored.
    """
    return _Encoder(arrays, component).encode(value, path, MAX_DEPTH)


def decode(value: Any, *, path: str, arrays: Mapping[str, np.ndarray], build: Build) -> Any:
    """Return the value that :func:`encode` has encoded as the JSON ``value``.

    ``arrays`` are those that it may refer to; they are not copied. ``build`` constructs nested
    objects. Raises :class:`ParamsError`, naming the argument, for anything that :func:`encode`
    never writes, and :class:`UnknownClass` for an enumeration that is not registered.
    """
    if type(value) not in (list, dict):
        return value
    return _Decoder(arrays, build).decode(value, path)


class _Encoder:
    def __init__(self, arrays: dict[str, np.ndarray], component: Describe) -> None:
        self.arrays = arrays
        self.component = component

    def encode(self, value: Any, path: str, depth: int) -> Any:
        kind = type(value)
        if value is None or kind is bool or kind is str:
            return value
        if kind is int:
            return self.integer(value, path)
        if kind is float:
            return value if math.isfinite(value) else {"$float": repr(value)}
        if kind is complex:
            return {"$complex": [self.encode(x, path, depth) for x in (value.real, value.imag)]}
        if kind is bytes:
            return {"$bytes": base64.b64encode(value).decode("ascii")}
        if depth == 0:
            _refuse(value, path, "is nested too deep, or contains itself", "Flatten it.")
        if kind is list:
            return self.items(value, path, depth)
        if kind is tuple:
            return {"$tuple": self.items(value, path, depth)}
        if kind is dict:
            return self.mapping(value, path, depth)
        return self.special(value, path, depth)

    def integer(self, value: int, path: str) -> Any:
        if abs(value) <= _SAFE_INTEGER:
            return value
        if value.bit_length() > _MAX_BITS:
            _refuse(value, path, f"has more than {_MAX_BITS} bits", "Store it as an array.")
        return {"$int": str(value)}

    def items(self, value: list[Any] | tuple[Any, ...], path: str, depth: int) -> list[Any]:
        return [self.encode(item, f"{path}.{i}", depth - 1) for i, item in enumerate(value)]

    def mapping(self, value: dict[Any, Any], path: str, depth: int) -> Any:
        """Encode a dict with the order of its keys, which canonical JSON would sort."""
        if _has_too_many_keys(value):
            fault = f"has more than {_MAX_PAIRS} keys, not all of which are str"
            _refuse(value, path, fault, "Pass keys and values as two arrays.")
        pairs = []
        for i, (key, item) in enumerate(value.items()):
            plain = type(key) is str and _PLAIN_KEY.fullmatch(key)
            place = f"{path}.{key if plain else i}"
            pairs.append([self.encode(key, place, depth - 1), self.encode(item, place, depth - 1)])
        keys = list(value)
        ordinary = all(type(key) is str and not key.startswith("$") for key in keys)
        return dict(pairs) if ordinary and keys == sorted(keys) else {"$dict": pairs}

    def special(self, value: Any, path: str, depth: int) -> Any:
        if isinstance(value, np.ndarray):
            return {"$array": self.array(value, path)}
        if isinstance(value, np.generic):
            name = _dtype_name(value.dtype, path)
            item = self.encode(value.item(), path, depth)
            return {"$scalar": {"dtype": name, "value": item}}
        if isinstance(value, np.dtype) and value.isnative:
            return {"$dtype": _dtype_name(value, path)}
        if isinstance(value, type):
            return {"$type": _type_name(value, path)}
        if isinstance(value, Enum):
            registered = registry.components.name_of(type(value))
            if registered is None or value.name not in type(value).__members__:
                _refuse(
                    value,
                    path,
                    "is of an enumeration that is not registered",
                    "Pass its value, or register the class: "
                    "@dc_core.register_component('<namespace>/<Name>').",
                )
            return {"$enum": {"class": registered, "member": value.name}}
        described = self.component(value)
        if described is None:
            _refuse(value, path, "cannot be stored", _advice(value))
        ((tag, body),) = described.items()
        params = {
            name: self.encode(item, f"{path}.{name}", depth - 1)
            for name, item in body["params"].items()
        }
        return {tag: {**body, "params": params}}

    def array(self, value: np.ndarray, path: str) -> str:
        _dtype_name(value.dtype, path)
        name = f"params.{path}"
        while name in self.arrays:
            name += "_"
        self.arrays[name] = value
        return name


class _Decoder:
    def __init__(self, arrays: Mapping[str, np.ndarray], build: Build) -> None:
        self.arrays = arrays
        self.build = build
        self.tags: dict[str, Callable[[Any, str, int], Any]] = {
            "$array": self.as_array,
            "$bytes": self.as_bytes,
            "$complex": self.as_complex,
            "$component": self.as_component,
            "$dict": self.as_dict,
            "$dtype": self.as_dtype,
            "$enum": self.as_enum,
            "$float": self.as_float,
            "$int": self.as_int,
            "$model": self.as_model,
            "$scalar": self.as_scalar,
            "$tuple": self.as_tuple,
            "$type": self.as_type,
        }

    def decode(self, value: Any, path: str, depth: int = MAX_DEPTH) -> Any:
        if type(value) not in (list, dict):
            return value
        if depth == 0:
            _malformed(path, "is nested too deep")
        if type(value) is list:
            return [self.decode(item, f"{path}.{i}", depth - 1) for i, item in enumerate(value)]
        tags = [key for key in value if key.startswith("$")]
        if not tags:
            return {k: self.decode(item, f"{path}.{k}", depth - 1) for k, item in value.items()}
        if len(value) > 1 or tags[0] not in self.tags:
            _malformed(path, f"has the unknown tag {tags[0]!r}, or another key besides a tag")
        return self.tags[tags[0]](value[tags[0]], path, depth - 1)

    def body(self, body: Any, path: str, depth: int) -> dict[str, Any]:
        """Check the body of a model or component, and decode its ``params``."""
        if (
            type(body) is not dict
            or body.keys() != _BODY
            or type(body["class"]) is not str
            or type(body["params"]) is not dict
        ):
            _malformed(
                path, "has an object without exactly a class, class_version, backend and params"
            )
        check_class(body["class"], body["class_version"], body["backend"], path)
        params = {
            name: self.decode(item, f"{path}.{name}", depth)
            for name, item in body["params"].items()
        }
        return {**body, "params": params}

    def as_array(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is not str or body not in self.arrays:
            _malformed(
                path, f"refers to the array {body!r}, which the weights file does not contain"
            )
        return self.arrays[body]

    def as_bytes(self, body: Any, path: str, depth: int) -> Any:
        try:
            return base64.b64decode(body, validate=True)
        except (TypeError, ValueError):
            _malformed(path, "has $bytes that are not base64")

    def as_complex(self, body: Any, path: str, depth: int) -> Any:
        parts = self.decode(body, path, depth)
        if type(parts) is not list or list(map(type, parts)) != [float, float]:
            _malformed(path, "has a $complex that is not two floats")
        return complex(*parts)

    def as_component(self, body: Any, path: str, depth: int) -> Any:
        return self.build("component", self.body(body, path, depth), path)

    def as_dict(self, body: Any, path: str, depth: int) -> Any:
        pairs = self.decode(body, path, depth)
        if type(pairs) is not list or not all(type(p) is list and len(p) == 2 for p in pairs):
            _malformed(path, "has a $dict that is not a list of pairs")
        if _has_too_many_keys([key for key, _ in pairs]):
            _malformed(
                path, f"has a $dict of more than {_MAX_PAIRS} keys, not all of which are strings"
            )
        try:
            value = dict(pairs)
        except TypeError:
            _malformed(path, "has a $dict with a key that is not hashable")
        if len(value) != len(pairs):
            _malformed(path, "has a $dict with a duplicate key")
        return value

    def as_dtype(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is not str or body not in NATIVE | EXTENDED.keys():
            _malformed(path, f"has the unknown dtype {body!r}")
        return dtype_from_name(body)

    def as_enum(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is not dict or body.keys() != {"class", "member"}:
            _malformed(path, "has an $enum without exactly a class and a member")
        name, member = body["class"], body["member"]
        if type(name) is not str or name not in registry.components.names():
            raise UnknownClass(
                f"No enumeration is registered as {name!r}, which {path} refers to.",
                path=path,
                hint="Install or import the package that registers it.",
            )
        cls = registry.components.lookup(name)
        if not issubclass(cls, Enum) or type(member) is not str or member not in cls.__members__:
            _malformed(path, f"has no member {member!r} in {name!r}")
        return cls[member]

    def as_float(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is not str or body not in _FLOATS:
            _malformed(path, f"has the $float {body!r}, which is not nan, inf or -inf")
        return _FLOATS[body]

    def as_int(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is not str or not _INTEGER.fullmatch(body):
            _malformed(path, "has an $int that is not a large integer")
        return int(body)

    def as_model(self, body: Any, path: str, depth: int) -> Any:
        return self.build("model", self.body(body, path, depth), path)

    def as_scalar(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is not dict or body.keys() != {"dtype", "value"}:
            _malformed(path, "has a $scalar without exactly a dtype and a value")
        dtype = self.as_dtype(body["dtype"], path, depth)
        value = self.decode(body["value"], path, depth)
        if type(value) not in (bool, int, float, complex):
            _malformed(path, "has a $scalar that is not a number")
        try:
            with np.errstate(all="ignore"):
                scalar = np.array(value, dtype)[()]
        except (TypeError, ValueError, OverflowError):
            _malformed(path, f"has a $scalar that is not a {dtype}")
        back = scalar.item()
        if type(back) is not type(value) or (back != value and back == back):
            _malformed(path, f"has a $scalar that is not a {dtype}")
        return scalar

    def as_tuple(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is not list:
            _malformed(path, "has a $tuple that is not a list")
        return tuple(self.decode(body, path, depth))

    def as_type(self, body: Any, path: str, depth: int) -> Any:
        if type(body) is str and body in _PYTHON_TYPES:
            return _PYTHON_TYPES[body]
        group, _, name = body.partition(".") if type(body) is str else ("", "", "")
        if group != "numpy" or name not in NATIVE | EXTENDED.keys():
            _malformed(path, f"has the unknown type {body!r}")
        dtype = dtype_from_name(name)
        if dtype.names:
            _malformed(path, f"has the type {name}, which requires the package ml_dtypes")
        return dtype.type


def _has_too_many_keys(keys: Collection[Any]) -> bool:
    return len(keys) > _MAX_PAIRS and not all(type(key) is str for key in keys)


def _dtype_name(dtype: np.dtype[Any], path: str) -> str:
    try:
        return dtype_name(dtype)
    except ParameterError as error:
        raise NotSerializable(
            f"The argument {path} has the dtype {dtype}, which cannot be stored.",
            path=path,
            hint="Pass text as a str or a list of str, and numbers as numbers.",
        ) from error


def _type_name(value: type, path: str) -> str:
    for name, cls in _PYTHON_TYPES.items():
        if cls is value:
            return name
    name = value.__name__.removesuffix("_")
    if name not in NATIVE | EXTENDED.keys() or dtype_from_name(name).type is not value:
        _refuse(
            value,
            path,
            "is a class",
            "Pass a name, or an object of a class that is registered with "
            "@dc_core.register_component('<namespace>/<Name>').",
        )
    return f"numpy.{name}"


def _advice(value: Any) -> str:
    if isinstance(value, PurePath):
        return "A path has no meaning on another machine: pass the content of the file."
    if callable(value) and _is_of_a_framework(value):
        return (
            "Use a class of your own that is registered with "
            "@dc_core.register_component('<namespace>/<Name>'); or publish the object alone, with "
            "dc_hub.publish(obj, name), and load its weights into another one with "
            "dc_hub.load_weights(name, into=other)."
        )
    if callable(value):
        return (
            "Code is never stored: pass a name, or an instance of a class that is registered with "
            "@dc_core.register_component('<namespace>/<Name>')."
        )
    if isinstance(value, set | frozenset):
        return "Pass a sorted list."
    return (
        "Pass numbers, text, lists, tuples, dicts, arrays, models or components; or make its class "
        "a dc_core.Component and register it with @dc_core.register_component."
    )


def _is_of_a_framework(value: Any) -> bool:
    try:
        plugins.backend_of(type(value))
    except PluginError:
        return False
    return True


def _refuse(value: Any, path: str, fault: str, hint: str) -> NoReturn:
    raise NotSerializable(
        f"The argument {path} (of type {type(value).__name__}) {fault}.", path=path, hint=hint
    )


def _malformed(path: str, fault: str) -> NoReturn:
    raise ParamsError(
        f"The argument {path} {fault}.",
        path=path,
        hint="The file was edited, or written by another program.",
    )
