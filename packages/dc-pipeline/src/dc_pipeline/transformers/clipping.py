"""Clipping: values beyond limits are set to the limits."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from dc_core import check_count
from dc_core.errors import ParameterError
from dc_pipeline.transformers.elementwise import ElementwiseTransformer, Statistics
from dc_pipeline.transformers.values import SAMPLE, Values, column_quantiles, is_number


class ClippingTransformer(ElementwiseTransformer):
    """Sets values of y or X that lie beyond limits to the limits, so that outliers weigh less.

    Give the ``limits``, ``(low, high)`` in the values' own units, of which one may be None; or the
    ``quantiles``, such as ``(0.01, 0.99)``, from which each column's limits are learned. ``low``
    and ``high`` are float64 arrays of the shape of one row. Quantiles are those of the training
    data without labels of weight 0 and missing values, or of a random sample of ``sample`` rows,
    chosen by ``seed``, if there are more. Infinite values can be clipped to limits that are given.
    ``column`` is the column of X, if that has named columns.

    A clipped label cannot be told from one at the limit, so there is nothing to undo: predictions
    and their deviations are in the labels' own units already, and are returned as they are.

    Raises :class:`ParameterError` unless either limits or quantiles are given, in ascending order.
    """

    fitted = ("low", "high")

    def __init__(
        self,
        part: Literal["X", "y"] = "y",
        *,
        limits: tuple[float | None, float | None] | None = None,
        quantiles: tuple[float, float] | None = None,
        sample: int = SAMPLE,
        seed: int = 0,
        column: str | None = None,
    ) -> None:
        super().__init__(part, column)
        if (limits is None) == (quantiles is None):
            raise ParameterError(
                "ClippingTransformer takes either limits or quantiles.",
                hint="For example limits=(-10, None), or quantiles=(0.01, 0.99).",
            )
        self.limits = None if limits is None else _ascending("limits", limits, -np.inf, np.inf)
        self.quantiles = None if quantiles is None else _ascending("quantiles", quantiles, 0.0, 1.0)
        self.sample = check_count("sample", sample, minimum=1)
        self.seed = check_count("seed", seed, minimum=0)
        self.low: np.ndarray | None = None
        self.high: np.ndarray | None = None

    def _learn(self, values: Values) -> None:
        if self.limits is not None:
            low, high = (np.full(values.shape, limit) for limit in self.limits)
        else:
            sample = values.sample(self.sample, self.seed)
            low, high = column_quantiles(sample, np.array(self.quantiles))
        self.low = np.where(np.isnan(low), -np.inf, low)
        self.high = np.where(np.isnan(high), np.inf, high)

    def _check_statistics(self, statistics: Statistics) -> None:
        low, high = statistics
        if not (low <= high).all():
            raise self._damaged("each low limit must be at most the high one")

    def _forward(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        return np.clip(values, *statistics)

    def _inverse(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        return values

    def _deviation(
        self, values: np.ndarray, deviation: np.ndarray, statistics: Statistics
    ) -> np.ndarray:
        return deviation


def _ascending(name: str, given: Any, lowest: float, highest: float) -> tuple[float, float]:
    """Return the two numbers ``given``; None is the end of the range if that is infinite."""
    if isinstance(given, list | tuple) and len(given) == 2:
        ends: tuple[Any, Any] = (lowest, highest) if np.isinf(highest) else (None, None)
        low, high = (end if v is None else v for v, end in zip(given, ends, strict=True))
        if is_number(low, lowest, highest) and is_number(high, lowest, highest) and low < high:
            return float(low), float(high)
    within = "." if np.isinf(highest) else f" from {lowest:g} to {highest:g}."
    raise ParameterError(
        f"{name}={given!r} must be two numbers in ascending order{within}",
        hint=f"Give a pair: {name}=(low, high).",
    )
