"""``SklearnUnsupervisedLearner``: clusterings, densities, outlier detectors, embeddings."""

from __future__ import annotations

from typing import Any, Final, Self

import numpy as np

from dc_core import Dataset, UnsupervisedLearner, check_dataset
from dc_core.errors import EmptyDataset, Unsupported
from dc_sklearn.wrapping import Wrapper, role_of

_EMBEDDINGS: Final = (
    *("transform", "predict_proba", "decision_function"),
    *("score_samples", "mahalanobis", "kneighbors"),
)


class SklearnUnsupervisedLearner(Wrapper, UnsupervisedLearner):
    """A scikit-learn estimator that learns from X alone.

    ``estimator`` is a clustering, a mixture or density, an outlier detector, a covariance, a
    neighbour search, or a transformer. What a clustering or an embedding without a method for new
    rows found in the training rows is in :attr:`native`: ``labels_``, ``embedding_``. The given
    estimator is never changed: fitting fits a clone, :attr:`native`. One that is fitted
    already is copied with its fitted state. Every :meth:`fit` starts afresh, like scikit-learn's
    own.
    """

    needs = "a scikit-learn estimator that learns from X alone"

    @classmethod
    def _accepts(cls, estimator: Any) -> bool:
        return role_of(estimator) in ("SklearnTransformer", "SklearnUnsupervisedLearner")

    def fit(self, dataset: Dataset) -> Self:
        """Fit a fresh clone of the estimator to X, flattened, and return the model itself.

        Raises :class:`EmptyDataset` if there is no row, and :class:`DatasetError` for what
        scikit-learn rejects.
        """
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("There is nothing to fit to.", hint="Give a dataset with rows.")
        self._fit(self._rows(dataset))
        return self

    def embed(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return one embedding per row of a dataset, or of an array of its X: ``(n, k)``.

        The first that the estimator has of: ``transform`` (a clustering's distances to its
        centres, a projection's components), ``predict_proba`` (a mixture's responsibilities),
        ``decision_function`` (an outlier detector's score, ``(n, 1)``), ``score_samples`` (a
        density's logarithm, ``(n, 1)``), ``mahalanobis`` (squared distances from the mean,
        ``(n, 1)``), ``kneighbors`` (the distances to the nearest training rows).

        Raises :class:`Unsupported` for an estimator that has none of them, :class:`NotFitted`
        before :meth:`fit`, :class:`EmptyDataset` if there is no row, and :class:`DatasetError`
        where X does not fit the estimator.
        """
        native = self._native
        with self._using("embed", dataset) as X:
            method = next((name for name in _EMBEDDINGS if hasattr(native, name)), None)
            if method is None:
                raise Unsupported(
                    f"{type(native).__name__} has no method for rows that it was not fitted to.",
                    hint="What it found in the training rows is in native: labels_, embedding_.",
                )
            found = getattr(native, method)(X)
        found = found[0] if method == "kneighbors" else found
        rows = np.asarray(found.toarray() if hasattr(found, "toarray") else found)
        return rows[:, None] if rows.ndim == 1 else rows

    def labels(self, dataset: Dataset | np.ndarray) -> np.ndarray:
        """Return the number of each row's cluster, or 1 for an inlier and -1 for an outlier.

        The shape is ``(n,)``. Raises :class:`Unsupported` for an estimator that gives new rows no
        labels, and the errors of :meth:`embed`.
        """
        with self._using("label", dataset) as X:
            if not hasattr(self._native, "predict"):
                raise Unsupported(
                    f"{type(self._native).__name__} gives new rows no labels.",
                    hint="Use embed(dataset).",
                )
            return np.asarray(self._native.predict(X))
