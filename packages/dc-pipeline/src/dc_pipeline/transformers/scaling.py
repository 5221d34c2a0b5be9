"""Min–max scaling: columns scaled to a range."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from dc_core.errors import ParameterError
from dc_pipeline.transformers.elementwise import ElementwiseTransformer, Statistics
from dc_pipeline.transformers.values import Values, is_number, too_large

_MAX: Final = 1e100


class MinMaxTransformer(ElementwiseTransformer):
    """Scales each column of y or X from its range in training to the range ``low`` to ``high``.

    ``minimum`` and ``maximum`` are float64 arrays of the shape of one row. Labels of weight 0 and
    missing values are left out; other values may lie beyond the range. A column with a single
    value becomes ``low``, as in scikit-learn's ``MinMaxScaler``; one without any counts as 0. For
    y, predictions are mapped back. ``column`` is the column of X, if that has named columns.

    Raises :class:`ParameterError` unless ``low`` is below ``high``, and both from -1e100 to 1e100.
    """

    fitted = ("minimum", "maximum")

    def __init__(
        self,
        part: Literal["X", "y"] = "y",
        *,
        low: float = 0.0,
        high: float = 1.0,
        column: str | None = None,
    ) -> None:
        super().__init__(part, column)
        if not (is_number(low, -_MAX, _MAX) and is_number(high, -_MAX, _MAX) and low < high):
            raise ParameterError(
                f"low={low!r} and high={high!r} are not a range.", hint="Give low below high."
            )
        self.low, self.high = float(low), float(high)
        self.minimum: np.ndarray | None = None
        self.maximum: np.ndarray | None = None

    def _learn(self, values: Values) -> None:
        lowest, highest = np.full(values.shape, np.inf), np.full(values.shape, -np.inf)
        for v, _, known in values:
            np.minimum(lowest, v.min(axis=0, where=known, initial=np.inf), out=lowest)
            np.maximum(highest, v.max(axis=0, where=known, initial=-np.inf), out=highest)
        found = lowest <= highest
        lowest, highest = np.where(found, lowest, 0.0), np.where(found, highest, 0.0)
        with np.errstate(over="ignore"):
            if not np.isfinite(highest - lowest).all():
                raise too_large(values.part)
        self.minimum, self.maximum = lowest, highest

    def _check_statistics(self, statistics: Statistics) -> None:
        minimum, maximum = statistics
        with np.errstate(over="ignore", invalid="ignore"):
            if not (np.isfinite(maximum - minimum).all() and (minimum <= maximum).all()):
                raise self._damaged("each minimum must be at most its maximum, and both finite")

    def _forward(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        parts = (values - statistics[0]) / _span(statistics)
        return np.asarray(parts * (self.high - self.low) + self.low)

    def _inverse(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        parts = (values - self.low) / (self.high - self.low)
        return np.asarray(parts * _span(statistics) + statistics[0])

    def _deviation(
        self, values: np.ndarray, deviation: np.ndarray, statistics: Statistics
    ) -> np.ndarray:
        return np.asarray(deviation / (self.high - self.low) * _span(statistics))


def _span(statistics: Statistics) -> np.ndarray:
    """Return the range of each column, 1 where it is 0."""
    span = statistics[1] - statistics[0]
    return np.where(span == 0, 1.0, span)
