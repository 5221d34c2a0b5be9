"""The conformance kit's laws, on one object of each kind of state."""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import lightgbm
import numpy as np

from dc_core.testing import BackendSuite

examples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("examples.py"))))
SMALL = {"n_estimators": 2, "num_leaves": 4}
"""Few nodes, because laws on interrupts import the weights again for every line of code."""

KINDS = {
    "trees": examples.regressor(**SMALL),
    "linear": examples.regressor(linear_tree=True, **SMALL),
    "categories": examples.categorical(**SMALL),
    "classifier": examples.classifier(3, n_estimators=1, num_leaves=4),
}


@cache
def _made(kind: str, seed: int) -> tuple[Any, Any]:
    return KINDS[kind](seed)


class _LightGBM(BackendSuite):
    backend = "lightgbm"
    kind: str

    def make(self, seed: int) -> Any:
        return deepcopy(_made(self.kind, seed)[0])

    def blank(self) -> Any:
        return examples.blank(_made(self.kind, 0)[0])

    def predict(self, obj: Any) -> np.ndarray:
        rows = _made(self.kind, 0)[1]
        return obj.predict_proba(rows) if hasattr(obj, "predict_proba") else obj.predict(rows)

    def strangers(self) -> Iterable[Any]:
        return [lightgbm.Dataset(np.zeros((2, 2)))]


class TestTrees(_LightGBM):
    kind = "trees"

    make_scalar = _LightGBM.make
    make_empty = _LightGBM.make

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {
            "a node that is its own child": changed(weights, "trees/left_child/0", 0, 0),
            "a child beyond its tree": changed(weights, "trees/right_child/0", 0, 10**9),
            "a leaf beyond its tree": changed(weights, "trees/right_child/0", 0, -(10**9)),
            "a feature that is not there": changed(weights, "trees/split_feature/0", 0, 4),
            "a threshold that is NaN": changed(weights, "trees/threshold/0", 0, np.nan),
            "a bitset that is not there": changed(weights, "trees/decision_type/0", 0, 1),
            "trees that overlap": changed(weights, "trees/offsets/0", 1, 0),
            "an iteration that is not there": changed(weights, "best_iteration/0", (), 3),
            "two billion outputs": changed(weights, "num_class/0", (), 2**31 - 1),
            "more trees than that in a round": changed(weights, "num_tree_per_iteration/0", (), 3),
        }


class TestLinear(_LightGBM):
    kind = "linear"

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {
            "a linear leaf of a feature that is not there": changed(
                weights, "trees/leaf_features/0", 0, 4
            ),
            "linear leaves that overlap": changed(weights, "trees/linear_offsets/0", 1, 10**6),
            "linear leaves in a tree that has none": changed(
                weights, "trees/is_linear/0", slice(None), 0
            ),
        }


class TestCategories(_LightGBM):
    kind = "categories"

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        at = int(np.flatnonzero(weights["trees/decision_type/0"] & 1)[0])
        return {
            "a bitset that is not there": changed(weights, "trees/threshold/0", at, 99),
            "half a bitset": changed(weights, "trees/threshold/0", at, 0.5),
            "bitsets that overlap": changed(weights, "trees/cat_boundaries/0", 1, 10**6),
            "categories that are not JSON": changed(weights, "pandas_categorical/0", 0, 0),
        }


class TestClassifier(_LightGBM):
    kind = "classifier"

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        return {
            "classes that do not rise": changed(weights, "classes_/0", 0, 2),
            "another number of outputs": changed(weights, "num_class/0", (), 2),
        }


def changed(
    weights: Mapping[str, np.ndarray], name: str, index: Any, value: float
) -> dict[str, np.ndarray]:
    """Return ``weights`` with one number of the weight ``name`` changed."""
    array = weights[name].copy()
    array[index] = value
    return {**weights, name: array}
