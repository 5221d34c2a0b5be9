"""``XGBoostModel``: an estimator or a booster of XGBoost as a model of this project."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from typing import Any, Final, Self

import numpy as np
import xgboost
from sklearn.base import clone, is_classifier

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
from dc_xgboost.estimators import CLASSES, stored_name
from dc_xgboost.state import booster_of, first_line

_FRAMEWORK: Final = "XGBoost"


class XGBoostModel(Estimator):
    """Boosted trees of XGBoost that learn from datasets and are stored as named arrays.

    ``estimator`` is an ``XGBClassifier``, ``XGBRegressor``, ``XGBRanker``, ``XGBRFClassifier`` or
    ``XGBRFRegressor``. It is never changed: fitting fits a clone, :attr:`native`. One that is
    fitted already is copied with its state. Every :meth:`fit` starts afresh; to go on training,
    pass the booster on: ``XGBRegressor().fit(X, y, xgb_model=model.native)``.

    A ``Booster`` predicts what ``Booster.inplace_predict`` does, and cannot be fitted: it has no
    parameters.

    The same seed (``random_state``) and data give the same model on one machine, with any number
    of threads, unless ``tree_method`` or the device says otherwise. Predictions never depend on
    the number of threads.
    """

    backend = "xgboost"

    def __init__(self, estimator: Any) -> None:
        if stored_name(estimator) is None:
            named = isinstance(estimator, type) and estimator in CLASSES.values()
            raise ParameterError(
                f"XGBoostModel needs an estimator of XGBoost, not {estimator!r}.",
                hint=f"Give an instance: XGBoostModel({estimator.__name__}())."
                if named
                else f"Give one of {', '.join(CLASSES)}.",
            )
        self.estimator = estimator
        self._native = _anew(estimator) if booster_of(estimator) is None else deepcopy(estimator)

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
        booster = isinstance(self.estimator, xgboost.Booster)
        return None if booster else bool(is_classifier(self.estimator))

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

        X is flattened to ``(n, features)``; NaN in X is a missing value. A single task's y is
        ``(n,)``, without the rows of weight 0; several tasks are ``(n, tasks)``. A classifier's
        labels are integers, and 0 or 1 if there are several tasks. Weights are passed unless all
        are one.

        An estimator with ``early_stopping_rounds`` needs ``valid``, and predicts with its best
        iteration; others ignore ``valid``. A ranker needs ``groups``, ``(n,)`` of integers: the
        query of each row (and ``valid_groups`` for ``valid``).

        Raises :class:`EmptyDataset` if there is no label, :class:`Unsupported` for a booster, and
        :class:`DatasetError` if some of several tasks' labels are missing, or a classifier's labels
        are not 0, 1, 2, …, and for data or parameters that XGBoost rejects.
        """
        if isinstance(self.estimator, xgboost.Booster):
            raise Unsupported(
                "A booster has no parameters to be fitted with.",
                hint="Use an estimator: XGBoostModel(XGBRegressor()).",
            )
        table = to_table(dataset, _FRAMEWORK, labels=bool(self.predicts_classes))
        order, options = self._options(table, groups)
        if self.estimator.early_stopping_rounds is not None:
            if valid is None:
                raise DatasetError(
                    "early_stopping_rounds needs data that is held out.",
                    hint="Give it: fit(dataset, valid=valid).",
                )
            held = to_table(valid, _FRAMEWORK, labels=bool(self.predicts_classes))
            held_order, held_options = self._options(held, valid_groups)
            options["eval_set"] = [(held.X[held_order], held.y[held_order])]
            options["verbose"] = False
            names = {"sample_weight": "sample_weight_eval_set", "qid": "eval_qid"}
            options |= {names[key]: [value] for key, value in held_options.items()}
        native = _anew(self.estimator)
        with _rejections(native, "learn from", table.X):
            native.fit(table.X[order], table.y[order], **options)
        self._native = native
        set_origins(self, ())
        return self

    def predict(self, dataset: Dataset | np.ndarray | Any) -> np.ndarray:
        """Return predictions for a dataset, or for an array or DataFrame of its X.

        For regressors and rankers ``(n, tasks)`` of float32; with several ``quantile_alpha`` there
        is a column for each. For classifiers ``(n, tasks, classes)`` of probabilities. A booster's
        are what XGBoost returns, ``(n, outputs)``.

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
            if isinstance(native, xgboost.Booster):
                # Arrays have no names to compare with the booster's.
                found = np.asarray(_predict_booster(native, X, named))
            elif not is_classifier(native):
                found = np.asarray(native.predict(X, validate_features=named))
            else:
                return _by_task(native, np.asarray(native.predict_proba(X, named)))
        return found[:, None] if found.ndim == 1 else found

    def _options(self, table: Table, groups: Any) -> tuple[Any, dict[str, Any]]:
        """Return the order of the rows of ``table``, and the keywords of ``fit`` for it."""
        if not isinstance(self.estimator, xgboost.XGBRanker):
            if groups is not None:
                raise ParameterError(
                    "groups= and valid_groups= are the queries of a ranker.",
                    hint="Leave them out, or use XGBRanker.",
                )
            return slice(None), {} if table.w is None else {"sample_weight": table.w}
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
        if table.w is not None:
            raise DatasetError(
                "A ranker takes weights of queries, and the dataset has weights of rows.",
                hint="Give a dataset whose weights are all one.",
            )
        queries = queries[table.rows]
        order = np.argsort(queries, kind="stable")
        return order, {"qid": queries[order]}


def _anew(estimator: Any) -> Any:
    """Return an object of the same class and parameters, not fitted."""
    return xgboost.Booster() if isinstance(estimator, xgboost.Booster) else clone(estimator)


def _predict_booster(booster: xgboost.Booster, X: Any, named: bool) -> Any:
    if _config(booster)["gradient_booster"]["name"] == "gblinear":
        return booster.predict(xgboost.DMatrix(X), validate_features=named)
    best = booster.attr("best_iteration")
    rounds = (0, 0) if best is None else (0, int(best) + 1)
    return booster.inplace_predict(X, iteration_range=rounds, validate_features=named)


def _by_task(native: Any, found: np.ndarray) -> np.ndarray:
    """Return probabilities as ``(n, tasks, classes)``.

    Of several tasks XGBoost returns the probabilities of the label 1 alone.
    """
    if int(_config(native.get_booster())["learner_model_param"]["num_target"]) > 1:
        return np.stack([1 - found, found], axis=2)
    return found[:, None]


def _config(booster: xgboost.Booster) -> Any:
    return json.loads(booster.save_config())["learner"]


@contextmanager
def _rejections(native: Any, task: str, X: Any) -> Iterator[None]:
    """Raise :class:`DatasetError` for data, parameters or a state that XGBoost rejects."""
    try:
        yield
    except DCError:
        raise
    except (ArithmeticError, AttributeError, LookupError, TypeError, ValueError) as error:
        raise DatasetError(
            f"{type(native).__name__} cannot {task} X of shape {np.shape(X)}: {first_line(error)}",
            hint="Correct the data, or the estimator's parameters.",
        ) from error
