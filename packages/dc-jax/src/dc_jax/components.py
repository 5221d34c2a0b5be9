"""What constructors of modules take for random numbers, by stored name and arguments.

They are a key, ``jax.random.key(0)``, and ``nnx.Rngs(0)`` of Flax. Modules themselves are stored by
the registered names of their classes.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final

import jax
import numpy as np

from dc_core.errors import ParameterError, UnknownClass
from dc_jax.arrays import is_key, key_implementation, key_of

KEY: Final = "jax/Key"
RNGS: Final = "flax/Rngs"
_MAX_KEYS: Final = 1 << 16
_MAX_STREAMS: Final = 64


def describe(obj: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and arguments of a key or of streams of keys, None for all else."""
    if isinstance(obj, jax.Array) and is_key(obj):
        return KEY, _describe_key(obj)
    nnx = sys.modules.get("flax.nnx")
    if nnx is not None and isinstance(obj, nnx.Rngs):
        return RNGS, {"streams": {name: _describe_key(obj[name].key[...]) for name in obj}}
    return None


def build(name: str, params: Mapping[str, Any]) -> Any:
    """Return what :func:`describe` described; streams begin anew.

    Raises :class:`UnknownClass` for any other name, :class:`ParameterError` for arguments that
    cannot be used, and if Flax is not installed.
    """
    if name == KEY:
        return _build_key(params)
    if name != RNGS:
        raise UnknownClass(
            f"dc-jax has no component {name!r}.",
            hint="Register the module's class: @dc_core.register_component('<namespace>/<Name>').",
        )
    streams = params.get("streams")
    if params.keys() != {"streams"} or not isinstance(streams, dict) or len(streams) > _MAX_STREAMS:
        raise ParameterError("Streams of random numbers are made of a key for each name.")
    for stream in streams:
        if not isinstance(stream, str) or not stream.isidentifier() or stream.startswith("_"):
            raise ParameterError(f"No stream of random numbers can have the name {stream!r}.")
    keys = {name: _build_key(key) for name, key in streams.items()}
    return import_module("dc_jax.streams").StoredRngs(**keys)


def _describe_key(key: Any) -> dict[str, Any]:
    return {"data": np.asarray(jax.random.key_data(key)), "generator": key_implementation(key)}


def _build_key(params: Any) -> Any:
    if not isinstance(params, dict) or params.keys() != {"data", "generator"}:
        raise ParameterError("A key of random numbers is made of data and a generator.")
    data, generator = params["data"], params["generator"]
    if not isinstance(data, np.ndarray) or data.dtype != np.uint32 or data.size > _MAX_KEYS:
        raise ParameterError("The data of a key are a small array of uint32.")
    return key_of(data, generator)
