"""Weights as named arrays: their descriptions, their names, and the check that all of them pass.

"Weights" is everything that predictions depend on: parameters, buffers, fitted attributes, tree
structures, normalization statistics. A weight's canonical name is ``<model>/<layer>/<i>``: the
model's name, the layer's path in the model, and the number of the weight within its layer. Hooks
and nested components use relative names: ``<layer>/<i>``, or ``<i>`` at the root.
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
    """The description of a weight: everything but its values.

    ``native`` is the framework's own name (``conv1.weight``). A tied weight is described once;
    ``aliases`` are its further native names. With ``any_form`` another shape and dtype may be given
    for it: it is state whose size is part of the state.
    """

    native: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    aliases: tuple[str, ...] = ()
    any_form: bool = False

    def within(self, path: str) -> WeightInfo:
        """Return the description for a composite that has the weight's owner at ``path``."""
        place = path.strip("/").replace("/", ".")
        if not place:
            return self

        def full(native: str) -> str:
            return ".".join(filter(None, (place, native)))

        return replace(self, native=full(self.native), aliases=tuple(map(full, self.aliases)))


def model_name(cls: type) -> str:
    """Return the first part of the canonical names for ``cls``: ``MyNet`` → ``my_net``."""
    words = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", cls.__name__)
    return words.strip("_").lower()


def number_by_layer(natives: Iterable[str], separator: str = ".") -> dict[str, str]:
    """Map native names, given in a stable order, to relative canonical names.

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
    """Raise :class:`WeightsMismatch` unless names, shapes and dtypes agree with ``table``.

    Nothing is cast. Weights named in ``allow_missing`` may be absent; they keep their values.
    Raises :class:`ParameterError` if ``allow_missing`` is a str instead of a collection of names.
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
            hint="Give them too, or name them in allow_missing to keep the model's values.",
            missing=missing,
        )
    for name, value in weights.items():
        info = table[name]
        if not isinstance(value, np.ndarray):
            raise WeightsMismatch(
                f"The weight {name!r} must be a NumPy array; a {type(value).__name__} was given.",
                hint=f"Give an array of shape {info.shape} and dtype {dtype_name(info.dtype)}.",
            )
        if info.any_form:
            continue
        if value.shape != info.shape:
            raise WeightsMismatch(
                f"The weight {name!r} has shape {info.shape}; {value.shape} was given."
            )
        if value.dtype != info.dtype:
            raise WeightsMismatch(
                f"The weight {name!r} has dtype {dtype_name(info.dtype)}; {value.dtype} was given.",
                hint="Weights are never cast: convert it with .astype() if that is intended.",
            )


def _listed(names: list[str], limit: int = 5) -> str:
    shown = ", ".join(map(repr, names[:limit]))
    return shown if len(names) <= limit else f"{shown} and {len(names) - limit} more"
