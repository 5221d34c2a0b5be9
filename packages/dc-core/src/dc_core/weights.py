"""Weights as named arrays: their description, their names, and the one check all of them pass.

"Weights" is everything that prediction depends on: parameters, buffers, fitted attributes, tree
structures, normaliser statistics. A weight's canonical name is ``<model>/<layer>/<i>``: the model's
name, the layer's path in the model, and the number of the weight within its layer. Below the model
(in the hooks, in nested components) names are relative: ``<layer>/<i>``, or ``<i>`` at the root.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from dc_core.dtypes import dtype_name
from dc_core.errors import UnknownWeight, WeightsMismatch
from dc_core.parameters import check_names


@dataclass(frozen=True, slots=True)
class WeightInfo:
    """What is known of a weight without its values.

    ``native`` is the framework's own name (``conv1.weight``); ``aliases`` are the further native
    names of a tied weight, which appears once.
    """

    native: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    aliases: tuple[str, ...] = ()

    def within(self, path: str) -> WeightInfo:
        """Return this description for a composite that holds the weight's owner at ``path``."""
        place = path.strip("/").replace("/", ".")

        def full(native: str) -> str:
            return ".".join(filter(None, (place, native)))

        return replace(self, native=full(self.native), aliases=tuple(map(full, self.aliases)))


def model_name(cls: type) -> str:
    """Return the first part of canonical names for ``cls``: ``MyNet`` → ``my_net``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
    return words.strip("_").lower()


def number_by_layer(natives: Iterable[str], separator: str = ".") -> dict[str, str]:
    """Give each native name its relative canonical name, in the given (stable) order.

    ``["conv1.weight", "conv1.bias", "scale"]`` → ``{"conv1.weight": "conv1/0",
    "conv1.bias": "conv1/1", "scale": "0"}``.
    """
    count: dict[str, int] = {}
    names = {}
    for native in natives:
        *path, _ = native.split(separator)
        layer = "/".join(path)
        i = count.setdefault(layer, 0)
        count[layer] += 1
        names[native] = f"{layer}/{i}" if layer else str(i)
    return names


def check_weights(
    table: Mapping[str, WeightInfo],
    weights: Mapping[str, np.ndarray],
    allow_missing: Collection[str] = (),
) -> None:
    """Raise :class:`WeightsMismatch` unless ``weights`` fits ``table`` in names, shapes and dtypes.

    Nothing is cast. ``allow_missing`` names weights that may be absent and then stay as they are;
    it raises :class:`ParameterError` where it is one text and not a collection of names.
    """
    check_names("allow_missing", allow_missing)
    unexpected = [name for name in weights if name not in table]
    if unexpected:
        raise UnknownWeight(
            f"The model has no weight {_listed(unexpected)}.",
            hint=f"It has {_listed(list(table))}." if table else "It has no weights (yet).",
            unexpected=unexpected,
        )
    missing = [name for name in table if name not in weights and name not in allow_missing]
    if missing:
        raise WeightsMismatch(
            f"Weights are missing: {_listed(missing)}.",
            hint="Give them too, or name them in allow_missing to keep the model's own.",
            missing=missing,
        )
    for name, value in weights.items():
        info = table[name]
        if not isinstance(value, np.ndarray):
            raise WeightsMismatch(
                f"The weight {name!r} was given as {type(value).__name__}, not as a NumPy array.",
                hint=f"Give an array of shape {info.shape} and dtype {dtype_name(info.dtype)}.",
            )
        if value.shape != info.shape:
            raise WeightsMismatch(
                f"The weight {name!r} has shape {info.shape}; {value.shape} was given."
            )
        if value.dtype != info.dtype:
            raise WeightsMismatch(
                f"The weight {name!r} has dtype {dtype_name(info.dtype)}; {value.dtype} was given.",
                hint="Nothing is cast silently: convert it with .astype() if that is meant.",
            )


def _listed(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(map(repr, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
