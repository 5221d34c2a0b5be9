"""The trees of a booster as packed arrays, checked before LightGBM walks them.

The nodes of all trees follow each other in arrays, and so do the leaves. A tree of n leaves has
n - 1 nodes; a child is the number of a node, or of a leaf with all its bits inverted.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Final

import numpy as np

from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import (
    LEAF,
    Reader,
    check_links,
    check_offsets,
    check_trees,
    tree_depths,
)
from dc_lightgbm import numbers
from dc_lightgbm.numbers import Kind

DEEPEST: Final = 4096
"""The depth that a tree may have: LightGBM measures and explains trees by recursion."""

_NODES: Final[Mapping[str, tuple[np.dtype[Any], Kind]]] = {
    "split_feature": (np.dtype(np.int32), "integer"),
    "split_gain": (np.dtype(np.float32), "rounded"),
    "threshold": (np.dtype(np.float64), "exact"),
    "decision_type": (np.dtype(np.int8), "integer"),
    "left_child": (np.dtype(np.int32), "integer"),
    "right_child": (np.dtype(np.int32), "integer"),
    "internal_value": (np.dtype(np.float64), "rounded"),
    "internal_weight": (np.dtype(np.float64), "rounded"),
    "internal_count": (np.dtype(np.int32), "integer"),
}
_LEAVES: Final[Mapping[str, tuple[np.dtype[Any], Kind]]] = {
    "leaf_value": (np.dtype(np.float64), "exact"),
    "leaf_weight": (np.dtype(np.float64), "exact"),
    "leaf_count": (np.dtype(np.int32), "integer"),
}
_LINEAR: Final = ("leaf_const", "num_features", "leaf_features", "leaf_coeff")
_KNOWN: Final = frozenset(
    {
        *_NODES,
        *_LEAVES,
        *_LINEAR,
        *("num_leaves", "num_cat", "cat_boundaries", "cat_threshold", "is_linear", "shrinkage"),
    }
)
_CATEGORICAL: Final = 1
_F64: Final = np.dtype(np.float64)
_I32: Final = np.dtype(np.int32)


def encode(trees: Sequence[Mapping[str, str]]) -> dict[str, np.ndarray]:
    """Return the arrays of ``trees``, each the lines of its text by name.

    For L leaves and N nodes in all: ``offsets`` ``(trees + 1,)`` divides the leaves; the arrays of
    nodes are ``(N,)``, those of leaves ``(L,)``. A node that tests categories has the number of a
    bitset as its threshold; ``cat_offsets`` ``(trees + 1,)`` divides the bitsets,
    ``cat_boundaries`` ``(bitsets + 1,)`` divides ``cat_threshold``, their words. Linear leaves are
    in ``leaf_const`` ``(L,)``, ``linear_offsets`` ``(L + 1,)``, ``leaf_features`` and
    ``leaf_coeff``.

    Raises :class:`NotSerializable` for what is not known here.
    """
    unknown = sorted(set().union(*trees) - _KNOWN) if trees else []
    if unknown:
        raise NotSerializable(
            f"The trees have an attribute {unknown[0]!r} that is not known here.",
            hint="Run: pip install --upgrade dc-lightgbm",
        )
    leaves = [int(tree["num_leaves"]) for tree in trees]
    parts: dict[str, list[np.ndarray]] = {
        name: [] for name in (*_NODES, *_LEAVES, "cat_boundaries", "cat_threshold", *_LINEAR)
    }
    cats = [int(tree["num_cat"]) for tree in trees]
    words = 0
    for tree, n, bitsets in zip(trees, leaves, cats, strict=True):
        for table, count in ((_NODES, n - 1), (_LEAVES, n)):
            for name, (dtype, _) in table.items():
                # A tree of one leaf may leave out what it has none of.
                text = tree.get(name, "")
                count_ = 0 if not text.strip() and n == 1 and name != "leaf_value" else count
                found = numbers.read(name, text, dtype, count_)
                parts[name].append(found if count_ == count else np.zeros(count, dtype))
        boundaries = np.zeros(1, np.int64)
        if bitsets:
            boundaries = numbers.read(
                "cat_boundaries", tree["cat_boundaries"], np.dtype(np.int64), bitsets + 1
            )
            parts["cat_threshold"].append(
                numbers.read(
                    "cat_threshold",
                    tree["cat_threshold"],
                    np.dtype(np.uint32),
                    int(boundaries[-1]),
                )
            )
        parts["cat_boundaries"].append(boundaries[1:] + words)
        words += int(boundaries[-1])
        if int(tree["is_linear"]):
            counts = numbers.read("num_features", tree["num_features"], _I32, n)
            total = int(counts.sum())
            parts["num_features"].append(counts)
            parts["leaf_const"].append(numbers.read("leaf_const", tree["leaf_const"], _F64, n))
            for name, dtype in (("leaf_features", _I32), ("leaf_coeff", _F64)):
                parts[name].append(numbers.read(name, tree[name], dtype, total))
        else:
            parts["num_features"].append(np.zeros(n, np.int32))
            parts["leaf_const"].append(np.zeros(n))
    arrays = {
        f"trees/{name}/0": _joined(parts[name], dtype)
        for name, (dtype, _) in {**_NODES, **_LEAVES}.items()
    }
    return {
        "trees/offsets/0": np.cumsum([0, *leaves], dtype=np.int64),
        **arrays,
        "trees/shrinkage/0": np.array([float(tree["shrinkage"]) for tree in trees], np.float64),
        "trees/is_linear/0": np.array([int(tree["is_linear"]) for tree in trees], np.uint8),
        "trees/cat_offsets/0": np.cumsum([0, *cats], dtype=np.int64),
        "trees/cat_boundaries/0": np.concatenate(
            [np.zeros(1, np.int64), *parts["cat_boundaries"]], dtype=np.int64
        ),
        "trees/cat_threshold/0": _joined(parts["cat_threshold"], np.dtype(np.uint32)),
        "trees/leaf_const/0": _joined(parts["leaf_const"], _F64),
        "trees/linear_offsets/0": np.cumsum(
            np.concatenate([np.zeros(1, np.int64), *parts["num_features"]], dtype=np.int64)
        ),
        "trees/leaf_features/0": _joined(parts["leaf_features"], _I32),
        "trees/leaf_coeff/0": _joined(parts["leaf_coeff"], _F64),
    }


def _joined(parts: Sequence[np.ndarray], dtype: np.dtype[Any]) -> np.ndarray:
    return np.concatenate([np.zeros(0, dtype), *parts], dtype=dtype, casting="same_kind")


def decode(reader: Reader, n_features: int) -> list[str]:
    """Return the text of each tree; raise :class:`WeightsMismatch` and :class:`StructureError`."""
    offsets = reader.take("trees/offsets/0", dtype=np.int64, ndim=1)
    leaf = reader.take("trees/leaf_value/0", dtype=np.float64, ndim=1)
    if len(leaf) or len(offsets) != 1:
        check_trees("trees", offsets, len(leaf))
    count, n = len(offsets) - 1, len(leaf)
    starts = offsets - np.arange(count + 1)
    arrays: dict[str, np.ndarray] = {}
    for table, length in ((_NODES, n - count), (_LEAVES, n)):
        for name, (dtype, _) in table.items():
            arrays[name] = reader.take(f"trees/{name}/0", dtype=dtype, shape=(length,))
    shrinkage = reader.take("trees/shrinkage/0", dtype=np.float64, shape=(count,))
    linear = reader.take("trees/is_linear/0", dtype=np.uint8, shape=(count,))
    if count and linear.max() > 1:
        raise StructureError("trees/is_linear holds values other than 0 and 1.")
    sets = reader.take("trees/cat_offsets/0", dtype=np.int64, shape=(count + 1,))
    bounds = reader.take("trees/cat_boundaries/0", dtype=np.int64, ndim=1)
    words = reader.take("trees/cat_threshold/0", dtype=np.uint32, ndim=1)
    check_offsets("trees/cat_offsets", sets, len(bounds) - 1)
    check_offsets("trees/cat_boundaries", bounds, len(words))
    if len(bounds) > 1 and np.diff(bounds).min() < 1:
        raise StructureError("trees have a bitset without words.")
    const = reader.take("trees/leaf_const/0", dtype=np.float64, shape=(n,))
    cuts = reader.take("trees/linear_offsets/0", dtype=np.int64, shape=(n + 1,))
    features = reader.take("trees/leaf_features/0", dtype=np.int32, ndim=1)
    coefficients = reader.take("trees/leaf_coeff/0", dtype=np.float64, shape=(len(features),))
    check_offsets("trees/linear_offsets", cuts, len(features))
    if len(features) and (features.min() < 0 or features.max() >= n_features):
        raise StructureError(f"trees have linear leaves of a feature beyond the {n_features}.")
    constant = np.repeat(linear, np.diff(offsets)) == 0
    if (const[constant] != 0).any() or np.signbit(const[constant]).any():
        raise StructureError("trees have linear leaves in a tree that is not linear.")
    if (np.diff(cuts)[constant] != 0).any():
        raise StructureError("trees have linear leaves in a tree that is not linear.")
    if count:
        _check_nodes(arrays, offsets, starts, n_features, np.diff(sets))

    texts = {
        name: numbers.write(f"trees/{name}", arrays[name], kind)
        for name, (_, kind) in {**_NODES, **_LEAVES}.items()
    }
    rates = numbers.write("trees/shrinkage", shrinkage, "rounded")
    constants = numbers.write("trees/leaf_const", const, "exact")
    factors = numbers.write("trees/leaf_coeff", coefficients, "exact")
    made = []
    for i, ((a, b), (c, d), (e, f)) in enumerate(
        zip(pairwise(offsets.tolist()), pairwise(starts.tolist()), pairwise(sets), strict=True)
    ):
        lines = [f"Tree={i}", f"num_leaves={b - a}", f"num_cat={f - e}"]
        lines += [f"{name}={' '.join(texts[name][c:d])}" for name in _NODES if name in _BEFORE]
        lines += [f"{name}={' '.join(texts[name][a:b])}" for name in _LEAVES]
        lines += [f"{name}={' '.join(texts[name][c:d])}" for name in _NODES if name not in _BEFORE]
        if f > e:
            inner = bounds[e : f + 1] - bounds[e]
            lines.append(f"cat_boundaries={_spaced(inner)}")
            lines.append(f"cat_threshold={_spaced(words[bounds[e] : bounds[f]])}")
        lines.append(f"is_linear={linear[i]}")
        if linear[i]:
            at = cuts[a : b + 1].tolist()
            lines.append(f"leaf_const={' '.join(constants[a:b])}")
            lines.append(f"num_features={_spaced(np.diff(cuts[a : b + 1]))}")
            named = list(map(str, features[at[0] : at[-1]].tolist()))
            for name, items in (("leaf_features", named), ("leaf_coeff", factors[at[0] : at[-1]])):
                lines.append(f"{name}={''.join(_by_leaf(items, at))}")
        lines.append(f"shrinkage={rates[i]}")
        made.append("\n".join(lines) + "\n\n\n")
    return made


_BEFORE: Final = frozenset(
    {"split_feature", "split_gain", "threshold", "decision_type", "left_child", "right_child"}
)
"""The attributes of nodes that LightGBM writes before those of leaves."""


def _spaced(array: np.ndarray) -> str:
    return " ".join(map(str, array.tolist()))


def _by_leaf(items: Sequence[str], cuts: Sequence[int]) -> Iterator[str]:
    """Yield the ``items`` of each leaf as LightGBM separates them."""
    for a, b in pairwise(cuts):
        own = items[a - cuts[0] : b - cuts[0]]
        yield f"{' '.join(own)} " if own else ""
        yield " "


def _check_nodes(
    nodes: Mapping[str, np.ndarray],
    offsets: np.ndarray,
    starts: np.ndarray,
    n_features: int,
    sets: np.ndarray,
) -> None:
    """Raise :class:`StructureError` where LightGBM would read beyond an array or never end."""
    feature, kind, threshold = (
        nodes[name] for name in ("split_feature", "decision_type", "threshold")
    )
    if not np.isfinite(threshold).all():
        raise StructureError("trees have a threshold that is not finite.")
    if ((feature < 0) | (feature >= n_features)).any():
        raise StructureError(f"trees test a feature beyond the {n_features}.")
    if ((kind < 0) | (kind > 11)).any():
        raise StructureError("trees/decision_type holds an unknown kind of decision.")
    counts = np.diff(starts)
    of_tree = np.repeat(np.arange(len(counts)), counts)
    categorical = (kind & _CATEGORICAL) == 1
    tested = threshold[categorical]
    limits = sets[of_tree[categorical]]
    if not ((tested >= 0) & (tested < limits) & (tested == np.floor(tested))).all():
        raise StructureError("trees test a bitset that their tree does not have.")

    # All nodes of a tree, and then its leaves, as one sequence.
    sizes = counts + np.diff(offsets)
    bounds = np.concatenate([[0], np.cumsum(sizes)])
    place = np.arange(len(feature)) + offsets[of_tree]
    links = []
    for side in ("left_child", "right_child"):
        child = nodes[side].astype(np.int64)
        number = np.where(child >= 0, child, counts[of_tree] + ~child)
        if ((child >= counts[of_tree]) | (~child >= np.diff(offsets)[of_tree])).any():
            raise StructureError("trees have a child that is not in the tree.")
        link = np.full(int(bounds[-1]), LEAF)
        link[place] = number
        links.append(link)
    parent = check_links("trees", links[0], links[1], bounds)
    if tree_depths(links[0], parent, bounds[:-1]).max() > DEEPEST:
        raise StructureError(f"A tree is deeper than {DEEPEST}.")
