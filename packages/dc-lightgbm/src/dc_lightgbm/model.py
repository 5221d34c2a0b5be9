"""``LightGBMModel``: an estimator or a booster of LightGBM as a model of this project."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from inspect import signature
from typing import Any, Final, Self

import lightgbm
import numpy as np
from sklearn.base import clone

from dc_core import (
    Dataset,
    Estimator,
    NumpyDataset,
    Table,
    flat_rows,
    model_name,
    set_origins,
    to_table,
)
from dc_core.errors import (
    DatasetError,
    DCError,
    EmptyDataset,
    NotFitted,
    ParameterError,
    Unsupported,
)
from dc_lightgbm.estimators import CLASSES, blank_booster, stored_name
from dc_lightgbm.state import booster_of

_FRAMEWORK: Final = "LightGBM"
_STOPPING: Final = ("early_stopping_round", "early_stopping_rounds", "early_stopping")


class LightGBMModel(Estimator):
    """Boosted trees of LightGBM that learn from datasets and are stored as named arrays.

    ``estimator`` is an ``LGBMClassifier``, ``LGBMRegressor`` or ``LGBMRanker``. It is never
    changed: fitting fits a clone, :attr:`native`. One that is fitted already is copied with its
    state. Every :meth:`fit` starts afresh; to go on training, pass the booster on:
    ``LGBMRegressor().fit(X, y, init_model=model.native)``.

    A ``Booster`` predicts what ``Booster.predict`` does, and cannot be fitted.

    The same seed (``random_state``) and data give the same model if ``deterministic=True`` and
    ``force_row_wise=True`` are set, with any number of threads. Predictions never depend on the
    number of threads.
    """

    backend = "lightgbm"

    def __init__(self, estimator: Any) -> None:
        if stored_name(estimator) is None:
            named = isinstance(estimator, type) and estimator in CLASSES.values()
            raise ParameterError(
                f"LightGBMModel needs an estimator of LightGBM, not {estimator!r}.",
                hint=f"Give an instance: LightGBMModel({estimator.__name__}())."
                if named
                else f"Give one of {', '.join(CLASSES)}.",
            )
        self.estimator = estimator
        self._native = _anew(estimator) if booster_of(estimator) is None else _copied(estimator)

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
        """Whether the estimator is fitted."""
        return booster_of(self._native) is not None

    @property
    def predicts_classes(self) -> bool | None:
        """Whether the estimator is a classifier; None of a booster, which does not say."""
        if isinstance(self.estimator, lightgbm.Booster):
            return None
        return isinstance(self.estimator, lightgbm.LGBMClassifier)

    def unfitted(self) -> Self:
        """Return a new model around an estimator of the same parameters, not fitted."""
        return type(self)(_anew(self.estimator))

    def fit(
        self,
        dataset: Dataset,
        *,
        valid: Dataset | None = None,
        groups: np.ndarray | None = None,
        valid_groups: np.ndarray | None = None,
    ) -> Self:
        """Fit a fresh clone of the estimator to ``dataset`` and return the model itself.

        X is flattened to ``(n, features)``; NaN in X is a missing value. There is one task; rows
        of weight 0 are left out. A classifier's labels are integers. Weights are passed unless all
        are one.

        An estimator with ``early_stopping_round`` needs ``valid``, and predicts with its best
        iteration; others ignore ``valid``. A ranker needs ``groups``, ``(n,)`` of integers: the
        query of each row (and ``valid_groups`` for ``valid``).

        Raises :class:`EmptyDataset` if there is no label, :class:`Unsupported` for a booster, and
        :class:`DatasetError` if there are several tasks, if a classifier's labels are not 0, 1,
        2, …, and for data or parameters that LightGBM rejects.
        """
        if isinstance(self.estimator, lightgbm.Booster):
            raise Unsupported(
                "A booster has no parameters to be fitted with.",
                hint="Use an estimator: LightGBMModel(LGBMRegressor()).",
            )
        table = self._table(dataset)
        order, options = self._options(table, groups)
        given = self.estimator.get_params()
        if any(given.get(name) for name in _STOPPING):
            if valid is None:
                raise DatasetError(
                    "early_stopping_round needs data that is held out.",
                    hint="Give it: fit(dataset, valid=valid).",
                )
            held = self._table(valid)
            held_order, held_options = self._options(held, valid_groups)
            options |= _held_out(self.estimator, held.X[held_order], held.y[held_order])
            names = {"sample_weight": "eval_sample_weight", "group": "eval_group"}
            options |= {names[key]: [value] for key, value in held_options.items()}
        native = _anew(self.estimator)
        with _rejections(native, "learn from", table.X):
            native.fit(table.X[order], table.y[order], **options)
        self._native = native
        set_origins(self, ())
        return self

    def predict(self, dataset: Dataset | np.ndarray | Any) -> np.ndarray:
        """Return predictions for a dataset, or for an array or DataFrame of its X.

        For regressors and rankers ``(n, 1)`` of float64. For classifiers ``(n, 1, classes)`` of
        probabilities. A booster's are what LightGBM returns, ``(n, outputs)``.

        Raises :class:`NotFitted` before :meth:`fit`, :class:`EmptyDataset` if there is no row, and
        :class:`DatasetError` if X does not fit the estimator.
        """
        native = self._native
        if not self.is_fitted:
            raise NotFitted(
                f"This {type(native).__name__} is not fitted.",
                hint="Call fit(dataset), or load a fitted one.",
            )
        named = hasattr(dataset, "columns") and not isinstance(dataset, Dataset)
        rows: Any = dataset if named or isinstance(dataset, Dataset) else NumpyDataset(dataset)
        if len(rows) == 0:
            raise EmptyDataset("There is no row to predict for.")
        X: Any = rows if named else flat_rows(rows.X, _FRAMEWORK)
        with _rejections(native, "predict for", X):
            if isinstance(native, lightgbm.LGBMClassifier):
                return np.asarray(native.predict_proba(X))[:, None]
            found = np.asarray(native.predict(X))
        return found[:, None] if found.ndim == 1 else found

    def _table(self, dataset: Dataset) -> Table:
        table = to_table(dataset, _FRAMEWORK, labels=bool(self.predicts_classes))
        if table.y.ndim != 1:
            raise DatasetError(
                f"LightGBM learns one task; there are {table.y.shape[1]}.",
                hint="Fit one model per task.",
            )
        if self.predicts_classes and len(np.unique(table.y)) <= table.y.max():
            raise DatasetError(
                f"The largest label is {table.y.max()}, and some below it are absent.",
                hint="Number the classes 0, 1, 2, …: np.unique(y, return_inverse=True).",
            )
        return table

    def _options(self, table: Table, groups: Any) -> tuple[Any, dict[str, Any]]:
        """Return the order of the rows of ``table``, and the keywords of ``fit`` for it."""
        options = {} if table.w is None else {"sample_weight": table.w}
        if not isinstance(self.estimator, lightgbm.LGBMRanker):
            if groups is not None:
                raise ParameterError(
                    "groups= and valid_groups= are the queries of a ranker.",
                    hint="Leave them out, or use LGBMRanker.",
                )
            return slice(None), options
        if groups is None:
            raise DatasetError(
                "A ranker needs the query of each row.",
                hint="Give them: fit(dataset, groups=queries), with valid_groups= for valid.",
            )
        queries = np.asarray(groups)
        if queries.dtype.kind not in "iu" or queries.ndim != 1 or table.rows[-1] >= len(queries):
            raise DatasetError(
                f"groups is {queries.dtype}{queries.shape}; it needs an integer for each row."
            )
        queries = queries[table.rows]
        order = np.argsort(queries, kind="stable")
        _, counts = np.unique(queries, return_counts=True)
        return order, {"group": counts} | {key: w[order] for key, w in options.items()}


def _held_out(estimator: Any, X: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Return the keywords of ``fit`` that pass held-out data; their names changed in 4.7."""
    if "eval_X" in signature(estimator.fit).parameters:
        return {"eval_X": X, "eval_y": y}
    return {"eval_set": [(X, y)]}


def _anew(estimator: Any) -> Any:
    """Return an object of the same class and parameters, not fitted."""
    return blank_booster() if isinstance(estimator, lightgbm.Booster) else clone(estimator)


def _copied(estimator: Any) -> Any:
    """Return a copy with its state."""
    copy = deepcopy(estimator)
    original, made = booster_of(estimator), booster_of(copy)
    if original is not None and made is not None:
        # The only attribute of a booster that LightGBM does not copy, and predicts by.
        made.best_iteration = original.best_iteration
    return copy


@contextmanager
def _rejections(native: Any, task: str, X: Any) -> Iterator[None]:
    """Raise :class:`DatasetError` for data, parameters or a state that LightGBM rejects."""
    try:
        yield
    except DCError:
        raise
    except (
        ArithmeticError,
        AttributeError,
        LookupError,
        TypeError,
        ValueError,
        lightgbm.basic.LightGBMError,
    ) as error:
        raise DatasetError(
            f"{type(native).__name__} cannot {task} X of shape {np.shape(X)}: {error}",
            hint="Correct the data, or the estimator's parameters.",
        ) from error
