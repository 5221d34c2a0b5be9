"""Metrics of virtual screening: how early a ranking finds the actives."""

from __future__ import annotations

import numpy as np

from dc_pipeline.metrics import checks
from dc_pipeline.metrics.weighted import Ranking, WeightedMetric, divide


class BEDROC(WeightedMetric):
    """Early recognition of the actives, class 1 (Truchon and Bayly 2007, doi:10.1021/ci600426e).

    Actives count by ``exp(-alpha * rank / n)``; ``alpha=20`` gives the first 8 % of the ranks 80 %
    of the score. It is 1 if all actives come first and 0 if they come last. Rows with the same
    score have its mean over all their orders. It is NaN if a class is absent.

    Raises :class:`ParameterError` unless ``alpha`` is above 0.
    """

    greater_is_better = True

    def __init__(self, alpha: float = 20.0) -> None:
        self.alpha = checks.positive("alpha", alpha)

    @property
    def name(self) -> str:
        """The metric's name in results."""
        return "bedroc"

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the score for each row of ``weights``, ``(b,)``."""
        ranking = Ranking(checks.actives(self, y, prediction), descending=True)
        rows, actives = ranking.sums(weights), ranking.sums(weights * (y == 1))
        n, n_actives = rows.sum(axis=1), actives.sum(axis=1)
        ratio = divide(n_actives, n)
        # The sum of exp(-alpha * rank / n) over the ranks of each tie, but for a factor that the
        # enrichment of the actives does not have.
        ends = divide(np.cumsum(rows, axis=1), n[:, None])
        starts = ends - divide(rows, n[:, None])
        spans = np.exp(-self.alpha * starts) - np.exp(-self.alpha * ends)
        share = np.where(rows > 0, divide(actives, rows), 0)
        enrichment = divide((share * spans).sum(axis=1), ratio * -np.expm1(-self.alpha))
        best = divide(-np.expm1(-self.alpha * ratio), ratio * -np.expm1(-self.alpha))
        # exp(alpha) overflows for large alpha, so both sides are divided by it.
        last = np.exp(-self.alpha * (1 - ratio)) - np.exp(-self.alpha)
        worst = divide(last, ratio * -np.expm1(-self.alpha))
        found = divide(enrichment - worst, best - worst)
        undefined = ~((n_actives > 0) & (n_actives < n))
        return np.where(undefined, np.nan, np.clip(found, 0, 1))


class EnrichmentFactor(WeightedMetric):
    """How much more frequent the actives, class 1, are in the best-ranked ``fraction`` of the rows.

    It is 1 for a random ranking, and at most ``1 / fraction``. Rows with the same score at the
    limit count in proportion, and so does a row that the limit divides. It is NaN if a class is
    absent.

    Raises :class:`ParameterError` unless ``fraction`` is above 0 and at most 1.
    """

    greater_is_better = True

    def __init__(self, fraction: float = 0.01) -> None:
        self.fraction = checks.positive("fraction", fraction, 1)

    @property
    def name(self) -> str:
        """The metric's name in results, with the percentage: ``enrichment_factor_1%``."""
        return f"enrichment_factor_{100 * self.fraction:g}%"

    def compute_weighted(
        self, y: np.ndarray, prediction: np.ndarray, weights: np.ndarray
    ) -> np.ndarray:
        """Return the factor for each row of ``weights``, ``(b,)``."""
        ranking = Ranking(checks.actives(self, y, prediction), descending=True)
        rows, actives = ranking.sums(weights), ranking.sums(weights * (y == 1))
        n, n_actives = rows.sum(axis=1), actives.sum(axis=1)
        room = self.fraction * n[:, None] - (np.cumsum(rows, axis=1) - rows)
        inside = np.where(rows > 0, np.clip(divide(room, rows), 0, 1), 0)
        undefined = ~((n_actives > 0) & (n_actives < n))
        found = divide((inside * actives).sum(axis=1), self.fraction * n_actives)
        return np.where(undefined, np.nan, found)
