"""Projections: components, dictionaries, kernel approximations, latent structures."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from sklearn.decomposition._lda import _dirichlet_expectation_2d
from sklearn.preprocessing import KernelCenterer

from dc_core.errors import StructureError
from dc_sklearn.generators import LegacyGenerator
from dc_sklearn.kinds import (
    MISSING,
    Count,
    Flag,
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


def _centerer(owner: Any, state: State) -> Any:
    return KernelCenterer().set_output(transform="default")


def _check_whitening(owner: Any, state: State) -> None:
    """Check that the mean is there if the parameters ask for whitening."""
    if owner.whiten and "mean_" not in state:
        raise StructureError(f"mean_ is missing, and whiten={owner.whiten!r} needs it.")


def _check_drawn(owner: Any, state: State) -> None:
    """Check that as many components were drawn as the parameter says, which scales the output."""
    if owner.n_components != len(state["random_offset_"]):
        raise StructureError(
            f"random_offset_ has {len(state['random_offset_'])} components; "
            f"n_components={owner.n_components} are asked for."
        )


_PROJECTION: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "components_": Floats("components n"),
}
_OUTPUTS: Final[Mapping[str, Field]] = {"_n_features_out": Size("components")}
_VARIANCES: Final[Mapping[str, Field]] = {
    "explained_variance_ratio_": Floats("components"),
    "singular_values_": Floats("components"),
}


def _projection(
    required: Mapping[str, Field] | None = None,
    optional: Mapping[str, Field] | None = None,
    **rest: Any,
) -> Schema:
    return schema({**_PROJECTION, **(required or {})}, {**_OUTPUTS, **(optional or {})}, **rest)


def _check_sketch(owner: Any, state: State) -> None:
    """Check that every feature, and the constant if there is one, is added to a component."""
    wanted = (owner.degree, state["n_features_in_"] + (owner.coef0 != 0))
    if state["indexHash_"].shape != wanted or owner.n_components != state["_n_features_out"]:
        raise StructureError(f"indexHash_ has shape {state['indexHash_'].shape}, not {wanted}.")


def _expectations(owner: Any, state: State) -> State:
    """Return what ``LatentDirichletAllocation.fit`` derives from the topics and the parameters."""
    even = 1.0 / owner.n_components
    given = {"doc_topic_prior_": owner.doc_topic_prior, "topic_word_prior_": owner.topic_word_prior}
    return {
        **{name: even if prior is None else prior for name, prior in given.items()},
        "exp_dirichlet_component_": np.exp(_dirichlet_expectation_2d(state["components_"])),
    }


def _transform_iterations(owner: Any, state: State) -> Any:
    return owner.max_iter if owner.transform_max_iter is None else owner.transform_max_iter


def _check_dictionary(owner: Any, state: State) -> None:
    """Check that the parameter ``dictionary`` has atoms of as many features as the rows."""
    if not Reals("components n").accepts(
        owner.dictionary, {"components": state["n_components_"], "n": state["n_features_in_"]}
    ):
        raise StructureError("n_components_ and n_features_in_ do not fit the dictionary.")


_PLS: Final = schema(
    {
        "n_features_in_": Size("n"),
        "x_rotations_": Floats("n components"),
        "y_rotations_": Floats("targets components"),
        "_x_mean": Floats("n"),
        "_y_mean": Floats("targets"),
        "_x_std": Floats("n"),
        "_y_std": Floats("targets"),
        "coef_": Floats("targets n"),
        "intercept_": Floats("targets"),
        "_predict_1d": Flag(),
    },
    {
        "_norm_y_weights": Flag(),
        "_x_scores": Floats("_ components"),
        "_y_scores": Floats("_ components"),
        "_n_features_out": Size("components"),
        "n_iter_": ListOf(Count()),
        "x_loadings_": Floats("n components"),
        "x_scores_": Floats("_ components"),
        "x_weights_": Floats("n components"),
        "y_loadings_": Floats("targets components"),
        "y_scores_": Floats("_ components"),
        "y_weights_": Floats("targets components"),
    },
)
_SAMPLER: Final = schema(
    {
        "n_features_in_": Size("n"),
        "random_weights_": Floats("n components"),
        "random_offset_": Floats("components"),
    },
    {"_gamma": Number(), "_n_features_out": Size("components")},
    check=_check_drawn,
)
_DRAWN: Final[Mapping[str, Field]] = {"n_components_": Size("components")}
_AVERAGED: Final[Mapping[str, Field]] = {
    "_ewa_cost": Number() | MISSING,
    "_ewa_cost_min": Number() | MISSING,
    "_no_improvement": Count(),
    "n_steps_": Count(),
}
"""Moving averages of the costs of batches, with which further fitting knows when to end."""

SCHEMAS: Final = {
    "cross_decomposition.CCA": _PLS,
    "cross_decomposition.PLSCanonical": _PLS,
    "cross_decomposition.PLSRegression": _PLS,
    "cross_decomposition.PLSSVD": schema(
        {
            "n_features_in_": Size("n"),
            "_x_mean": Floats("n"),
            "_y_mean": Floats("targets"),
            "_x_std": Floats("n"),
            "_y_std": Floats("targets"),
            "x_weights_": Floats("n components"),
            "y_weights_": Floats("targets components"),
        },
        _OUTPUTS,
    ),
    "decomposition.DictionaryLearning": _projection(
        optional={"n_iter_": Count(), "error_": ListOf(Number())}
    ),
    "decomposition.FactorAnalysis": _projection(
        {"mean_": Floats("n"), "noise_variance_": Floats("n")},
        {"loglike_": ListOf(Number()), "n_iter_": Count()},
    ),
    "decomposition.FastICA": _projection(
        {"mixing_": Floats("n components")},
        {
            "_unmixing": Floats("components components"),
            "mean_": Floats("n"),
            "n_iter_": Count(),
            "whitening_": Floats("components n"),
        },
        check=_check_whitening,
    ),
    "decomposition.IncrementalPCA": _projection(
        {
            "mean_": Floats("n"),
            "explained_variance_": Floats("components"),
            "noise_variance_": Number(),
        },
        {
            **_VARIANCES,
            "batch_size_": Count(),
            "n_components_": Size("components"),
            "n_samples_seen_": Number(),
            "var_": Floats("n"),
        },
    ),
    "decomposition.KernelPCA": schema(
        {
            "n_features_in_": Size("n"),
            "X_fit_": Reals("rows n") | Sparse("rows n"),
            "eigenvalues_": Floats("components"),
            "eigenvectors_": Floats("rows components"),
            "_centerer": Nested(_centerer),
            "gamma_": Number() | MISSING,
        },
        {
            **_OUTPUTS,
            "dual_coef_": Floats("_ n"),
            "X_transformed_fit_": Floats("rows _"),
        },
    ),
    "decomposition.LatentDirichletAllocation": _projection(
        optional={
            "bound_": Number(),
            "n_batch_iter_": Count(),
            "n_iter_": Count(),
            "random_state_": LegacyGenerator(),
        },
        rebuilt="doc_topic_prior_ topic_word_prior_ exp_dirichlet_component_",
        rebuild=_expectations,
    ),
    "decomposition.MiniBatchDictionaryLearning": _projection(
        optional={
            **_AVERAGED,
            "_A": Floats("components components"),
            "_B": Floats("n components"),
            "_batch_size": Count(),
            "_fit_algorithm": Word(("lasso_lars", "lasso_cd")),
            "_n_components": Size("components"),
            "_random_state": LegacyGenerator(),
            "n_iter_": Number(minimum=0),
        }
    ),
    "decomposition.MiniBatchNMF": _projection(
        {
            "n_components_": Size("components"),
            "_beta_loss": Number(),
            "_gamma": Number(),
            "_n_components": Size("components"),
        },
        {
            **_AVERAGED,
            "_batch_size": Count(),
            "_components_denominator": Floats("_ _"),
            "_components_numerator": Floats("components n"),
            "_rho": Number(),
            "n_iter_": Count(),
            "reconstruction_err_": Number(),
        },
        derived={"_transform_max_iter": _transform_iterations},
    ),
    "decomposition.MiniBatchSparsePCA": _projection(
        {**_DRAWN, "mean_": Halves("n")}, {"n_iter_": Number(minimum=0)}
    ),
    "decomposition.NMF": _projection(
        {"n_components_": Size("components")},
        {
            "_n_components": Count() | Word(("auto",)),
            "_beta_loss": Number(),
            "n_iter_": Count(),
            "reconstruction_err_": Number(),
        },
    ),
    "decomposition.PCA": _projection(
        {
            "mean_": Floats("n"),
            "explained_variance_": Floats("components"),
            "n_components_": Size("components"),
            "noise_variance_": Number(),
        },
        {**_VARIANCES, "_fit_svd_solver": Word(), "n_samples_": Count()},
    ),
    "decomposition.SparseCoder": schema(
        {"n_features_in_": Size("n"), "n_components_": Size("components")},
        check=_check_dictionary,
    ),
    "decomposition.SparsePCA": _projection(
        {**_DRAWN, "mean_": Halves("n")}, {"n_iter_": Count(), "error_": ListOf(Number())}
    ),
    "decomposition.TruncatedSVD": _projection(
        optional={**_VARIANCES, "explained_variance_": Floats("components")}
    ),
    "kernel_approximation.AdditiveChi2Sampler": schema({}, {"n_features_in_": Size("n")}),
    "kernel_approximation.Nystroem": schema(
        {
            "n_features_in_": Size("n"),
            "components_": Reals("components n") | Sparse("components n"),
            "normalization_": Floats("components components"),
        },
        {"_n_features_out": Size("components"), "component_indices_": Integers("components")},
    ),
    "kernel_approximation.PolynomialCountSketch": schema(
        {
            "n_features_in_": Size("n"),
            "_n_features_out": Size("components", 1),
            "indexHash_": Integers("degree inputs", minimum=0, below="components"),
            "bitHash_": Integers("degree inputs", minimum=-1, maximum=1),
        },
        check=_check_sketch,
    ),
    "kernel_approximation.RBFSampler": _SAMPLER,
    "kernel_approximation.SkewedChi2Sampler": _SAMPLER,
    "neighbors.NeighborhoodComponentsAnalysis": _projection(
        optional={"n_iter_": Count(), "random_state_": LegacyGenerator()}
    ),
    "neural_network.BernoulliRBM": _projection(
        {
            "intercept_hidden_": Floats("components"),
            "intercept_visible_": Floats("n"),
        },
        {"h_samples_": Floats("_ components"), "random_state_": LegacyGenerator()},
    ),
    "preprocessing.KernelCenterer": schema(
        {"n_features_in_": Size("n"), "K_fit_rows_": Halves("n"), "K_fit_all_": Number()}
    ),
    "random_projection.GaussianRandomProjection": _projection(
        _DRAWN, {"inverse_components_": Floats("n components")}
    ),
    "random_projection.SparseRandomProjection": schema(
        {
            "n_features_in_": Size("n"),
            "components_": Sparse("components n") | Floats("components n"),
            **_DRAWN,
            "density_": Number(),
        },
        {**_OUTPUTS, "inverse_components_": Floats("n components")},
    ),
}
