"""Nearest neighbours: the rows are the state, and the search tree is built again from them."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
from scipy import sparse
from sklearn.neighbors import BallTree, KDTree

from dc_core.errors import StructureError
from dc_sklearn.schema import Schema, State, schema

_TREES: Final = {"ball_tree": BallTree, "kd_tree": KDTree}


def _check(owner: Any, state: State) -> None:
    """Check the rows, and the labels that native code counts with."""
    rows, n = state["_fit_X"], state["n_features_in_"]
    real = rows.dtype.kind if isinstance(rows, np.ndarray) or sparse.issparse(rows) else ""
    if (
        real not in ("b", "i", "u", "f")
        or rows.ndim != 2
        or rows.shape[1] != n
        or not rows.shape[0]
    ):
        raise StructureError(f"_fit_X does not hold rows of {n} numbers.")
    if state["n_samples_fit_"] != rows.shape[0]:
        raise StructureError(
            f"n_samples_fit_ is {state['n_samples_fit_']!r} for {rows.shape[0]} rows."
        )
    method = state["_fit_method"]
    if method not in ("brute", *_TREES) or (method != "brute" and sparse.issparse(rows)):
        raise StructureError(f"_fit_method is {method!r}, which does not search these rows.")
    _check_metric("effective_metric_params_", state["effective_metric_params_"], n)
    _check_metric("metric_params", owner.metric_params or {}, n)
    if "_y" in state:
        _check_labels(state, rows.shape[0])


def _check_metric(name: str, parameters: Any, n: int) -> None:
    """Check the parameters of a metric on ``n`` features; native code trusts their shapes."""
    shapes: dict[str, list[tuple[int, ...]]]
    shapes = {"p": [()], "w": [(n,)], "V": [(n,), (n, n)], "VI": [(n, n)]}
    if not isinstance(parameters, dict) or not set(parameters) <= shapes.keys():
        raise StructureError(f"{name} is {parameters!r}, which are no parameters of a metric.")
    for key, value in parameters.items():
        if value is None and key == "w":
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or array.shape not in shapes[key]:
            raise StructureError(f"{name}[{key!r}] has shape {array.shape} for {n} features.")
        if not np.all(np.isfinite(array)) and key != "p":
            raise StructureError(f"{name}[{key!r}] is not finite.")


def _check_labels(state: State, n: int) -> None:
    labels = state["_y"]
    if not isinstance(labels, np.ndarray) or labels.ndim not in (1, 2) or len(labels) != n:
        raise StructureError(f"_y does not hold one label for each of the {n} rows.")
    if "classes_" not in state:
        return
    several = state["outputs_2d_"]
    classes = state["classes_"] if several is True else [state["classes_"]]
    columns = labels if several is True else labels[:, None]
    if (
        labels.dtype != np.intp
        or columns.ndim != 2
        or not isinstance(classes, list)
        or columns.shape[1] != len(classes)
    ):
        raise StructureError("_y, classes_ and outputs_2d_ do not fit together.")
    for column, known in zip(columns.T, classes, strict=True):
        if np.ndim(known) != 1 or column.min() < 0 or column.max() >= len(known):
            raise StructureError("_y counts a class that classes_ does not hold.")


def _rebuild(owner: Any, state: State) -> State:
    """Build the search tree, as ``fit`` does."""
    tree = _TREES.get(state["_fit_method"])
    if tree is None:
        return {"_tree": None}
    try:
        built = tree(
            state["_fit_X"],
            owner.leaf_size,
            metric=state["effective_metric_"],
            **state["effective_metric_params_"],
        )
    except (TypeError, ValueError) as error:
        raise StructureError(f"No {tree.__name__} can be built from _fit_X: {error}.") from error
    return {"_tree": built}


def _neighbors(more: str = "", optional: str = "") -> Schema:
    return schema(
        "n_features_in_ _fit_X _fit_method n_samples_fit_ effective_metric_ "
        f"effective_metric_params_ {more}",
        optional,
        rebuilt="_tree",
        rebuild=_rebuild,
        check=_check,
    )


_CLASSIFIER: Final = _neighbors("_y classes_ outputs_2d_")
_REGRESSOR: Final = _neighbors("_y")

SCHEMAS: Final = {
    "neighbors.KNeighborsClassifier": _CLASSIFIER,
    "neighbors.KNeighborsRegressor": _REGRESSOR,
    "neighbors.LocalOutlierFactor": _neighbors(
        "n_neighbors_ negative_outlier_factor_ offset_ _distances_fit_X_ _lrd"
    ),
    "neighbors.NearestCentroid": schema(
        "n_features_in_ classes_ centroids_", "_within_class_std_dev"
    ),
    "neighbors.NearestNeighbors": _neighbors(),
    "neighbors.RadiusNeighborsClassifier": _CLASSIFIER,
    "neighbors.RadiusNeighborsRegressor": _REGRESSOR,
}
