"""The trees of a booster as packed node arrays, checked before XGBoost walks them.

The nodes of all trees follow each other in a few arrays, and ``offsets`` says where each tree
begins. What follows from them, such as the parents, is not stored. Nodes that pruning has removed
keep their place and belong to no tree.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np

from dc_core import charge
from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import (
    LEAF,
    Reader,
    check_links,
    check_offsets,
    check_trees,
    tree_depths,
)

DEEPEST: Final = 4096
"""The depth that a tree may have: XGBoost explains predictions by recursion."""

_LARGEST_CATEGORY: Final = 1 << 24
"""Categories are smaller: XGBoost reads them from float32."""

_REMOVED: Final = 2**31 - 1
"""The feature that a removed node tests."""

_NO_PARENT: Final = 2**31 - 1
_FIELDS: Final[Mapping[str, np.dtype[Any]]] = {
    "left_children": np.dtype(np.int32),
    "right_children": np.dtype(np.int32),
    "split_indices": np.dtype(np.int32),
    "split_conditions": np.dtype(np.float32),
    "default_left": np.dtype(np.uint8),
    "loss_changes": np.dtype(np.float32),
    "sum_hessian": np.dtype(np.float32),
}
"""The arrays with one number per node, by their names in the document."""

_DERIVED: Final = ("id", "parents", "split_type", "tree_param")
_CATEGORIES: Final = ("categories", "categories_nodes", "categories_segments", "categories_sizes")
_VECTORS: Final = ("base_weights", "leaf_weights")
_KNOWN: Final = frozenset({*_FIELDS, *_DERIVED, *_CATEGORIES, *_VECTORS})


def encode(trees: Sequence[Mapping[str, Any]], n_features: int) -> dict[str, np.ndarray]:
    """Return the arrays of ``trees``, which are those of a model's document.

    For N nodes in all: ``offsets`` ``(trees + 1,)``, the arrays of :data:`_FIELDS` ``(N,)``, and
    ``base_weights`` ``(N,)``. Trees with vectors as leaves have ``base_weights`` ``(N, outputs)``
    and ``leaf_weights`` ``(leaves, outputs)``; the right child of a leaf is the number of its
    vector. The nodes that test categories are numbered among all in ``categories_nodes``; those of
    the categories that go right are ``categories``, divided by ``categories_offsets``.

    Raises :class:`NotSerializable` for trees that XGBoost does not make.
    """
    unknown = sorted(set().union(*trees) - _KNOWN) if trees else []
    if unknown:
        raise NotSerializable(
            f"The trees have an attribute {unknown[0]!r} that is not known here.",
            hint="Run: pip install --upgrade dc-xgboost",
        )
    sizes = [len(tree["left_children"]) for tree in trees]
    offsets = np.cumsum([0, *sizes], dtype=np.int64)
    arrays = {"trees/offsets/0": offsets}
    for name, dtype in _FIELDS.items():
        arrays[f"trees/{name}/0"] = _joined([tree[name] for tree in trees], dtype)
    widths = {int(tree["tree_param"]["size_leaf_vector"]) for tree in trees}
    features = {int(tree["tree_param"]["num_feature"]) for tree in trees}
    if len(widths) > 1 or features - {n_features}:
        raise NotSerializable("The trees of the booster differ in their outputs or features.")
    width = max(widths, default=1)
    for name in _VECTORS:
        if width > 1 or name == "base_weights":
            weights = _joined([tree[name] for tree in trees], np.dtype(np.float32))
            arrays[f"trees/{name}/0"] = weights.reshape(-1, width) if width > 1 else weights
    nodes = [tree["categories_nodes"] + start for tree, start in zip(trees, offsets, strict=False)]
    lengths = _joined([tree["categories_sizes"] for tree in trees], np.dtype(np.int64))
    return arrays | {
        "trees/categories/0": _joined([tree["categories"] for tree in trees], np.dtype(np.int32)),
        "trees/categories_nodes/0": _joined(nodes, np.dtype(np.int64)),
        "trees/categories_offsets/0": np.cumsum([0, *lengths], dtype=np.int64),
    }


def _joined(parts: Sequence[np.ndarray], dtype: np.dtype[Any]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts], dtype=dtype, casting="same_kind")


def decode(reader: Reader, n_features: int, groups: int) -> list[dict[str, Any]]:
    """Return the trees in the form of the document; ``groups`` is the number of outputs.

    Raises :class:`WeightsMismatch` and :class:`StructureError`.
    """
    offsets = reader.take("trees/offsets/0", dtype=np.int64, ndim=1)
    nodes = {name: reader.take(f"trees/{name}/0", dtype=d, ndim=1) for name, d in _FIELDS.items()}
    total = len(nodes["left_children"])
    for name, array in nodes.items():
        if len(array) != total:
            raise StructureError(f"trees/{name} has {len(array)} entries for {total} nodes.")
    vectors = "trees/leaf_weights/0" in reader
    width = groups if vectors else 1
    if vectors and groups == 1:
        raise StructureError("The trees have vectors as leaves, and the model has one output.")
    shape = (total, groups) if vectors else (total,)
    base = reader.take("trees/base_weights/0", dtype=np.float32, shape=shape)
    categories = reader.take("trees/categories/0", dtype=np.int32, ndim=1)
    segments = reader.take("trees/categories_offsets/0", dtype=np.int64, ndim=1)
    tests = reader.take("trees/categories_nodes/0", dtype=np.int64, ndim=1)
    _check_categories(categories, segments, tests, total)
    removed = np.zeros(0, bool)
    leaves = np.zeros(0, np.int64)
    leaf_weights = np.zeros((0, groups), np.float32)
    if total or len(offsets) != 1:
        check_trees("trees", offsets, total)
        removed = nodes["split_indices"] == _REMOVED
        leaves = np.flatnonzero(nodes["left_children"] == LEAF)
        if vectors:
            leaf_weights = reader.take(
                "trees/leaf_weights/0", dtype=np.float32, shape=(len(leaves), groups)
            )
        _check_nodes(nodes, offsets, n_features, removed, leaves, vectors, tests)

    kinds = np.zeros(total, np.uint8)
    kinds[tests] = 1
    parents = _parents(nodes, offsets, removed, -1 if vectors else _NO_PARENT)
    per_node = {**nodes, "parents": parents, "split_type": kinds}
    # Big-endian already, so that each tree's part is only copied.
    per_node = {name: _big_endian(array) for name, array in per_node.items()}
    base, leaf_weights, categories = map(_big_endian, (base, leaf_weights, categories))
    tests_of, leaves_of = np.searchsorted(tests, offsets), np.searchsorted(leaves, offsets)
    spare_of = np.concatenate([[0], np.cumsum(removed)])[offsets]
    bounds, test_bounds, leaf_bounds, spares, cuts = (
        array.tolist() for array in (offsets, tests_of, leaves_of, spare_of, segments)
    )
    lengths = np.diff(segments)
    made = []
    for i in range(len(bounds) - 1):
        a, b, c, d = bounds[i], bounds[i + 1], test_bounds[i], test_bounds[i + 1]
        tree: dict[str, Any] = {name: array[a:b] for name, array in per_node.items()}
        tree["id"] = i
        tree["base_weights"] = base[a:b]
        if vectors:
            tree["leaf_weights"] = leaf_weights[leaf_bounds[i] : leaf_bounds[i + 1]]
        tree["categories"] = categories[cuts[c] : cuts[d]]
        tree["categories_nodes"] = (tests[c:d] - a).astype(np.int32)
        tree["categories_segments"] = segments[c:d] - cuts[c]
        tree["categories_sizes"] = lengths[c:d]
        tree["tree_param"] = {
            "num_deleted": str(spares[i + 1] - spares[i]),
            "num_feature": str(n_features),
            "num_nodes": str(b - a),
            "size_leaf_vector": str(width),
        }
        made.append(tree)
    return made


def _check_nodes(
    nodes: Mapping[str, np.ndarray],
    offsets: np.ndarray,
    n_features: int,
    removed: np.ndarray,
    leaves: np.ndarray,
    vectors: bool,
    tests: np.ndarray,
) -> None:
    """Raise :class:`StructureError` where XGBoost would read beyond an array or never end."""
    left, right, feature = (
        nodes[name] for name in ("left_children", "right_children", "split_indices")
    )
    if vectors:
        _check_vectors(right[leaves], np.diff(np.searchsorted(leaves, offsets)))
        right = right.copy()
        right[leaves] = LEAF
    if not np.array_equal(left == LEAF, right == LEAF):
        raise StructureError("trees have a node with one child.")
    # XGBoost goes to the left child or to the node after it, without looking for the right one.
    if (right != left + 1)[left != LEAF].any():
        raise StructureError("trees have a right child that is not the node after the left one.")
    if ((feature < 0) | (feature >= n_features))[~removed].any():
        raise StructureError(f"trees test a feature beyond the {n_features}.")
    if nodes["default_left"].max() > 1 or (nodes["default_left"][removed] == 0).any():
        raise StructureError("trees/default_left holds values other than 0 and 1.")
    if vectors and removed.any():
        raise StructureError("trees with vectors as leaves have a node that was removed.")
    unordered = np.isnan(nodes["split_conditions"]) & (left != LEAF)
    unordered[tests] = False
    if unordered.any():
        raise StructureError("trees have a threshold that is NaN.")
    parent = check_links("trees", left, right, offsets, removed)
    if tree_depths(left, parent, offsets[:-1]).max() > DEEPEST:
        raise StructureError(f"A tree is deeper than {DEEPEST}.")


def _check_vectors(numbers: np.ndarray, counts: np.ndarray) -> None:
    """Raise :class:`StructureError` unless each tree's leaves number its vectors."""
    tree = np.repeat(np.arange(len(counts)), counts)
    wanted = np.arange(len(numbers)) - np.repeat(np.cumsum(counts) - counts, counts)
    if not np.array_equal(numbers[np.lexsort((numbers, tree))], wanted):
        raise StructureError("The leaves of trees do not number their vectors.")


def _check_categories(
    categories: np.ndarray, segments: np.ndarray, tests: np.ndarray, total: int
) -> None:
    """Raise :class:`StructureError` unless the nodes have categories in rising order."""
    check_offsets("trees/categories_offsets", segments, len(categories))
    lengths = np.diff(segments)
    if len(lengths) != len(tests) or (lengths < 1).any():
        raise StructureError("trees have a node that tests no category.")
    if not len(tests):
        return
    if tests.min() < 0 or tests.max() >= total or (tests[1:] <= tests[:-1]).any():
        raise StructureError("trees/categories_nodes does not hold nodes in rising order.")
    if categories.min() < 0 or categories.max() >= _LARGEST_CATEGORY:
        raise StructureError(f"trees test a category beyond the {_LARGEST_CATEGORY}.")
    rises = categories[1:] > categories[:-1]
    rises[segments[1:-1] - 1] = True
    if not rises.all():
        raise StructureError("trees have categories that are not in rising order.")
    bits = categories[segments[1:] - 1].astype(np.int64)
    charge(int((bits // 32 + 1).sum()) * 4, "The categories that trees test")


def _parents(
    nodes: Mapping[str, np.ndarray], offsets: np.ndarray, removed: np.ndarray, none: int
) -> np.ndarray:
    """Return the parent of each node in its own tree; ``none`` for a root, 0 for a removed node."""
    left, right = nodes["left_children"], nodes["right_children"]
    parents = np.zeros(len(left), np.int32)
    parents[offsets[:-1]] = none
    inner = np.flatnonzero(left != LEAF)
    start = np.repeat(offsets[:-1], np.diff(offsets))[inner]
    for side in (left, right):
        parents[side[inner] + start] = inner - start
    return parents


def _big_endian(array: np.ndarray) -> np.ndarray:
    return array.astype(array.dtype.newbyteorder(">"))
