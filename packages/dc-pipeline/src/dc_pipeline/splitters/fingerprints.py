"""The fingerprints of a dataset's rows, and their Tanimoto similarities, in bounded memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core import Dataset, FailureReport, Featurizer
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline.featurizers.ecfp import ECFP
from dc_pipeline.splitters.scaffolds import check_molecules
from dc_pipeline.splitters.smiles import smiles_of

_CHUNK: Final = 4096
"""Rows that are unpacked at a time: 32 MiB of float32 for 2 048 bits."""

_BLOCK: Final = 1024


class Fingerprints(NamedTuple):
    """Binary fingerprints, one bit each: ``packed`` is ``(m, bytes)`` of uint8.

    ``rows`` is ``(m,)``: the numbers of the rows that have one.
    """

    packed: np.ndarray
    rows: np.ndarray


def check_featurizer(featurizer: Featurizer[str] | None) -> Featurizer[str]:
    """Return the featurizer, ECFP4 of 2 048 bits if it is None.

    Raises :class:`ParameterError` for anything that is not a featurizer.
    """
    found = ECFP() if featurizer is None else featurizer
    if not isinstance(found, Featurizer):
        raise ParameterError(
            f"featurizer={featurizer!r} is not a featurizer.", hint="Give one, such as ECFP()."
        )
    return found


def check_rows(n: int, maximum: int, method: str) -> None:
    """Raise :class:`DatasetError` if a ``method`` of quadratic cost is asked for too much."""
    if n > maximum:
        raise DatasetError(
            f"{method} compares all pairs of {n} rows; the limit is max_rows={maximum}.",
            hint="Use KMeansClusters or Scaffolds, whose cost grows with the rows, or raise "
            "max_rows: ten times the rows take a hundred times as long.",
        )


def fingerprints_of(dataset: Dataset, featurizer: Featurizer[str]) -> Fingerprints:
    """Return the fingerprints of the rows that have one.

    They are the dataset's X if that is a table of 0 and 1, and else those of the rows' SMILES. The
    rows that have none are logged.

    Raises :class:`DatasetError` if no row has a fingerprint.
    """
    table = table_fingerprints(dataset)
    return smiles_fingerprints(smiles_of(dataset), featurizer) if table is None else table


def is_table(dataset: Dataset) -> bool:
    """Whether the dataset's X is one dense column of numbers, ``(n, features)``."""
    first = dataset.rows(np.arange(min(1, len(dataset))), ("X",)).X
    return isinstance(first, np.ndarray) and first.ndim == 2 and first.dtype.kind in "buif"


def table_fingerprints(dataset: Dataset) -> Fingerprints | None:
    """Return the dataset's X as fingerprints if it is a table of 0 and 1, else None."""
    packed = _packed_table(dataset) if is_table(dataset) else None
    return None if packed is None else Fingerprints(packed, np.arange(len(dataset)))


def smiles_fingerprints(smiles: list[str], featurizer: Featurizer[str]) -> Fingerprints:
    """Return the fingerprints of the SMILES that have one; the others are logged.

    Raises :class:`DatasetError` if none has, or the features are not ``(n, bits)``.
    """
    packed, rows, failures = [], [], []
    for start in range(0, len(smiles), _CHUNK):
        found, report = packed_fingerprints(smiles[start : start + _CHUNK], featurizer)
        packed.append(found.packed)
        rows.append(start + found.rows)
        failures += [replace(f, row=start + f.row) for f in report]
    check_molecules(len(smiles), FailureReport(tuple(failures)))
    return Fingerprints(np.concatenate(packed), np.concatenate(rows))


def packed_fingerprints(
    inputs: Any, featurizer: Featurizer[str]
) -> tuple[Fingerprints, FailureReport]:
    """Return the fingerprints of the ``inputs`` that have one, and a report on the others.

    Raises :class:`DatasetError` if the features are not ``(n, bits)``.
    """
    features = featurizer.featurize(inputs)
    values = features.values
    if not isinstance(values, np.ndarray) or values.ndim != 2:
        raise DatasetError(
            f"{featurizer!r} gives no fingerprints.",
            hint="A fingerprint is one vector per row: use ECFP().",
        )
    packed = np.packbits(values[features.ok] != 0, axis=1)
    return Fingerprints(packed, np.flatnonzero(features.ok)), features.failures


def nearest(queries: np.ndarray, references: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest Tanimoto similarity of each query to any reference, and which it is.

    Both arguments are packed fingerprints, with at least one reference. The results are ``(m,)`` of
    float32 and of int; of equally similar references the first counts.
    """
    best = np.full(len(queries), -1, np.float32)
    which = np.zeros(len(queries), np.intp)
    for start in range(0, len(references), _CHUNK):
        bits = unpacked(references[start : start + _CHUNK])
        for first in range(0, len(queries), _BLOCK):
            block = slice(first, first + _BLOCK)
            similarity = tanimoto(unpacked(queries[block]), bits)
            found = similarity.argmax(axis=1)
            values = np.take_along_axis(similarity, found[:, None], axis=1)[:, 0]
            better = values > best[block]
            which[block] = np.where(better, start + found, which[block])
            best[block] = np.where(better, values, best[block])
    return best, which


def similar_pairs(packed: np.ndarray, similarity: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield, block by block, the pairs of rows that are at least as similar as ``similarity``.

    Each pair comes once, as two arrays of row numbers; no row is paired with itself.
    """
    counts = np.bitwise_count(packed).sum(axis=1, dtype=np.int32)
    order = np.argsort(counts, kind="stable")
    ordered, counts = packed[order], counts[order]
    # The similarity of fingerprints with a ≤ b bits is at most a / b (Swamidass and Baldi 2007,
    # doi:10.1021/ci600358f).
    ends = np.searchsorted(counts, np.floor(counts / similarity + 1e-6), side="right")
    limit = np.float32(similarity)
    for start in range(0, len(ordered), _BLOCK):
        rows = slice(start, start + _BLOCK)
        bits = unpacked(ordered[rows])
        end = int(ends[rows][-1])
        for first in range(start, end, _CHUNK):
            last = min(first + _CHUNK, end)
            values = tanimoto(bits, unpacked(ordered[first:last]))
            one, other = np.nonzero(values >= limit)
            once = one + start < other + first
            yield order[one[once] + start], order[other[once] + first]


def tanimoto(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return the similarities ``(m, n)`` of bits ``(m, size)`` and ``(n, size)``, all float32.

    All counts are integers below 2²⁴, so that only the division rounds. It is 0 without any bit.
    """
    common = a @ b.T
    union = a.sum(axis=1)[:, None] + b.sum(axis=1) - common
    return np.asarray(np.divide(common, np.maximum(union, 1), out=common))


def unpacked(packed: np.ndarray) -> np.ndarray:
    """Return the bits ``(m, size)`` of packed fingerprints, 0 or 1 in float32."""
    return np.unpackbits(packed, axis=1).astype(np.float32)


def _packed_table(dataset: Dataset) -> np.ndarray | None:
    """Return X packed if all its values are 0 or 1, else None."""
    chunks = []
    for start in range(0, len(dataset), _CHUNK):
        rows = np.arange(start, min(start + _CHUNK, len(dataset)))
        values = np.asarray(dataset.rows(rows, ("X",)).X)
        if not np.all((values == 0) | (values == 1)):
            return None
        chunks.append(np.packbits(values != 0, axis=1))
    return np.concatenate(chunks)
