"""Manifolds: embeddings of the training rows, and the neighbours by which new rows find a place."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sklearn.decomposition import KernelPCA
from sklearn.neighbors import NearestNeighbors

from dc_sklearn.families.neighbors import RowSearch
from dc_sklearn.kinds import Count, Flag, Floats, Number, Reals, Size, Sparse, Word
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, State, schema


def _graph(owner: Any, state: State) -> Any:
    """Return the search that ``Isomap.fit`` makes."""
    return NearestNeighbors(
        n_neighbors=owner.n_neighbors,
        radius=owner.radius,
        algorithm=owner.neighbors_algorithm,
        metric=owner.metric,
        p=owner.p,
        metric_params=owner.metric_params,
        n_jobs=owner.n_jobs,
    )


def _projection(owner: Any, state: State) -> Any:
    """Return the kernel PCA that ``Isomap.fit`` makes."""
    return KernelPCA(
        n_components=owner.n_components,
        kernel="precomputed",
        eigen_solver=owner.eigen_solver,
        tol=owner.tol,
        max_iter=owner.max_iter,
        n_jobs=owner.n_jobs,
    ).set_output(transform="default")


def _local_search(owner: Any, state: State) -> Any:
    """Return the search that ``LocallyLinearEmbedding.fit`` makes."""
    return NearestNeighbors(
        n_neighbors=owner.n_neighbors, algorithm=owner.neighbors_algorithm, n_jobs=owner.n_jobs
    )


_EMBEDDING: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "embedding_": Floats("rows components"),
}
_DISTANCES: Final[Mapping[str, Field]] = {
    **_EMBEDDING,
    "dissimilarity_matrix_": Reals("rows rows"),
}
_OUTPUTS: Final[Mapping[str, Field]] = {"_n_features_out": Size("components")}

SCHEMAS: Final = {
    "manifold.ClassicalMDS": schema({**_DISTANCES, "eigenvalues_": Floats("components")}),
    "manifold.Isomap": schema(
        {
            **_EMBEDDING,
            "dist_matrix_": Floats("rows rows"),
            "nbrs_": RowSearch(_graph),
            "kernel_pca_": Nested(_projection),
        },
        _OUTPUTS,
    ),
    "manifold.LocallyLinearEmbedding": schema(
        {**_EMBEDDING, "nbrs_": RowSearch(_local_search)},
        {**_OUTPUTS, "reconstruction_error_": Number()},
    ),
    "manifold.MDS": schema(
        _DISTANCES,
        {
            "_init": Word(("random", "classical_mds")),
            "_metric": Word(),
            "_metric_mds": Flag(),
            "n_iter_": Count(),
            "stress_": Number(),
        },
    ),
    "manifold.SpectralEmbedding": schema(
        {
            **_EMBEDDING,
            "affinity_matrix_": Reals("rows rows") | Sparse("rows rows"),
        },
        {"n_neighbors_": Count(1), "gamma_": Number()},
    ),
    "manifold.TSNE": schema(
        _EMBEDDING, {"kl_divergence_": Number(), "learning_rate_": Number(), "n_iter_": Count()}
    ),
}
