"""The trees of histogram gradient boosting as packed node arrays, checked like all trees.

Beyond links and features, a node that tests a categorical feature points into bitsets of 256 bits;
both the index and the feature have to be ones that have a bitset.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from sklearn.ensemble._hist_gradient_boosting.binning import _BinMapper
from sklearn.ensemble._hist_gradient_boosting.common import PREDICTOR_RECORD_DTYPE
from sklearn.ensemble._hist_gradient_boosting.predictor import TreePredictor

from dc_core.errors import NotSerializable, StructureError
from dc_core.structures import check_links, check_offsets, check_trees
from dc_sklearn import trees, values
from dc_sklearn.kinds import rises
from dc_sklearn.schema import Restoring, Storing
from dc_sklearn.slots import Reader, Slot, Slots

_NODE: Final[np.dtype[Any]] = PREDICTOR_RECORD_DTYPE
_FIELDS: Final = (
    "value",
    "count",
    "feature_idx",
    "num_threshold",
    "missing_go_to_left",
    "left",
    "right",
    "gain",
    "depth",
    "is_leaf",
    "bin_threshold",
    "is_categorical",
    "bitset_idx",
)
_FLAGS: Final = ("missing_go_to_left", "is_leaf", "is_categorical")
_BITSETS: Final = ("binned_left_cat_bitsets", "raw_left_cat_bitsets")
_WORDS: Final = 8
"""A bitset is 8 words of 32 bits."""


class BinMapper:
    """The attribute ``_bin_mapper``: prediction reads from it which categories are known."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the mapper's fitted attributes."""
        for name in ("bin_thresholds_", "missing_values_bin_idx_"):
            yield from values.encode(f"{path}/{name}", vars(value)[name])

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the mapper, checked against the number of features."""
        n, categories = (restoring.state[name] for name in ("n_features_in_", "is_categorical_"))
        thresholds = values.decode(reader, f"{path}/bin_thresholds_")
        missing = values.decode(reader, f"{path}/missing_values_bin_idx_")
        if not isinstance(thresholds, list) or len(thresholds) != n:
            raise StructureError(f"{path} does not hold thresholds for {n} features.")
        # The preprocessor places the categories first.
        categorical = np.arange(n) < (0 if categories is None else np.count_nonzero(categories))
        for known, is_category in zip(thresholds, categorical.tolist(), strict=True):
            if np.ndim(known) != 1 or np.isnan(known).any() or np.any(known[1:] < known[:-1]):
                raise StructureError(f"{path}/bin_thresholds_ holds thresholds that do not rise.")
            if is_category and not _are_categories(known):
                raise StructureError(f"{path}/bin_thresholds_ is not a list of category numbers.")
        if type(missing) is not int or not 2 <= missing <= 255:
            raise StructureError(f"{path}/missing_values_bin_idx_ is {missing!r}.")
        bins = np.fromiter(map(len, thresholds), np.uint32) + ~categorical
        if bins.max() > missing:
            raise StructureError(f"{path} has a feature with more than {missing} bins.")
        mapper = _BinMapper(n_bins=missing + 1, is_categorical=categorical)
        vars(mapper).update(
            is_categorical_=categorical.astype(np.uint8),
            bin_thresholds_=thresholds,
            n_bins_non_missing_=bins,
            missing_values_bin_idx_=missing,
        )
        return mapper


class Predictors:
    """The attribute ``_predictors``: iterations of ``n_trees_per_iteration_`` trees each.

    For N nodes in all, each field of scikit-learn's node record is an array ``(N,)`` in its own
    dtype; ``offsets`` is ``(trees + 1,)``; the bitsets of all trees are ``(B, 8)`` uint32, with
    ``bitset_offsets``; ``shape`` is iterations × trees.
    """

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of all trees."""
        shape = (len(value), len(value[0]) if value else 0)
        if any(len(iteration) != shape[1] for iteration in value) or not all(shape):
            raise NotSerializable(f"{path!r} holds iterations of different numbers of trees.")
        found = [tree for iteration in value for tree in iteration]
        nodes = [tree.nodes for tree in found]
        yield f"{path}/shape/0", Slot.made(np.array(shape, np.int64))
        offsets = np.cumsum([0, *map(len, nodes)], dtype=np.int64)
        yield f"{path}/offsets/0", Slot.made(offsets)
        for field in _FIELDS:

            def gather(field: str = field) -> np.ndarray:
                return np.concatenate([n[field] for n in nodes])

            yield f"{path}/{field}/0", Slot((int(offsets[-1]),), _NODE[field], gather)
        counts = [len(tree.raw_left_cat_bitsets) for tree in found]
        yield f"{path}/bitset_offsets/0", Slot.made(np.cumsum([0, *counts], dtype=np.int64))
        for name in _BITSETS:
            yield f"{path}/{name}/0", Slot.made(np.concatenate([getattr(t, name) for t in found]))

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[list[Any]]:
        """Return the predictors, checked."""
        trees.check_fields(_NODE, _FIELDS)
        given = {
            field: reader.take(f"{path}/{field}/0", dtype=_NODE[field], ndim=1) for field in _FIELDS
        }
        offsets = reader.take(f"{path}/offsets/0", dtype=np.int64, ndim=1)
        bitset_offsets = reader.take(f"{path}/bitset_offsets/0", dtype=np.int64, ndim=1)
        bitsets = [
            reader.take(f"{path}/{name}/0", dtype=np.uint32, ndim=2, keep=True) for name in _BITSETS
        ]
        shape = reader.take(f"{path}/shape/0", dtype=np.int64, ndim=1).tolist()
        for array in bitsets:
            if array.shape != (len(bitsets[0]), _WORDS):
                raise StructureError(f"{path} has bitsets of shape {array.shape}.")
        check_offsets(f"{path}/bitset_offsets", bitset_offsets, len(bitsets[0]))
        if len(bitset_offsets) != len(offsets):
            raise StructureError(
                f"{path} does not have bitsets for each of {len(offsets) - 1} trees."
            )
        _check(path, given, offsets, bitset_offsets, restoring)
        trees_in_all = len(offsets) - 1
        if len(shape) != 2 or min(shape) < 1 or shape[0] * shape[1] != trees_in_all:
            raise StructureError(f"{path} holds {trees_in_all} trees in the shape {shape}.")

        nodes = np.zeros(len(given["left"]), _NODE)
        for field, array in given.items():
            nodes[field] = array
        bounds = zip(
            offsets[:-1].tolist(),
            offsets[1:].tolist(),
            bitset_offsets[:-1].tolist(),
            bitset_offsets[1:].tolist(),
            strict=True,
        )
        built = [
            TreePredictor(nodes[a:b], bitsets[0][c:d], bitsets[1][c:d]) for a, b, c, d in bounds
        ]
        return [built[i : i + shape[1]] for i in range(0, len(built), shape[1])]


def _check(
    path: str,
    nodes: dict[str, np.ndarray],
    offsets: np.ndarray,
    bitset_offsets: np.ndarray,
    restoring: Restoring,
) -> None:
    """Raise :class:`StructureError` where native code would read beyond an array or never end."""
    n, mapper = restoring.state["n_features_in_"], restoring.state["_bin_mapper"]
    total = len(nodes["left"])
    for field, array in nodes.items():
        if len(array) != total:
            raise StructureError(f"{path}/{field} has {len(array)} entries for {total} nodes.")
    check_trees(path, offsets, total)
    for flag in _FLAGS:
        if nodes[flag].max() > 1:
            raise StructureError(f"{path}/{flag} holds values other than 0 and 1.")
    leaf = nodes["is_leaf"] == 1
    left, right = (np.where(leaf, -1, nodes[side].astype(np.int64)) for side in ("left", "right"))
    check_links(path, left, right, offsets)

    inner = np.flatnonzero(~leaf)
    feature = nodes["feature_idx"][inner]
    if feature.size and (feature.min() < 0 or feature.max() >= n):
        raise StructureError(f"{path} tests a feature beyond the {n}.")
    categorical = nodes["is_categorical"][inner] == 1
    if np.isnan(nodes["num_threshold"][inner[~categorical]]).any():
        raise StructureError(f"{path} has a threshold that is NaN.")
    if np.any(mapper.is_categorical_[feature[categorical]] == 0):
        raise StructureError(f"{path} tests a number for its category.")
    bitsets = np.repeat(np.diff(bitset_offsets), np.diff(offsets))[inner[categorical]]
    if np.any(nodes["bitset_idx"][inner[categorical]] >= bitsets):
        raise StructureError(f"{path} tests a bitset that its tree does not have.")


def _are_categories(known: np.ndarray) -> bool:
    """Tell whether ``known`` holds different numbers of bits in a bitset, in rising order."""
    numbers = known.dtype.kind in "iuf" and rises(known)
    inside = numbers and bool(np.all((known >= 0) & (known < 32 * _WORDS)))
    return inside and bool(np.all(known == np.floor(known)))
