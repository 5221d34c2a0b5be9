"""Predict for the parts of a split, and score the predictions."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from dc_core import Dataset, Estimator, FailureReport, Metric
from dc_core.errors import Unsupported
from dc_pipeline.metrics.classification import MCC, ROCAUC, AveragePrecision, BalancedAccuracy
from dc_pipeline.metrics.intervals import Interval, score_intervals
from dc_pipeline.metrics.regression import MAE, R2, RMSE, SpearmanR
from dc_pipeline.metrics.uncertainty import RegressionCalibrationError
from dc_pipeline.reporting.tables import Table

_BCA: Final = 5000
"""Up to how many rows intervals are BCa: it scores once without each row."""

_WORK: Final = 20_000_000
"""How many rows all resamples have together, at most; there are always 200 resamples."""


@dataclass(frozen=True, slots=True)
class Predicted:
    """A part of a split with its predictions; ``std`` is None if the model predicts none.

    ``dataset``, ``prediction`` and ``std`` are of the rows that could be predicted, ``failures`` of
    the others.
    """

    dataset: Dataset
    prediction: np.ndarray
    std: np.ndarray | None
    failures: FailureReport

    @property
    def is_classification(self) -> bool:
        """Whether the predictions are probabilities of classes."""
        return self.prediction.ndim == 3

    @property
    def known(self) -> np.ndarray:
        """Where there is a label, ``(n, tasks)``."""
        return np.asarray((self.dataset.w > 0) & ~np.isnan(self.dataset.y))

    @property
    def errors(self) -> np.ndarray:
        """The errors, ``(n, tasks)``: see :func:`errors_of`."""
        return errors_of(self.dataset, self.prediction)


def errors_of(dataset: Dataset, prediction: np.ndarray) -> np.ndarray:
    """Return the error of each label, ``(n, tasks)``, NaN where there is no label.

    For predicted numbers, ``(n, tasks)``, it is the prediction minus the label; for probabilities,
    ``(n, tasks, classes)``, how much that of the true class is short of 1.
    """
    y = np.where(dataset.w > 0, dataset.y, np.nan)
    if prediction.ndim == 2:
        return np.asarray(prediction - y)
    true = np.nan_to_num(y).astype(np.intp)[:, :, None]
    found = 1 - np.take_along_axis(prediction, true, axis=2)[:, :, 0]
    return np.where(np.isnan(y), np.nan, found)


def predicts_distributions(model: Estimator, dataset: Dataset) -> bool:
    """Whether the model predicts deviations, by asking for those of the first row."""
    try:
        model.predict_distribution(dataset.select(np.arange(1)))
    except Unsupported:
        return False
    return True


def predict_part(model: Estimator, dataset: Dataset, *, distributions: bool) -> Predicted:
    """Return the predictions for ``dataset``, if there are ``distributions`` with deviations."""
    std = None
    if distributions:
        prediction, std = model.predict_distribution(dataset)
    else:
        prediction = model.predict(dataset)
    found = getattr(model, "failures", None)
    failures = found if isinstance(found, FailureReport) else FailureReport()
    ok = np.ones(len(dataset), bool)
    ok[[failure.row for failure in failures]] = False
    if not ok.all():
        dataset, prediction = dataset.select(ok), prediction[ok]
        std = None if std is None else std[ok]
    return Predicted(dataset, np.asarray(prediction), std, failures)


def default_metrics(part: Predicted) -> list[Metric]:
    """Return the metrics that suit the predictions."""
    if part.is_classification:
        return [ROCAUC(), AveragePrecision(), BalancedAccuracy(), MCC()]
    always: list[Metric] = [RMSE(), MAE(), R2(), SpearmanR()]
    return always if part.std is None else [*always, RegressionCalibrationError()]


def score_part(metrics: Iterable[Metric], part: Predicted, *, seed: int) -> dict[str, Interval]:
    """Return the part's scores with 95 % bootstrap confidence intervals; none without a label.

    Intervals are BCa up to 5 000 rows and percentiles above, of 2 000 resamples, and fewer for many
    rows.
    """
    n = len(part.dataset)
    if n == 0 or not part.known.any():
        return {}
    scores: dict[str, Interval] = {}
    for metric in metrics:
        prediction = part.prediction
        if metric.needs_distribution:
            if part.std is None:
                raise Unsupported(
                    f"{metric.name} scores distributions, and the model predicts none.",
                    hint="Leave the metric out, or use a model that does, such as an ensemble.",
                )
            prediction = np.stack([prediction, part.std], axis=-1)
        scores |= score_intervals(
            [metric],
            part.dataset,
            prediction,
            method="bca" if n <= _BCA else "percentile",
            resamples=int(np.clip(_WORK // n, 200, 2000)),
            seed=seed,
        )
    return scores


def score_table(scores: dict[str, dict[str, Interval]], tasks: Sequence[str]) -> Table:
    """Return the scores of each part, by the part's name, as a table of metrics."""
    names = list(dict.fromkeys(name for found in scores.values() for name in found))
    several = len(tasks) > 1
    rows = []
    for name in names:
        metric, _, task = name.partition("/")
        first = [metric, task or "mean"] if several else [metric]
        rows.append([*first, *(found.get(name) for found in scores.values())])
    header = ["metric", *(["task"] if several else []), *scores]
    return Table("Each score with its 95 % bootstrap confidence interval", header, rows)
