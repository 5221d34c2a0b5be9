"""One booster or estimator of every kind that is stored, each with the rows to predict for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import lightgbm
import numpy as np
import pandas as pd
from lightgbm import LGBMClassifier, LGBMRanker, LGBMRegressor

from dc_lightgbm.estimators import blank_booster

N = 90
SMALL: Mapping[str, Any] = {
    "n_estimators": 5,
    "num_leaves": 7,
    "min_child_samples": 4,
    "n_jobs": 1,
    "verbosity": -1,
}
POSITIVE = ("poisson", "gamma", "tweedie")


@cache
def data(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return X ``(90, 4)``, with missing values, and y ``(90,)``, which depends on it."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(N, 4))
    y = X[:, 0] * 2 - np.abs(X[:, 1]) + rng.normal(size=N) / 10
    X[rng.random(X.shape) < 0.1] = np.nan
    return X, y


def frame(seed: int = 0) -> tuple[pd.DataFrame, np.ndarray]:
    """Return a DataFrame with categories of text and of numbers, and y, which depends on them."""
    X, y = data(seed)
    rng = np.random.default_rng(seed)
    text = pd.Categorical(rng.choice(list("zaxmcé"), N), categories=list("zaxmcé"))
    numbers = pd.Categorical(rng.integers(0, 50, N))
    made = pd.DataFrame({"text": text, "x": X[:, 1], "number": numbers})
    return made, y + text.isin(["z", "x", "é"]) * 2.0 + np.asarray(numbers) % 3


def regressor(**params: Any) -> Callable[[int], tuple[Any, Any]]:
    """Return a function that makes a regressor."""

    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        labels = np.abs(y) + 0.1 if params.get("objective") in POSITIVE else y
        labels = 1 / (1 + np.exp(-y)) if "cross" in params.get("objective", "") else labels
        return LGBMRegressor(**{**SMALL, **params}).fit(X, labels), X

    return make


def classifier(classes: int, names: Any = None, **params: Any) -> Callable[[int], tuple[Any, Any]]:
    """Return a function that makes a classifier."""

    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        labels = np.searchsorted(np.quantile(y, np.arange(1, classes) / classes), y)
        labels = labels if names is None else np.array(names)[labels]
        return LGBMClassifier(**{**SMALL, **params}).fit(X, labels), X

    return make


def ranker(**params: Any) -> Callable[[int], tuple[Any, Any]]:
    """Return a function that makes a ranker."""

    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        grades = np.searchsorted([-1, 1], y)
        return LGBMRanker(**{**SMALL, **params}).fit(X, grades, group=[10] * 9), X

    return make


def categorical(**params: Any) -> Callable[[int], tuple[Any, Any]]:
    """Return a function that makes a regressor of categories."""

    def make(seed: int) -> tuple[Any, Any]:
        X, y = frame(seed)
        options = {"cat_smooth": 1, "min_data_per_group": 1, "max_cat_to_onehot": 1}
        return LGBMRegressor(**{**SMALL, **options, **params}).fit(X, y), X

    return make


def _stopped(seed: int) -> tuple[Any, Any]:
    X, y = data(seed)
    options = {**SMALL, "n_estimators": 80, "early_stopping_round": 3, "learning_rate": 0.3}
    return LGBMRegressor(**options).fit(X[:50], y[:50], eval_X=X[50:], eval_y=y[50:]), X


def booster(params: Mapping[str, Any], rounds: int = 4) -> Callable[[int], tuple[Any, Any]]:
    """Return a function that makes a booster."""

    def make(seed: int) -> tuple[Any, Any]:
        X, y = data(seed)
        rows = lightgbm.Dataset(X, y, feature_name=["a", "b", "c_d", "é"])
        options = {"num_threads": 1, "verbosity": -1, "num_leaves": 7, "min_data_in_leaf": 4}
        return lightgbm.train({**options, **params}, rows, rounds), X

    return make


KINDS: Mapping[str, Callable[[int], tuple[Any, Any]]] = {
    "regressor": regressor(),
    "one leaf": regressor(min_child_samples=1000),
    "linear": regressor(linear_tree=True),
    "forest": regressor(boosting_type="rf", bagging_freq=1, bagging_fraction=0.5),
    "dart": regressor(boosting_type="dart", drop_rate=0.5, skip_drop=0.0),
    "goss": regressor(data_sample_strategy="goss", learning_rate=0.5),
    "monotone": regressor(monotone_constraints=[1, 0, -1, 0]),
    "zero is missing": regressor(zero_as_missing=True),
    "quantile": regressor(objective="quantile", alpha=0.3),
    "huber": regressor(objective="huber", alpha=0.5),
    "fair": regressor(objective="fair"),
    "mape": regressor(objective="mape"),
    "square root": regressor(reg_sqrt=True),
    "absolute error": regressor(objective="regression_l1"),
    "Poisson": regressor(objective="poisson"),
    "gamma": regressor(objective="gamma"),
    "Tweedie": regressor(objective="tweedie", tweedie_variance_power=1.3),
    "cross entropy": regressor(objective="cross_entropy"),
    "two classes": classifier(2, sigmoid=0.7),
    "three classes": classifier(3),
    "one against all": classifier(3, objective="multiclassova", sigmoid=0.7),
    "classes with names": classifier(3, ["ab", "cd", "é"]),
    "classes with numbers": classifier(2, [-3, 7]),
    "ranker": ranker(),
    "ranker by cross entropy": ranker(objective="rank_xendcg"),
    "categories": categorical(),
    "one-hot categories": categorical(max_cat_to_onehot=99),
    "early stopping": _stopped,
    "booster": booster({}),
}
"""Functions that make a fitted estimator or booster from a seed, with rows to predict for."""


def blank(obj: Any) -> Any:
    """Return an object of the same class and parameters that is not trained."""
    if isinstance(obj, lightgbm.Booster):
        return blank_booster()
    return type(obj)(**obj.get_params())


def outputs(obj: Any, X: Any) -> dict[str, np.ndarray]:
    """Return everything that LightGBM computes for ``X``, by name."""
    found: dict[str, np.ndarray] = {}
    booster = obj
    if isinstance(obj, lightgbm.LGBMModel):
        booster = obj.booster_
        found["predict"] = obj.predict(X)
        found["importances"] = obj.feature_importances_
        if hasattr(obj, "predict_proba"):
            found["proba"] = obj.predict_proba(X)
            found["classes"] = obj.classes_
    options = {"num_threads": 1}
    found["booster"] = booster.predict(X, **options)
    found["margin"] = booster.predict(X, raw_score=True, **options)
    found["leaves"] = booster.predict(X, pred_leaf=True, **options)
    found["first rounds"] = booster.predict(X, num_iteration=2, **options)
    found["later rounds"] = booster.predict(X, start_iteration=1, num_iteration=3, **options)
    if not getattr(obj, "linear_tree", False):
        found["contributions"] = booster.predict(X, pred_contrib=True, **options)
    return found
