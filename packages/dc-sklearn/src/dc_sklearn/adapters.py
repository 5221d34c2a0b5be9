"""``as_sklearn``: this project's models as estimators of scikit-learn, for its searches and tools.

The estimator's one parameter is the model. ``fit`` trains a fresh copy of it, ``model_``, so that
``clone``, ``GridSearchCV`` and ``cross_val_score`` work as with scikit-learn's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from typing import Any, Final, Self

import numpy as np
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    RegressorMixin,
    TransformerMixin,
)
from sklearn.utils import column_or_1d
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from dc_core import (
    Component,
    Estimator,
    NumpyDataset,
    Transformer,
    UnsupervisedLearner,
    registry,
    with_parameters,
)
from dc_core.errors import ParameterError, UnknownParameter

_PLAIN: Final = (
    bool,
    int,
    float,
    str,
    bytes,
    list,
    tuple,
    dict,
    np.ndarray,
    np.generic,
    type(None),
)
_SIZES: Final = ("n_features", "n_tasks", "n_classes")
"""Parameters of models that say how large the data are."""


def as_sklearn(
    model: Estimator | Transformer | UnsupervisedLearner, *, classifier: bool | None = None
) -> Any:
    """Return ``model`` as an estimator of scikit-learn: a classifier, regressor or transformer.

    - An :class:`Estimator` becomes a classifier, with ``predict`` and ``predict_proba``, if it
      predicts classes, and else a regressor. ``classifier`` decides where the model does not say.
      Labels of classes may be numbers or text.
    - A :class:`Transformer` becomes a transformer, and an :class:`UnsupervisedLearner` one whose
      ``transform`` is ``embed``.

    The parameters of the model are parameters of the estimator, with the prefix ``model__``; those
    of an estimator or a model among them have a prefix more: ``model__estimator__alpha``. X is
    ``(n, features)`` of numbers, or one text per row where the model reads text. The parameters
    ``n_features``, ``n_tasks`` and ``n_classes`` of a network follow the data in ``fit``. A model
    that is fitted stays fitted until ``fit`` trains a fresh one; of a fitted classifier, the
    classes are numbered if they have no names.

    Raises :class:`ParameterError` for an object of another kind, and for an estimator that does not
    say whether it predicts classes.
    """
    if isinstance(model, Estimator):
        classifies = model.predicts_classes if classifier is None else classifier
        if classifies is None:
            raise ParameterError(
                f"{type(model).__name__} does not say whether it predicts classes.",
                hint="Pass classifier=True or classifier=False.",
            )
        estimator: _Adapter = (ModelClassifier if classifies else ModelRegressor)(model)
    elif isinstance(model, Transformer | UnsupervisedLearner):
        estimator = ModelTransformer(model)
    else:
        raise ParameterError(
            f"as_sklearn takes an Estimator, Transformer or UnsupervisedLearner, not {model!r}.",
            hint="An estimator of scikit-learn needs no adapter.",
        )
    if model.is_fitted:
        estimator.model = model.unfitted()
        estimator.model_ = model
    return estimator


class _Adapter(BaseEstimator):  # type: ignore[misc]
    """What the adapters share: their parameters, and the rows that they give to the model."""

    model: Any
    model_: Any

    def __init__(self, model: Any) -> None:
        self.model = model

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the model and, if ``deep``, its own parameters with the prefix ``model__``."""
        found: dict[str, Any] = {"model": self.model}
        if deep and isinstance(self.model, Component):
            found |= _parameters(self.model, "model")
        return found

    def set_params(self, **params: Any) -> Self:
        """Set the model, or make one with other parameters; return the estimator itself.

        Raises :class:`UnknownParameter` for a parameter that there is not.
        """
        self.model = params.pop("model", self.model)
        changes = {}
        for name, value in params.items():
            prefix, _, rest = name.partition("__")
            if prefix != "model" or not rest:
                raise UnknownParameter(
                    f"The estimator has no parameter {name!r}.",
                    hint="Its parameters are model, and those of the model: model__….",
                )
            changes[rest.replace("__", ".")] = value
        if changes:
            self.model = with_parameters(self.model, changes)
        return self

    def _rows(self, X: Any, *, reset: bool) -> np.ndarray:
        """Return X as an array ``(n, features)`` of floats, or ``(n,)`` of text."""
        column = np.asarray(X)
        if column.ndim == 2 and column.shape[1] == 1:
            column = column[:, 0]
        texts = column.ndim == 1 and column.dtype.kind in "OUT" and len(column)
        if texts and all(isinstance(item, str) for item in column):
            return column.astype(np.dtypes.StringDType())
        rows: np.ndarray = validate_data(self, X, reset=reset, dtype=(np.float64, np.float32))
        return rows

    def _fit(
        self,
        X: np.ndarray,
        y: np.ndarray | None,
        sample_weight: Any = None,
        n_classes: int | None = None,
    ) -> Self:
        if sample_weight is not None:
            sample_weight = _check_sample_weight(sample_weight, X, ensure_non_negative=True)
        sizes = {
            "n_features": X.shape[1] if X.ndim == 2 else None,
            "n_tasks": None if y is None else int(np.prod(y.shape[1:])),
            "n_classes": n_classes,
        }
        model = _sized(self.model.unfitted(), sizes)
        self.model_ = model.fit(NumpyDataset(X, y, w=sample_weight))
        return self

    def _fitted(self) -> Any:
        check_is_fitted(self, "model_")
        return self.model_


class ModelRegressor(RegressorMixin, _Adapter):  # type: ignore[misc]
    """A model that predicts numbers, as a regressor of scikit-learn; see :func:`as_sklearn`."""

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a fresh copy of the model, ``model_``, and return the estimator itself.

        y is ``(n,)`` or ``(n, tasks)``, and ``sample_weight`` ``(n,)``.
        """
        rows = self._rows(X, reset=True)
        if rows.ndim == 2:
            rows, y = validate_data(
                self, X, y, multi_output=True, y_numeric=True, dtype=(np.float64, np.float32)
            )
        y = np.asarray(y, float)
        self._fit(rows, y, sample_weight)
        self._predicts_vector = y.ndim == 1
        return self

    def __sklearn_tags__(self) -> Any:
        """Return the tags: y may have several columns."""
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags

    def predict(self, X: Any) -> np.ndarray:
        """Return predictions of float64 in the shape of the y that was given to ``fit``."""
        model = self._fitted()
        found = np.asarray(model.predict(NumpyDataset(self._rows(X, reset=False))), np.float64)
        flat = getattr(self, "_predicts_vector", found.shape[1] == 1)
        return found[:, 0] if flat else found


class ModelClassifier(ClassifierMixin, _Adapter):  # type: ignore[misc]
    """A model that predicts classes, as a classifier of scikit-learn; see :func:`as_sklearn`."""

    @property
    def classes_(self) -> np.ndarray:
        """The labels of the columns of ``predict_proba``, sorted; names of a model given fitted."""
        model = self._fitted()
        if hasattr(self, "_labels"):
            return np.asarray(self._labels)
        names = next(iter(model.classes.values()), None)
        if names is None:
            raise AttributeError("The classes of a fitted model without names are not known.")
        return np.array(names)

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:
        """Train a fresh copy of the model, ``model_``, and return the estimator itself.

        y holds labels ``(n,)``, numbers or text, and ``sample_weight`` is ``(n,)``.
        """
        rows = self._rows(X, reset=True)
        if rows.ndim == 2:
            rows, y = validate_data(self, X, y, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        labels, numbers = np.unique(column_or_1d(y), return_inverse=True)
        self._fit(rows, numbers, sample_weight, max(2, len(labels)))
        self._labels = labels
        return self

    def predict_proba(self, X: Any) -> np.ndarray:
        """Return the probability of each class, ``(n, classes)``."""
        model = self._fitted()
        found = np.asarray(model.predict(NumpyDataset(self._rows(X, reset=False))))[:, 0]
        width = len(self._labels) if hasattr(self, "_labels") else found.shape[1]
        columns = found[:, :width]
        return np.pad(columns, ((0, 0), (0, width - columns.shape[1])))

    def predict(self, X: Any) -> np.ndarray:
        """Return the label of the most probable class of each row, ``(n,)``."""
        numbers = self.predict_proba(X).argmax(axis=1)
        named = hasattr(self, "_labels") or bool(self.model_.classes)
        labels: np.ndarray = self.classes_[numbers] if named else numbers
        return labels


class ModelTransformer(
    ClassNamePrefixFeaturesOutMixin,  # type: ignore[misc]
    TransformerMixin,  # type: ignore[misc]
    _Adapter,
):
    """A transformer or an embedding, as a transformer of scikit-learn; see :func:`as_sklearn`."""

    def fit(self, X: Any, y: Any = None) -> Self:
        """Fit a fresh copy of the model, ``model_``, and return the estimator itself."""
        rows = self._rows(X, reset=True)
        self._fit(rows, None if y is None else np.asarray(y))
        self._n_features_out = self._transformed(rows[:2]).shape[1]
        return self

    def transform(self, X: Any) -> np.ndarray:
        """Return the transformed rows, or their embeddings: ``(n, k)``."""
        self._fitted()
        return self._transformed(self._rows(X, reset=False))

    def _transformed(self, rows: np.ndarray) -> np.ndarray:
        dataset = NumpyDataset(rows)
        embeds = isinstance(self.model_, UnsupervisedLearner)
        made = self.model_.embed(dataset) if embeds else self.model_.transform(dataset).X
        return np.asarray(made).reshape(len(rows), -1)


def _sized(model: Any, sizes: Mapping[str, int | None]) -> Any:
    """Return ``model`` for data of these sizes; None stands for one that is not known."""
    described = registry.describe(model)
    params = {} if described is None else described.params
    changes = {
        name: sizes[name]
        for name in _SIZES
        if name in params and sizes[name] not in (None, params[name])
    }
    return with_parameters(model, changes) if changes else model


def _parameters(value: Any, prefix: str) -> dict[str, Any]:
    """Return the parameters of a model, and those of models and estimators among them, by path."""
    described = registry.describe(value)
    if described is None:
        return {}
    given = dict(described.params)
    for name, kind in signature(type(value)).parameters.items():
        if kind.kind is kind.VAR_KEYWORD and isinstance(given.get(name), Mapping):
            given |= given.pop(name)
    found = {f"{prefix}__{name}": item for name, item in given.items()}
    for name, item in given.items():
        if not isinstance(item, _PLAIN):
            found |= _parameters(item, f"{prefix}__{name}")
    return found
