"""The rows that a pipeline was trained on, as digests, so that it is not evaluated on them.

A row is its inputs and labels, numbers in float32, since the same data are often stored in either
precision. Replicates, the same input with another measured value, are therefore different rows:
they are legitimate data, and :func:`dc_pipeline.leakage` counts them. If no input is text, the id
is part of the row too, because different samples can have equal features and, as classes, equal
labels. Labels of weight 0 count as missing, and a row without labels is never one that was trained
on.
"""

from __future__ import annotations

import inspect
import logging
from collections.abc import Iterable, Iterator, Mapping
from hashlib import blake2b
from itertools import pairwise
from typing import Any, Final

import numpy as np

from dc_core import Column, Dataset, Estimator, Metric, Ragged
from dc_core.errors import StructureError
from dc_pipeline.errors import LeakageError

logger = logging.getLogger(__name__)

MAX_ROWS: Final = 1_000_000
"""Digests that are kept, 8 MB: of more rows, those with the smallest digests, a random sample."""

_BLOCK: Final = 4096
_BYTES: Final = 8


def row_digests(dataset: Dataset) -> np.ndarray:
    """Return a digest of each row of ``dataset``, ``(n,)`` of uint64, reading it by blocks.

    Digests are the first 64 bits of BLAKE2b (RFC 7693), so that two different rows of a million
    have the same one with a probability of 3e-8. Those of rows without labels are 0.
    """
    digests = np.empty(len(dataset), np.uint64)
    for start in range(0, len(dataset), _BLOCK):
        stop = min(start + _BLOCK, len(dataset))
        batch = dataset.rows(np.arange(start, stop))
        X: Any = batch.X
        # The same columns may come in another order.
        columns = [X[name] for name in sorted(X)] if isinstance(X, Mapping) else [X]
        if not any(column.dtype.kind == "T" for column in columns):
            columns.append(batch.ids)
        labels = np.where(batch.w > 0, batch.y, np.nan)
        rows = zip(*map(_row_bytes, [*columns, labels]), strict=True)
        found = b"".join(blake2b(_joined(row), digest_size=_BYTES).digest() for row in rows)
        digests[start:stop] = np.frombuffer(found, "<u8")
        if dataset.tasks:
            digests[start:stop][np.isnan(labels).all(axis=1)] = 0
    return digests


def kept_digests(digests: np.ndarray, former: np.ndarray | None = None) -> np.ndarray:
    """Return the digests to keep of those of the training rows: ascending, without repeats.

    ``former`` are those kept of earlier training, which continues.

    Raises :class:`StructureError` unless ``former`` is what this function returns.
    """
    if former is not None:
        check_digests(former)
        digests = np.concatenate([former, digests])
    return np.unique(digests[digests > 0])[:MAX_ROWS]


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
    """Raise :class:`StructureError` unless ``kept`` has the form of :func:`kept_digests`."""
    sound = kept.dtype == np.uint64 and kept.ndim == 1 and len(kept) <= MAX_ROWS
    if not sound or not (kept[1:] > kept[:-1]).all():
        raise StructureError(
            f"The digests of the training rows, of dtype {kept.dtype} and shape {kept.shape}, are "
            f"not at most {MAX_ROWS} uint64 in ascending order.",
            hint="The stored pipeline is damaged: publish it again.",
        )


def check_unseen(
    dataset: Dataset, kept: np.ndarray | None, what: str, *, allow_train: bool
) -> None:
    """Raise :class:`LeakageError` if ``what`` was trained on rows of ``dataset``.

    ``kept`` are the digests of its training rows, None if they are not known. If training rows are
    allowed and only some of the rows are such, it is logged.
    """
    if kept is None:
        return
    seen = overlap(row_digests(dataset), kept)
    if 0 < seen < len(dataset) and allow_train:
        logger.warning(
            "The %s is evaluated on %d rows; it was trained on %d of them.",
            what,
            len(dataset),
            seen,
        )
    if seen and not allow_train:
        raise LeakageError(
            f"The {what} was trained on {seen} of these {len(dataset)} rows: their inputs and "
            "labels are the same.",
            hint="Evaluate on other rows; repeated ones can be merged before the split "
            "(merge_duplicates). To score them all the same, give allow_train=True.",
            rows=seen,
        )


def evaluate(
    model: Estimator, dataset: Dataset, metrics: Iterable[Metric], *, allow_train: bool
) -> dict[str, float]:
    """Return the model's scores on ``dataset``; ``allow_train`` is for models that take it.

    Training rows are to be allowed where the rows were chosen to be others: data sets repeat rows.
    """
    takes = "allow_train" in inspect.signature(model.evaluate).parameters
    options: dict[str, Any] = {"allow_train": allow_train} if takes else {}
    return model.evaluate(dataset, metrics, **options)


def _row_bytes(column: Column) -> Iterator[bytes]:
    """Yield the bytes of each row of a column."""
    if isinstance(column, Ragged):
        if column.dtype.kind == "T":
            return (b"".join(map(_lengthened, _row_bytes(row))) for row in column)
        values = _uniform(column.values)
        return (values[a:b].tobytes() for a, b in pairwise(column.offsets.tolist()))
    if column.dtype.kind == "T":
        return map(_encoded, column.tolist())
    return (row.tobytes() for row in _uniform(column))


def _uniform(numbers: np.ndarray) -> np.ndarray:
    """Return real numbers in one dtype and form: float32, with one NaN and one 0."""
    if numbers.dtype.kind not in "biuf":
        return np.ascontiguousarray(numbers)
    with np.errstate(over="ignore"):
        same = numbers.astype("<f4", order="C")
    same[np.isnan(same)] = np.nan
    same += 0.0  # makes -0 a 0
    return same


def _encoded(text: Any) -> bytes:
    return text.encode() if isinstance(text, str) else repr(text).encode()


def _joined(parts: tuple[bytes, ...]) -> bytes:
    """Return the parts as one, so that other parts never give the same."""
    return b"".join(map(_lengthened, parts))


def _lengthened(part: bytes) -> bytes:
    return b"%d:%b" % (len(part), part)
