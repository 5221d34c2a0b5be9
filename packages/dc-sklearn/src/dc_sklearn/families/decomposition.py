"""Projections: components, kernel approximations, latent structures, cluster centres."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.preprocessing import KernelCenterer
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from dc_core.errors import StructureError
from dc_sklearn.generators import LegacyGenerator
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Schema, State, schema


def _check_components(owner: Any, state: State) -> None:
    n, components = state["n_features_in_"], state["components_"]
    if np.ndim(components) != 2 or components.shape[1] != n:
        raise StructureError(f"components_ has shape {np.shape(components)} for {n} features.")


def _check_centers(owner: Any, state: State) -> None:
    n, centers = state["n_features_in_"], state["cluster_centers_"]
    floats = isinstance(centers, np.ndarray) and centers.dtype in (np.float32, np.float64)
    if not floats or centers.ndim != 2 or centers.shape[1] != n or not len(centers):
        raise StructureError(f"cluster_centers_ has shape {np.shape(centers)} for {n} features.")


def _centerer(owner: Any, state: State) -> Any:
    return KernelCenterer().set_output(transform="default")


def _threads(owner: Any, state: State) -> State:
    """Use the threads of this machine, not those of the one that fitted."""
    return {"_n_threads": _openmp_effective_n_threads()}


def _projection(required: str = "", optional: str = "", **rest: Any) -> Schema:
    return schema(
        f"n_features_in_ components_ {required}",
        f"_n_features_out {optional}",
        check=_check_components,
        **rest,
    )


def _clusters(optional: str = "", **fields: Any) -> Schema:
    return schema(
        "n_features_in_ cluster_centers_ _n_features_out",
        f"_tol _n_init {optional}",
        fields=fields,
        rebuilt="_n_threads",
        rebuild=_threads,
        check=_check_centers,
    )


_PLS: Final = schema(
    "n_features_in_ x_rotations_ y_rotations_ _x_mean _y_mean _x_std _y_std coef_",
    "_predict_1d _norm_y_weights _x_scores _y_scores _n_features_out",
)
_NMF: Final = "_n_components _beta_loss"
_SAMPLER: Final = schema("n_features_in_ random_weights_ random_offset_", "_gamma _n_features_out")

SCHEMAS: Final = {
    "cluster.KMeans": _clusters("_algorithm"),
    "cluster.MiniBatchKMeans": _clusters(
        "_batch_size _init_size _counts _ewa_inertia _ewa_inertia_min _no_improvement "
        "_n_since_last_reassign _random_state",
        _random_state=LegacyGenerator(),
    ),
    "cross_decomposition.CCA": _PLS,
    "cross_decomposition.PLSCanonical": _PLS,
    "cross_decomposition.PLSRegression": _PLS,
    "decomposition.FactorAnalysis": _projection("mean_ noise_variance_"),
    "decomposition.FastICA": _projection("mixing_", "_unmixing"),
    "decomposition.IncrementalPCA": _projection("mean_ explained_variance_"),
    "decomposition.KernelPCA": schema(
        "n_features_in_ X_fit_ eigenvalues_ eigenvectors_ _centerer",
        "_n_features_out",
        fields={"_centerer": Nested(_centerer)},
    ),
    "decomposition.NMF": _projection("n_components_", _NMF),
    "decomposition.PCA": _projection("mean_ explained_variance_ n_components_", "_fit_svd_solver"),
    "decomposition.TruncatedSVD": _projection(),
    "kernel_approximation.Nystroem": _projection("normalization_"),
    "kernel_approximation.RBFSampler": _SAMPLER,
    "kernel_approximation.SkewedChi2Sampler": _SAMPLER,
    "preprocessing.KernelCenterer": schema("n_features_in_ K_fit_rows_ K_fit_all_"),
    "random_projection.GaussianRandomProjection": _projection("n_components_"),
    "random_projection.SparseRandomProjection": _projection("n_components_ density_"),
}
