"""Weights by which the classes of a task count for more or less than their labels do."""

from __future__ import annotations

from collections.abc import Collection
from functools import partial
from typing import Any, Final

import numpy as np

from dc_core.dataset import Batch, Dataset
from dc_core.errors import DatasetError
from dc_core.mapped import MappedDataset

_MAX_CLASSES: Final = 10_000

_BLOCK: Final = 1 << 16
"""Labels that are read at a time."""


def class_totals(dataset: Dataset, tasks: Collection[str] | None = None) -> np.ndarray:
    """Return the total weight of each class of each task, ``(tasks, classes)`` of float64.

    Labels are classes 0, 1, …, named or not. There are as many classes as in the task that has
    most, and at least two. With ``tasks``, those of other tasks are not read, and their totals
    are 0.

    Raises :class:`DatasetError` if a label is not the number of a class below 10 000.
    """
    counted = np.array([tasks is None or task in tasks for task in dataset.tasks], dtype=bool)
    totals = np.zeros((len(dataset.tasks), 2))
    size = max(1, _BLOCK // max(1, len(dataset.tasks)))
    for batch in dataset.batches(size, parts=("y", "w")):
        known = _known(batch) & counted
        numbers = _numbers(batch.y, known, _MAX_CLASSES)
        weights = np.where(known, batch.w, 0.0)
        classes = max(totals.shape[1], int(numbers.max(initial=0)) + 1)
        totals = np.pad(totals, ((0, 0), (0, classes - totals.shape[1])))
        for t, task_totals in enumerate(totals):
            task_totals += np.bincount(numbers[:, t], weights[:, t], classes)
    return totals


def balanced_factors(totals: np.ndarray) -> np.ndarray:
    """Return the factors by which all classes of a task have the same total weight.

    For each class it is the mean of ``totals`` over the task's classes, divided by its own, so that
    the task's total stays what it is: for weights of 1, scikit-learn's ``class_weight="balanced"``.
    It is 0 for a class whose total is 0.
    """
    present = totals > 0
    means = totals.sum(axis=1) / np.maximum(1, present.sum(axis=1))
    return np.where(present, means[:, None] / np.where(present, totals, 1), 0.0)


def weigh_classes(
    dataset: Dataset, factors: np.ndarray, others: np.ndarray | None = None
) -> Dataset:
    """Return ``dataset`` with the weight of each label times the factor of its class.

    ``factors`` is ``(tasks, classes)``, and ``others``, ``(tasks,)``, has the factor of each class
    beyond the last, 0 unless it is given. A factor of 0 stands for none. Labels of a task whose
    factors are all 1 can be anything.

    The weights are computed when they are read, which raises :class:`DatasetError` for a label
    whose class has no factor.

    Raises :class:`DatasetError` for another number of tasks.
    """
    if len(dataset.tasks) != len(factors):
        raise DatasetError(
            f"There are class weights for {len(factors)} tasks, and the dataset has "
            f"{len(dataset.tasks)}.",
            hint="Give the tasks of the training data.",
        )
    beyond = np.zeros(len(factors)) if others is None else others
    every = np.concatenate([factors, beyond[:, None]], axis=1)
    return MappedDataset(dataset, partial(_weighed, factors=every), needs={"w": ("y",)})


def _weighed(batch: Batch, *, factors: np.ndarray) -> Batch:
    weights: Any = batch.w
    if weights is None:
        return batch
    known = _known(batch) & (factors != 1).any(axis=1)
    limits = np.where(factors[:, -1] > 0, _MAX_CLASSES, factors.shape[1] - 1)
    numbers = np.minimum(_numbers(batch.y, known, limits), factors.shape[1] - 1)
    factor = np.where(known, factors[np.arange(len(factors)), numbers], 1.0)
    if not factor.all():
        raise _no_class(batch.y[factor == 0][0])
    return batch._replace(w=(weights * factor).astype(weights.dtype, copy=False))


def _known(batch: Batch) -> np.ndarray:
    known: np.ndarray = (batch.w > 0) & ~np.isnan(batch.y)
    return known


def _numbers(y: np.ndarray, known: np.ndarray, classes: int | np.ndarray) -> np.ndarray:
    """Return the numbers of the classes, ``(b, tasks)`` of int, 0 where one is not known.

    Raises :class:`DatasetError` for a label that is not an integer from 0 to below ``classes``, a
    number or one for each task.
    """
    labels = np.where(known, y, 0)
    wrong = ~((labels >= 0) & (labels < classes) & (labels == np.floor(labels)))
    if wrong.any():
        raise _no_class(labels[wrong][0])
    return labels.astype(np.intp)


def _no_class(label: float) -> DatasetError:
    return DatasetError(
        f"The label {label:.6g} is not one of the classes that have a weight.",
        hint="Classes are weighted for classification: labels are 0, 1, … or named classes, and "
        "each class is among the training data, or has been given a weight.",
    )
