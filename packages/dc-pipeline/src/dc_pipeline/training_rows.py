"""The rows that a pipeline was trained on, as digests, so that it is not evaluated on them.

A row is its inputs and labels. Replicates, the same input with another measured value, are
therefore different rows: they are legitimate data, and :func:`dc_pipeline.leakage` counts them. If
no input is text, the id is part of the row too, because different samples can have equal features
and, as classes, equal labels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any, Final

import numpy as np

from dc_core import Column, Dataset, Ragged
from dc_core.errors import StructureError

MAX_ROWS: Final = 1_000_000
"""Digests that are kept, 8 MB: of more rows, those with the smallest digests, a random sample."""

_BLOCK: Final = 4096
_BYTES: Final = 8


def row_digests(dataset: Dataset) -> np.ndarray:
    """Return a digest of each row of ``dataset``, ``(n,)`` of uint64, reading it by blocks.

    Digests are the first 64 bits of BLAKE2b (RFC 7693), so that two different rows of a million
    have the same one with a probability of 3e-8.
    """
    digests = np.empty(len(dataset), np.uint64)
    for start in range(0, len(dataset), _BLOCK):
        stop = min(start + _BLOCK, len(dataset))
        batch = dataset.rows(np.arange(start, stop), ("X", "y", "ids"))
        X: Any = batch.X
        columns = list(X.values()) if isinstance(X, Mapping) else [X]
        if not any(column.dtype.kind == "T" for column in columns):
            columns.append(batch.ids)
        # Adding 0 makes -0 a 0.
        labels = batch.y.astype("<f8") + 0.0
        labels[np.isnan(labels)] = np.nan
        rows = zip(*map(_row_bytes, [*columns, labels]), strict=True)
        found = b"".join(blake2b(_joined(row), digest_size=_BYTES).digest() for row in rows)
        digests[start:stop] = np.frombuffer(found, "<u8")
    return digests


def kept_digests(digests: np.ndarray, former: np.ndarray | None = None) -> np.ndarray:
    """Return the digests to keep of those of the training rows: ascending, without repeats.

    ``former`` are those kept of earlier training, which continues.

    Raises :class:`StructureError` unless ``former`` is what this function returns.
    """
    if former is not None:
        check_digests(former)
        digests = np.concatenate([former, digests])
    return np.unique(digests)[:MAX_ROWS]


def overlap(digests: np.ndarray, kept: np.ndarray) -> int:
    """Return how many of ``digests`` are among ``kept``, those of the training rows.

    If only a sample of the training rows was kept, this is the least that it can be.

    Raises :class:`StructureError` unless ``kept`` is what :func:`kept_digests` returns.
    """
    check_digests(kept)
    if not kept.size:
        return 0
    places = np.searchsorted(kept, digests).clip(max=len(kept) - 1)
    return int((kept[places] == digests).sum())


def check_digests(kept: np.ndarray) -> None:
    """Raise :class:`StructureError` unless ``kept`` is what :func:`kept_digests` returns."""
    sound = kept.dtype == np.uint64 and kept.ndim == 1 and len(kept) <= MAX_ROWS
    if not sound or not (kept[1:] > kept[:-1]).all():
        raise StructureError(
            f"The digests of the training rows, of dtype {kept.dtype} and shape {kept.shape}, are "
            f"not at most {MAX_ROWS} uint64 in ascending order.",
            hint="The stored pipeline is damaged: publish it again.",
        )


def _row_bytes(column: Column) -> Iterator[bytes]:
    """Yield the bytes of each row of a column."""
    if isinstance(column, Ragged):
        return (b"".join(map(_lengthened, _row_bytes(row))) for row in column)
    if column.dtype.kind == "T":
        return map(_encoded, column.tolist())
    rows = np.ascontiguousarray(column)
    return (row.tobytes() for row in rows)


def _encoded(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else repr(text).encode()


def _joined(parts: tuple[bytes, ...]) -> bytes:
    """Return the parts as one, so that other parts never give the same."""
    return b"".join(map(_lengthened, parts))


def _lengthened(part: bytes) -> bytes:
    return b"%d:%b" % (len(part), part)
