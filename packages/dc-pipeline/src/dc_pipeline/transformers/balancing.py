"""Balancing: weights by which all classes count the same."""

from __future__ import annotations

from typing import Final, Self

import numpy as np

from dc_core import (
    Dataset,
    Transformer,
    balanced_factors,
    check_dataset,
    class_totals,
    weigh_classes,
)
from dc_core.errors import EmptyDataset, NotFitted, StructureError

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
        totals = class_totals(dataset)
        if not (totals > 0).any():
            raise EmptyDataset("No label has a weight: there is nothing to balance.")
        self.factors = balanced_factors(totals)
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
        return weigh_classes(dataset, factors)

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
