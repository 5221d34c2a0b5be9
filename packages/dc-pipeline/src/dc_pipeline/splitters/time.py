"""Split by time, so that a model is tested on rows later than its training data."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from dc_core import Dataset
from dc_core.errors import DatasetError
from dc_pipeline.splitters.division import DividingSplitter
from dc_pipeline.splitters.fractions import SplitFractions, part_ends
from dc_pipeline.splitters.values import check_present, check_values, row_values


class TimeSplitter(DividingSplitter):
    """Divides rows by time: train is the earliest, test the latest.

    ``times`` is an array, list or Series with one number, date or ISO 8601 text per row, or the
    name of a column of X or of a task. Rows of equal time stay together, so the parts do not depend
    on the order of the rows. A cross-validation tests each fold on models of the earlier ones only.

    Raises :class:`ParameterError` for times that cannot be used, and fractions that do not add up
    to 1.
    """

    ordered = True

    def __init__(self, times: Any, fractions: Sequence[float] = (0.8, 0.1, 0.1)) -> None:
        self.times = check_values("times", times)
        self.fractions = SplitFractions.of(fractions)

    def divide(self, dataset: Dataset, fractions: Sequence[float]) -> np.ndarray:
        """Return the number of each row's part, ``(n,)`` of int, later parts for later times.

        Raises :class:`DatasetError` if the times do not fit the dataset, or one is missing.
        """
        ends = part_ends(len(dataset), fractions)
        times = row_values("times", self.times, dataset)
        if times.dtype.kind == "T":
            times = _parsed(times)
        _, moments, counts = np.unique(times, return_inverse=True, return_counts=True)
        # All rows of a moment follow the one in their middle.
        middles = np.cumsum(counts) - (counts + 1) // 2
        return np.asarray(np.searchsorted(ends, middles, side="right")[moments])


def _parsed(times: np.ndarray) -> np.ndarray:
    try:
        return check_present("times", np.array(times.tolist(), "datetime64[us]"))
    except ValueError as error:
        raise DatasetError(
            f"A time is not an ISO 8601 date: {error}.", hint="Write 2020-12-31, or give numbers."
        ) from error
