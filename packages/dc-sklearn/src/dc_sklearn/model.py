"""``SklearnModel``: any scikit-learn estimator as a model of this project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from inspect import signature
from typing import Any, Final, Self

import numpy as np
from joblib import parallel_config
from sklearn.base import BaseEstimator, clone, is_classifier
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from dc_core import Dataset, DCError, Estimator, NumpyDataset, check_dataset, model_name
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, ParameterError
from dc_sklearn.estimators import schema_of, stored_name

_MOST_CLASSES: Final = 1 << 16

_FAULTS: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    NameError,
    TypeError,
    ValueError,
)
"""What scikit-learn raises at data, parameters or a fitted state that it cannot use."""


class SklearnModel(Estimator):
    """A scikit-learn estimator that learns from datasets and is stored as named arrays.

    ``estimator`` is a classifier or regressor, a pipeline included. It is never changed: fitting
    fits a clone, :attr:`native`. One that is fitted already is taken as it is (as a copy).

    The weights' names begin with the estimator's class in snake case:
    ``random_forest_regressor/estimators_/feature/0``.
    """

    backend = "sklearn"

    def __init__(self, estimator: Any) -> None:
        if not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "predict"):
            raise ParameterError(
                f"SklearnModel needs a scikit-learn estimator with predict, not {estimator!r}.",
                hint="Give an instance, such as SklearnModel(RandomForestRegressor()).",
            )
        self.estimator = estimator
        self._native = deepcopy(estimator) if _is_fitted(estimator) else clone(estimator)

    @property
    def name(self) -> str:
        """The first part of the weights' names: the estimator's class in snake case."""
        return model_name(type(self._native))

    @property
    def native(self) -> Any:
        """The estimator that is fitted and predicts: a clone of the constructor's argument."""
        return self._native

    @property
    def is_fitted(self) -> bool:
        """Whether the estimator can predict: all steps of a pipeline are fitted."""
        return _is_fitted(self._native)

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None) -> Self:
        """Fit a fresh clone of the estimator to ``dataset`` and return the model itself.

        X is flattened to ``(n, features)``. A single task's y is ``(n,)`` and rows of weight 0 are
        left out; several tasks are passed as ``(n, tasks)``. A classifier's labels are integers.
        Weights are passed where they are not all one. ``valid`` is not looked at.

        Raises :class:`EmptyDataset`, and :class:`DatasetError` where labels are missing in one of
        several tasks, where a classifier's labels are no integers, where the estimator takes no
        weights but gets some, and where scikit-learn refuses the data or the parameters.
        """
        check_dataset(dataset)
        if len(dataset) == 0 or not dataset.tasks:
            raise EmptyDataset(
                "There is nothing to fit to.", hint="Give a dataset with rows and labels."
            )
        X, y, w = _flat(dataset.X), dataset.y, dataset.w
        single = y.shape[1] == 1
        if single:
            rows = w[:, 0] > 0
            X, y, w = X[rows], y[rows, 0], w[rows, 0]
            if len(y) == 0:
                raise EmptyDataset("Every label is missing.")
        elif not np.all(w > 0):
            raise DatasetError(
                "Labels are missing in some of the tasks; scikit-learn needs all of them.",
                hint="Fit one SklearnModel per task, or keep the rows that are complete: "
                "dataset.select((dataset.w > 0).all(axis=1)).",
            )
        native = clone(self.estimator)
        if is_classifier(native):
            y = _labels(y)
        keywords = _weights(native, w)
        with _refusals(native, "learn from", X):
            native.fit(X, y, **keywords)
        self._native = native
        return self

    def predict(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return predictions for a dataset, or for an array of its X.

        ``(n, tasks)`` for regressors, in the dtype that the estimator returns.
        ``(n, tasks, classes)`` for classifiers: column c is the probability of label c, for two
        labels at least, and 0 for one that training did not show. A classifier without
        probabilities votes one-hot. One that was given fitted, with labels that are no numbers from
        0 on, has its columns in the order of ``native.classes_``.

        The estimator runs in one thread, whatever its ``n_jobs``: threads that add up what trees
        predict, each when it is done, would give other last bits every time.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`EmptyDataset` when there is no row,
        and :class:`DatasetError` where X does not fit the estimator.
        """
        if not self.is_fitted:
            raise NotFitted(
                f"This {type(self._native).__name__} is not fitted.",
                hint="Call fit(dataset), or load a fitted one.",
            )
        rows = dataset if isinstance(dataset, Dataset) else NumpyDataset(dataset)
        if len(rows) == 0:
            raise EmptyDataset("There is no row to predict for.")
        X = _flat(rows.X)
        with _refusals(self._native, "predict for", X), parallel_config(backend="sequential"):
            return self._predict(X)

    def _predict(self, X: np.ndarray) -> np.ndarray:
        if not is_classifier(self._native):
            prediction = np.asarray(self._native.predict(X))
            return prediction[:, None] if prediction.ndim == 1 else prediction
        known = self._native.classes_
        classes = [np.asarray(c) for c in (known if isinstance(known, list) else [known])]
        if hasattr(self._native, "predict_proba"):
            found = self._native.predict_proba(X)
            tasks = found if isinstance(found, list) else [found]
        else:
            votes = np.asarray(self._native.predict(X)).reshape(len(X), -1)
            tasks = [(votes[:, [t]] == c).astype(np.float64) for t, c in enumerate(classes)]
        return _stacked([_by_label(p, c) for p, c in zip(tasks, classes, strict=True)])


@contextmanager
def _refusals(native: Any, task: str, X: np.ndarray) -> Iterator[None]:
    """Turn what scikit-learn raises at data and parameters into :class:`DatasetError`."""
    try:
        yield
    except DCError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        NameError,
        TypeError,
        ValueError,
    ) as error:
        raise DatasetError(
            f"{type(native).__name__} cannot {task} X of shape {X.shape} and dtype {X.dtype}: "
            f"{error}",
            hint="Correct the data, or the estimator's parameters.",
        ) from error


def _flat(X: np.ndarray) -> np.ndarray:
    return X if X.ndim == 2 else X.reshape(len(X), -1)


def _labels(y: np.ndarray) -> np.ndarray:
    labels = y.astype(np.int64)
    if not np.array_equal(labels, y) or labels.min() < 0 or labels.max() >= _MOST_CLASSES:
        raise DatasetError(
            "A classifier's labels have to be whole numbers from 0 on.",
            hint=f"Number the classes (up to {_MOST_CLASSES}), or use a regressor.",
        )
    return labels


def _weights(native: Any, w: np.ndarray) -> dict[str, np.ndarray]:
    """Return the keyword that passes ``w`` to ``native.fit``; none where all weights are one."""
    if np.all(w == 1):
        return {}
    if w.ndim == 2:
        if not np.all(w == w[:, :1]):
            raise DatasetError(
                "scikit-learn takes one weight per row; these differ from task to task.",
                hint="Fit one SklearnModel per task.",
            )
        w = w[:, 0]
    last, prefix = native, ""
    while hasattr(last, "steps"):
        step, last = last.steps[-1]
        prefix += f"{step}__"
    if "sample_weight" not in signature(last.fit).parameters:
        raise DatasetError(
            f"{type(last).__name__} takes no weights, and the dataset's are not all one.",
            hint="Use another estimator, or a dataset without weights.",
        )
    return {f"{prefix}sample_weight": w}


def _by_label(found: np.ndarray, classes: np.ndarray) -> np.ndarray:
    """Return probabilities, one column per class, with column c for label c if it can be."""
    numbers = classes.dtype.kind in "iu" and 0 <= classes.min() <= classes.max() < _MOST_CLASSES
    width = max(2, int(classes.max()) + 1) if numbers else len(classes)
    if width == len(classes):
        return found
    columns = np.zeros((len(found), width), found.dtype)
    columns[:, classes] = found
    return columns


def _stacked(tasks: list[np.ndarray]) -> np.ndarray:
    """Return the tasks' ``(n, classes)`` as ``(n, tasks, classes)``."""
    widest = max(found.shape[1] for found in tasks)
    filled = [np.pad(found, ((0, 0), (0, widest - found.shape[1]))) for found in tasks]
    return np.stack(filled, axis=1)


def _is_fitted(estimator: Any) -> bool:
    """Tell whether ``estimator`` and all its steps are fitted, or have nothing to learn."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    # scikit-learn itself asks a pipeline's last step alone.
    known = stored_name(estimator) is not None
    return all(map(_is_fitted, schema_of(estimator).parts(estimator).values() if known else ()))
