"""Power transformations, which make skewed columns more like normal distributions."""

from __future__ import annotations

from math import prod
from typing import Final, Literal

import numpy as np
from scipy import special, stats

from dc_core import check_count, check_flag
from dc_core.errors import ParameterError
from dc_pipeline.transformers.elementwise import ElementwiseTransformer, Statistics
from dc_pipeline.transformers.normalization import mean_and_scale
from dc_pipeline.transformers.values import SAMPLE, Values, too_large

_METHODS: Final = ("yeo-johnson", "box-cox")


class PowerTransformer(ElementwiseTransformer):
    """Maps y or X by the power function that makes each column most like a normal distribution.

    The method is ``"yeo-johnson"`` for any values (Yeo and Johnson 2000,
    doi:10.1093/biomet/87.4.954), or ``"box-cox"`` for positive ones (Box and Cox 1964,
    doi:10.1111/j.2517-6161.1964.tb00553.x). The numbers are those of scikit-learn's
    ``PowerTransformer``: the exponents ``lambdas`` have the maximum likelihood by SciPy, and with
    ``standardize`` the columns are then normalized by ``mean`` and ``scale``. A column with a
    single value, or with none, has the exponent 1. Yeo–Johnson depends on where 0 is: normalize
    columns first whose values are far from 0 for their spread.

    All three are float64 arrays of the shape of one row. Labels of weight 0 and missing values are
    left out. Of more than ``sample`` rows, the exponents are learned from a random sample of so
    many, chosen by ``seed``, which are in memory together; mean and scale are those of all rows,
    weighted with w for y. ``column`` is the column of X, if that has named columns.

    For y, predictions are mapped back. One beyond all that the function gives, which for some
    exponents has a bound, becomes the limit: 0 or infinite.

    Raises :class:`ParameterError` for another method.
    """

    fitted = ("lambdas", "mean", "scale")
    requires = ("scipy",)

    def __init__(
        self,
        part: Literal["X", "y"] = "y",
        *,
        method: Literal["yeo-johnson", "box-cox"] = "yeo-johnson",
        standardize: bool = True,
        sample: int = SAMPLE,
        seed: int = 0,
        column: str | None = None,
    ) -> None:
        super().__init__(part, column)
        if method not in _METHODS:
            raise ParameterError(
                f"There is no method {method!r}.", hint=f"Give one of {', '.join(_METHODS)}."
            )
        self.method = method
        self.standardize = check_flag("standardize", standardize)
        self.sample = check_count("sample", sample, minimum=1)
        self.seed = check_count("seed", seed, minimum=0)
        self.lambdas: np.ndarray | None = None
        self.mean: np.ndarray | None = None
        self.scale: np.ndarray | None = None

    def _learn(self, values: Values) -> None:
        for v, _, known in values:
            outside = self._unmapped(v)
            if outside is not None and (known & outside).any():
                raise self._outside(v[known & outside][0])
        sample = values.sample(self.sample, self.seed)
        columns = sample.reshape(len(sample), prod(values.shape))
        lambdas = np.array([self._lambda(column) for column in columns.T]).reshape(values.shape)
        if not np.isfinite(lambdas).all():
            raise too_large(values.part)
        mean, scale = np.zeros(values.shape), np.ones(values.shape)
        if self.standardize:
            mean, scale = mean_and_scale(values.through(lambda v: self._raised(v, lambdas)))
        self.lambdas, self.mean, self.scale = lambdas, mean, scale

    def _lambda(self, column: np.ndarray) -> float:
        """Return the exponent of the greatest likelihood."""
        known = column[~np.isnan(column)]
        if known.size < 2 or known.min() == known.max():
            return 1.0
        fit = stats.boxcox if self.method == "box-cox" else stats.yeojohnson
        try:
            with np.errstate(all="ignore"):
                return float(fit(known)[1])
        except ValueError:  # SciPy finds no bounds for such values
            return np.nan

    def _check_statistics(self, statistics: Statistics) -> None:
        _, _, scale = statistics
        if not (all(np.isfinite(array).all() for array in statistics) and (scale > 0).all()):
            raise self._damaged("all must be finite, and scales positive")

    def _unmapped(self, values: np.ndarray) -> np.ndarray | None:
        return values <= 0 if self.method == "box-cox" else None

    def _forward(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        lambdas, mean, scale = statistics
        return np.asarray((self._raised(values, lambdas) - mean) / scale)

    def _raised(self, values: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
        with np.errstate(all="ignore"):
            if self.method == "box-cox":
                return np.asarray(special.boxcox(values, lambdas))
            positive = special.boxcox1p(np.maximum(values, 0), lambdas)
            negative = special.boxcox1p(np.maximum(-values, 0), 2 - lambdas)
            return np.asarray(np.where(values >= 0, positive, -negative))

    def _inverse(self, values: np.ndarray, statistics: Statistics) -> np.ndarray:
        lambdas, mean, scale = statistics
        raised = values * scale + mean
        with np.errstate(all="ignore"):
            if self.method == "box-cox":
                return np.asarray(np.exp(_logarithm(raised, lambdas)))
            positive = np.expm1(_logarithm(np.maximum(raised, 0), lambdas))
            negative = np.expm1(_logarithm(np.maximum(-raised, 0), 2 - lambdas))
            return np.asarray(np.where(raised >= 0, positive, -negative))

    def _deviation(
        self, values: np.ndarray, deviation: np.ndarray, statistics: Statistics
    ) -> np.ndarray:
        lambdas, mean, scale = statistics
        raised = values * scale + mean
        with np.errstate(all="ignore"):
            slope = _slope(raised, lambdas)
            if self.method == "yeo-johnson":
                slope = np.where(raised >= 0, slope, _slope(-raised, 2 - lambdas))
            return np.asarray(deviation * scale * slope)


def _logarithm(raised: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
    """Return the logarithm of x where ``raised`` is (x^λ - 1) / λ, or log(x) for λ = 0.

    It is that of the limit where ``raised`` is beyond all that the function gives.
    """
    exponent = np.where(lambdas == 0, 1.0, lambdas)
    return np.where(lambdas == 0, raised, np.log1p(np.maximum(raised * lambdas, -1)) / exponent)


def _slope(raised: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
    """Return the derivative of x by ``raised``, which is x^(1 - λ)."""
    return np.where(lambdas == 1, 1.0, np.exp((1 - lambdas) * _logarithm(raised, lambdas)))
