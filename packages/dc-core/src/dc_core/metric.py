"""``Metric``: a score of predictions, computed for each task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from typing import ClassVar

import numpy as np

from dc_core.component import Component
from dc_core.errors import DatasetError, ParameterError
from dc_core.weights import model_name


class Metric(Component, ABC):
    """A score of predictions; a subclass writes :meth:`compute` for one task."""

    greater_is_better: ClassVar[bool]

    needs_values: ClassVar[bool] = False
    """Whether labels have to be quantities, as for a mean error; classes are then refused."""

    needs_distribution: ClassVar[bool] = False
    """Whether predictions are normal distributions: ``(n, tasks, 2)``, mean and deviation."""

    @property
    def name(self) -> str:
        """The metric's name in results: the class's name in snake case unless overridden."""
        return model_name(type(self))

    @abstractmethod
    def compute(self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray) -> float:
        """Return the metric for one task.

        ``y`` is ``(n,)``, ``prediction`` is ``(n,)`` or ``(n, classes)``, ``w`` is ``(n,)`` and
        positive: rows of weight 0 were left out. It is NaN if it is undefined for these rows.
        """

    def score(
        self, y: np.ndarray, prediction: np.ndarray, w: np.ndarray, tasks: Sequence[str]
    ) -> dict[str, float]:
        """Return ``{name: mean over tasks}``, and ``name/<task>`` for each of several tasks.

        ``y`` and ``w`` are ``(n, tasks)``, ``prediction`` is ``(n, tasks[, classes])``. Labels that
        are NaN or have weight 0 are left out, and tasks for which the metric is undefined are left
        out of the mean.

        Raises :class:`DatasetError` if the shapes do not fit.
        """
        expected = (len(y), len(tasks))
        if not (prediction.shape[:2] == y.shape == w.shape == expected):
            raise DatasetError(
                f"{self.name} needs labels, predictions and weights of shape {expected}; "
                f"they have {y.shape}, {prediction.shape} and {w.shape}.",
                hint="A row per sample and a column per task; predictions may end in classes.",
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


def check_metrics(metrics: Iterable[Metric]) -> list[Metric]:
    """Return ``metrics`` as a list; raise :class:`ParameterError` if they are not metrics."""
    if isinstance(metrics, Metric | type | str) or not isinstance(metrics, Iterable):
        raise ParameterError(f"metrics={metrics!r} is not a list.", hint="Give a list: [RMSE()].")
    checked = []
    for metric in metrics:
        if isinstance(metric, type) and issubclass(metric, Metric):
            raise ParameterError(
                f"{metric.__name__} is a class.", hint=f"Make an instance: {metric.__name__}()."
            )
        if not isinstance(metric, Metric):
            raise ParameterError(
                f"{metric!r} is not a metric.", hint="Give a list of them: [RMSE(), R2()]."
            )
        checked.append(metric)
    return checked


def check_scorable(metric: Metric, classes: Mapping[str, Sequence[str]] | None) -> None:
    """Raise :class:`DatasetError` if ``metric`` needs values, and the labels are ``classes``."""
    if classes and metric.needs_values:
        raise DatasetError(
            f"{metric.name} needs quantities; the labels of {next(iter(classes))!r} are classes.",
            hint="Use a metric for classification, such as Accuracy.",
        )


def score_all(
    metrics: Iterable[Metric],
    y: np.ndarray,
    prediction: np.ndarray,
    w: np.ndarray,
    tasks: Sequence[str],
    classes: Mapping[str, Sequence[str]] | None = None,
    deviation: np.ndarray | None = None,
) -> dict[str, float]:
    """Return the results of every metric's :meth:`Metric.score` for these arrays in one mapping.

    ``classes`` are the names of the classes of each task whose labels are classes. With a
    ``deviation`` of each predicted value, metrics of distributions score both together.

    Raises :class:`ParameterError` if ``metrics`` is not a sequence of metrics, and
    :class:`DatasetError` if one of them needs values and labels are classes.
    """
    scores: dict[str, float] = {}
    for metric in check_metrics(metrics):
        check_scorable(metric, classes)
        scored = prediction
        if metric.needs_distribution and deviation is not None:
            scored = np.stack([prediction, deviation], axis=-1)
        scores |= metric.score(y, scored, w, tasks)
    return scores
