"""Logarithms of values that span orders of magnitude."""

from __future__ import annotations

from typing import Final, Literal

import numpy as np

from dc_core.errors import ParameterError
from dc_pipeline.transformers.elementwise import ElementwiseTransformer, Statistics
from dc_pipeline.transformers.values import Values, is_number

_LOGARITHMS: Final = {None: np.log, 2.0: np.log2, 10.0: np.log10}


class LogTransformer(ElementwiseTransformer):
    """Maps values of y or X to the logarithm of ``value + offset``.

    ``base`` is that of the logarithm, natural by default. For y, predictions are mapped back; a
    prediction that was the mean of logarithms becomes a median. ``column`` is the column of X, if
    that has named columns. Nothing is fitted, but :meth:`fit` checks the values.

    All values must be above ``-offset``. Those of labels of weight 0 become NaN if they are not.

    Raises :class:`ParameterError` for a base that is not above 1, and an offset that is no number.
    """

    def __init__(
        self,
        part: Literal["X", "y"] = "y",
        *,
        base: float | None = None,
        offset: float = 0.0,
        column: str | None = None,
    ) -> None:
        super().__init__(part, column)
        if base is not None and (not is_number(base, 1, 1e100) or base == 1):
            raise ParameterError(
                f"base={base!r} is not the base of a logarithm.",
                hint="Give 2 or 10, or leave it out for the natural logarithm.",
            )
        if not is_number(offset, -1e100, 1e100):
            raise ParameterError(f"offset={offset!r} must be a number, not above 1e100.")
        self.base = None if base is None else float(base)
        self.offset = float(offset)
        self._unit = 1.0 if base is None else float(np.log(base))

    def _learn(self, values: Values) -> None:
        for v, _, known in values:
            outside = known & self._unmapped(v)
            if outside.any():
                raise self._outside(v[outside][0])

    def _unmapped(self, values: np.ndarray) -> np.ndarray:
        return values <= -self.offset

    def _forward(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        if self.offset == 1:
            return np.asarray(np.log1p(values) / self._unit)
        if self.base in _LOGARITHMS:
            return np.asarray(_LOGARITHMS[self.base](values + self.offset))
        return np.asarray(np.log(values + self.offset) / self._unit)

    def _inverse(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        if self.offset == 1:
            return np.asarray(np.expm1(values * self._unit))
        return np.asarray(self._power(values) - self.offset)

    def _deviation(
        self, values: np.ndarray, deviation: np.ndarray, statistics: Statistics
    ) -> np.ndarray:
        return np.asarray(deviation * self._unit * self._power(values))

    def _power(self, values: np.ndarray) -> np.ndarray:
        return np.asarray(np.exp(values) if self.base is None else np.power(self.base, values))
