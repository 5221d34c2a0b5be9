"""The hooks of the backend ``tensorflow``: any ``tf.Module``."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from importlib import metadata
from typing import TYPE_CHECKING, Any

from dc_core import BackendInfo, WeightInfo, hookimpl
from dc_core.errors import NotClaimed
from dc_tensorflow import weights as named
from dc_tensorflow.frameworks import tf

if TYPE_CHECKING:
    import numpy as np


@hookimpl
def dc_backend_info() -> BackendInfo:
    """Return the versions of dc-tensorflow and TensorFlow, and the capabilities."""
    versions = {"dc-tensorflow": metadata.version("dc-tensorflow")}
    return BackendInfo(versions | version_of_tensorflow(), frozenset({"weights"}))


@hookimpl
def dc_describe_weights(obj: Any) -> Mapping[str, WeightInfo]:
    """Describe the variables of a module."""
    return named.describe_weights(_module(obj))


@hookimpl
def dc_export_weights(obj: Any, names: Collection[str] | None) -> Mapping[str, np.ndarray]:
    """Return the variables of a module as arrays."""
    return named.export_weights(_module(obj), names)


@hookimpl
def dc_import_weights(
    obj: Any, weights: Mapping[str, np.ndarray], allow_missing: Collection[str]
) -> Any:
    """Give a module its variables' values and return it."""
    named.import_weights(_module(obj), weights, allow_missing)
    return obj


def version_of_tensorflow() -> dict[str, str]:
    """Return the version of TensorFlow by the name of the distribution that has it."""
    for name in ("tensorflow", "tensorflow-cpu"):
        try:
            return {name: metadata.version(name)}
        except metadata.PackageNotFoundError:
            continue
    return {"tensorflow": tf.__version__}


def _module(obj: Any) -> Any:
    if not isinstance(obj, tf.Module) or isinstance(obj, tf.Variable):
        raise NotClaimed(
            f"dc-tensorflow serves tf.Module, not {type(obj).__name__}.",
            hint="Pass the module that it belongs to.",
        )
    return obj
