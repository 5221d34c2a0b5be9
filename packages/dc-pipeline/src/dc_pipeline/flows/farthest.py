"""Farthest-first traversal: rows that are far from others and from each other."""

from __future__ import annotations

from typing import Final

import numpy as np
from rdkit.SimDivFilters import rdSimDivPickers
from sklearn.metrics import pairwise_distances_argmin_min

from dc_core import Dataset, Featurizer
from dc_core.errors import DatasetError
from dc_pipeline.splitters.clusters import bit_vectors
from dc_pipeline.splitters.fingerprints import fingerprints_of, is_table

_BLOCK: Final = 4096
_LIMIT: Final = 2**31 - 1
"""The highest seed of RDKit's, a C int."""


def farthest_first(
    rows: Dataset,
    chosen: Dataset,
    k: int,
    featurizer: Featurizer[str],
    rng: np.random.Generator,
) -> np.ndarray:
    """Return the positions of ``k`` of ``rows``, or fewer if there are fewer, in order.

    Each is the farthest from its nearest among ``chosen`` and those taken before. Without any, the
    first is taken at random. Fingerprints are compared by their Tanimoto similarity, with RDKit's
    MaxMin picker, and other tables of numbers by the Euclidean distance.

    Raises :class:`DatasetError` if features are NaN or infinite, or no row has a fingerprint.
    """
    if k == 0 or len(rows) == 0:
        return np.zeros(0, np.intp)
    if is_table(rows) and not _is_binary(rows):
        return _by_features(rows, chosen, k, rng)
    found = fingerprints_of(rows, featurizer)
    packed, first = found.packed, 0
    if len(chosen):
        known = fingerprints_of(chosen, featurizer).packed
        packed, first = np.concatenate([known, packed]), len(known)
    picks = rdSimDivPickers.MaxMinPicker().LazyBitVectorPick(
        bit_vectors(packed),
        len(packed),
        first + min(k, len(found.rows)),
        firstPicks=list(range(first)),
        seed=int(rng.integers(_LIMIT)),
    )
    taken = np.array(list(picks)[first:], np.intp) - first
    return found.rows[taken]


def _is_binary(rows: Dataset) -> bool:
    """Whether all values of a table are 0 or 1."""
    return all(
        bool(np.isin(np.asarray(batch.X), (0, 1)).all())
        for batch in rows.batches(_BLOCK, parts=("X",))
    )


def _by_features(rows: Dataset, chosen: Dataset, k: int, rng: np.random.Generator) -> np.ndarray:
    """Return the positions by Euclidean distance; X is read by blocks."""
    n = len(rows)
    if len(chosen):
        distance = _to_nearest(rows, _finite(chosen.X))
    else:
        distance = np.zeros(n)
        distance[rng.integers(n)] = 1
    taken: list[int] = []
    for _ in range(min(k, n)):
        at = int(distance.argmax())
        to_this = _to_nearest(rows, _finite(rows.rows(np.array([at]), ("X",)).X))
        distance = np.minimum(distance, to_this) if taken or len(chosen) else to_this
        taken.append(at)
        distance[taken] = -np.inf
    return np.array(taken, np.intp)


def _to_nearest(rows: Dataset, points: np.ndarray) -> np.ndarray:
    """Return the distance of each row to the nearest of the ``points``, ``(n,)``."""
    found = [
        pairwise_distances_argmin_min(_finite(batch.X), points)[1]
        for batch in rows.batches(_BLOCK, parts=("X",))
    ]
    return np.concatenate(found)


def _finite(X: object) -> np.ndarray:
    values = np.asarray(X, np.float64)
    if not np.isfinite(values).all():
        raise DatasetError(
            "Features are NaN or infinite, so rows have no distance.", hint="Impute them."
        )
    return values
