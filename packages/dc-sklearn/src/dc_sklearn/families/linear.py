"""Linear models."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sklearn.base import clone
from sklearn.linear_model import LinearRegression
from sklearn.preprocessing import LabelBinarizer

from dc_core.errors import StructureError
from dc_sklearn.kinds import (
    MISSING,
    ArrayOf,
    Classes,
    Count,
    DictOf,
    Flag,
    Flags,
    Floats,
    Halves,
    Integers,
    ListOf,
    Number,
    Reals,
    Size,
    Sparse,
    Word,
)
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Schema, State, schema


def _loss(owner: Any, state: State) -> State:
    """Make the loss again, whose link function predicting uses."""
    return {"_base_loss": owner._get_loss()}


def _signed_labels(owner: Any, state: State) -> Any:
    return LabelBinarizer(pos_label=1, neg_label=-1)


def _consensus(owner: Any, state: State) -> Any:
    return LinearRegression() if owner.estimator is None else clone(owner.estimator)


_FITTED: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "coef_": Reals("n") | Reals("targets n") | Sparse("targets n"),
    "intercept_": Number() | Reals("targets") | Flag(),
}
"""Some classes give their coefficients the dtype of the rows, even if those are integers."""
_ITERATIONS: Final[Mapping[str, Field]] = {
    "n_iter_": Count() | Integers("_") | ListOf(Count() | ListOf(Count())) | MISSING,
}
_CHOSEN: Final[Mapping[str, Field]] = {
    "alpha_": Number(),
    "alphas_": Reals("_") | Reals("_ _"),
    "mse_path_": Floats("_ _") | Floats("_ _ _"),
}
_DESCENT: Final[Mapping[str, Field]] = {
    **_ITERATIONS,
    "dual_gap_": Number() | Floats("targets"),
    "eps_": Number(),
}
_ANGLES: Final[Mapping[str, Field]] = {
    **_ITERATIONS,
    "alphas_": Halves("_") | ListOf(Halves("_")),
    "active_": ListOf(Count() | ListOf(Count())),
    "coef_path_": Halves("n _") | ListOf(Halves("n _")),
}
_BAYESIAN: Final[Mapping[str, Field]] = {
    **_ITERATIONS,
    "X_offset_": Floats("n"),
    "X_scale_": Floats("n"),
    "alpha_": Number(),
    "scores_": ListOf(Number()) | Floats("_"),
    "sigma_": Floats("_ _"),
}
_LABELLED: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "classes_": Classes("classes", minimum=2),
    "coef_": Floats("rows n") | Sparse("rows n"),
    "intercept_": Floats("rows") | Number(),
}


def check_classes(owner: Any, state: State) -> None:
    """Check that there is one row of coefficients per class, and one for two classes."""
    classes, rows = len(state["classes_"]), state["coef_"].shape[0]
    if rows != (classes if classes > 2 else 1):
        raise StructureError(f"coef_ has {rows} rows for {classes} classes.")


def _check_logistic(owner: Any, state: State) -> None:
    """Check the rows of coefficients: two classes may have one or, in older versions, two."""
    classes, rows = len(state["classes_"]), state["coef_"].shape[0]
    if rows != classes and not (rows == 1 and classes == 2):
        raise StructureError(f"coef_ has {rows} rows for {classes} classes.")


def linear_regressor(optional: Mapping[str, Field] | None = None, **rest: Any) -> Schema:
    """Return the schema of a linear regressor with these attributes besides its coefficients."""
    return schema(_FITTED, optional or _ITERATIONS, **rest)


def linear_classifier(optional: Mapping[str, Field], **rest: Any) -> Schema:
    """Return the schema of a linear classifier with these attributes besides its coefficients."""
    return schema(_LABELLED, optional, check=check_classes, **rest)


_LASSO: Final = linear_regressor(_DESCENT)
_LASSO_CV: Final = linear_regressor(
    {**_DESCENT, **_CHOSEN, "l1_ratio_": Number()},
    training="_alphas",
)
_LARS: Final = linear_regressor(_ANGLES)
_LARS_CV: Final = linear_regressor(
    {**_ANGLES, **_CHOSEN, "alphas_": Floats("_"), "cv_alphas_": Floats("_")}
)
_GLM: Final = linear_regressor(rebuilt="_base_loss", rebuild=_loss)
_PURSUIT: Final = linear_regressor({**_ITERATIONS, "n_nonzero_coefs_": Count() | MISSING})
_CROSS_VALIDATED: Final[Mapping[str, Field]] = {
    "alpha_": Number() | Floats("targets"),
    "best_score_": Number() | Floats("targets"),
    "cv_results_": Reals("_ _") | Reals("_ _ _"),
}
_RIDGE: Final[Mapping[str, Field]] = {
    "n_iter_": Integers("_") | Count() | MISSING,
    "solver_": Word(),
}
_RIDGE_LABELLED: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "coef_": Reals("n") | Reals("rows n"),
    "intercept_": Reals("rows") | Number() | Flag(),
    "_label_binarizer": Nested(_signed_labels),
}
_RIDGE_CLASSES: Final[Mapping[str, Mapping[str, Field]]] = {
    "1.8": {"classes_": Classes("classes", minimum=1)}
}


def _ridge_classifier(optional: Mapping[str, Field]) -> Schema:
    return schema(
        _RIDGE_LABELLED,
        optional,
        since=_RIDGE_CLASSES,
        mirrored={"classes_": "_label_binarizer"},
    )


_SGD: Final[Mapping[str, Field]] = {
    "n_iter_": Count(),
    "t_": Number(minimum=0),
    "_standard_coef": Floats("n") | Floats("rows n"),
    "_standard_intercept": Floats("_"),
    "_average_coef": Floats("n") | Floats("rows n") | MISSING,
    "_average_intercept": Floats("_") | MISSING,
}
_SGD_REGRESSOR: Final = linear_regressor(_SGD)
_SGD_CLASSIFIER: Final = linear_classifier(
    {**_SGD, "_expanded_class_weight": Floats("classes")},
    training="_loss_function_ loss_function_",
)
_PATHS: Final[Mapping[str, Field]] = {
    "n_iter_": Integers("_") | Integers("_ _ _") | Integers("_ _ _ _"),
    "C_": Reals("_") | Number(),
    "Cs_": Reals("_"),
    "coefs_paths_": DictOf(Floats("_ _ _") | Floats("_ _ _ _")) | Floats("_ _ _ _ _"),
    "l1_ratio_": ArrayOf(MISSING) | Reals("_") | Number() | MISSING,
    "l1_ratios_": ArrayOf(MISSING) | Reals("_"),
    "scores_": DictOf(Floats("_ _") | Floats("_ _ _")) | Floats("_ _ _"),
}
_RANSAC: Final = schema(
    {"n_features_in_": Size("n"), "estimator_": Nested(_consensus)},
    {
        "inlier_mask_": Flags("_"),
        "n_skips_invalid_data_": Count(),
        "n_skips_invalid_model_": Count(),
        "n_skips_no_inliers_": Count(),
        "n_trials_": Count(),
    },
)

SCHEMAS: Final = {
    "linear_model.ARDRegression": linear_regressor({**_BAYESIAN, "lambda_": Floats("n")}),
    "linear_model.BayesianRidge": linear_regressor({**_BAYESIAN, "lambda_": Number()}),
    "linear_model.ElasticNet": _LASSO,
    "linear_model.ElasticNetCV": _LASSO_CV,
    "linear_model.GammaRegressor": _GLM,
    "linear_model.HuberRegressor": linear_regressor(
        {**_ITERATIONS, "outliers_": Flags("_"), "scale_": Number()}
    ),
    "linear_model.Lars": _LARS,
    "linear_model.LarsCV": _LARS_CV,
    "linear_model.Lasso": _LASSO,
    "linear_model.LassoCV": _LASSO_CV,
    "linear_model.LassoLars": _LARS,
    "linear_model.LassoLarsCV": _LARS_CV,
    "linear_model.LassoLarsIC": linear_regressor(
        {**_ANGLES, "alpha_": Number(), "criterion_": Floats("_"), "noise_variance_": Number()}
    ),
    "linear_model.LinearRegression": linear_regressor(
        {"rank_": Count() | ListOf(Count()), "singular_": Floats("_") | ListOf(Floats("_"))}
    ),
    "linear_model.LogisticRegression": schema(_LABELLED, _ITERATIONS, check=_check_logistic),
    "linear_model.LogisticRegressionCV": schema(_LABELLED, _PATHS, check=_check_logistic),
    "linear_model.MultiTaskElasticNet": _LASSO,
    "linear_model.MultiTaskElasticNetCV": _LASSO_CV,
    "linear_model.MultiTaskLasso": _LASSO,
    "linear_model.MultiTaskLassoCV": _LASSO_CV,
    "linear_model.OrthogonalMatchingPursuit": _PURSUIT,
    "linear_model.OrthogonalMatchingPursuitCV": _PURSUIT,
    "linear_model.PassiveAggressiveClassifier": _SGD_CLASSIFIER,
    "linear_model.PassiveAggressiveRegressor": _SGD_REGRESSOR,
    "linear_model.Perceptron": _SGD_CLASSIFIER,
    "linear_model.PoissonRegressor": _GLM,
    "linear_model.QuantileRegressor": linear_regressor(),
    "linear_model.RANSACRegressor": _RANSAC,
    "linear_model.Ridge": linear_regressor(_RIDGE),
    "linear_model.RidgeCV": linear_regressor(_CROSS_VALIDATED),
    "linear_model.RidgeClassifier": _ridge_classifier(_RIDGE),
    "linear_model.RidgeClassifierCV": _ridge_classifier(_CROSS_VALIDATED),
    "linear_model.SGDClassifier": _SGD_CLASSIFIER,
    "linear_model.SGDOneClassSVM": schema(
        {"n_features_in_": Size("n"), "coef_": Floats("n"), "offset_": Floats("1")},
        _SGD,
        training="_loss_function_ loss_function_",
    ),
    "linear_model.SGDRegressor": _SGD_REGRESSOR,
    "linear_model.TheilSenRegressor": linear_regressor(
        {**_ITERATIONS, "breakdown_": Number(), "n_subpopulation_": Count()}
    ),
    "linear_model.TweedieRegressor": _GLM,
}
