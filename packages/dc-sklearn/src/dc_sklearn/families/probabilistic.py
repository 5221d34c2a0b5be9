"""Naive Bayes, discriminant analysis, mixtures, and the baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dc_core.errors import StructureError
from dc_sklearn.families.linear import check_classes
from dc_sklearn.kinds import (
    Classes,
    Count,
    Flag,
    Floats,
    Halves,
    Integers,
    ListOf,
    Number,
    Size,
    Word,
)
from dc_sklearn.schema import Field, Schema, State, schema


def _check_mixture(owner: Any, state: State) -> None:
    """Check the covariances and their Cholesky factors against the type of the covariance."""
    k, n = state["means_"].shape
    shapes = {"full": (k, n, n), "tied": (n, n), "diag": (k, n), "spherical": (k,)}
    wanted = shapes[owner.covariance_type]
    for name in ("covariances_", "precisions_cholesky_"):
        if name in state and np.shape(state[name]) != wanted:
            raise StructureError(
                f"{name} has shape {np.shape(state[name])}; covariance_type="
                f"{owner.covariance_type!r} needs {wanted}."
            )


def _precisions(owner: Any, state: State) -> State:
    """Return the precisions of their Cholesky factors, as ``fit`` does."""
    factors = state["precisions_cholesky_"]
    if owner.covariance_type == "full":
        return {"precisions_": np.array([factor @ factor.T for factor in factors])}
    tied = owner.covariance_type == "tied"
    return {"precisions_": factors @ factors.T if tied else factors**2}


def _check_categories(owner: Any, state: State) -> None:
    """Check that each feature has one column for each of its categories."""
    for name in ("category_count_", "feature_log_prob_"):
        found = [table.shape[1] for table in state[name]]
        if found != state["n_categories_"].tolist():
            raise StructureError(
                f"{name} has tables for {found} categories; n_categories_ is "
                f"{state['n_categories_'].tolist()}."
            )


def _check_dummy(owner: Any, state: State) -> None:
    """Check that each output has its classes, and its probabilities or constant."""
    outputs, several = state["n_outputs_"], isinstance(state["classes_"], list)
    classes = state["classes_"] if several else [state["classes_"]]
    counts = state["n_classes_"] if several else [state["n_classes_"]]
    if outputs != len(classes) or (several and outputs < 2):
        raise StructureError(f"classes_ does not hold the classes of {outputs} outputs.")
    if [len(known) for known in classes] != [int(n) for n in counts]:
        raise StructureError(f"n_classes_ is {counts}, which are not the numbers of classes.")
    priors = state.get("class_prior_")
    if priors is None:
        raise StructureError("class_prior_ is missing.")
    shapes = [np.shape(prior) for prior in (priors if several else [priors])]
    if isinstance(priors, list) != several or shapes != [(len(known),) for known in classes]:
        raise StructureError("class_prior_ does not hold one probability per class.")


def _check_projection(owner: Any, state: State) -> None:
    """Check that there are coefficients for each class, and what the solver projects with."""
    check_classes(owner, state)
    needed = {"svd": ("scalings_", "xbar_"), "eigen": ("scalings_",)}
    for name in needed.get(owner.solver, ()):
        if name not in state:
            raise StructureError(f"{name} is missing, and solver={owner.solver!r} needs it.")


_DISCRETE: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "classes_": Classes("classes", minimum=1),
    "class_count_": Floats("classes"),
    "class_log_prior_": Floats("classes"),
}
_COUNTS: Final[Mapping[str, Field]] = {
    **_DISCRETE,
    "feature_count_": Floats("classes n"),
    "feature_log_prob_": Floats("classes n") | Floats("1 n"),
}
_MATRICES: Final = Floats("_") | Floats("_ _") | Floats("_ _ _")
_COMPONENTS: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "weights_": Floats("components"),
    "means_": Floats("components n"),
    "covariances_": _MATRICES,
    "precisions_cholesky_": _MATRICES,
}
_CONVERGED: Final[Mapping[str, Field]] = {
    "converged_": Flag(),
    "lower_bound_": Number() | Floats("1"),
    "lower_bounds_": ListOf(Number() | Floats("1")),
    "n_iter_": Count(),
}
_VARIATIONAL: Final[Mapping[str, Field]] = {
    "weight_concentration_": ListOf(Floats("components"), "2", tuple) | Floats("components"),
    "mean_precision_": Floats("components"),
    "degrees_of_freedom_": Floats("components") | Number(),
}
_PRIORS: Final[Mapping[str, Field]] = {
    "covariance_prior_": Number() | Floats("n") | Floats("n n"),
    "degrees_of_freedom_prior_": Number(),
    "mean_precision_prior_": Number(),
    "mean_prior_": Floats("n"),
    "weight_concentration_prior_": Number(),
}
_DISCRIMINANT: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "classes_": Classes("classes", minimum=2),
    "priors_": Floats("classes"),
    "means_": Floats("classes n"),
}


def _mixture(
    required: Mapping[str, Field] | None = None, optional: Mapping[str, Field] | None = None
) -> Schema:
    return schema(
        {**_COMPONENTS, **(required or {})},
        {**_CONVERGED, **(optional or {})},
        training="_init_prev_time _iter_prev_time",
        rebuilt="precisions_",
        rebuild=_precisions,
        check=_check_mixture,
    )


SCHEMAS: Final = {
    "discriminant_analysis.LinearDiscriminantAnalysis": schema(
        {
            **_DISCRIMINANT,
            "coef_": Floats("rows n"),
            "intercept_": Floats("rows"),
            "_max_components": Size("outputs"),
        },
        {
            "_n_features_out": Size("outputs"),
            "covariance_": Floats("n n"),
            "explained_variance_ratio_": Floats("_"),
            "scalings_": Floats("n _"),
            "xbar_": Floats("n"),
        },
        check=_check_projection,
    ),
    "discriminant_analysis.QuadraticDiscriminantAnalysis": schema(
        {
            **_DISCRIMINANT,
            "rotations_": ListOf(Floats("n rank"), "classes"),
            "scalings_": ListOf(Floats("rank"), "classes"),
        },
        {"covariance_": ListOf(Floats("n n"), "classes")},
    ),
    "dummy.DummyClassifier": schema(
        {
            "classes_": Classes("_", minimum=1) | ListOf(Classes("_", minimum=1)),
            "n_classes_": Count(1) | ListOf(Count(1)),
            "n_outputs_": Count(1, 1 << 20),
            "_strategy": Word(
                ("most_frequent", "prior", "stratified", "uniform", "constant"),
            ),
            "sparse_output_": Flag(),
        },
        {
            "n_features_in_": Size("n"),
            "class_prior_": Floats("_") | ListOf(Floats("_")),
        },
        check=_check_dummy,
    ),
    "dummy.DummyRegressor": schema(
        {
            "constant_": Floats("1 outputs") | Integers("1 outputs"),
            "n_outputs_": Size("outputs", 1),
        },
        {"n_features_in_": Size("n")},
    ),
    "mixture.BayesianGaussianMixture": _mixture(_VARIATIONAL, _PRIORS),
    "mixture.GaussianMixture": _mixture(),
    "naive_bayes.BernoulliNB": schema(_COUNTS),
    "naive_bayes.CategoricalNB": schema(
        {
            **_DISCRETE,
            "category_count_": ListOf(Floats("classes _"), "n"),
            "feature_log_prob_": ListOf(Floats("classes _"), "n"),
            "n_categories_": Integers("n", minimum=0),
        },
        check=_check_categories,
    ),
    "naive_bayes.ComplementNB": schema(_COUNTS, {"feature_all_": Floats("n")}),
    "naive_bayes.GaussianNB": schema(
        {
            "n_features_in_": Size("n"),
            "classes_": Classes("classes", minimum=1),
            "theta_": Halves("classes n"),
            "var_": Halves("classes n"),
            "class_prior_": Halves("classes"),
        },
        {"class_count_": Halves("classes"), "epsilon_": Number()},
    ),
    "naive_bayes.MultinomialNB": schema(_COUNTS),
}
