"""Compare two stored models: class, arguments, metadata, classes and weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from dc_core import explained, raw_bits
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.reference import ModelName
from dc_hub.loading.opening import Opened, locate, open_model


@dataclass(frozen=True, slots=True)
class Change:
    """One difference: its place, and the value before and after (None if there is none)."""

    where: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Difference:
    """How two models differ.

    ``record`` are the changes of params.json by place; ``weights`` are by canonical name.
    """

    record: tuple[Change, ...]
    weights: tuple[Change, ...]

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return not self.record and not self.weights


@explained
def diff(
    before: ModelName,
    after: ModelName,
    *,
    hub: HubLike = None,
) -> Difference:
    """Compare two stored models, each named as for :func:`from_pretrained`.

    For weights that differ only in their values, the :class:`Change` describes by how much.
    """
    with open_model(locate(before, hub=hub)) as a, open_model(locate(after, hub=hub)) as b:
        return Difference(
            record=tuple(_changes("", _summary(a), _summary(b))), weights=tuple(_weights(a, b))
        )


def _summary(opened: Opened) -> dict[str, Any]:
    record = opened.record
    return {
        "class": record.cls,
        "class_version": record.class_version,
        "backend": record.backend,
        "params": dict(record.params),
        "metadata": dict(record.metadata),
        "classes": {task: list(names) for task, names in record.classes.items()},
    }


def _changes(where: str, before: Any, after: Any) -> Iterable[Change]:
    """Walk two JSON values side by side and yield the smallest parts that differ."""
    if isinstance(before, dict) and isinstance(after, dict):
        for key in sorted(before.keys() | after.keys()):
            place = f"{where}.{key}" if where else key
            yield from _changes(place, before.get(key), after.get(key))
    elif before != after:
        yield Change(where, before, after)


def _weights(a: Opened, b: Opened) -> Iterable[Change]:
    ours, theirs = _arrays(a), _arrays(b)
    for name in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get(name), theirs.get(name)
        if before is None or after is None or _shape(before) != _shape(after):
            yield Change(name, _shape(before), _shape(after))
        elif before.tobytes() != after.tobytes():
            yield Change(name, _shape(before), f"{_shape(after)}, {_distance(before, after)}")


def _arrays(opened: Opened) -> Mapping[str, np.ndarray]:
    arrays = {name: opened.weights[w.native] for name, w in opened.record.weights.items()}
    known = {weight.native for weight in opened.record.weights.values()}
    return arrays | {name: opened.weights[name] for name in opened.weights if name not in known}


def _shape(array: np.ndarray | None) -> str | None:
    return None if array is None else f"{array.dtype.name} {list(array.shape)}"


def _distance(before: np.ndarray, after: np.ndarray) -> str:
    differing = int(np.count_nonzero((raw_bits(before) != raw_bits(after)).any(axis=-1)))
    text = f"{differing} of {before.size} values differ"
    if before.dtype.kind in "iufc":
        with np.errstate(invalid="ignore", over="ignore"):
            distance = np.abs(after.astype(np.complex128) - before.astype(np.complex128))
        text += f", by up to {distance.max():.3g}"
    return text
