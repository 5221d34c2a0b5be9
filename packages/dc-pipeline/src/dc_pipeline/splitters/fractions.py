"""The fraction of a dataset that each part of a split gets."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np

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


def part_ends(n: int, fractions: Sequence[float]) -> np.ndarray:
    """Return the row number at which each part ends if ``n`` rows are cut in their order.

    It is ``(parts,)`` of int, and the last is ``n``. Raises :class:`EmptyDataset` if ``n`` is 0.
    """
    if n == 0:
        raise EmptyDataset("There is no row to split.", hint="See the loader's failure report.")
    # 0.7 + 0.2 is a little less than 0.9: without the margin this would cost a whole row.
    ends = (np.cumsum(np.asarray(fractions, float)) * n + 1e-6).astype(np.intp)
    ends[-1] = n
    return ends


def part_sizes(n: int, fractions: Sequence[float]) -> np.ndarray:
    """Return the number of rows of each part, ``(parts,)`` of int; together ``n``."""
    return np.diff(part_ends(n, fractions), prepend=0)
