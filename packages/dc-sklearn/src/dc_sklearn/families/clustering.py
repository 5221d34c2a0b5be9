"""Clusterings: centres, labels of the training rows, and the trees that divide or join clusters."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from sklearn.cluster._bisect_k_means import _BisectingTree
from sklearn.cluster._hdbscan._tree import HIERARCHY_dtype
from sklearn.cluster._kmeans import _kmeans_single_elkan, _kmeans_single_lloyd
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads

from dc_core import charge
from dc_core.errors import NotSerializable, StructureError
from dc_sklearn.generators import LegacyGenerator
from dc_sklearn.kinds import (
    MISSING,
    Count,
    DictOf,
    Floats,
    Integers,
    Number,
    Reals,
    Size,
    Sparse,
    Word,
    rises,
)
from dc_sklearn.schema import Field, Restoring, Schema, State, Storing, schema
from dc_sklearn.slots import Reader, Slot, Slots

_MAX_DEPTH: Final = 500
"""The depth of nested bisections below which prediction, which is recursive, does not fail."""


class _Bisections:
    """The attribute ``_bisecting_tree``: nodes in preorder, a node's left half right behind it.

    ``leaf/0`` ``(nodes,)`` of Booleans, ``center/0`` ``(nodes, n)``, ``score/0`` ``(nodes,)``.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the nodes."""
        nodes, waiting = [], [value]
        while waiting:
            node = waiting.pop()
            nodes.append(node)
            if node.left is not None:
                waiting += [node.right, node.left]
        yield f"{path}/leaf/0", Slot.made(np.array([node.left is None for node in nodes]))
        yield f"{path}/center/0", Slot.made(np.stack([np.ravel(node.center) for node in nodes]))
        yield f"{path}/score/0", Slot.made(np.array([float(node.score) for node in nodes]))

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the root; its leaves are numbered from left to right, as ``fit`` does."""
        leaf = reader.take(f"{path}/leaf/0", dtype=np.bool_, ndim=1)
        centers = reader.take(f"{path}/center/0", ndim=2, keep=True)
        scores = reader.take(f"{path}/score/0", dtype=np.float64, ndim=1)
        clusters, n = restoring.state["cluster_centers_"].shape
        if leaf.sum() != clusters or len(leaf) != 2 * clusters - 1 or len(scores) != len(leaf):
            raise StructureError(f"{path!r} does not divide the rows into {clusters} clusters.")
        if not Floats("_ _").accepts(centers, {}) or centers.shape != (len(leaf), n):
            raise StructureError(f"{path!r} does not have a centre of {n} features for each node.")
        nodes = [
            _BisectingTree(center=center, indices=None, score=score)
            for center, score in zip(centers, scores.tolist(), strict=True)
        ]
        label, above = 0, [(nodes[0], 0)]
        for node, is_leaf in zip(nodes, leaf.tolist(), strict=True):
            if not above or above[-1][1] > _MAX_DEPTH:
                raise StructureError(f"{path!r} is not a tree of at most {_MAX_DEPTH} levels.")
            parent, depth = above.pop()
            if node is not nodes[0]:
                parent.left, parent.right = (
                    (node, None) if parent.left is None else (parent.left, node)
                )
            if is_leaf:
                node.label = label
                label += 1
            else:
                above += [(node, depth + 1)] * 2
        return nodes[0]


class _Linkage:
    """The attribute ``_single_linkage_tree_``: which two clusters each step joins, m steps.

    ``left_node``, ``right_node`` and ``cluster_size`` are ``(m,)`` of int64, ``value`` of float64.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the fields."""
        if value.dtype != HIERARCHY_dtype:
            raise NotSerializable(f"The attribute {path!r} has the dtype {value.dtype}.")
        for name in HIERARCHY_dtype.names:
            yield f"{path}/{name}/0", Slot.made(np.ascontiguousarray(value[name]))

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> np.ndarray:
        """Return the steps, checked to join clusters that there are."""
        given = {
            name: reader.take(f"{path}/{name}/0", dtype=HIERARCHY_dtype[name], ndim=1)
            for name in HIERARCHY_dtype.names
        }
        steps = len(restoring.state["labels_"]) - 1
        if any(len(array) != steps for array in given.values()):
            raise StructureError(f"{path!r} does not have {steps} steps.")
        for name in ("left_node", "right_node"):
            if steps and not 0 <= given[name].min() <= given[name].max() <= 2 * steps:
                raise StructureError(f"{path}/{name} names a cluster that there is not.")
        if not np.all(given["value"][1:] >= given["value"][:-1]):
            raise StructureError(f"{path}/value falls.")
        tree = np.zeros(steps, HIERARCHY_dtype)
        for name, array in given.items():
            tree[name] = array
        return tree


def _threads(owner: Any, state: State) -> State:
    """Use the threads of this machine, not those of the one that fitted."""
    return {"_n_threads": _openmp_effective_n_threads()}


def _halving(owner: Any, state: State) -> State:
    """Return the threads, and the algorithm that further fitting divides clusters with."""
    lloyd = owner.algorithm == "lloyd" or owner.n_clusters == 1
    return {
        **_threads(owner, state),
        "_kmeans_single": _kmeans_single_lloyd if lloyd else _kmeans_single_elkan,
    }


def _check_features(owner: Any, state: State) -> None:
    """Check that each feature belongs to one of the clusters, which are counted by number."""
    if not 1 <= state["n_clusters_"] <= state["n_leaves_"] == state["n_features_in_"]:
        raise StructureError("n_clusters_ and n_leaves_ do not fit the number of features.")
    if not Integers("_", 0, state["n_clusters_"] - 1).accepts(state["labels_"], {}):
        raise StructureError("labels_ names a cluster that there is not.")


def _bicluster_masks(owner: Any, state: State) -> State:
    """Return the masks ``(biclusters, rows)`` and ``(biclusters, n)``, as ``fit`` makes them."""
    grid = hasattr(owner, "method")  # each cluster of rows with each cluster of columns
    pair = owner.n_clusters if np.ndim(owner.n_clusters) else (owner.n_clusters,) * 2
    rows, columns = map(int, pair)
    count = rows * columns if grid else rows
    charge(count * (len(state["row_labels_"]) + len(state["column_labels_"])), "The biclusters")
    numbers = np.arange(count)
    row, column = divmod(numbers, columns) if grid else (numbers, numbers)
    return {
        "rows_": state["row_labels_"] == row[:, None],
        "columns_": state["column_labels_"] == column[:, None],
    }


def _check_exemplars(owner: Any, state: State) -> None:
    """Check that there are cluster centres unless the affinities were given."""
    if (owner.affinity == "precomputed") == ("cluster_centers_" in state):
        raise StructureError("cluster_centers_ and the parameter affinity do not fit together.")
    if not rises(state["cluster_centers_indices_"]):
        raise StructureError("cluster_centers_indices_ does not rise.")


def _check_cores(owner: Any, state: State) -> None:
    """Check that no core sample is named twice."""
    if not rises(state["core_sample_indices_"]):
        raise StructureError("core_sample_indices_ does not rise.")


_FEATURES: Final[Mapping[str, Field]] = {"n_features_in_": Size("n")}
_LABELS: Final[Mapping[str, Field]] = {"labels_": Integers("rows")}
_MERGED: Final[Mapping[str, Field]] = {
    **_FEATURES,
    "n_clusters_": Count(1),
    "n_leaves_": Size("leaves", 1),
    "n_connected_components_": Count(1),
    "labels_": Integers("leaves", minimum=0),
    "children_": Integers("_ 2", minimum=0),
}
_DISTANCES: Final[Mapping[str, Field]] = {"distances_": Floats("_")}


def _k_means(
    required: Mapping[str, Field] | None = None,
    optional: Mapping[str, Field] | None = None,
    rebuilt: str = "",
    rebuild: Any = _threads,
) -> Schema:
    return schema(
        {
            **_FEATURES,
            "cluster_centers_": Floats("clusters n"),
            "_n_features_out": Size("clusters", minimum=1),
            **(required or {}),
        },
        {
            "_tol": Number(),
            "_n_init": Count(),
            "inertia_": Number() | MISSING,
            "labels_": Integers("_", minimum=0, below="clusters"),
            "n_iter_": Count(),
            **(optional or {}),
        },
        rebuilt=f"_n_threads {rebuilt}",
        rebuild=rebuild,
    )


_BICLUSTERS: Final = schema(
    {
        **_FEATURES,
        "row_labels_": Integers("rows", minimum=0),
        "column_labels_": Integers("n", minimum=0),
    },
    rebuilt="rows_ columns_",
    rebuild=_bicluster_masks,
)

SCHEMAS: Final = {
    "cluster.AffinityPropagation": schema(
        {**_FEATURES, **_LABELS, "cluster_centers_indices_": Integers("clusters", minimum=0)},
        {
            "cluster_centers_": Reals("clusters n") | Sparse("clusters n"),
            "affinity_matrix_": Floats("rows rows"),
            "n_iter_": Count(),
        },
        check=_check_exemplars,
    ),
    "cluster.AgglomerativeClustering": schema(_MERGED, _DISTANCES),
    "cluster.BisectingKMeans": _k_means(
        {"_bisecting_tree": _Bisections()},
        {"_X_mean": Floats("n"), "_random_state": LegacyGenerator()},
        rebuilt="_kmeans_single",
        rebuild=_halving,
    ),
    "cluster.DBSCAN": schema(
        {
            **_FEATURES,
            "labels_": Integers("rows", minimum=-1),
            "core_sample_indices_": Integers("cores", minimum=0, below="rows"),
            "components_": Reals("cores n") | Sparse("cores n"),
        },
        check=_check_cores,
    ),
    "cluster.FeatureAgglomeration": schema(
        {**_MERGED, "_n_features_out": Size("clusters", 1)}, _DISTANCES, check=_check_features
    ),
    "cluster.HDBSCAN": schema(
        {
            **_FEATURES,
            **_LABELS,
            "probabilities_": Floats("rows"),
            "_single_linkage_tree_": _Linkage(),
        },
        {
            "_min_samples": Count(1),
            "_metric_params": DictOf(Number() | Reals("_") | Reals("_ _") | MISSING),
            "_raw_data": Floats("rows n") | Sparse("rows n"),
            "centroids_": Floats("_ n"),
            "medoids_": Floats("_ n"),
        },
    ),
    "cluster.KMeans": _k_means(optional={"_algorithm": Word(("lloyd", "elkan"))}),
    "cluster.MeanShift": schema(
        {**_FEATURES, "cluster_centers_": Reals("clusters n")}, {**_LABELS, "n_iter_": Count()}
    ),
    "cluster.MiniBatchKMeans": _k_means(
        optional={
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
    "cluster.OPTICS": schema(
        {
            **_FEATURES,
            **_LABELS,
            "ordering_": Integers("rows", minimum=0, below="rows"),
            "core_distances_": Floats("rows"),
            "reachability_": Floats("rows"),
            "predecessor_": Integers("rows", minimum=-1, below="rows"),
        },
        {"cluster_hierarchy_": Integers("_ 2", minimum=0)},
    ),
    "cluster.SpectralBiclustering": _BICLUSTERS,
    "cluster.SpectralClustering": schema(
        {
            **_FEATURES,
            **_LABELS,
            "affinity_matrix_": Reals("rows rows") | Sparse("rows rows"),
        }
    ),
    "cluster.SpectralCoclustering": _BICLUSTERS,
}
