"""``SklearnTransformer``: a scikit-learn transformer as a step of a pipeline."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from dc_core import Dataset, NumpyDataset, Transformer, check_dataset
from dc_core.errors import EmptyDataset
from dc_sklearn.wrapping import Wrapper


class SklearnTransformer(Wrapper, Transformer):
    """A scikit-learn estimator with ``transform``: it maps X of datasets, and leaves the rest.

    ``estimator`` is a scaler, encoder, imputer, feature selector, projection, or a pipeline of
    them; a clustering or a discriminant analysis that has ``transform`` is one as well. It is never
    changed: fitting fits a clone, :attr:`native`. One that is fitted already is copied with its
    fitted state. Every :meth:`fit` starts afresh, like scikit-learn's own.
    """

    needs = "a scikit-learn estimator with transform"

    @classmethod
    def _accepts(cls, estimator: Any) -> bool:
        return isinstance(estimator, BaseEstimator) and hasattr(estimator, "transform")

    def fit(self, dataset: Dataset) -> Self:
        """Fit a fresh clone of the estimator to ``dataset`` and return the transformer itself.

        X is flattened to ``(n, features)``; a vectorizer takes one text per row. If no label is
        missing, y is passed too, ``(n,)`` for a single task and else ``(n, tasks)``: feature
        selectors need it, and scalers ignore it. Weights are not used.

        Raises :class:`EmptyDataset` if there is no row, and :class:`DatasetError` for what
        scikit-learn rejects.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("There is nothing to fit to.", hint="Give a dataset with rows.")
        labels = []
        if dataset.tasks and np.all(dataset.w > 0):
            y = dataset.y
            labels = [y[:, 0] if y.shape[1] == 1 else y]
        self._fit(self._rows(dataset), *labels)
        return self

    def transform(self, dataset: Dataset) -> Dataset:
        """Return ``dataset`` with the estimator's output as X, dense; all else stays.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`EmptyDataset` if there is no row, and
        :class:`DatasetError` where X does not fit the estimator.
        """
        check_dataset(dataset)
        with self._using("transform", dataset) as X:
            made = self._native.transform(X)
        made = made.toarray() if sparse.issparse(made) else made
        return NumpyDataset(made, dataset.y, dataset.w, dataset.ids, dataset.tasks, dataset.classes)
