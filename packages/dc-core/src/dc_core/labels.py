"""Labels given as text: the classes that they name, numbered.

Text that is mostly numbers or bounds (``-3.2``, ``>5``) is measurements, not names of classes, and
is refused: numbered as classes, it would be trained on without a word.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from dc_core.errors import DatasetError

_MEASUREMENT: Final = re.compile(
    r"\s*(?:[<>]=?|[≤≥~])?\s*[-+]?(?:(?:\d+[.,]?\d*|[.,]\d+)(?:e[-+]?\d+)?|inf|nan)\s*",
    re.IGNORECASE,
)
"""A number, also with a decimal comma, or a bound: a censored measurement."""


def check_classes(
    classes: Mapping[str, Sequence[str]], tasks: Sequence[str]
) -> dict[str, tuple[str, ...]]:
    """Return the names of the classes of each task as tuples.

    Raises :class:`DatasetError` for an unknown task, and unless each has a list of different names.
    """
    for task, names in classes.items():
        if task not in tasks or isinstance(names, str) or len(set(names)) != len(names):
            raise DatasetError(
                f"classes[{task!r}] is {names!r}.",
                hint=f"Give each task of {list(tasks)} a list of different names.",
            )
    return {task: tuple(map(str, names)) for task, names in classes.items()}


def number_labels(
    task: str, labels: Sequence[str], names: Sequence[str] | None = None
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Return the numbers of the classes that ``labels`` name, ``(n,)`` of float64, and their names.

    An empty label is missing: NaN. Without ``names`` the classes are the labels in sorted order.

    Raises :class:`DatasetError` for a label that is not among ``names``, and without them if
    most of the different labels are numbers or bounds.
    """
    found = set(labels) - {""}
    if names is None:
        measured = sorted(label for label in found if _MEASUREMENT.fullmatch(label))
        if 2 * len(measured) > len(found):
            raise DatasetError(
                f"The labels of {task!r} are numbers or bounds as text, such as {measured[0]!r}.",
                hint="Convert them to floats, with NaN for a bound; if they are names of classes, "
                f"list these: classes={{{task!r}: [...]}}.",
            )
        names = sorted(found)
    elif found - set(names):
        raise DatasetError(
            f"{min(found - set(names))!r} is not one of the classes of {task!r}: {list(names)}."
        )
    number = {name: float(i) for i, name in enumerate(names)}
    return np.array([number.get(label, np.nan) for label in labels], np.float64), tuple(names)
