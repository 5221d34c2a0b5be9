"""Balancing: weights by which all classes count the same."""

from __future__ import annotations

from copy import copy
from typing import Any, Final, Self

import numpy as np

from dc_core import Batch, Dataset, MappedDataset, Transformer, check_dataset
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, StructureError
from dc_pipeline.transformers.values import Values

_MAX_CLASSES: Final = 10_000


class BalancingTransformer(Transformer):
    """Multiplies the weights of labels so that all classes of a task have the same total weight.

    ``factors`` is ``(tasks, classes)`` of float64: for each class the mean total weight of the
    task's classes, divided by its own, so that the task's total stays what it was. For weights of
    1 these are scikit-learn's ``class_weight="balanced"``. It is 0 for a class that no label of
    the training data has, and such labels of other datasets are refused.

    Labels are classes 0, 1, …, named or not. X, y and predictions are not changed, and neither are
    the weights that :meth:`Pipeline.evaluate` scores with.
    """

    fitted = ("factors",)

    def __init__(self) -> None:
        self.factors: np.ndarray | None = None

    def fit(self, dataset: Dataset) -> Self:
        """Learn the factors from the labels and weights of ``dataset``, and return itself.

        Raises :class:`EmptyDataset` if there are no rows or no tasks, and :class:`DatasetError` if
        a label is not the number of a class.
        """
        check_dataset(dataset)
        totals = np.zeros((len(dataset.tasks), 2))
        for y, w, known in Values(dataset, "y", None, type(self).__name__):
            numbers = _numbers(y, known, _MAX_CLASSES)
            classes = max(totals.shape[1], int(numbers.max(initial=0)) + 1)
            totals = np.pad(totals, ((0, 0), (0, classes - totals.shape[1])))
            for t, task_totals in enumerate(totals):
                task_totals += np.bincount(numbers[:, t], w[:, t], classes)
        if not (totals > 0).any():
            raise EmptyDataset("No label has a weight: there is nothing to balance.")
        present = totals > 0
        means = totals.sum(axis=1) / np.maximum(1, present.sum(axis=1))
        self.factors = np.where(present, means[:, None] / np.where(present, totals, 1), 0.0)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return the dataset whose weights are balanced when they are read.

        One without labels is returned as it is.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`DatasetError` for other tasks or, when
        it is read, for a label whose class is not in the training data, and
        :class:`StructureError` for factors that cannot have been learned.
        """
        check_dataset(dataset)
        factors = self._checked()
        if not dataset.tasks:
            return dataset
        if len(dataset.tasks) != len(factors):
            raise DatasetError(
                f"{type(self).__name__} was fitted to {len(factors)} tasks; this dataset has "
                f"{len(dataset.tasks)}.",
                hint="Give the tasks of the training data.",
            )
        return MappedDataset(dataset, copy(self)._map, needs={"w": ("y",)})

    def _checked(self) -> np.ndarray:
        if self.factors is None:
            raise NotFitted(
                "This BalancingTransformer is not fitted yet.", hint="Call fit(train) first."
            )
        factors = self.factors
        if (
            factors.dtype.kind != "f"
            or factors.ndim != 2
            or not 1 <= factors.shape[1] <= _MAX_CLASSES
            or not (np.isfinite(factors) & (factors >= 0)).all()
        ):
            raise StructureError(
                f"The factors have shape {factors.shape} and dtype {factors.dtype}; each task "
                "needs a float of at least 0 for each class.",
                hint="The stored transformer is damaged: publish it again.",
            )
        return factors

    def _map(self, batch: Batch) -> Batch:
        weights: Any = batch.w
        if weights is None:
            return batch
        factors = self._checked()
        known = (weights > 0) & ~np.isnan(batch.y)
        numbers = _numbers(batch.y, known, factors.shape[1])
        factor = np.where(known, factors[np.arange(len(factors)), numbers], 1.0)
        if not factor.all():
            raise _no_class(batch.y[factor == 0][0])
        return batch._replace(w=(weights * factor).astype(weights.dtype, copy=False))


def _numbers(y: np.ndarray, known: np.ndarray, classes: int) -> np.ndarray:
    """Return the numbers of the classes, ``(b, tasks)`` of int, 0 where one is not known.

    Raises :class:`DatasetError` for a label that is not an integer from 0 to below ``classes``.
    """
    labels = np.where(known, y, 0)
    wrong = ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if wrong.any():
        raise _no_class(labels[wrong][0])
    return labels.astype(np.intp)


def _no_class(label: float) -> DatasetError:
    return DatasetError(
        f"The label {label:.6g} is not a class of the training data.",
        hint="BalancingTransformer is for classification: labels are 0, 1, … or named classes.",
    )
