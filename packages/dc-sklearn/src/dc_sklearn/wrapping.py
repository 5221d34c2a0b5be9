"""What the models around scikit-learn estimators share, and which of them fits an estimator."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, ClassVar, Final, Literal, Self

import numpy as np
from joblib import parallel_config
from sklearn.base import BaseEstimator, clone
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import FeatureUnion, Pipeline
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted

from dc_core import (
    Columns,
    Dataset,
    DCError,
    Model,
    NumpyDataset,
    dense_array,
    model_name,
    set_origins,
)
from dc_core.errors import (
    BackendNotInstalled,
    DatasetError,
    EmptyDataset,
    NotFitted,
    ParameterError,
)
from dc_sklearn.estimators import check_nesting, schema_of, stored_name

Role = Literal["SklearnModel", "SklearnTransformer", "SklearnUnsupervisedLearner"]
"""The name of a class around estimators."""

_SUPERVISED: Final = frozenset({"classifier", "regressor"})
_UNSUPERVISED: Final = frozenset({"clusterer", "density_estimator", "outlier_detector"})


def role_of(estimator: Any) -> Role | None:
    """Return which class fits ``estimator``; None if it does not learn.

    The type that an estimator declares decides, because some have their methods only after
    fitting, and then its methods. Raises :class:`ParameterError` for one that is nested too deep.
    """
    if not isinstance(estimator, BaseEstimator) or not hasattr(estimator, "fit"):
        return None
    check_nesting(estimator)
    kind = get_tags(estimator).estimator_type
    if kind in _SUPERVISED:
        return "SklearnModel"
    if kind in _UNSUPERVISED or hasattr(estimator, "kneighbors"):
        return "SklearnUnsupervisedLearner"
    if hasattr(estimator, "predict"):
        return "SklearnModel"
    return "SklearnTransformer" if hasattr(estimator, "transform") else "SklearnUnsupervisedLearner"


def reads_text(estimator: Any) -> bool:
    """Tell whether the rows of ``estimator``, or of its first step, are strings."""
    while (inner := _reader(estimator)) is not None:
        estimator = inner
    if not isinstance(estimator, BaseEstimator):
        return False
    tags = get_tags(estimator).input_tags
    return tags.string and not tags.two_d_array


def _reader(estimator: Any) -> Any:
    """Return the estimator that a composition gives its rows to as they are, None if none."""
    if isinstance(estimator, Pipeline):
        return estimator.steps[0][1]
    if isinstance(estimator, FeatureUnion):
        return estimator.transformer_list[0][1]
    inner = getattr(estimator, "estimator", None)
    return inner if isinstance(inner, BaseEstimator) else None


class Wrapper(Model):
    """A model around a scikit-learn estimator.

    ``estimator`` is never changed: fitting fits a clone of it, :attr:`native`. One that is fitted
    already is copied with its fitted state. Every ``fit`` starts afresh from the estimator's
    parameters, like scikit-learn's own; ``warm_start`` has an effect in ``native.fit`` alone.
    An optimizer is not stored: ``native.partial_fit`` of a loaded ``MLPClassifier`` or
    ``MLPRegressor`` continues from the weights with a new one, whose moments are zero.

    The weights' names begin with the estimator's class in snake case:
    ``random_forest_regressor/estimators_/feature/0``.
    """

    backend = "sklearn"

    needs: ClassVar[str]
    """What the class needs of an estimator, for the error message."""

    def __init__(self, estimator: Any) -> None:
        check_nesting(estimator)
        if not self._accepts(estimator):
            cls = type(self).__name__
            hint = f"Give an instance, such as {cls}(StandardScaler())."
            role = role_of(estimator)
            if role not in (None, cls):
                hint = f"Use dc_sklearn.{role}."
            elif isinstance(estimator, BaseEstimator):
                hint = "It does not learn."
            elif isinstance(estimator, type) and issubclass(estimator, BaseEstimator):
                hint = f"Give an instance: {cls}({estimator.__name__}())."
            raise ParameterError(f"{cls} needs {self.needs}, not {estimator!r}.", hint=hint)
        self.estimator = estimator
        self._native = deepcopy(estimator) if fitted(estimator) else clone(estimator)

    @classmethod
    def _accepts(cls, estimator: Any) -> bool:
        raise NotImplementedError

    @property
    def name(self) -> str:
        """The first part of the weights' names: the estimator's class in snake case."""
        return model_name(type(self._native))

    @property
    def native(self) -> Any:
        """The estimator that is fitted and used: a clone of the constructor's argument."""
        return self._native

    @property
    def is_fitted(self) -> bool:
        """Whether the estimator is fitted; one that learns nothing always is."""
        return fitted(self._native)

    def unfitted(self) -> Self:
        """Return a new model around an estimator of the same parameters, not fitted."""
        return type(self)(clone(self.estimator))

    def _fit(self, X: np.ndarray, *y: np.ndarray, **options: Any) -> None:
        native = clone(self.estimator)
        with rejections(native, "learn from", X):
            native.fit(X, *y, **options)
        self._native = native
        set_origins(self, ())

    def _rows(self, dataset: Dataset) -> np.ndarray:
        """Return X as the estimator takes it: ``(n, features)``, or ``(n,)`` of str.

        Raises :class:`DatasetError` if X is not one array, or not text where the estimator reads
        text.
        """
        if not reads_text(self.estimator):
            return flat(dataset.X)
        X = dense_array(dataset.X, "scikit-learn")
        if X.ndim != 1 or X.dtype.kind not in "TU":
            raise DatasetError(
                f"{type(self._native).__name__} reads text; X has dtype {X.dtype} and shape "
                f"{X.shape}.",
                hint="Give a dataset whose X is one text per row.",
            )
        return X.astype(object)

    @contextmanager
    def _using(self, task: str, dataset: Any) -> Iterator[Any]:
        """Give the rows of ``dataset`` to use the fitted estimator on, ``(n, features)``.

        A DataFrame stays one if the estimator was fitted to named columns, which scikit-learn
        compares. The estimator runs in one thread: threads that add up results in the order in
        which they end would give other last bits every time.

        Raises :class:`NotFitted`, :class:`EmptyDataset` if there is no row, and
        :class:`DatasetError` for what scikit-learn rejects.
        """
        if not self.is_fitted:
            raise NotFitted(
                f"This {type(self._native).__name__} is not fitted.",
                hint="Call fit(dataset), or load a fitted one.",
            )
        has_names = hasattr(self._native, "feature_names_in_")
        named = has_names and hasattr(dataset, "columns")
        rows = dataset if named or isinstance(dataset, Dataset) else NumpyDataset(dataset)
        if len(rows) == 0:
            raise EmptyDataset(f"There is no row to {task}.")
        X = rows if named else self._rows(rows)
        with rejections(self._native, task, X), parallel_config(backend="sequential"):
            if named or not has_names:
                yield X
                return
            with warnings.catch_warnings():
                # The columns of an array have no names to compare.
                warnings.filterwarnings("ignore", "X does not have valid feature names")
                yield X


@contextmanager
def rejections(native: Any, task: str, X: Any) -> Iterator[None]:
    """Raise :class:`DatasetError` for data, parameters or a state that scikit-learn rejects.

    It is also raised if memory does not suffice, and :class:`BackendNotInstalled` if the package is
    missing that ``set_output`` asks for.
    """
    try:
        yield
    except DCError:
        raise
    except MemoryError as error:
        raise DatasetError(
            f"{type(native).__name__} cannot {task} X of shape {np.shape(X)}: {error}.",
            hint="Give fewer rows at a time, or use an estimator with a smaller output.",
        ) from error
    except ImportError as error:
        raise BackendNotInstalled(
            f"{type(native).__name__} cannot {task} X: {error}",
            hint="Install that package, or call native.set_output(transform='default').",
        ) from error
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        NameError,
        TypeError,
        ValueError,
    ) as error:
        dtype = f" and dtype {X.dtype}" if isinstance(X, np.ndarray) else ""
        text = isinstance(X, np.ndarray) and X.dtype.kind in "TU"
        raise DatasetError(
            f"{type(native).__name__} cannot {task} X of shape {np.shape(X)}{dtype}: {error}",
            hint="X is text: featurize it first, or put a featurizer and the model into one "
            "pipeline."
            if text
            else "Correct the data, or the estimator's parameters.",
        ) from error


def flat(columns: Columns) -> np.ndarray:
    """Return the rows of X as ``(n, features)``.

    Raises :class:`DatasetError` if X is not one array.
    """
    X = dense_array(columns, "scikit-learn")
    return X if X.ndim == 2 else X.reshape(len(X), -1)


def fitted(estimator: Any) -> bool:
    """Tell whether ``estimator`` and all its steps are fitted, or have nothing to learn."""
    try:
        check_is_fitted(estimator)
    except NotFittedError:
        return False
    # scikit-learn itself asks a pipeline's last step alone.
    known = stored_name(estimator) is not None
    return all(map(fitted, schema_of(estimator).parts(estimator).values() if known else ()))
