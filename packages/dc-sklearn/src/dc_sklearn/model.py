"""``SklearnModel``: a scikit-learn classifier or regressor as a model of this project."""

from __future__ import annotations

from inspect import signature
from typing import Any, Final, Self

import numpy as np
from sklearn.base import is_classifier
from sklearn.pipeline import Pipeline
from sklearn.semi_supervised import SelfTrainingClassifier
from sklearn.semi_supervised._label_propagation import BaseLabelPropagation

from dc_core import Dataset, Estimator, NormalDistribution, check_dataset
from dc_core.errors import DatasetError, EmptyDataset
from dc_sklearn.deviations import check_deviations, mean_and_deviation
from dc_sklearn.wrapping import Wrapper, role_of

_MAX_ABSENT: Final = 1024
"""How many labels below the largest may be absent from the training data."""
_UNLABELLED: Final = -1
"""scikit-learn's label for rows without one."""


class SklearnModel(Wrapper, Estimator):
    """A scikit-learn estimator that learns from datasets and is stored as named arrays.

    ``estimator`` is a classifier or regressor, a pipeline included. It is never changed: fitting
    fits a clone, :attr:`native`. One that is fitted already is copied with its fitted state. Every
    :meth:`fit` starts afresh from the estimator's parameters, like scikit-learn's own.
    """

    needs = "a scikit-learn classifier or regressor"

    @classmethod
    def _accepts(cls, estimator: Any) -> bool:
        return role_of(estimator) == "SklearnModel"

    @property
    def predicts_classes(self) -> bool:
        """Whether the estimator is a classifier."""
        return bool(is_classifier(self.estimator))

    def fit(self, dataset: Dataset, *, valid: Dataset | None = None) -> Self:
        """Fit a fresh clone of the estimator to ``dataset`` and return the model itself.

        An earlier fit has no influence, not even with ``warm_start=True``. X is flattened to
        ``(n, features)``. A single task's y is ``(n,)``, without the rows of weight 0; several
        tasks are passed as ``(n, tasks)``. Semi-supervised classifiers get the rows of weight 0
        too, with the label -1, which stands for none. A classifier's labels are passed as
        integers. Weights are passed unless all are one. ``valid`` is ignored.

        Raises :class:`EmptyDataset` if there is no label, and :class:`DatasetError` if some of
        several tasks' labels are missing, if a classifier's labels are not integers from 0 on
        (at most 1024 of them absent), if the estimator takes no weights and they are not all one,
        and for data or parameters that scikit-learn rejects.
        """
        check_dataset(dataset)
        if len(dataset) == 0 or not dataset.tasks:
            raise EmptyDataset(
                "There is nothing to fit to.", hint="Give a dataset with rows and labels."
            )
        X, y, w = self._rows(dataset), dataset.y, dataset.w
        single = y.shape[1] == 1
        if single:
            rows = w[:, 0] > 0
            if not rows.any():
                raise EmptyDataset("Every label is missing.")
            if _learns_from_unlabelled(self.estimator):
                labels = np.full(len(y), _UNLABELLED)
                labels[rows] = _labels(y[rows, 0])
                self._fit(X, labels, **_weights(self.estimator, np.where(rows, w[:, 0], 1)))
                return self
            X, y, w = X[rows], y[rows, 0], w[rows, 0]
        elif not np.all(w > 0):
            raise DatasetError(
                "Labels are missing in some of the tasks; scikit-learn needs all of them.",
                hint="Fit one SklearnModel per task, or keep the rows that are complete: "
                "dataset.select((dataset.w > 0).all(axis=1)).",
            )
        if is_classifier(self.estimator):
            y = _labels(y)
        self._fit(X, y, **_weights(self.estimator, w))
        return self

    def predict(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return predictions for a dataset, or for an array or DataFrame of its X.

        For regressors ``(n, tasks)``, in the dtype that the estimator returns.

        For classifiers ``(n, tasks, classes)``: column c is the probability of label c, and 0 for
        labels that the training data lacked; there are at least two columns. Classifiers without
        probabilities vote one-hot. An estimator that was given fitted, to labels other than whole
        numbers from 0 on, has its columns in the order of ``native.classes_``.

        The estimator runs in one thread, whatever its ``n_jobs``, so that the predictions have the
        same bits every time. Those for a DataFrame and for its array may differ in the last bit,
        because the two lie in memory in different orders.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`EmptyDataset` if there is no row, and
        :class:`DatasetError` if X does not fit the estimator.
        """
        with self._using("predict for", dataset) as X:
            return self._predict(X)

    def predict_distribution(self, dataset: Dataset | np.ndarray) -> NormalDistribution:
        """Return a normal distribution per row and task; the means are those of :meth:`predict`.

        The standard deviations, ``(n, tasks)`` of float64, are those that the estimator itself
        returns (``return_std``: ``GaussianProcessRegressor``, ``BayesianRidge`` and
        ``ARDRegression``). A Gaussian process includes the noise of the labels only if its kernel
        has a ``WhiteKernel``; the linear models always do.

        For ``RandomForestRegressor`` and ``ExtraTreesRegressor`` they are the standard deviation of
        the trees' predictions (without the variance within leaves that Hutter et al. 2014 add,
        doi:10.1016/j.artint.2013.10.003). That says how much the trees disagree; it leaves out the
        noise of the labels, so it needs calibration to be the expected error.

        A scikit-learn pipeline has the deviations of its last step.

        Raises :class:`Unsupported` for other estimators, and what :meth:`predict` raises.
        """
        check_deviations(self._native)
        with self._using("predict for", dataset) as X:
            mean, std = mean_and_deviation(self._native, X)
        return NormalDistribution(*(a[:, None] if a.ndim == 1 else a for a in (mean, std)))

    def _predict(self, X: Any) -> np.ndarray:
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


def _learns_from_unlabelled(estimator: Any) -> bool:
    """Tell whether the estimator, or a pipeline's last step, is a semi-supervised classifier."""
    while isinstance(estimator, Pipeline):
        estimator = estimator[-1]
    return isinstance(estimator, BaseLabelPropagation | SelfTrainingClassifier)


def _labels(y: np.ndarray) -> np.ndarray:
    """Return class labels as integers: ``(n,)`` or ``(n, tasks)``."""
    if not np.all((y >= 0) & (y < 2**53) & (y == np.floor(y))):
        raise DatasetError(
            "A classifier's labels have to be whole numbers from 0 on.",
            hint="Number the classes, give them as text (NumpyDataset(X, y=['a', 'b'])), or use a "
            "regressor.",
        )
    labels = y.astype(np.int64)
    for task in labels.reshape(len(labels), -1).T:
        if not _are_columns(np.unique(task)):
            raise DatasetError(
                f"The largest label is {task.max()}, and more than {_MAX_ABSENT} labels below it "
                "are absent.",
                hint="Number the classes 0, 1, 2, …: np.unique(y, return_inverse=True).",
            )
    return labels


def _are_columns(classes: np.ndarray) -> bool:
    """Tell whether the labels can be column numbers of the prediction.

    A prediction has a column for each label up to the largest, so a stored model must not name a
    large one for the sake of a few.
    """
    if classes.dtype.kind not in "iu" or not len(classes) or classes.min() < 0:
        return False
    return int(classes.max()) + 1 - len(classes) <= _MAX_ABSENT


def _weights(native: Any, w: np.ndarray) -> dict[str, np.ndarray]:
    """Return the keyword that passes ``w`` to ``native.fit``, or none if all weights are one."""
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
    """Return probabilities ``(n, classes)`` with column c for label c, if labels are columns."""
    width = max(2, int(classes.max()) + 1) if _are_columns(classes) else len(classes)
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
