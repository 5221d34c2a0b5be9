"""Choose the figures that the golden rows of a model can honestly be drawn as."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from dc_hub.site.markup import Markup, element, on_one_line
from dc_hub.site.plots import (
    MAX_CLASSES,
    class_probabilities,
    confusion,
    distribution,
    predicted_against_measured,
)
from dc_hub.site.reading import Described

MAX_TASKS: Final = 6
"""So many outputs are drawn."""

_SUM: Final = 1e-3
"""Probabilities of classes sum to 1 within this."""


def figures(described: Described) -> list[Markup]:
    """Return the figures of the golden rows, for the first tasks, each with its name.

    With measured values: predicted against measured ones, the probabilities of the two classes, or
    how classes are confused. Without: how the outputs are distributed. None for other outputs.
    """
    golden = described.golden
    if golden is None or golden.outputs.dtype.kind not in "biuf":
        return []
    outputs = golden.outputs.astype(np.float64)
    if outputs.ndim == 0 or not outputs.size:
        return []
    outputs, measured = _by_task(outputs, golden.measured)
    count = outputs.shape[1]
    names = _names(described, count)
    found = []
    for task in range(min(count, MAX_TASKS)):
        truth = None if measured is None else measured[:, task]
        figure = _figure(described, names[task], outputs[:, task], truth)
        if figure is not None:
            found.append(element("div", element("h3", names[task]) if count > 1 else None, figure))
    return found


def _by_task(
    outputs: np.ndarray, measured: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return outputs ``(n, tasks)`` or ``(n, tasks, classes)``, and measured values ``(n, tasks)``.

    What has another form has no tasks.
    """
    if measured is not None and measured.ndim == 1:
        measured = measured[:, None]
    if outputs.ndim == 1:
        outputs = outputs[:, None]
    if outputs.ndim == 2 and measured is not None and measured.shape[1] != outputs.shape[1]:
        outputs = outputs[:, None, :]  # one task, by classes
    if outputs.ndim == 2 and measured is None and _are_probabilities(outputs):
        outputs = outputs[:, None, :]
    if outputs.ndim > 3 or (measured is not None and measured.shape[1] != outputs.shape[1]):
        return np.empty((0, 0)), None
    return outputs, measured


def _figure(
    described: Described, task: str, output: np.ndarray, measured: np.ndarray | None
) -> Markup | None:
    if output.ndim == 1:
        units = described.summary.units
        unit = units.get(task, units.get("", ""))
        if measured is None:
            return distribution(output, f"output ({on_one_line(unit, 30)})" if unit else "output")
        if not _are_classes(described, task, measured):
            return predicted_against_measured(measured, output, unit)
        finite = output[np.isfinite(output)]
        if ((finite < -_SUM) | (finite > 1 + _SUM)).any():
            return None  # such as logits
        return class_probabilities(measured, output, _classes(described, task, 2))
    if output.shape[1] > MAX_CLASSES or not _are_probabilities(output):
        return None
    classes = _classes(described, task, output.shape[1])
    if measured is None:
        if output.shape[1] != 2:
            return None
        return distribution(output[:, 1], f"predicted probability of {classes[1]}")
    if output.shape[1] == 2:
        return class_probabilities(measured, output[:, 1], classes)
    return confusion(measured, output, classes)


def _are_classes(described: Described, task: str, measured: np.ndarray) -> bool:
    """Tell whether the measured values of a task are its two classes, and no quantity."""
    known = measured[np.isfinite(measured)]
    if not np.isin(known, (0, 1)).all():
        return False
    named = described.record.classes
    said = " ".join(described.summary.task).lower()
    return task in named or "classif" in said or (len(known) > 2 and len(np.unique(known)) == 2)


def _are_probabilities(output: np.ndarray) -> bool:
    finite = output[np.isfinite(output).all(axis=-1)]
    if output.shape[-1] < 2 or not len(finite):
        return False
    within = bool((finite >= -_SUM).all() and (finite <= 1 + _SUM).all())
    return within and bool((np.abs(finite.sum(axis=-1) - 1) <= _SUM).all())


def _names(described: Described, count: int) -> Sequence[str]:
    """Return the names of ``count`` tasks, or of the first of them."""
    names = list(described.record.classes) or list(described.summary.tasks)
    if len(described.summary.tasks) == count:
        names = list(described.summary.tasks)
    if len(names) != count:
        return [f"output {number}" for number in range(1, min(count, MAX_TASKS) + 1)]
    return names


def _classes(described: Described, task: str, count: int) -> Sequence[str]:
    """Return the names of the classes of a task."""
    named = described.record.classes
    found = named.get(task) or (next(iter(named.values())) if len(named) == 1 else ())
    if len(found) == count:
        return [on_one_line(name, 24) for name in found]
    return [f"class {number}" for number in range(count)]
