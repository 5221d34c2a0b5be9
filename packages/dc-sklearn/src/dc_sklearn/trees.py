"""Decision trees as packed node arrays, checked before scikit-learn's native code walks them.

All trees of a forest lie one after the other in a few arrays; ``offsets`` says where each begins.
Predicting follows the child indices without looking, so an index out of its tree, a node with two
parents or a cycle would read foreign memory or never end: all of that is a :class:`StructureError`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from sklearn.tree._tree import Tree

from dc_core.errors import StructureError
from dc_sklearn.slots import Reader, Slot, Slots
from dc_sklearn.values import check_offsets

_LEAF: Final = -1
_UNDEFINED: Final = -2
_NODE: Final[np.dtype[Any]] = Tree(1, np.ones(1, np.intp), 1).__getstate__()["nodes"].dtype

_FIELDS: Final = {
    "children_left": "left_child",
    "children_right": "right_child",
    "feature": "feature",
    "threshold": "threshold",
    "impurity": "impurity",
    "n_node_samples": "n_node_samples",
    "weighted_n_node_samples": "weighted_n_node_samples",
    "missing_go_to_left": "missing_go_to_left",
}
"""Names of the packed arrays (those of ``Tree``'s properties) and of the node's fields."""


def encode(path: str, trees: Sequence[Any]) -> Slots:
    """Yield the slots of ``trees``.

    For N nodes in all: ``offsets`` ``(trees + 1,)`` int64, ``value`` ``(N, outputs, classes)``
    float64, and the arrays of :data:`_FIELDS`, each ``(N,)`` in the dtype of the node's field.
    """
    offsets = np.cumsum([0, *(tree.node_count for tree in trees)], dtype=np.int64)
    total = int(offsets[-1])
    nodes = [tree.__getstate__()["nodes"] for tree in trees]
    yield f"{path}/offsets/0", Slot.made(offsets)
    for name, field in _FIELDS.items():

        def gather(field: str = field) -> np.ndarray:
            return np.concatenate([n[field] for n in nodes])

        yield f"{path}/{name}/0", Slot((total,), _NODE[field], gather)
    shape = (total, *trees[0].value.shape[1:])

    def gather_values() -> np.ndarray:
        return np.concatenate([tree.value for tree in trees])

    yield f"{path}/value/0", Slot(shape, np.dtype(np.float64), gather_values)


def decode(reader: Reader, path: str, n_features: int, n_classes: Sequence[int]) -> list[Any]:
    """Return the trees whose arrays lie at ``path``, checked and built.

    ``n_classes`` holds the number of classes per output (1 for regression). Raises
    :class:`WeightsMismatch` and :class:`StructureError`.
    """
    unknown = [name for name in _NODE.names or () if name not in _FIELDS.values()]
    if unknown:
        raise StructureError(
            f"The installed scikit-learn's nodes have a field {unknown[0]!r} that is not known.",
            hint="Run: pip install --upgrade dc-sklearn",
        )
    given = {
        name: reader.take(f"{path}/{name}/0", dtype=_NODE[field], ndim=1)
        for name, field in _FIELDS.items()
    }
    offsets = reader.take(f"{path}/offsets/0", dtype=np.int64, ndim=1)
    value = reader.take(f"{path}/value/0", dtype=np.float64, ndim=3)
    total = len(given["feature"])
    widest = max(n_classes, default=1)
    if value.shape != (total, len(n_classes), widest):
        raise StructureError(
            f"{path}/value has shape {value.shape}; {total} nodes, {len(n_classes)} outputs and "
            f"{widest} classes need {(total, len(n_classes), widest)}."
        )
    depths = check(path, given, offsets, n_features)
    nodes = np.zeros(total, _NODE)
    for name, array in given.items():
        nodes[_FIELDS[name]] = array
    classes = np.array(n_classes, np.intp)
    trees = []
    for depth, start, stop in zip(
        depths.tolist(), offsets[:-1].tolist(), offsets[1:].tolist(), strict=True
    ):
        tree = Tree(n_features, classes, len(n_classes))
        tree.__setstate__(
            {
                "max_depth": depth,
                "node_count": stop - start,
                "nodes": nodes[start:stop],
                "values": value[start:stop],
            }
        )
        trees.append(tree)
    return trees


def check(
    path: str, nodes: dict[str, np.ndarray], offsets: np.ndarray, n_features: int
) -> np.ndarray:
    """Return the depth of each tree; raise :class:`StructureError` where one is no tree."""
    left, right, feature = nodes["children_left"], nodes["children_right"], nodes["feature"]
    total = len(left)
    for name, array in nodes.items():
        if len(array) != total:
            raise StructureError(f"{path}/{name} has {len(array)} entries for {total} nodes.")
    check_trees(path, offsets, total)
    inner = np.flatnonzero(left != _LEAF)
    leaf = left == _LEAF
    if not np.array_equal(leaf, right == _LEAF):
        raise StructureError(f"{path} has a node with one child.")
    if not np.all(feature[leaf] == _UNDEFINED):
        raise StructureError(f"{path} has a leaf that asks for a feature.")
    tests = feature[inner]
    if tests.size and (tests.min() < 0 or tests.max() >= n_features):
        raise StructureError(f"{path} asks for a feature that is none of the {n_features}.")
    if np.isnan(nodes["threshold"][inner]).any():
        raise StructureError(f"{path} has a threshold that is no number.")
    if nodes["missing_go_to_left"].max() > 1:
        raise StructureError(f"{path}/missing_go_to_left holds something else than 0 and 1.")

    return _depths(check_links(path, left, right, offsets), offsets[:-1])


def check_trees(path: str, offsets: np.ndarray, total: int) -> None:
    """Raise :class:`StructureError` unless ``offsets`` divide ``total`` nodes into trees."""
    check_offsets(f"{path}/offsets", offsets, total)
    if len(offsets) < 2 or np.diff(offsets).min() < 1:
        raise StructureError(f"{path} holds a tree without nodes.")


def check_links(path: str, left: np.ndarray, right: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Return each node's parent among all nodes, -1 for a root.

    ``left`` and ``right`` number the children within their own tree, -1 in a leaf. Raises
    :class:`StructureError` unless every child comes after its parent in the same tree, and every
    node but the roots has exactly one.
    """
    inner = np.flatnonzero(left != _LEAF)
    sizes = np.diff(offsets)
    tree = np.repeat(np.arange(len(sizes)), sizes)[inner]
    start, stop = offsets[tree], offsets[tree + 1]
    first, second = left[inner] + start, right[inner] + start
    lower, upper = np.minimum(first, second), np.maximum(first, second)
    if np.any(lower <= inner) or np.any(upper >= stop):
        raise StructureError(
            f"{path} has a child that does not come after its parent in the parent's own tree."
        )
    parent = np.full(len(left), -1)
    parent[first] = inner
    parent[second] = inner
    roots = np.count_nonzero(parent < 0)
    if 2 * inner.size != len(left) - len(sizes) or roots != len(sizes):
        raise StructureError(f"{path} has a node without a parent, or with more than one.")
    return parent


def _depths(parent: np.ndarray, roots: np.ndarray) -> np.ndarray:
    """Return each tree's depth by doubling jumps to the root: O(N log depth) for any shape."""
    depth = (parent >= 0).astype(np.intp)
    jump = np.where(parent >= 0, parent, np.arange(len(parent)))
    while True:
        further = depth[jump]
        if not further.any():
            return np.maximum.reduceat(depth, roots)
        depth += further
        jump = jump[jump]
