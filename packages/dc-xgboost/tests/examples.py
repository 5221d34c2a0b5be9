"""One booster or estimator of every kind that is stored, each with the rows to predict for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import xgboost
from xgboost import (
    XGBClassifier,
    XGBRanker,
    XGBRegressor,
    XGBRFClassifier,
    XGBRFRegressor,
)

N = 80
POSITIVE = ("count:poisson", "reg:squaredlogerror", "reg:tweedie", "survival:cox")
"""Objectives whose labels are not negative."""


@cache
def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return X ``(80, 4)``, with missing values, and y ``(80,)``, which depends on it."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 4)).astype(np.float32)
    y = X[:, 0] * 2 - np.abs(X[:, 1]) + rng.normal(size=N) / 10
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, y


def frame(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a DataFrame with categories of text and of numbers, and y, which depends on them."""
    X, y = data(seed)
    rng = np.random.default_rng(seed)
    text = pd.Categorical(rng.choice(list("zaxmcd"), N), categories=list("zaxmcd"))
    numbers = pd.Categorical(rng.integers(0, 9, N), categories=[8, 7, 6, 5, 4, 3, 2, 1, 0])
    made = pd.DataFrame({"text": text, "x": X[:, 1], "number": numbers})
    return made, y + text.isin(["z", "x", "d"]) * 2.0 + numbers.isin([1, 5, 6, 8])


def regressor(**params: Any) -> Callable[[int], tuple[Any, Any]]:
    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        made = XGBRegressor(**{"n_estimators": 6, "n_jobs": 1, **params})
        positive = params.get("objective") in POSITIVE
        return made.fit(X, np.abs(y) if positive else y), X

    return make


def classifier(classes: int, **params: Any) -> Callable[[int], tuple[Any, Any]]:
    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        labels = np.searchsorted(np.quantile(y, np.arange(1, classes) / classes), y)
        return XGBClassifier(**{"n_estimators": 4, "n_jobs": 1, **params}).fit(X, labels), X

    return make


def several(cls: type[Any] = XGBRegressor, **params: Any) -> Callable[[int], tuple[Any, Any]]:
    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        Y = np.stack([y, -y * 3, y**2], axis=1)
        labels = (Y - Y.mean(0) > 0).astype(int) if cls is XGBClassifier else Y
        return cls(**{"n_estimators": 3, "max_depth": 3, "n_jobs": 1, **params}).fit(X, labels), X

    return make


def forest(cls: type[Any]) -> Callable[[int], tuple[Any, Any]]:
    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        labels = (y > 0).astype(int) if cls is XGBRFClassifier else y
        return cls(n_estimators=5, max_depth=3, n_jobs=1, random_state=seed).fit(X, labels), X

    return make


def ranker(**params: Any) -> Callable[[int], tuple[Any, Any]]:
    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        grades = np.searchsorted([-1, 1], y)
        queries = np.repeat(np.arange(8), 10)
        return XGBRanker(n_estimators=3, max_depth=3, n_jobs=1, **params).fit(
            X, grades, qid=queries
        ), X

    return make


def categorical(**params: Any) -> Callable[[int], tuple[Any, Any]]:
    def make(seed: int) -> tuple[Any, Any]:
        X, y = frame(seed)
        params_ = {"n_estimators": 5, "n_jobs": 1, "enable_categorical": True}
        return XGBRegressor(**{**params_, "max_cat_to_onehot": 2, **params}).fit(X, y), X

    return make


def _numbered_categories(seed: int) -> tuple[Any, Any]:
    X, y = data(seed)
    X = X.copy()
    X[:, 2] = np.random.default_rng(seed).integers(0, 40, N)
    made = XGBRegressor(n_estimators=5, feature_types=["q", "q", "c", "q"], enable_categorical=True)
    return made.fit(X, y + (X[:, 2] % 3)), X


def _stopped(seed: int) -> tuple[Any, Any]:
    X, y = data(seed)
    made = XGBRegressor(
        n_estimators=40, n_jobs=1, early_stopping_rounds=3, eval_metric=["rmse", "mae"]
    )
    return made.fit(X[:50], y[:50], eval_set=[(X[50:], y[50:])], verbose=False), X


def booster(params: Mapping[str, Any], rounds: int = 4) -> Callable[[int], tuple[Any, Any]]:
    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        rows = xgboost.DMatrix(X, y, feature_names=["a", "b", "c d", "é"])
        if params.get("objective") == "survival:aft":
            rows.set_float_info("label_lower_bound", np.abs(y))
            rows.set_float_info("label_upper_bound", np.abs(y) + 1)
        booster = xgboost.train({"nthread": 1, **params}, rows, rounds)
        booster.set_attr(note="ε")
        return booster, X

    return make


KINDS: Mapping[str, Callable[[int], tuple[Any, Any]]] = {
    "regressor": regressor(),
    "base score": regressor(base_score=0.3),
    "dart": regressor(booster="dart", rate_drop=0.5, one_drop=1),
    "linear": regressor(booster="gblinear"),
    "lossguide": regressor(grow_policy="lossguide", max_leaves=12, max_depth=0),
    "pruned": regressor(tree_method="exact", gamma=2),
    "quantiles": regressor(objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9]),
    "pseudo-Huber": regressor(objective="reg:pseudohubererror", huber_slope=1.3),
    "absolute error": regressor(objective="reg:absoluteerror"),
    "logarithmic error": regressor(objective="reg:squaredlogerror"),
    "Poisson": regressor(objective="count:poisson", max_delta_step=0.3),
    "Tweedie": regressor(objective="reg:tweedie", tweedie_variance_power=1.3),
    "Cox": regressor(objective="survival:cox"),
    "missing is 0": regressor(missing=0),
    "two classes": classifier(2, scale_pos_weight=1.3),
    "three classes": classifier(3),
    "softmax": classifier(3, objective="multi:softmax"),
    "hinge": classifier(2, objective="binary:hinge"),
    "linear classes": classifier(3, booster="gblinear"),
    "several tasks": several(),
    "vector leaves": several(multi_strategy="multi_output_tree"),
    "several labels": several(XGBClassifier),
    "forest": forest(XGBRFRegressor),
    "forest of classes": forest(XGBRFClassifier),
    "ranker": ranker(),
    "unbiased ranker": ranker(lambdarank_unbiased=True),
    "pairwise ranker": ranker(objective="rank:pairwise", lambdarank_pair_method="mean"),
    "categories": categorical(),
    "one-hot categories": categorical(max_cat_to_onehot=99),
    "numbered categories": _numbered_categories,
    "early stopping": _stopped,
    "booster": booster({"max_depth": 3}),
    "booster of AFT": booster(
        {
            "objective": "survival:aft",
            "aft_loss_distribution": "logistic",
            "aft_loss_distribution_scale": 1.3,
        }
    ),
    "booster without trees": booster({}, 0),
}
"""Functions that make a fitted estimator or booster from a seed, with rows to predict for."""


def blank(obj: Any) -> Any:
    """Return an object of the same class and parameters that is not trained."""
    if isinstance(obj, xgboost.Booster):
        return xgboost.Booster()
    return type(obj)(**obj.get_params())


def outputs(obj: Any, X: Any) -> dict[str, np.ndarray]:
    """Return everything that XGBoost computes for ``X``, by name."""
    found: dict[str, np.ndarray] = {}
    booster = obj
    if isinstance(obj, xgboost.XGBModel):
        found["predict"] = obj.predict(X)
        found["margin"] = obj.predict(X, output_margin=True)
        if hasattr(obj, "predict_proba"):
            found["proba"] = obj.predict_proba(X)
        booster = obj.get_booster()
    categorical = isinstance(X, pd.DataFrame) or bool(getattr(obj, "feature_types", None))
    rows = xgboost.DMatrix(
        X,
        nthread=1,
        feature_names=booster.feature_names,
        feature_types=booster.feature_types if not isinstance(X, pd.DataFrame) else None,
        enable_categorical=categorical,
    )
    found["booster"] = booster.predict(rows)
    found["booster's margin"] = booster.predict(rows, output_margin=True)
    linear = "gblinear" in booster.save_config()
    vectors = getattr(obj, "multi_strategy", None) == "multi_output_tree"
    if not linear:
        found["leaves"] = booster.predict(rows, pred_leaf=True)
        rounds = booster.num_boosted_rounds()
        if rounds > 1:
            found["first rounds"] = booster.predict(rows, iteration_range=(0, rounds - 1))
            found["later rounds"] = booster.predict(rows, iteration_range=(1, rounds))
        if not vectors:
            found["approximate contributions"] = booster.predict(
                rows, pred_contribs=True, approx_contribs=True
            )
            found["importances"] = np.array(
                [
                    value
                    for kind in ("weight", "gain", "total_cover")
                    for _, value in sorted(booster.get_score(importance_type=kind).items())
                ]
            )
    if not vectors:
        found["contributions"] = booster.predict(rows, pred_contribs=True)
    return found
