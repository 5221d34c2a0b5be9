"""Split at random."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from dc_core import Dataset, check_count
from dc_pipeline.splitters.division import DividingSplitter
from dc_pipeline.splitters.fractions import SplitFractions, part_sizes


class RandomSplitter(DividingSplitter):
    """Divides the rows at random.

    ``fractions`` are those of train, valid and test. Equal seeds give equal splits of datasets of
    equal length.

    Raises :class:`ParameterError` unless the fractions add up to 1 and the seed is an integer of at
    least 0.
    """

    def __init__(self, fractions: Sequence[float] = (0.8, 0.1, 0.1), seed: int = 0) -> None:
        self.fractions = SplitFractions.of(fractions)
        self.seed = check_count("seed", seed, minimum=0)

    def divide(self, dataset: Dataset, fractions: Sequence[float]) -> np.ndarray:
        """Return the number of each row's part, ``(n,)`` of int."""
        sizes = part_sizes(len(dataset), fractions)
        parts = np.empty(len(dataset), np.intp)
        order = np.random.default_rng(self.seed).permutation(len(dataset))
        parts[order] = np.repeat(np.arange(len(sizes)), sizes)
        return parts
