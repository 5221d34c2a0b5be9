"""Split molecules by diversity: MaxMin picks, and parts that are dissimilar from each other."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from rdkit.SimDivFilters import rdSimDivPickers

from dc_core import Dataset, Featurizer, check_count
from dc_pipeline.splitters.clusters import bit_vectors
from dc_pipeline.splitters.division import DividingSplitter
from dc_pipeline.splitters.fingerprints import check_featurizer, check_rows, fingerprints_of
from dc_pipeline.splitters.fractions import SplitFractions, part_sizes


class MaxMinSplitter(DividingSplitter):
    """Tests on the most diverse molecules (MaxMin; Ashton et al. 2002, doi:10.1002/qsar.200290002).

    Molecules are picked one after another, each as dissimilar as possible from those picked before,
    beginning with one at random: first test, then valid; the rest is train. RDKit picks, by
    Tanimoto similarity. Equal seeds give equal splits.

    Fingerprints are the dataset's X if that is a table of 0 and 1, and else those of its SMILES by
    the ``featurizer``, ECFP4 of 2 048 bits by default. A SMILES that does not parse stays in train,
    where it is reported when it is featurized.

    The time grows with rows times picks: the limit is ``max_rows``.

    Raises :class:`ParameterError` unless the fractions add up to 1, the seed is an integer of at
    least 0, and ``max_rows`` one of at least 1.
    """

    def __init__(
        self,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        featurizer: Featurizer[str] | None = None,
        *,
        seed: int = 0,
        max_rows: int = 100_000,
    ) -> None:
        self.fractions = SplitFractions.of(fractions)
        self.featurizer = check_featurizer(featurizer)
        # RDKit's seed is a C int.
        self.seed = check_count("seed", seed, minimum=0, maximum=2**31 - 1)
        self.max_rows = check_count("max_rows", max_rows, minimum=1)

    def divide(self, dataset: Dataset, fractions: Sequence[float]) -> np.ndarray:
        """Return the number of each row's part, ``(n,)`` of int; the last was picked first.

        Raises :class:`DatasetError` for more than ``max_rows`` rows, and if no row has a
        fingerprint.
        """
        sizes = part_sizes(len(dataset), fractions)
        check_rows(len(dataset), self.max_rows, type(self).__name__)
        found = fingerprints_of(dataset, self.featurizer)
        wanted = min(int(sizes[1:].sum()), len(found.rows))
        parts = np.zeros(len(dataset), np.intp)
        if wanted:
            picks = rdSimDivPickers.MaxMinPicker().LazyBitVectorPick(
                bit_vectors(found.packed), len(found.packed), wanted, seed=self.seed
            )
            order = np.repeat(np.arange(len(sizes))[:0:-1], sizes[:0:-1])
            parts[found.rows[np.array(list(picks), np.intp)]] = order[:wanted]
        return parts


class FingerprintSplitter(DividingSplitter):
    """Divides molecules so that the parts are as dissimilar from each other as possible.

    Train begins with the first molecule. Then the part that has less of its size takes the molecule
    that is least similar to everything in the other; a molecule's similarity to a part is that to
    the nearest of it. What is not train is divided again, into valid and test. This is the method
    of DeepChem's ``FingerprintSplitter``.

    Fingerprints are as in :class:`MaxMinSplitter`. A SMILES that does not parse stays in train.

    The time grows with the square of the rows: the limit is ``max_rows``.

    Raises :class:`ParameterError` unless the fractions add up to 1 and ``max_rows`` is an integer
    of at least 1.
    """

    def __init__(
        self,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        featurizer: Featurizer[str] | None = None,
        *,
        max_rows: int = 30_000,
    ) -> None:
        self.fractions = SplitFractions.of(fractions)
        self.featurizer = check_featurizer(featurizer)
        self.max_rows = check_count("max_rows", max_rows, minimum=1)

    def divide(self, dataset: Dataset, fractions: Sequence[float]) -> np.ndarray:
        """Return the number of each row's part, ``(n,)`` of int.

        Raises :class:`DatasetError` for more than ``max_rows`` rows, and if no row has a
        fingerprint.
        """
        sizes = part_sizes(len(dataset), fractions)
        check_rows(len(dataset), self.max_rows, type(self).__name__)
        found = fingerprints_of(dataset, self.featurizer)
        missing = len(dataset) - len(found.rows)
        words = _words(found.packed)
        parts = np.zeros(len(dataset), np.intp)
        rest = np.arange(len(found.rows))
        for part in (0, *range(len(sizes) - 1, 0, -1)):
            # Rows without a fingerprint take room in train.
            size = max(0, int(sizes[part]) - (missing if part == 0 else 0))
            taken, others = _apart(words[:, rest], min(size, len(rest)))
            parts[found.rows[rest[taken]]] = part
            rest = rest[others]
        return parts


def _words(packed: np.ndarray) -> np.ndarray:
    """Return packed fingerprints as ``(words, n)`` of uint64: a column for each row."""
    padded = np.pad(packed, ((0, 0), (0, -packed.shape[1] % 8)))
    return np.ascontiguousarray(padded.view(np.uint64).T)


def _apart(words: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the columns of a part of ``size`` and those of the other, in the order of assignment.

    Together they are the ``n`` columns of ``words``.
    """
    n = words.shape[1]
    sizes = (size, n - size)
    if not all(sizes):
        everything, nothing = np.arange(n), np.arange(0)
        return (everything, nothing) if size else (nothing, everything)
    parts: tuple[list[int], list[int]] = ([], [])
    columns = np.arange(n)
    counts = np.bitwise_count(words).sum(axis=0, dtype=np.int32)
    # Of each column to the nearest one in each part; infinite for those that are in a part.
    similarity = np.zeros((2, n))
    at, part = 0, 0
    for left in range(n - 1, -1, -1):
        parts[part].append(int(columns[at]))
        common = np.bitwise_count(words & words[:, at, None]).sum(axis=0, dtype=np.int32)
        union = np.maximum(counts + counts[at] - common, 1)
        np.maximum(similarity[part], common / union, out=similarity[part])
        similarity[:, at] = np.inf
        if left and 2 * left <= len(columns):
            free = similarity[0] < np.inf
            words, counts, columns = words[:, free], counts[free], columns[free]
            similarity = similarity[:, free]
        part = 0 if len(parts[0]) * sizes[1] <= len(parts[1]) * sizes[0] else 1
        at = int(similarity[1 - part].argmin())
    return np.array(parts[0], np.intp), np.array(parts[1], np.intp)
