"""``Metric``: a figure of merit, computed task by task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import ClassVar

import numpy as np

from dc_core.component import Component
from dc_core.errors import DatasetError, ParameterError
from dc_core.weights import model_name


class Metric(Component, ABC):
    """A figure of merit; a subclass writes :meth:`compute` for one task."""

    greater_is_better: ClassVar[bool]

    @property
    def name(self) -> str:
        """The metric's name in results: the class's name in snake case unless overridden."""
        return model_name(type(self))

    @abstractmethod
    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the metric for one task.

        ``y`` is ``(n,)``, ``prediction`` is ``(n,)`` or ``(n, classes)``, ``w`` is ``(n,)`` and
        positive: rows of weight 0 were left out. NaN says that it is undefined for these rows.
        """

    def score(
        self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray, tasks: Sequence[str]
    ) -> dict[str, float]:
        """Return ``{name: mean over tasks}``, and ``name/<task>`` for each of several tasks.

        ``y`` and ``w`` are ``(n, tasks)``, ``prediction`` is ``(n, tasks[, classes])``. Labels that
        are NaN or have weight 0 are left out, and tasks for which the metric is undefined are left
        out of the mean.

        Raises :class:`DatasetError` where shapes differ.
        """
        if prediction.shape[:2] != y.shape or w.shape != y.shape:
            raise DatasetError(
                f"{self.name} needs predictions and weights for labels of shape {y.shape}; "
                f"it got {prediction.shape} and {w.shape}."
            )
        values = {}
        for t, task in enumerate(tasks):
            rows = (w[:, t] > 0) & ~np.isnan(y[:, t])
            values[task] = (
                float(self.compute(y[rows, t], prediction[rows, t], w[rows, t]))
                if rows.any()
                else float("nan")
            )
        defined = [value for value in values.values() if not np.isnan(value)]
        scores = {self.name: float(np.mean(defined)) if defined else float("nan")}
        if len(tasks) > 1:
            scores |= {f"{self.name}/{task}": value for task, value in values.items()}
        return scores


def score_all(
    metrics: Iterable[Metric],
    y: np.ndarray,
    prediction: np.ndarray,
    w: np.ndarray,
    tasks: Sequence[str],
) -> dict[str, float]:
    """Return what each metric's :meth:`Metric.score` gives for these arrays, in one mapping.

    Raises :class:`ParameterError` for what is no sequence of metrics.
    """
    if isinstance(metrics, Metric | type) or not isinstance(metrics, Iterable):
        raise ParameterError(
            f"The metrics are a {type(metrics).__name__}.", hint="Give a list of them: [RMSE()]."
        )
    scores: dict[str, float] = {}
    for metric in metrics:
        if not isinstance(metric, Metric):
            raise ParameterError(
                f"{metric!r} is no metric.", hint="Give instances of metrics: [RMSE()]."
            )
        scores |= metric.score(y, prediction, w, tasks)
    return scores
