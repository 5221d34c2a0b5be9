"""``KnotlineModel``: an additive regressor that learns from datasets and can be published."""

from copy import deepcopy

from knotline import AdditiveRegressor

from dc_core import Dataset, Estimator, NumpyDataset, check_dataset, dense_array
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, ParameterError


class KnotlineModel(Estimator):
    """A model around ``regressor``, which is copied and never changed."""

    backend = "knotline"
    predicts_classes = False

    def __init__(self, regressor):
        if type(regressor) is not AdditiveRegressor:
            raise ParameterError(
                f"KnotlineModel needs an AdditiveRegressor, not {regressor!r}.",
                hint="Give an instance: KnotlineModel(AdditiveRegressor(knots=8)).",
            )
        self.regressor = regressor
        self._native = deepcopy(regressor)

    @property
    def native(self):
        """The regressor that is fitted and used."""
        return self._native

    @property
    def is_fitted(self):
        """Whether the regressor is fitted."""
        return self._native.heights_ is not None

    def unfitted(self):
        """Return a new model whose regressor has the same arguments and is not fitted."""
        return type(self)(AdditiveRegressor(self._native.knots, self._native.smoothing))

    def fit(self, dataset, *, valid=None):
        """Fit to the rows of ``dataset``, which has one task and no weights. Return the model."""
        check_dataset(dataset)
        if len(dataset) == 0:
            raise EmptyDataset("There is no row to fit to.")
        if dataset.y.shape[1:] != (1,) or not (dataset.w == 1).all():
            raise DatasetError(
                "KnotlineModel learns one task, without weights.",
                hint="Choose a task, and rows whose label is known.",
            )
        new = self.unfitted().native
        new.fit(dense_array(dataset.X, "knotline"), dataset.y[:, 0])
        self._native = new
        return self

    def predict(self, dataset):
        """Return the predictions for a dataset or an array of its X, of shape (rows, 1)."""
        if not self.is_fitted:
            raise NotFitted("The model is not fitted.", hint="Call fit(dataset) first.")
        rows = dataset if isinstance(dataset, Dataset) else NumpyDataset(dataset)
        if len(rows) == 0:
            raise EmptyDataset("There is no row to predict for.")
        X = dense_array(rows.X, "knotline")
        features = len(self._native.heights_)
        if X.shape[1:] != (features,):
            raise DatasetError(
                f"X has shape {X.shape}; the model was fitted to {features} features.",
                hint="Give the features that the model was fitted to, in the same order.",
            )
        return self._native.predict(X)[:, None]
