"""Digests of datasets: equal rows have equal digests, in every process and on every machine."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from dc_core.columns import Ragged
from dc_core.dataset import Dataset

_BATCH: Final = 4096


def dataset_digest(dataset: Dataset) -> str:
    """Return the SHA-256 of a dataset's rows, tasks and classes, as hexadecimal digits.

    All rows are read, by batches. Where they are makes no difference: in memory or on disk.
    """
    hashes: dict[str, Any] = {}
    for start in range(0, len(dataset), _BATCH):
        rows = np.arange(start, min(start + _BATCH, len(dataset)))
        for name, array in _arrays(dataset.rows(rows)._asdict()):
            found = hashes.setdefault(name, hashlib.sha256())
            found.update(_bytes(array))
    whole = hashlib.sha256(repr((len(dataset), dataset.tasks, dict(dataset.classes))).encode())
    for name in sorted(hashes):
        whole.update(f"{name} {hashes[name].hexdigest()}\n".encode())
    return whole.hexdigest()


def _arrays(columns: Mapping[str, Any]) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the arrays of columns by name; one that is ragged is two of them."""
    for name, column in columns.items():
        if isinstance(column, Mapping):
            yield from _arrays({f"{name}.{key}": value for key, value in column.items()})
        elif isinstance(column, Ragged):
            yield f"{name} lengths", column.lengths
            yield _named(name, column.values)
        else:
            yield _named(name, column)


def _named(name: str, array: np.ndarray) -> tuple[str, np.ndarray]:
    """Return ``array`` in little-endian order, and its name with its dtype and shape."""
    if array.dtype.kind == "T":
        return f"{name} text {array.shape[1:]}", array
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return f"{name} {array.dtype.name} {array.shape[1:]}", little


def _bytes(array: np.ndarray) -> bytes:
    if array.dtype.kind != "T":
        return np.ascontiguousarray(array).tobytes()
    encoded = [text.encode() for text in array.ravel().tolist()]
    lengths = np.array([len(text) for text in encoded], "<i8")
    return b"".join([lengths.tobytes(), *encoded])
