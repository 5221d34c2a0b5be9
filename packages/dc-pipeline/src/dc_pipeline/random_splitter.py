"""Split at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dc_core import Dataset, Splitter, check_count
from dc_pipeline.split_fractions import SplitFractions


class RandomSplitter(Splitter):
    """Divides the rows at random.

    ``fractions`` are those of train, valid and test. Equal seeds give equal splits of datasets of
    equal length.

    Raises :class:`ParameterError` unless the fractions add up to 1 and the seed is an integer of at
    least 0.
    """

    def __init__(self, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> None:
        self.fractions = SplitFractions.of(fractions)
        self.seed = check_count("seed", seed, minimum=0)

    def indices(self, dataset: Dataset) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the row numbers of train, valid and test, each in the dataset's order.

        Raises :class:`EmptyDataset` for a dataset without rows.
        """
        cutoffs = self.fractions.cutoffs(dataset)
        order = np.random.default_rng(self.seed).permutation(len(dataset))
        train, valid, test = (np.sort(part) for part in np.split(order, cutoffs))
        return train, valid, test
