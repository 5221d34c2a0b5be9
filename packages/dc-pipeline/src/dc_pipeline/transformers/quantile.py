"""Quantile transformation: each column to a uniform or normal distribution."""

from __future__ import annotations

from collections.abc import Callable
from math import prod
from typing import Final, Literal

import numpy as np
from scipy import special

from dc_core import check_count
from dc_core.errors import ParameterError
from dc_pipeline.transformers.elementwise import ElementwiseTransformer, Statistics
from dc_pipeline.transformers.values import SAMPLE, Values, column_quantiles

_DISTRIBUTIONS: Final = ("normal", "uniform")

_TAIL: Final = 1e-7
"""The probability that the ends of the training range have, so that normal values are finite."""


class QuantileTransformer(ElementwiseTransformer):
    """Maps y or X by the quantiles of each column to a normal or uniform ``distribution``.

    Only the order of values counts, so outliers weigh no more than others. The numbers are those
    of scikit-learn's ``QuantileTransformer``, except within 1e-7 of the ends of the range, which
    have the probabilities 1e-7 and 1 - 1e-7, or 0 and 1 if uniform; so have all values beyond them.

    ``quantiles`` is how many are learned, at most one for each value. ``references`` is a float64
    array of them in ascending order, ``(quantiles, ...)`` of the shape of one row. Labels of weight
    0 and missing values are left out; other weights do not count. Of more than ``sample`` rows,
    quantiles are those of a random sample of so many, chosen by ``seed``, which are in memory
    together: the probability of a quantile p has the standard error ``sqrt(p (1 - p) / sample)``.
    ``column`` is the column of X, if that has named columns.

    For y, predictions are mapped back by linear interpolation, never beyond the range of the
    training data. A standard deviation becomes half the width of what the range of one deviation
    to either side is mapped back to, because the slope between two quantiles is mostly chance.

    Raises :class:`ParameterError` for another distribution.
    """

    fitted = ("references",)
    requires = ("scipy",)
    _block = 1 << 21  # each column of a block costs two calls, however few its rows are

    def __init__(
        self,
        part: Literal["X", "y"] = "y",
        *,
        quantiles: int = 1000,
        distribution: Literal["normal", "uniform"] = "normal",
        sample: int = SAMPLE,
        seed: int = 0,
        column: str | None = None,
    ) -> None:
        super().__init__(part, column)
        if distribution not in _DISTRIBUTIONS:
            raise ParameterError(
                f"There is no distribution {distribution!r}.",
                hint=f"Give one of {', '.join(_DISTRIBUTIONS)}.",
            )
        self.quantiles = check_count("quantiles", quantiles, minimum=2)
        self.distribution = distribution
        self.sample = check_count("sample", sample, minimum=1)
        self.seed = check_count("seed", seed, minimum=0)
        self.references: np.ndarray | None = None

    def _learn(self, values: Values) -> None:
        sample = values.sample(self.sample, self.seed)
        known = int((~np.isnan(sample)).sum(axis=0).max())
        levels = np.linspace(0, 1, max(1, min(self.quantiles, known)))
        found = np.nan_to_num(column_quantiles(sample, levels))  # 0 for a column without values
        # Rounding in the interpolation can break the order of equal values.
        self.references = np.maximum.accumulate(found, axis=0)

    def _row_shape(self, statistics: Statistics) -> tuple[int, ...]:
        return statistics[0].shape[1:]

    def _check_statistics(self, statistics: Statistics) -> None:
        (references,) = statistics
        if references.ndim == 0 or not 1 <= len(references) <= self.quantiles:
            raise self._damaged(
                f"references of shape {references.shape} are not 1 to {self.quantiles} rows"
            )
        if not (np.isfinite(references).all() and (references[1:] >= references[:-1]).all()):
            raise self._damaged("references must be finite and in ascending order")

    def _forward(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        return _by_column(self._forward_column, values, statistics[0])

    def _inverse(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        return _by_column(self._inverse_column, values, statistics[0])

    def _deviation(
        self, values: np.ndarray, deviation: np.ndarray, statistics: Statistics
    ) -> np.ndarray:
        upper = self._inverse(values + deviation, statistics)
        return np.asarray((upper - self._inverse(values - deviation, statistics)) / 2)

    def _forward_column(self, values: np.ndarray, references: np.ndarray) -> np.ndarray:
        levels = np.linspace(0, 1, len(references))
        # The mean of both directions puts repeated values in the middle of their quantiles.
        rising = np.interp(values, references, levels)
        falling = np.interp(-values, -references[::-1], -levels[::-1])
        probability: np.ndarray = (rising - falling) / 2
        probability[values >= references[-1]] = 1.0
        probability[values <= references[0]] = 0.0
        if self.distribution == "normal":
            probability = special.ndtri(np.clip(probability, _TAIL, 1 - _TAIL))
        return probability

    def _inverse_column(self, values: np.ndarray, references: np.ndarray) -> np.ndarray:
        levels = np.linspace(0, 1, len(references))
        probability = values
        if self.distribution == "normal":
            probability = special.ndtr(values)
            probability[probability <= _TAIL] = 0.0
            probability[probability >= 1 - _TAIL] = 1.0
        return np.asarray(np.interp(probability, levels, references))


def _by_column(
    function: Callable[[np.ndarray, np.ndarray], np.ndarray],
    values: np.ndarray,
    references: np.ndarray,
) -> np.ndarray:
    """Return ``function`` of each column of ``values`` and its references."""
    width = prod(values.shape[1:])
    columns = values.astype(np.float64, copy=False).reshape(len(values), width)
    of_columns = references.reshape(len(references), width)
    mapped = np.empty(columns.shape)
    for i in range(width):
        mapped[:, i] = function(columns[:, i], of_columns[:, i])
    mapped[np.isnan(columns)] = np.nan  # a single reference would be interpolated to itself
    return mapped.reshape(values.shape)
