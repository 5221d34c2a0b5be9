"""Class weights: how much the classes of a task count in training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple, TypeAlias

import numpy as np

from dc_core.balancing import balanced_factors, class_totals
from dc_core.dataset import Dataset
from dc_core.errors import ParameterError
from dc_core.parameters import check_positive

Weights: TypeAlias = Sequence[float] | Literal["balanced"]

ClassWeight: TypeAlias = Weights | Mapping[str, Weights] | None
"""Weights of the classes 0, 1, …, for all tasks or by the name of the task."""


def checked_class_weight(given: Any) -> ClassWeight:
    """Return ``given`` as plain values; raises :class:`ParameterError` if it is no class weight."""
    if given is None:
        return None
    if isinstance(given, Mapping):
        return {task: _weights(weights, given) for task, weights in given.items()}
    return _weights(given, given)


def _weights(weights: Any, given: Any) -> Weights:
    if isinstance(weights, np.ndarray):
        weights = weights.tolist()
    if isinstance(weights, str) and weights == "balanced":
        return "balanced"
    if isinstance(weights, str) or not isinstance(weights, Sequence) or not weights:
        raise ParameterError(
            f"class_weight={given!r} is not known.",
            hint="Give 'balanced', a weight for each of the classes 0, 1, … ([1, 5]), or these by "
            "the name of the task: {'NR-AR': 'balanced', 'SR-p53': [1, 5]}.",
        )
    for weight in weights:
        check_positive("class_weight", weight)
    return tuple(weights)


class ClassFactors(NamedTuple):
    """Factors of the weights of labels, as :func:`weigh_classes` takes them; 0 stands for none."""

    factors: np.ndarray
    others: np.ndarray


def class_factors(given: ClassWeight, dataset: Dataset) -> ClassFactors:
    """Return the factor of each class of each task of ``dataset``, ``(tasks, classes)``.

    Those of balanced classes are learned from its labels and their weights. A class that it lacks
    has the factor 1, as have the classes of tasks that ``given`` does not name, whose labels are
    not read. In a task with a list of weights, a class beyond has none.

    Raises :class:`ParameterError` for a task that the dataset does not have, and
    :class:`DatasetError` if labels are not the numbers of classes.
    """
    by_task = given if isinstance(given, Mapping) else dict.fromkeys(dataset.tasks, given)
    for task in by_task:
        if task not in dataset.tasks:
            raise ParameterError(
                f"class_weight names the task {task!r}, which the dataset does not have.",
                hint=f"Its tasks are: {', '.join(map(repr, dataset.tasks))}.",
            )
    totals = class_totals(dataset, by_task)
    given_weights = [w for w in by_task.values() if w is not None and not isinstance(w, str)]
    classes = max([totals.shape[1], *map(len, given_weights)])
    factors = np.ones((len(dataset.tasks), classes))
    balanced = balanced_factors(totals)
    for t, task in enumerate(dataset.tasks):
        weights = by_task.get(task)
        if isinstance(weights, str):
            factors[t, : totals.shape[1]] = np.where(balanced[t] > 0, balanced[t], 1.0)
        elif weights is not None:
            factors[t] = 0
            factors[t, : len(weights)] = weights
    listed = [isinstance(by_task.get(task), tuple) for task in dataset.tasks]
    return ClassFactors(factors, np.where(listed, 0.0, 1.0))
