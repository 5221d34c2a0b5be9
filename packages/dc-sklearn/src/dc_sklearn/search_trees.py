"""Search trees of nearest neighbours as arrays, checked before native code walks them.

scikit-learn builds a k-d tree or ball tree as a complete binary tree: every node's rows are a range
of one permutation, and its children have the two halves of it. So the ranges follow from the number
of rows and the leaf size, and only this is stored, for m nodes:

- ``order`` ``(rows,)`` of int64: the permutation,
- ``radius`` ``(m,)`` of float64: the radius of a ball around the node,
- ``bounds`` of float64: a k-d tree's corners ``(2, m, features)``, a ball tree's centres
  ``(1, m, features)``.

The training rows themselves are the estimator's.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from sklearn.neighbors import BallTree, KDTree
from sklearn.utils import check_array

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.schema import Restoring, Storing
from dc_sklearn.slots import Reader, Slot, Slots

TREES: Final[dict[str, Any]] = {"ball_tree": BallTree, "kd_tree": KDTree}
"""The classes of trees by the name of the search method."""

_BOUNDS: Final = {"ball_tree": 1, "kd_tree": 2}
"""The number of points that bound a node."""


@dataclass(frozen=True, slots=True)
class Parts:
    """The stored arrays of a tree."""

    order: np.ndarray
    radius: np.ndarray
    bounds: np.ndarray


class SearchTree:
    """The attribute ``_tree`` of a neighbour search; decoding returns :class:`Parts` or None."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the tree."""
        if value is None:
            yield from values.encode(path, None)
            return
        data, order, nodes, bounds, leaf_size, *_, weights = value.__getstate__()
        expected = ranges(len(data), leaf_size)
        built = leaf_size == storing.owner.leaf_size and weights is None
        if not built or not _same_ranges(nodes, expected):
            raise _not_built(path)
        yield from _encode_parts(path, order, nodes, bounds)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Parts | None:
        """Return the stored arrays, of which :func:`build` makes the tree."""
        if "none" in reader.below(path):
            values.decode(reader, path)
            return None
        return _decode_parts(reader, path)


class DensityTree:
    """The attribute ``tree_`` of a kernel density, which alone holds the rows and their weights.

    ``rows/0`` is ``(rows, n)`` and ``weights/0``, if rows have weights, ``(rows,)``, of float64.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the rows, their weights and the tree."""
        data, order, nodes, bounds, leaf_size, *_, weights = value.__getstate__()
        expected = ranges(len(data), leaf_size)
        if leaf_size != storing.owner.leaf_size or not _same_ranges(nodes, expected):
            raise _not_built(path)
        yield f"{path}/rows/0", Slot.of(np.asarray(data))
        if weights is not None:
            yield f"{path}/weights/0", Slot.of(np.asarray(weights))
        yield from _encode_parts(path, order, nodes, bounds)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the tree, checked."""
        owner, n = restoring.owner, restoring.state["n_features_in_"]
        rows = reader.take(f"{path}/rows/0", dtype=np.float64, ndim=2, keep=True)
        weights = None
        if reader.holds(f"{path}/weights"):
            weights = reader.take(f"{path}/weights/0", dtype=np.float64, ndim=1, keep=True)
        if (
            not len(rows)
            or rows.shape[1] != n
            or len(rows if weights is None else weights) != len(rows)
        ):
            raise StructureError(f"{path!r} does not have rows of {n} features and their weights.")
        if not np.isfinite(rows).all() or (weights is not None and not weights.sum() > 0):
            raise StructureError(f"{path!r} has rows that are not finite, or no weights above 0.")
        method = owner._choose_algorithm(owner.algorithm, owner.metric)
        parts, parameters = _decode_parts(reader, path), owner.metric_params or {}
        if method is None:
            raise StructureError(f"No tree searches by the metric {owner.metric!r}.")
        return build(method, rows, owner.leaf_size, owner.metric, parameters, parts, weights)


def _encode_parts(path: str, order: Any, nodes: np.ndarray, bounds: Any) -> Slots:
    yield f"{path}/order/0", Slot.of(np.asarray(order))
    yield f"{path}/radius/0", Slot.made(nodes["radius"].copy())
    yield f"{path}/bounds/0", Slot.of(np.asarray(bounds))


def _decode_parts(reader: Reader, path: str) -> Parts:
    return Parts(
        reader.take(f"{path}/order/0", dtype=np.int64, ndim=1, keep=True),
        reader.take(f"{path}/radius/0", dtype=np.float64, ndim=1),
        reader.take(f"{path}/bounds/0", dtype=np.float64, ndim=3, keep=True),
    )


def _same_ranges(nodes: np.ndarray, expected: np.ndarray) -> bool:
    return all(
        np.array_equal(nodes[name], expected[name]) for name in ("idx_start", "idx_end", "is_leaf")
    )


def _not_built(path: str) -> NotSerializable:
    return NotSerializable(
        f"The attribute {path.replace('/', '.')!r} is not a tree that fit() built.",
        hint="Fit the estimator to the rows themselves, and keep its leaf_size.",
    )


def levels(rows: int, leaf_size: int) -> int:
    """Return the number of levels of a tree, as scikit-learn counts them."""
    return int(np.log2(max(1.0, (rows - 1) / leaf_size)) + 1)


@functools.cache
def _node_dtype() -> np.dtype[Any]:
    """Return the dtype of a node, from a tree: not made at import, because trees check arrays."""
    dtype: np.dtype[Any] = KDTree(np.zeros((1, 1))).__getstate__()[2].dtype
    return dtype


def ranges(rows: int, leaf_size: int) -> np.ndarray:
    """Return the nodes of a tree with their ranges of rows, and without radii."""
    depth = levels(rows, leaf_size)
    nodes = np.zeros(2**depth - 1, _node_dtype())
    start, end = np.zeros(1, np.int64), np.full(1, rows, np.int64)
    for level in range(depth):
        part = nodes[2**level - 1 : 2 ** (level + 1) - 1]
        part["idx_start"], part["idx_end"] = start, end
        part["is_leaf"] = level == depth - 1
        middle = start + (end - start) // 2
        start, end = (
            np.column_stack((start, middle)).ravel(),
            np.column_stack((middle, end)).ravel(),
        )
    return nodes


def build(
    method: str,
    rows: np.ndarray,
    leaf_size: int,
    metric: str,
    parameters: dict[str, Any],
    parts: Parts,
    weights: np.ndarray | None = None,
) -> Any:
    """Return the tree of ``rows``, with these ``weights`` if any, that ``parts`` describe.

    Raises :class:`StructureError` where they do not fit the rows, and :class:`ValueError` or
    :class:`TypeError` for a metric that the tree does not have.
    """
    if type(leaf_size) is not int or leaf_size < 1:
        raise StructureError(f"leaf_size={leaf_size!r} is not a number of rows.")
    with np.errstate(invalid="ignore", over="ignore"):
        data = check_array(rows, dtype=np.float64, order="C")
    n, features = data.shape
    depth = levels(n, leaf_size)
    count = 2**depth - 1
    shape = (_BOUNDS[method], count, features)
    if parts.order.shape != (n,) or parts.radius.shape != (count,) or parts.bounds.shape != shape:
        raise StructureError(
            f"The tree of {n} rows has an order of shape {parts.order.shape}, radii of shape "
            f"{parts.radius.shape} and bounds of shape {parts.bounds.shape}; they need {(n,)}, "
            f"{(count,)} and {shape}."
        )
    _check_order(parts.order, n)
    if not np.isfinite(parts.bounds).all() or not (
        0 <= parts.radius.min() <= parts.radius.max() < np.inf
    ):
        raise StructureError("The nodes of the tree have bounds or radii that are not finite.")
    if method == "kd_tree" and np.any(parts.bounds[0] > parts.bounds[1]):
        raise StructureError("The nodes of the tree have lower corners above the upper ones.")
    nodes = ranges(n, leaf_size)
    nodes["radius"] = parts.radius
    tree = TREES[method]
    # A tree of one row checks the metric, and makes it for the number of features.
    metric_object = tree(data[:1], leaf_size, metric=metric, **parameters).__getstate__()[11]
    counters = (0, 0, 0, 0)
    made = tree.__new__(tree)
    made.__setstate__(
        (
            data,
            parts.order,
            nodes,
            parts.bounds,
            leaf_size,
            depth,
            count,
            *counters,
            metric_object,
            weights,
        )
    )
    return made


def _check_order(order: np.ndarray, n: int) -> None:
    if order.min() < 0 or order.max() >= n:
        raise StructureError(f"The order of the tree's rows names a row that is not one of {n}.")
    seen = np.zeros(n, bool)
    seen[order] = True
    if not seen.all():
        raise StructureError("The order of the tree's rows names a row twice.")
