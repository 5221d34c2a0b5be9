"""Linear models."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import LabelBinarizer

from dc_core.errors import StructureError
from dc_sklearn.nested import Nested
from dc_sklearn.schema import State, schema


def check_linear(owner: Any, state: State) -> None:
    """Check that ``coef_`` has one column per feature."""
    n, coef = state["n_features_in_"], state["coef_"]
    shape = np.shape(coef)
    if not shape or shape[-1] != n:
        raise StructureError(f"coef_ has shape {shape} for {n} features.")


def _loss(owner: Any, state: State) -> State:
    """Make the loss again, whose link function predicting uses."""
    return {"_base_loss": owner._get_loss()}


def _signed_labels(owner: Any, state: State) -> Any:
    return LabelBinarizer(pos_label=1, neg_label=-1)


def _consensus(owner: Any, state: State) -> Any:
    return LinearRegression() if owner.estimator is None else clone(owner.estimator)


_FITTED: Final = "n_features_in_ coef_ intercept_"
_REGRESSOR: Final = schema(_FITTED, check=check_linear)
_GLM: Final = schema(_FITTED, rebuilt="_base_loss", rebuild=_loss, check=check_linear)
_CLASSIFIER: Final = schema(f"{_FITTED} classes_", check=check_linear)
_RIDGE_CLASSIFIER: Final = schema(
    f"{_FITTED} _label_binarizer",
    fields={"_label_binarizer": Nested(_signed_labels)},
    check=check_linear,
)
_SGD_REGRESSOR: Final = schema(
    _FITTED,
    "_standard_coef _standard_intercept _average_coef _average_intercept",
    check=check_linear,
)
_SGD_CLASSIFIER: Final = schema(
    f"{_FITTED} classes_",
    "_expanded_class_weight _standard_coef _standard_intercept _average_coef _average_intercept",
    training="_loss_function_ loss_function_",
    check=check_linear,
)
_RANSAC: Final = schema("n_features_in_ estimator_", fields={"estimator_": Nested(_consensus)})

SCHEMAS: Final = {
    "linear_model.ARDRegression": _REGRESSOR,
    "linear_model.BayesianRidge": _REGRESSOR,
    "linear_model.ElasticNet": _REGRESSOR,
    "linear_model.ElasticNetCV": _REGRESSOR,
    "linear_model.GammaRegressor": _GLM,
    "linear_model.HuberRegressor": _REGRESSOR,
    "linear_model.Lars": _REGRESSOR,
    "linear_model.LarsCV": _REGRESSOR,
    "linear_model.Lasso": _REGRESSOR,
    "linear_model.LassoCV": _REGRESSOR,
    "linear_model.LassoLars": _REGRESSOR,
    "linear_model.LassoLarsCV": _REGRESSOR,
    "linear_model.LassoLarsIC": _REGRESSOR,
    "linear_model.LinearRegression": _REGRESSOR,
    "linear_model.LogisticRegression": _CLASSIFIER,
    "linear_model.LogisticRegressionCV": _CLASSIFIER,
    "linear_model.MultiTaskElasticNet": _REGRESSOR,
    "linear_model.MultiTaskElasticNetCV": _REGRESSOR,
    "linear_model.MultiTaskLasso": _REGRESSOR,
    "linear_model.MultiTaskLassoCV": _REGRESSOR,
    "linear_model.OrthogonalMatchingPursuit": _REGRESSOR,
    "linear_model.OrthogonalMatchingPursuitCV": _REGRESSOR,
    "linear_model.PassiveAggressiveClassifier": _SGD_CLASSIFIER,
    "linear_model.PassiveAggressiveRegressor": _SGD_REGRESSOR,
    "linear_model.Perceptron": _SGD_CLASSIFIER,
    "linear_model.PoissonRegressor": _GLM,
    "linear_model.QuantileRegressor": _REGRESSOR,
    "linear_model.RANSACRegressor": _RANSAC,
    "linear_model.Ridge": _REGRESSOR,
    "linear_model.RidgeCV": _REGRESSOR,
    "linear_model.RidgeClassifier": _RIDGE_CLASSIFIER,
    "linear_model.RidgeClassifierCV": _RIDGE_CLASSIFIER,
    "linear_model.SGDClassifier": _SGD_CLASSIFIER,
    "linear_model.SGDRegressor": _SGD_REGRESSOR,
    "linear_model.TheilSenRegressor": _REGRESSOR,
    "linear_model.TweedieRegressor": _GLM,
}
