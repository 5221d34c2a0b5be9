"""``DividingSplitter``: a splitter that divides rows into any number of parts."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

import numpy as np

from dc_core import Dataset, Splitter
from dc_core.errors import DatasetError
from dc_pipeline.splitters.fractions import SplitFractions, part_sizes


class DividingSplitter(Splitter):
    """A splitter that divides rows into any number of parts; a subclass writes :meth:`divide`.

    Every row is in one part. Valid and test may be empty if there are few rows or groups; train may
    not.
    """

    ordered: ClassVar[bool] = False
    """Whether later parts follow earlier ones in time, so that models may only look back."""

    fractions: SplitFractions

    @abstractmethod
    def divide(self, dataset: Dataset, fractions: Sequence[float]) -> np.ndarray:
        """Return the number of each row's part, ``(n,)`` of int, for parts of these ``fractions``.

        Raises :class:`EmptyDataset` for a dataset without rows.
        """

    def folds(self, dataset: Dataset, k: int) -> np.ndarray:
        """Return the number of each row's fold, ``(n,)`` of int from 0 to ``k - 1``."""
        return self.divide(dataset, [1 / k] * k)

    def indices(self, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row numbers of train, valid and test, each in the dataset's order.

        Raises :class:`EmptyDataset` for a dataset without rows, and :class:`DatasetError` if
        nothing that has to stay together is small enough for train.
        """
        parts = self.divide(dataset, self.fractions)
        train, valid, test = (np.flatnonzero(parts == part) for part in range(3))
        room = int(part_sizes(len(dataset), self.fractions)[0])
        if room and not len(train):
            raise DatasetError(
                f"Each group has more rows than the {room} that train may have.",
                hint="Use RandomSplitter for rows that are so similar.",
            )
        return train, valid, test
