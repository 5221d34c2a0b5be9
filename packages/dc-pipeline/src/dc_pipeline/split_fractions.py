"""The fraction of a dataset that each part of a split gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

from dc_core import Dataset
from dc_core.errors import EmptyDataset, ParameterError


class SplitFractions(NamedTuple):
    """The fractions of train, valid and test; together 1."""

    train: float
    valid: float
    test: float

    @classmethod
    def of(cls, fractions: Sequence[float]) -> Self:
        """Return checked fractions.

        Raises :class:`ParameterError` unless there are three, not negative, that add up to 1.
        """
        try:
            given = np.asarray(fractions, float)
        except (TypeError, ValueError):
            given = np.zeros(0)
        if given.shape != (3,) or not np.all(given >= 0) or not np.isclose(given.sum(), 1):
            raise ParameterError(
                f"The fractions are {fractions!r}.",
                hint="Give those of train, valid and test, which add up to 1: (0.8, 0.1, 0.1).",
            )
        return cls(*map(float, given))

    def cutoffs(self, dataset: Dataset) -> tuple[int, int]:
        """Return the row numbers at which train and valid end.

        Raises :class:`EmptyDataset` for a dataset without rows.
        """
        n = len(dataset)
        if n == 0:
            raise EmptyDataset("There is no row to split.", hint="See the loader's failure report.")
        # 0.7 + 0.2 is a little less than 0.9: without the margin this would cost a whole row.
        return int(self.train * n + 1e-6), int((self.train + self.valid) * n + 1e-6)
