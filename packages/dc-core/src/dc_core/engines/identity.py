"""Describe a value as JSON, so that equal descriptions mean equal work."""

from __future__ import annotations

import dataclasses
import functools
import hashlib
import json
import os
from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from types import BuiltinFunctionType, FunctionType
from typing import Any

import numpy as np

from dc_core import plugins, registry
from dc_core.component import Component
from dc_core.errors import NotClaimed, NotSerializable


def digest(value: Any) -> str:
    """Return a SHA-256 of ``value``, the same in every process.

    It may be what a task's attributes may be. Raises :class:`NotSerializable` for anything else.
    """
    text = json.dumps(identity(value), sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def identity(value: Any) -> Any:
    """Return ``value`` as JSON that is the same in every process.

    Components, and objects of frameworks that their backend can make again, are described by their
    names, arguments and weights, arrays by a digest, and what has an ``identity``, such as a
    dataset on disk, by that.
    Raises :class:`NotSerializable` for objects of other kinds.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return {"float": value.hex()}
    if isinstance(value, bytes):
        return {"bytes": hashlib.sha256(value).hexdigest()}
    if isinstance(value, os.PathLike):
        return {"path": os.fspath(value)}
    if isinstance(value, np.ndarray | np.generic):
        return _of_array(np.asarray(value))
    if isinstance(value, np.dtype):
        return {"dtype": value.str}
    if isinstance(value, Mapping):
        return {"mapping": sorted(([identity(k), identity(v)] for k, v in value.items()), key=str)}
    if isinstance(value, AbstractSet):
        return {"set": sorted(map(identity, value), key=str)}
    if isinstance(value, list | tuple):
        return [identity(item) for item in value]
    if isinstance(value, functools.partial):
        return {"partial": identity([value.func, value.args, value.keywords])}
    if (
        isinstance(value, type | FunctionType | BuiltinFunctionType)
        and "<" not in value.__qualname__
    ):
        return {"code": f"{value.__module__}:{value.__qualname__}"}
    if isinstance(value, Component):
        state = [value.get_parameters(), value.export_weights(copy=False)]
        return {"component": [identity(type(value)), identity(state)]}
    if isinstance(getattr(value, "identity", None), str):
        return {"identity": [identity(type(value)), value.identity]}
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
        return {"dataclass": [identity(type(value)), identity(fields)]}
    described = registry.describe(value)
    if described is not None:
        return {"object": [described.name, identity([described.params, _weights(value)])]}
    raise NotSerializable(
        f"A {type(value).__name__} does not say what it is, so a task that holds one cannot be "
        "recognized when it is resumed.",
        hint="Give the task a property `key`, or make the value a dataclass or a component.",
    )


def _weights(value: Any) -> dict[str, np.ndarray]:
    try:
        return plugins.claim(value).export_weights(copy=False)
    except NotClaimed:
        return {}  # a registered class without weights


def _of_array(array: np.ndarray) -> Any:
    if array.dtype.hasobject or array.dtype.kind == "T":
        return {"array": [list(array.shape), identity(array.ravel().tolist())]}
    digest = hashlib.sha256(np.ascontiguousarray(array).view(np.uint8).data).hexdigest()
    return {"array": [list(array.shape), array.dtype.str, digest]}
