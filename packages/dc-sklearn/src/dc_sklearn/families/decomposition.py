"""Projections: components, kernel approximations, latent structures, cluster centres."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sklearn.preprocessing import KernelCenterer
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

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


def _threads(owner: Any, state: State) -> State:
    """Use the threads of this machine, not those of the one that fitted."""
    return {"_n_threads": _openmp_effective_n_threads()}


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


def _clusters(optional: Mapping[str, Field]) -> Schema:
    return schema(
        {
            "n_features_in_": Size("n"),
            "cluster_centers_": Floats("clusters n"),
            "_n_features_out": Size("clusters", minimum=1),
        },
        {
            "_tol": Number(),
            "_n_init": Count(),
            "inertia_": Number() | MISSING,
            "labels_": Integers("_", minimum=0, below="clusters"),
            "n_iter_": Count(),
            **optional,
        },
        rebuilt="_n_threads",
        rebuild=_threads,
    )


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

SCHEMAS: Final = {
    "cluster.KMeans": _clusters({"_algorithm": Word(("lloyd", "elkan"))}),
    "cluster.MiniBatchKMeans": _clusters(
        {
            "_batch_size": Count(),
            "_init_size": Count(),
            "_counts": Floats("clusters"),
            "_ewa_inertia": Number() | MISSING,
            "_ewa_inertia_min": Number() | MISSING,
            "_no_improvement": Count(),
            "_n_since_last_reassign": Count(),
            "n_steps_": Count(),
            "_random_state": LegacyGenerator(),
        }
    ),
    "cross_decomposition.CCA": _PLS,
    "cross_decomposition.PLSCanonical": _PLS,
    "cross_decomposition.PLSRegression": _PLS,
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
    "decomposition.TruncatedSVD": _projection(
        optional={**_VARIANCES, "explained_variance_": Floats("components")}
    ),
    "kernel_approximation.Nystroem": schema(
        {
            "n_features_in_": Size("n"),
            "components_": Reals("components n") | Sparse("components n"),
            "normalization_": Floats("components components"),
        },
        {"_n_features_out": Size("components"), "component_indices_": Integers("components")},
    ),
    "kernel_approximation.RBFSampler": _SAMPLER,
    "kernel_approximation.SkewedChi2Sampler": _SAMPLER,
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
