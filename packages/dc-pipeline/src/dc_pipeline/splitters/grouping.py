"""Groups of rows that stay together, and the splitter that puts whole groups into parts."""

from __future__ import annotations

import heapq
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal

import numpy as np

from dc_core import Component, Dataset, check_count
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline.splitters.division import DividingSplitter
from dc_pipeline.splitters.fractions import SplitFractions, part_ends, part_sizes
from dc_pipeline.splitters.values import check_values, row_values

Order = Literal["random", "balanced", "largest"]

_ORDERS: Final = ("random", "balanced", "largest")


class Grouping(Component, ABC):
    """A rule for which rows of a dataset belong together."""

    @abstractmethod
    def groups(self, dataset: Dataset) -> np.ndarray:
        """Return the number of each row's group, ``(n,)`` of int.

        A row that the rule cannot place, such as a SMILES that does not parse, is a group of its
        own.
        """


class Groups(Grouping):
    """Groups that are known: patients, batches, assays, protein families.

    ``labels`` is an array, list or Series of one number, text or date per row, or a name: ``"ids"``
    for the dataset's ids, or that of a column of X or a task. Rows with an empty text are one
    group.

    Raises :class:`ParameterError` for labels that cannot be used.
    """

    def __init__(self, labels: Any) -> None:
        self.labels = check_values("labels", labels)

    def groups(self, dataset: Dataset) -> np.ndarray:
        """Return the number of each row's group, ``(n,)`` of int.

        Raises :class:`DatasetError` if the labels do not fit the dataset, or one is missing.
        """
        return numbered(row_values("labels", self.labels, dataset).tolist())


class GroupSplitter(DividingSplitter):
    """Divides groups of rows; no group is in two parts.

    ``grouping`` is a :class:`Grouping`, such as ``Scaffolds()``, or what :class:`Groups` takes. The
    ``order`` decides which groups go where:

    - ``"random"`` takes the groups in random order, and gives each to the part that lacks the most
      rows;
    - ``"balanced"`` takes the largest first, so that the parts come as near to the ``fractions`` as
      whole groups allow;
    - ``"largest"`` takes the largest first too, and of equal ones the later, but fills train with
      them while it has room, then valid, and leaves the rest to test. Models are then tested on
      rare groups. This is the scaffold split of MoleculeNet (2018, doi:10.1039/C7SC02664A).

    No part is larger than its fraction by more than one group, except for test with ``"largest"``.
    Folds of ``"largest"`` are balanced.

    Raises :class:`ParameterError` for fractions that do not add up to 1, an unknown order, or a
    negative seed.
    """

    def __init__(
        self,
        grouping: Any,
        fractions: Sequence[float] = (0.8, 0.1, 0.1),
        *,
        order: Order = "random",
        seed: int = 0,
    ) -> None:
        self.grouping = as_grouping(grouping)
        self.fractions = SplitFractions.of(fractions)
        if order not in _ORDERS:
            raise ParameterError(f"order={order!r} must be one of {', '.join(_ORDERS)}.")
        self.order = order
        self.seed = check_count("seed", seed, minimum=0)

    def divide(self, dataset: Dataset, fractions: Sequence[float]) -> np.ndarray:
        """Return the number of each row's part, ``(n,)`` of int."""
        return self._divide(dataset, fractions, self.order)

    def folds(self, dataset: Dataset, k: int) -> np.ndarray:
        """Return the number of each row's fold, ``(n,)`` of int from 0 to ``k - 1``."""
        order = "balanced" if self.order == "largest" else self.order
        return self._divide(dataset, [1 / k] * k, order)

    def _divide(self, dataset: Dataset, fractions: Sequence[float], order: Order) -> np.ndarray:
        part_ends(len(dataset), fractions)  # an empty dataset is refused before it is grouped
        groups = row_groups(self.grouping, dataset)
        sizes = np.bincount(groups)
        if order == "random":
            turns = np.random.default_rng(self.seed).permutation(len(sizes))
        else:
            turns = np.lexsort((np.arange(len(sizes)), sizes))[::-1]
        place = _first_with_room if order == "largest" else _neediest
        return np.asarray(place(sizes, turns, fractions)[groups])


def as_grouping(value: Any) -> Grouping:
    """Return a grouping as it is, and anything else as the labels of :class:`Groups`."""
    if isinstance(value, type) and issubclass(value, Grouping):
        raise ParameterError(f"{value.__name__} is a class.", hint=f"Call it: {value.__name__}().")
    return value if isinstance(value, Grouping) else Groups(value)


def row_groups(grouping: Grouping, dataset: Dataset) -> np.ndarray:
    """Return the groups of ``dataset``, numbered from 0 in the order of their first rows.

    Raises :class:`DatasetError` if the grouping does not return one integer per row.
    """
    groups = np.asarray(grouping.groups(dataset))
    if groups.shape != (len(dataset),) or groups.dtype.kind not in "iu":
        raise DatasetError(
            f"{type(grouping).__name__} gave {groups.dtype} of shape {groups.shape}.",
            hint=f"A grouping returns one integer per row: shape {(len(dataset),)}.",
        )
    _, first, inverse = np.unique(groups, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse]


def numbered(labels: Iterable[Any]) -> np.ndarray:
    """Return ``(n,)`` of int: equal labels have equal numbers, from 0 in the order they occur."""
    numbers: dict[Any, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], np.intp)


def _first_with_room(
    sizes: np.ndarray, turns: np.ndarray, fractions: Sequence[float]
) -> np.ndarray:
    """Return each group's part: the first that has room for it, else the last.

    A part that is not filled leaves its room to the next.
    """
    ends = part_ends(int(sizes.sum()), fractions).tolist()
    last = len(ends) - 1
    filled = [0] * len(ends)  # rows in this part and those before it
    parts = np.empty(len(sizes), np.intp)
    for group, size in zip(turns.tolist(), sizes[turns].tolist(), strict=True):
        part = next((p for p in range(last) if filled[p] + size <= ends[p]), last)
        for later in range(part, last + 1):
            filled[later] += size
        parts[group] = part
    return parts


def _neediest(sizes: np.ndarray, turns: np.ndarray, fractions: Sequence[float]) -> np.ndarray:
    """Return each group's part: the one that lacks the most rows, and of equal ones the first."""
    wanted = part_sizes(int(sizes.sum()), fractions)
    heap = [(-rows, part) for part, rows in enumerate(wanted.tolist())]
    heapq.heapify(heap)
    parts = np.empty(len(sizes), np.intp)
    for group, size in zip(turns.tolist(), sizes[turns].tolist(), strict=True):
        lack, part = heap[0]
        heapq.heapreplace(heap, (lack + size, part))
        parts[group] = part
    return parts
