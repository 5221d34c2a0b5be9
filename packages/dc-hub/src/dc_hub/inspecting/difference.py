"""Compare two stored models: class, arguments, metadata, classes and weights."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dc_core import dtype_name, explained, raw_bits
from dc_hub.format.changes import Change as Change
from dc_hub.format.changes import changes
from dc_hub.format.header import TensorInfo
from dc_hub.format.manifest import CHUNK
from dc_hub.hubs.contract import HubLike
from dc_hub.hubs.reference import ModelName
from dc_hub.loading.opening import Opened, locate, look_into, open_model

_BLOCK: Final = 1 << 18
"""The number of values that are compared at a time."""


@dataclass(frozen=True, slots=True)
class WeightChange:
    """How one weight differs: its name, and its dtype and shape before and after.

    If those are equal, ``differing`` is the number of values, of ``size``, whose bits differ.
    ``largest`` is the largest absolute difference, and the three norms are Euclidean; they are NaN
    if a value is NaN, or of a dtype that NumPy lacks. None of them is known if there is nothing to
    compare, or if the values were not read where they are (``unread``).
    """

    where: str
    before: str | None
    after: str | None
    differing: int | None = None
    size: int | None = None
    largest: float | None = None
    norm_before: float | None = None
    norm_after: float | None = None
    norm_of_difference: float | None = None
    unread: bool = False


@dataclass(frozen=True, slots=True)
class Difference:
    """How two models differ.

    ``record`` are the changes of params.json by place; ``weights`` are by canonical name.
    """

    record: tuple[Change, ...]
    weights: tuple[WeightChange, ...]

    @property
    def identical(self) -> bool:
        """Whether nothing differs."""
        return not self.record and not self.weights


@explained
def diff(
    before: ModelName, after: ModelName, *, hub: HubLike = None, fetch: bool = False
) -> Difference:
    """Compare two stored models, each named as for :func:`from_pretrained`.

    The weights of models in remote hubs are not fetched: those in equal parts of 16 MiB are equal,
    and the others are given as ``unread``. With ``fetch`` the models are fetched first, and all
    values are compared.
    """
    with _opened(before, hub, fetch) as a, _opened(after, hub, fetch) as b:
        return Difference(
            record=tuple(changes("", _summary(a), _summary(b))), weights=tuple(_weights(a, b))
        )


def _opened(name: ModelName, hub: HubLike, fetch: bool) -> Any:
    return open_model(locate(name, hub=hub)) if fetch else look_into(name, hub=hub)


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


def _weights(a: Opened, b: Opened) -> Iterator[WeightChange]:
    ours, theirs = _natives(a), _natives(b)
    local = a.is_local and b.is_local
    for name in sorted(ours.keys() | theirs.keys()):
        before, after = ours.get(name), theirs.get(name)
        shapes = _shape(a, before), _shape(b, after)
        if before is None or after is None or shapes[0] != shapes[1]:
            yield WeightChange(name, *shapes)
        elif local:
            change = _compare(name, shapes, a.weights[before], b.weights[after])
            if change.differing:
                yield change
        elif _parts(a, before) != _parts(b, after):
            yield WeightChange(name, *shapes, unread=True)


def _natives(opened: Opened) -> Mapping[str, str]:
    """Return the name in the file of each weight, and of each array that is none."""
    named = {name: weight.native for name, weight in opened.record.weights.items()}
    known = set(named.values())
    return named | {native: native for native in opened.weights if native not in known}


def _shape(opened: Opened, native: str | None) -> str | None:
    if native is None:
        return None
    info = opened.weights.info(native)
    return f"{dtype_name(info.dtype)} {list(info.shape)}"


def _parts(opened: Opened, native: str) -> tuple[Any, ...]:
    """Return a key that only equal weights share: the offset, and the digests of the chunks."""
    info: TensorInfo = opened.weights.info(native)
    manifest = opened.contents.manifest
    entry = None if manifest is None else manifest.entry(opened.weights.file_of(native))
    if entry is None:  # nothing is known of an unversioned directory
        return (object(),)
    return info.start, *entry.chunks[info.start // CHUNK : math.ceil(info.end / CHUNK)]


def _compare(
    name: str, shapes: tuple[str | None, str | None], before: np.ndarray, after: np.ndarray
) -> WeightChange:
    """Compare two arrays of one shape and dtype, by blocks."""
    differing, largest, squares = 0, 0.0, np.zeros(3)
    for a, b in zip(_blocks(before), _blocks(after), strict=True):
        unequal = int(np.count_nonzero((raw_bits(a) != raw_bits(b)).any(axis=-1)))
        differing += unequal
        x, y = _numbers(a), _numbers(b)
        with np.errstate(all="ignore"):
            apart = np.abs(y - x)
            largest = float(np.maximum(largest, apart.max(initial=0.0)))
            squares += [float(np.sum(np.abs(v) ** 2)) for v in (x, y, apart)]
    x_norm, y_norm, distance = map(float, np.sqrt(squares))
    return WeightChange(name, *shapes, differing, before.size, largest, x_norm, y_norm, distance)


def _blocks(array: np.ndarray) -> Iterator[np.ndarray]:
    flat = array.reshape(-1)
    return (flat[start : start + _BLOCK] for start in range(0, flat.size, _BLOCK))


def _numbers(array: np.ndarray) -> np.ndarray:
    """Return ``array`` in double precision; NaN for dtypes that NumPy cannot convert."""
    if array.dtype.names is not None:
        return np.full(array.shape, np.nan)
    return array.astype(np.complex128 if array.dtype.kind == "c" else np.float64)
