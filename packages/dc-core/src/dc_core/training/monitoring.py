"""What is measured after each epoch, and the result that training follows.

Early stopping, the best weights and the plateau schedule are functions of that result, in the
records of the epochs.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

from dc_core.dataset import Dataset
from dc_core.errors import DatasetError, ParameterError
from dc_core.metric import Metric, check_metrics, check_scorable
from dc_core.training.config import TrainingConfig
from dc_core.training.history import Epoch


@dataclass(frozen=True, slots=True)
class Monitor:
    """The name of the result that training follows, and whether a larger one is better.

    It is ``loss``, ``valid_loss`` or the name of a metric.
    """

    name: str
    greater_is_better: bool = False

    def result(self, epoch: Epoch) -> float:
        """Return the result of ``epoch``; NaN if it has none, or if the metric is undefined."""
        if self.name == "loss":
            return epoch.loss
        if self.name == "valid_loss":
            return epoch.valid_loss
        return epoch.metrics.get(self.name, math.nan)

    def results(self, epochs: Iterable[Epoch]) -> list[float]:
        """Return the result of each epoch such that smaller is better: negated if need be."""
        sign = -1.0 if self.greater_is_better else 1.0
        return [sign * self.result(epoch) for epoch in epochs]

    def is_best(self, epochs: Sequence[Epoch]) -> bool:
        """Return whether the last of ``epochs`` is better than all before."""
        *before, last = self.results(epochs)
        return not math.isnan(last) and not any(result <= last for result in before)


@dataclass(frozen=True, slots=True)
class Validation:
    """The rows that a model is validated on, if any, the metrics, and what training follows."""

    dataset: Dataset | None
    """The rows, with the weights of the validation loss."""

    scored: Dataset | None
    """The same rows, with the weights of the metrics."""

    metrics: tuple[Metric, ...]
    monitor: Monitor

    keeps_best: bool
    """Whether the model ends with the weights of the best epoch."""

    @classmethod
    def of(
        cls,
        config: TrainingConfig,
        dataset: Dataset,
        valid: Dataset | None,
        metrics: Iterable[Metric],
    ) -> Self:
        """Return what ``config`` asks for when a model is trained on ``dataset``.

        Without ``config.monitor`` it is the validation loss, or the training loss if there are no
        validation rows; the last weights are then kept.

        Raises :class:`ParameterError` if the monitored result is not among the measured ones, if
        two metrics have one name, if one does not say what is better, and for metrics or patience
        without validation rows; and
        :class:`DatasetError` if a metric is not for the classes that the labels are, or if the
        validation rows have other tasks.
        """
        if valid is not None and tuple(valid.tasks) != tuple(dataset.tasks):
            raise DatasetError(
                f"The validation rows have the tasks {list(valid.tasks)}; those to train on have "
                f"{list(dataset.tasks)}.",
                hint="Give both the same tasks in the same order.",
            )
        checked = check_metrics(metrics)
        if checked and valid is None:
            raise ParameterError(
                "metrics are computed on validation rows, and there are none.",
                hint="Pass fit(..., valid=dataset, metrics=[...]).",
            )
        directions = {"loss": False} if valid is None else {"loss": False, "valid_loss": False}
        for metric in checked:
            check_scorable(metric, {} if valid is None else valid.classes)
            if metric.needs_distribution:
                raise ParameterError(
                    f"{metric.name} scores predicted distributions, which are not computed during "
                    "training.",
                    hint="Use evaluate() after training.",
                )
            if not isinstance(getattr(metric, "greater_is_better", None), bool):
                raise ParameterError(
                    f"{type(metric).__name__} does not say whether a larger value is better.",
                    hint="Set greater_is_better in the class, to True or False.",
                )
            tasks = dataset.tasks if len(dataset.tasks) > 1 else ()
            for result in (metric.name, *(f"{metric.name}/{task}" for task in tasks)):
                if result in directions:
                    raise ParameterError(
                        f"Two results of training have the name {result!r}.",
                        hint="Leave one of the metrics out, or give it another name.",
                    )
                directions[result] = metric.greater_is_better
        name = config.monitor
        if name is None:
            if config.patience is not None and valid is None:
                raise ParameterError(
                    "patience needs validation rows: it ends training when their loss stops "
                    "improving.",
                    hint="Pass fit(..., valid=dataset), patience=None, or monitor='loss' for the "
                    "training loss.",
                )
            return cls(
                valid,
                valid,
                tuple(checked),
                Monitor("loss" if valid is None else "valid_loss"),
                keeps_best=valid is not None,
            )
        if name not in directions:
            raise ParameterError(
                f"monitor={name!r} is not measured in this training.",
                hint=f"It measures {', '.join(map(repr, directions))}. Validation rows and metrics "
                "add others: fit(..., valid=dataset, metrics=[...]).",
            )
        return cls(valid, valid, tuple(checked), Monitor(name, directions[name]), keeps_best=True)
