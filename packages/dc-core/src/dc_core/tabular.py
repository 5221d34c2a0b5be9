"""Datasets as the arrays X, y and sample weights of estimators that learn from tables.

Estimators of scikit-learn's kind have one weight per row and no missing labels, so that what a
dataset says beyond that is translated here, or refused.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from dc_core.columns import Columns, dense_array
from dc_core.dataset import Dataset, check_dataset
from dc_core.errors import DatasetError, EmptyDataset


@dataclass(frozen=True, slots=True)
class Table:
    """X ``(n, features)``, y ``(n,)`` or ``(n, tasks)``, and w ``(n,)``, None if all are one.

    ``rows`` ``(n,)`` are the numbers of the dataset's rows that they come from.
    """

    X: np.ndarray
    y: np.ndarray
    w: np.ndarray | None
    rows: np.ndarray


def to_table(dataset: Dataset, framework: str, *, labels: bool) -> Table:
    """Return ``dataset`` as arrays for an estimator of ``framework``.

    Of a single task, y is ``(n,)``, without the rows of weight 0; several tasks are ``(n, tasks)``.
    With ``labels``, y is class labels as int64.

    Raises :class:`EmptyDataset` if there is no label, and :class:`DatasetError` if X is not one
    array of numbers, some of several tasks' labels are missing, a row's weights differ, or class
    labels are not whole numbers from 0 on.
    """
    check_dataset(dataset)
    if len(dataset) == 0 or not dataset.tasks:
        raise EmptyDataset(
            "There is nothing to fit to.", hint="Give a dataset with rows and labels."
        )
    X, y, w = flat_rows(dataset.X, framework), dataset.y, dataset.w
    rows = np.arange(len(X))
    if y.shape[1] == 1:
        rows = np.flatnonzero(w[:, 0] > 0)
        if len(rows) < len(X):
            X, y, w = X[rows], y[rows], w[rows]
        y = y[:, 0]
        if len(y) == 0:
            raise EmptyDataset("Every label is missing.")
    elif not np.all(w > 0):
        raise DatasetError(
            f"Labels are missing in some of the tasks; {framework} needs all of them.",
            hint="Fit one model per task, or keep the rows that are complete: "
            "dataset.select((dataset.w > 0).all(axis=1)).",
        )
    if not np.all(w == w[:, :1]):
        raise DatasetError(
            f"{framework} takes one weight per row; these differ from task to task.",
            hint="Fit one model per task.",
        )
    weights = None if np.all(w == 1) else w[:, 0]
    return Table(X, class_labels(y) if labels else y, weights, rows)


def flat_rows(columns: Columns, framework: str) -> np.ndarray:
    """Return the rows of X as ``(n, features)``.

    Raises :class:`DatasetError` if X is not one array of numbers.
    """
    X = dense_array(columns, framework)
    if X.dtype.kind == "T":
        raise DatasetError(
            f"{framework} learns from numbers, and X is text.",
            hint="Featurize it first, or put a featurizer and the model into one pipeline.",
        )
    return X if X.ndim == 2 else X.reshape(len(X), -1)


def class_labels(y: np.ndarray) -> np.ndarray:
    """Return class labels as int64.

    Raises :class:`DatasetError` unless they are whole numbers from 0 on.
    """
    if not np.all((y >= 0) & (y < 2**53) & (y == np.floor(y))):
        raise DatasetError(
            "A classifier's labels have to be whole numbers from 0 on.",
            hint="Number the classes, give them as text (NumpyDataset(X, y=['a', 'b'])), or use a "
            "regressor.",
        )
    return y.astype(np.int64)
