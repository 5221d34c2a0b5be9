"""Normalization: columns shifted to mean 0 and scaled to standard deviation 1."""

from __future__ import annotations

from typing import Literal

import numpy as np

from dc_pipeline.transformers.elementwise import ElementwiseTransformer, Statistics
from dc_pipeline.transformers.values import Values, too_large


class NormalizationTransformer(ElementwiseTransformer):
    """Gives each column of a dataset's ``part`` (``"y"`` or ``"X"``) mean 0 and deviation 1.

    ``mean`` and ``scale`` are float64 arrays of the shape of one row: ``(tasks,)`` for y. Those of
    y are weighted with w; missing values (NaN) are left out and stay missing. A column with a
    single value, or with none, keeps the scale 1. For y, predictions are mapped back. ``column``
    is the column of X, if that has named columns.

    All is computed in float64, by blocks of rows, so that memory does not grow with the number of
    rows. The result keeps the dtype of floating-point values; integers and bools become float32.

    Raises :class:`ParameterError` for any other part.
    """

    fitted = ("mean", "scale")

    def __init__(self, part: Literal["X", "y"] = "y", *, column: str | None = None) -> None:
        super().__init__(part, column)
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    def _learn(self, values: Values) -> None:
        self.mean, self.scale = mean_and_scale(values)

    def _check_statistics(self, statistics: Statistics) -> None:
        mean, scale = statistics
        if not (np.isfinite(mean).all() and np.isfinite(scale).all() and (scale > 0).all()):
            raise self._damaged("means must be finite, and scales finite and positive")

    def _forward(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        mean, scale = statistics
        return (values - mean) / scale

    def _inverse(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        mean, scale = statistics
        return values * scale + mean

    def _deviation(
        self, values: np.ndarray, deviation: np.ndarray, statistics: Statistics
    ) -> np.ndarray:
        return deviation * statistics[1]


def mean_and_scale(values: Values) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean and standard deviation of each column, float64.

    The deviation is the population's, and 1 where it would be 0 (a column of a single value) or
    where there is no value.

    These are two passes by blocks of rows, the second over the differences from the first one's
    mean; the sum of the differences corrects its rounding (Chan, Golub and LeVeque 1983,
    doi:10.1080/00031305.1983.10483115).

    Raises :class:`DatasetError` if they are not finite.
    """
    shape = values.shape
    total, mean, shift, squares = (np.zeros(shape) for _ in range(4))
    lowest, highest = np.full(shape, np.inf), np.full(shape, -np.inf)
    with np.errstate(over="ignore", invalid="ignore"):
        for v, w, known in values:
            total += w.sum(axis=0)
            mean += (w * v).sum(axis=0)
            np.minimum(lowest, v.min(axis=0, where=known, initial=np.inf), out=lowest)
            np.maximum(highest, v.max(axis=0, where=known, initial=-np.inf), out=highest)
        total = np.maximum(total, np.finfo(float).tiny)
        mean /= total
        for v, w, _ in values:
            v -= mean
            w *= v
            shift += w.sum(axis=0)
            w *= v
            squares += w.sum(axis=0)
        shift /= total
        mean += shift
        scale = np.sqrt(np.maximum(squares / total - shift**2, 0.0))
    if not (np.isfinite(mean).all() and np.isfinite(scale).all()):
        raise too_large(values.part)
    # Rounding can give a constant column a tiny deviation that would blow noise up to order 1.
    constant = lowest >= highest
    mean = np.where(constant & np.isfinite(lowest), lowest, mean)
    return mean, np.where(constant | (scale == 0), 1.0, scale)
