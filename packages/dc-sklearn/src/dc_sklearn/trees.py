"""Decision trees as packed node arrays, checked before scikit-learn's native code walks them.

All trees of a forest lie one after the other in a few arrays; ``offsets`` says where each begins.
Predicting follows the child indices without looking, so an index out of its tree, a node with two
parents or a cycle would read foreign memory or never end: all of that is a :class:`StructureError`.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from functools import cache
from itertools import pairwise
from typing import Any, Final

import numpy as np
from sklearn.tree._tree import Tree

from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import LEAF, check_links, check_trees, tree_depths
from dc_sklearn.slots import Reader, Slot, Slots

_UNDEFINED: Final = -2
_MAX_SAMPLES: Final = np.iinfo(np.int32).max
_BLOCK: Final = 1 << 14
"""About how many nodes are checked and built at a time."""
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

_DTYPES: Final = {
    name: np.dtype(np.int32) if _NODE[field].kind == "i" else _NODE[field]
    for name, field in _FIELDS.items()
}
"""The dtypes of the packed arrays: the numbers of children, features and samples take 4 bytes."""


def encode(path: str, trees: Sequence[Any]) -> Slots:
    """Yield the slots of ``trees``.

    For N nodes in all: ``offsets`` ``(trees + 1,)`` int64, ``value`` ``(N, outputs, classes)``
    float64, and the arrays of :data:`_FIELDS`, each ``(N,)`` of its dtype in :data:`_DTYPES`.

    Raises :class:`NotSerializable` for a tree of 2³¹ samples or more.
    """
    for tree in trees:
        if tree.n_node_samples[0] > _MAX_SAMPLES:
            raise NotSerializable(
                f"A tree was fitted to {tree.n_node_samples[0]} samples; trees of more than "
                f"{_MAX_SAMPLES} cannot be stored."
            )
    offsets = np.cumsum([0, *(tree.node_count for tree in trees)], dtype=np.int64)
    total = int(offsets[-1])
    yield f"{path}/offsets/0", Slot.made(offsets)

    @cache
    def gather() -> dict[str, np.ndarray]:
        # Tree by tree, whose nodes stay in the processor's cache: a pass over all nodes for each
        # field takes twice as long. In one piece, for which the system can give huge pages.
        memory = np.empty((len(_FIELDS), total), np.uint64)
        packed = {
            name: row.view(dtype)[:total]
            for (name, dtype), row in zip(_DTYPES.items(), memory, strict=True)
        }
        for tree, start, stop in zip(
            trees, offsets[:-1].tolist(), offsets[1:].tolist(), strict=True
        ):
            nodes = tree.__getstate__()["nodes"]
            for name, array in packed.items():
                array[start:stop] = nodes[_FIELDS[name]]
        return packed

    for name, dtype in _DTYPES.items():

        def take(name: str = name) -> np.ndarray:
            return gather()[name]

        yield f"{path}/{name}/0", Slot((total,), dtype, take)
    shape = (total, *trees[0].value.shape[1:])

    def gather_values() -> np.ndarray:
        return np.concatenate([tree.value for tree in trees])

    yield f"{path}/value/0", Slot(shape, np.dtype(np.float64), gather_values)


def decode(reader: Reader, path: str, n_features: int, n_classes: Sequence[int]) -> list[Any]:
    """Return the trees whose arrays lie at ``path``, checked and built.

    ``n_classes`` holds the number of classes per output (1 for regression). Raises
    :class:`WeightsMismatch` and :class:`StructureError`.
    """
    check_fields(_NODE, _FIELDS.values())
    given = {
        name: reader.take(f"{path}/{name}/0", dtype=dtype, ndim=1)
        for name, dtype in _DTYPES.items()
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
    classes = np.array(n_classes, np.intp)
    trees = []
    memory = np.zeros(0, _NODE)
    for first, last in _blocks(offsets):
        start, stop = int(offsets[first]), int(offsets[last])
        if len(memory) < stop - start:
            memory = np.zeros(stop - start, _NODE)
        nodes = memory[: stop - start]
        for name, array in given.items():
            nodes[_FIELDS[name]] = array[start:stop]
        for i in range(first, last):
            begin, end = int(offsets[i]), int(offsets[i + 1])
            tree = Tree(n_features, classes, len(n_classes))
            tree.__setstate__(
                {
                    "max_depth": int(depths[i]),
                    "node_count": end - begin,
                    "nodes": nodes[begin - start : end - start],
                    "values": value[begin:end],
                }
            )
            trees.append(tree)
    return trees


def _blocks(offsets: np.ndarray) -> Iterator[tuple[int, int]]:
    """Divide the trees into runs ``first:last`` of few nodes, which the processor's cache holds."""
    starts = np.searchsorted(offsets[:-1], np.arange(0, offsets[-1], _BLOCK)).tolist()
    return pairwise(sorted({*starts, len(offsets) - 1}))


def check_fields(node: np.dtype[Any], known: Collection[str]) -> None:
    """Raise :class:`StructureError` if scikit-learn's nodes have a field that is not known here."""
    unknown = sorted(set(node.names or ()).difference(known))
    if unknown:
        raise StructureError(
            f"The nodes of the installed scikit-learn have an unknown field {unknown[0]!r}.",
            hint="Run: pip install --upgrade dc-sklearn",
        )


def check(
    path: str, nodes: dict[str, np.ndarray], offsets: np.ndarray, n_features: int
) -> np.ndarray:
    """Return the depth of each tree; raise :class:`StructureError` for a malformed one."""
    total = len(nodes["children_left"])
    for name, array in nodes.items():
        if len(array) != total:
            raise StructureError(f"{path}/{name} has {len(array)} entries for {total} nodes.")
    check_trees(path, offsets, total)
    depths = []
    for first, last in _blocks(offsets):
        start, stop = offsets[first], offsets[last]
        block = {name: array[start:stop] for name, array in nodes.items()}
        depths.append(_check_nodes(path, block, offsets[first : last + 1] - start, n_features))
    return np.concatenate(depths)


def _check_nodes(
    path: str, nodes: dict[str, np.ndarray], offsets: np.ndarray, n_features: int
) -> np.ndarray:
    """Return the depth of each of a few trees, as :func:`check` does of all."""
    left, right, feature = nodes["children_left"], nodes["children_right"], nodes["feature"]
    leaf = left == LEAF
    if not np.array_equal(leaf, right == LEAF):
        raise StructureError(f"{path} has a node with one child.")
    if ((feature != _UNDEFINED) & leaf).any():
        raise StructureError(f"{path} has a leaf that tests a feature.")
    if (((feature < 0) | (feature >= n_features)) & ~leaf).any():
        raise StructureError(f"{path} tests a feature beyond the {n_features}.")
    if (np.isnan(nodes["threshold"]) & ~leaf).any():
        raise StructureError(f"{path} has a threshold that is NaN.")
    if nodes["missing_go_to_left"].max() > 1:
        raise StructureError(f"{path}/missing_go_to_left holds values other than 0 and 1.")
    return tree_depths(left, check_links(path, left, right, offsets), offsets[:-1])
