"""The conformance kit's laws, on one object of each kind of state."""

from __future__ import annotations

import runpy
from collections.abc import Iterable, Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import xgboost

from dc_core.testing import BackendSuite

examples = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("examples.py"))))


SMALL = {"n_estimators": 2, "max_depth": 2}
"""Few nodes, because laws on interrupts import the weights again for every line of code."""

KINDS = {
    "trees": examples.regressor(**SMALL),
    "vector leaves": examples.several(multi_strategy="multi_output_tree", **SMALL),
    "categories": examples.categorical(**SMALL),
    "dart": examples.regressor(booster="dart", rate_drop=0.5, one_drop=1, **SMALL),
    "linear": examples.regressor(booster="gblinear", n_estimators=2),
}


@cache
def _made(kind: str, seed: int) -> tuple[Any, Any]:
    return KINDS[kind](seed)


class _XGBoost(BackendSuite):
    backend = "xgboost"
    kind: str

    def make(self, seed: int) -> Any:
        return deepcopy(_made(self.kind, seed)[0])

    def blank(self) -> Any:
        return examples.blank(_made(self.kind, 0)[0])

    def predict(self, obj: Any) -> np.ndarray:
        return obj.predict(_made(self.kind, 0)[1])

    def strangers(self) -> Iterable[Any]:
        return [xgboost.DMatrix(np.zeros((2, 2)))]

    def global_state(self) -> object:
        return xgboost.get_config()


class TestTrees(_XGBoost):
    kind = "trees"

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        rounds = len(weights["iteration_indptr/0"]) - 1
        return {
            "a node that is its own child": changed(weights, "trees/left_children/0", 0, 0),
            "a child beyond its tree": changed(weights, "trees/right_children/0", 0, 10**9),
            "a feature that is not there": changed(weights, "trees/split_indices/0", 0, 4),
            "a threshold that is NaN": changed(weights, "trees/split_conditions/0", 0, np.nan),
            "trees that overlap": changed(weights, "trees/offsets/0", 1, 0),
            "an output that is not there": changed(weights, "tree_info/0", 0, 1),
            "a round too many": changed(weights, "iteration_indptr/0", rounds, 10**6),
            "a base score that is infinite": changed(weights, "base_score/0", 0, np.inf),
            "a feature too few": changed(
                weights, "num_feature/0", (), weights["trees/split_indices/0"].max()
            ),
            "two billion classes": changed(weights, "num_class/0", (), 2**31 - 1),
        }


class TestVectorLeaves(_XGBoost):
    kind = "vector leaves"

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        leaf = int(np.flatnonzero(weights["trees/left_children/0"] == -1)[0])
        return {
            "a vector that is not there": changed(weights, "trees/right_children/0", leaf, 10**6),
            "a negative vector": changed(weights, "trees/right_children/0", leaf, -1),
            "another number of outputs": changed(weights, "num_target/0", (), 4),
        }


class TestCategories(_XGBoost):
    kind = "categories"

    def corrupt(self, weights: Mapping[str, np.ndarray]) -> Mapping[str, Mapping[str, np.ndarray]]:
        first = int(weights["trees/categories/0"][0])
        return {
            "a category of two billion": changed(weights, "trees/categories/0", 0, 2**31 - 1),
            "a negative category": changed(weights, "trees/categories/0", 0, -1),
            "a category twice": changed(weights, "trees/categories/0", 1, first),
            "a node that is not there": changed(weights, "trees/categories_nodes/0", -1, 10**6),
            "names that are not there": changed(weights, "categories/offsets/0", 1, 10**6),
            "names of an unknown kind": changed(weights, "categories/kinds/0", 0, 99),
        }


class TestDart(_XGBoost):
    kind = "dart"


class TestLinear(_XGBoost):
    kind = "linear"

    make_scalar = _XGBoost.make
    make_empty = _XGBoost.make


def changed(
    weights: Mapping[str, np.ndarray], name: str, index: Any, value: float
) -> dict[str, np.ndarray]:
    """Return ``weights`` with one number of the weight ``name`` changed."""
    array = weights[name].copy()
    array[index] = value
    return {**weights, name: array}
