"""Split so that every part has its share of every class, or of every range of values."""

from __future__ import annotations

from collections.abc import Sequence
from operator import add
from typing import Final

import numpy as np

from dc_core import Dataset, check_count
from dc_core.errors import DatasetError
from dc_pipeline.splitters.division import DividingSplitter
from dc_pipeline.splitters.fractions import SplitFractions, part_ends

_MISSING: Final = -1


class StratifiedSplitter(DividingSplitter):
    """Divides the rows at random, with the labels in proportion in every part.

    A task whose labels are at most ``bins`` different integers has classes; the labels of any other
    are divided into ``bins`` ranges of equally many rows. Missing labels, which are NaN or have
    weight 0, are a class too.

    With one task, no part has a whole row more or less of a class than its fraction of it. With
    several, rows are distributed one by one, those with the rarest labels first, each to the part
    that is furthest behind with its labels, in the manner of iterative stratification (Sechidis et
    al. 2011, doi:10.1007/978-3-642-23808-6_10); the parts are then right to a few rows.

    Equal seeds give equal splits of datasets with equal labels.

    Raises :class:`ParameterError` unless the ``fractions`` of train, valid and test add up to 1,
    ``bins`` is an integer of at least 2, and the seed one of at least 0.
    """

    def __init__(
        self, fractions: Sequence[float] = (0.8, 0.1, 0.1), *, bins: int = 10, seed: int = 0
    ) -> None:
        self.fractions = SplitFractions.of(fractions)
        self.bins = check_count("bins", bins, minimum=2)
        self.seed = check_count("seed", seed, minimum=0)

    def divide(self, dataset: Dataset, fractions: Sequence[float]) -> np.ndarray:
        """Return the number of each row's part, ``(n,)`` of int.

        Raises :class:`DatasetError` for a dataset without labels.
        """
        part_ends(len(dataset), fractions)  # an empty dataset is refused
        if not dataset.tasks:
            raise DatasetError(
                "The dataset has no labels to stratify by.", hint="Use RandomSplitter."
            )
        labels = np.where(dataset.w > 0, dataset.y, np.nan)
        strata = np.stack([_strata(column, self.bins) for column in labels.T], axis=1)
        return _allot(strata, np.asarray(fractions, float), np.random.default_rng(self.seed))


def _strata(labels: np.ndarray, bins: int) -> np.ndarray:
    """Return the number of each label's class or range, ``(n,)`` of int; -1 where it is missing."""
    known = ~np.isnan(labels)
    values, inverse = np.unique(labels[known], return_inverse=True)
    strata = np.full(len(labels), _MISSING, np.intp)
    if len(values) > bins or np.any(values != np.floor(values)):
        edges = np.quantile(labels[known], np.arange(1, bins) / bins)
        inverse = np.searchsorted(edges, labels[known], side="left")
    strata[known] = inverse
    return strata


def _allot(strata: np.ndarray, fractions: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Return the part of each row, ``(n,)``, for ``strata`` of shape ``(n, tasks)``."""
    n, n_parts = len(strata), len(fractions)
    order = rng.permutation(n)
    combinations, members = _combinations(strata[order])
    counts = np.bincount(members)
    # The margin is that of part_ends: a quota of 3 may be a little less than 3.
    quotas = (counts[:, None] * fractions + 1e-6).astype(np.intp)
    if strata.shape[1] > 1:
        # A label is in many combinations, whose rounding would add up.
        quotas[:] = 0

    # The rows of a combination are numbered; the first of them fill its quotas, part by part.
    by_member = np.argsort(members, kind="stable")
    number = np.empty(n, np.intp)
    number[by_member] = np.arange(n) - np.repeat(np.cumsum(counts) - counts, counts)
    parts = (number[:, None] >= np.cumsum(quotas, axis=1)[members]).sum(axis=1)

    left = np.flatnonzero(parts == n_parts)
    state = _Distribution(combinations, counts, quotas, fractions)
    for row in left[np.argsort(state.rarity[members[left]], kind="stable")].tolist():
        parts[row] = state.take(int(members[row]))
    result = np.empty(n, np.intp)
    result[order] = parts
    return result


class _Distribution:
    """How far each part is behind its share of each label, while rows are distributed."""

    def __init__(
        self,
        combinations: np.ndarray,
        counts: np.ndarray,
        quotas: np.ndarray,
        fractions: np.ndarray,
    ) -> None:
        self.fractions = fractions.tolist()
        # A number for each label of each task and, last, for any row: one array holds them all.
        widths = combinations.max(axis=0) + 2
        labels = combinations + 1 + np.cumsum(widths) - widths
        every = np.full((len(labels), 1), widths.sum())
        labelled = np.hstack([labels, every])
        total = np.zeros((int(widths.sum()) + 1, len(fractions)))  # rows
        frequency = np.zeros(len(total))
        behind = quotas.sum(axis=1, keepdims=True) * fractions - quotas
        for column in labelled.T:
            np.add.at(total, column, behind)
            np.add.at(frequency, column, counts)
        self.labels: list[list[int]] = labelled.tolist()
        self.behind: list[list[float]] = total.tolist()
        self.rarity = frequency[labels].min(axis=1)
        self.open: list[list[bool]] = (counts[:, None] * fractions - quotas > 1e-6).tolist()
        """The parts whose share of a combination is not filled: they may have one row more."""
        self.one_task = labels.shape[1] == 1

    def take(self, combination: int) -> int:
        """Return the part that is furthest behind with the labels of this ``combination``."""
        # Lists, because NumPy takes ten times as long for so few numbers.
        behind = [self.behind[label] for label in self.labels[combination]]
        open_ = self.open[combination]
        part = max(
            (p for p, is_open in enumerate(open_) if is_open),
            key=[sum(rows) for rows in zip(*behind, strict=True)].__getitem__,
        )
        if self.one_task:
            open_[part] = False
        for rows in behind:
            rows[:] = map(add, rows, self.fractions)
            rows[part] -= 1
        return part


def _combinations(strata: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the different rows of ``strata``, and the number of the one that each row is."""
    members = np.zeros(len(strata), np.intp)
    # Column by column, because sorting whole rows takes ten times as long.
    for column in strata.T:
        pairs = members * (column.max() + 2) + column - _MISSING
        _, first, members = np.unique(pairs, return_index=True, return_inverse=True)
    return strata[first], members
