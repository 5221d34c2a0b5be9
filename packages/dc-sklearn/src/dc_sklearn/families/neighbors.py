"""Nearest neighbours: the rows, and the arrays of the tree that searches them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final

import numpy as np
from scipy import sparse

from dc_core.errors import StructureError
from dc_sklearn.kinds import (
    MISSING,
    Classes,
    DictOf,
    Flag,
    Floats,
    Halves,
    Integers,
    ListOf,
    Number,
    Reals,
    Size,
    Sparse,
    Word,
)
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Restoring, Schema, State, schema
from dc_sklearn.search_trees import TREES, DensityTree, SearchTree, build
from dc_sklearn.slots import Reader


def _check(owner: Any, state: State) -> None:
    """Check the rows, the metric, and the labels that native code counts with."""
    rows, n, method = state["_fit_X"], state["n_features_in_"], state["_fit_method"]
    reach = {"n_neighbors", "radius"} & owner.get_params(deep=False).keys()
    if hasattr(owner, "predict") and any(getattr(owner, name) is None for name in reach):
        raise StructureError(f"{min(reach)} is None, and predicting needs it.")
    if method != "brute" and sparse.issparse(rows):
        raise StructureError(f"_fit_method is {method!r}, which does not search sparse rows.")
    if (state["_tree"] is None) != (method == "brute"):
        raise StructureError(f"_tree does not fit the method {method!r}.")
    _check_metric("effective_metric_params_", state["effective_metric_params_"], n)
    _check_metric("metric_params", owner.metric_params or {}, n)
    if "_y" in state:
        _check_labels(state)


def _check_metric(name: str, parameters: Any, n: int) -> None:
    """Check the parameters of a metric on ``n`` features; native code trusts their shapes."""
    shapes: dict[str, list[tuple[int, ...]]]
    shapes = {"p": [()], "w": [(n,)], "V": [(n,), (n, n)], "VI": [(n, n)]}
    if not isinstance(parameters, dict) or not set(parameters) <= shapes.keys():
        raise StructureError(f"{name} is {parameters!r}, which are not parameters of a metric.")
    for key, value in parameters.items():
        if value is None and key == "w":
            continue
        array = np.asarray(value)
        if array.dtype.kind not in "iuf" or array.shape not in shapes[key]:
            raise StructureError(f"{name}[{key!r}] has shape {array.shape} for {n} features.")
        if not np.all(np.isfinite(array)) and key != "p":
            raise StructureError(f"{name}[{key!r}] is not finite.")


def _check_labels(state: State) -> None:
    """Check that every label counts one of the classes of its output."""
    if "classes_" not in state:
        return
    labels, several = state["_y"], state["outputs_2d_"]
    classes = state["classes_"] if several else [state["classes_"]]
    columns = labels if several else labels[:, None]
    if (
        labels.dtype != np.intp
        or columns.ndim != 2
        or not isinstance(classes, list)
        or columns.shape[1] != len(classes)
    ):
        raise StructureError("_y, classes_ and outputs_2d_ do not fit together.")
    outliers = state.get("outlier_label_")
    if outliers is not None and len(outliers) != len(classes):
        raise StructureError(f"outlier_label_ does not hold one label for {len(classes)} outputs.")
    for column, known in zip(columns.T, classes, strict=True):
        if np.ndim(known) != 1 or column.min() < 0 or column.max() >= len(known):
            raise StructureError("_y counts a class that classes_ does not hold.")


def _rebuild(owner: Any, state: State) -> State:
    """Make the search tree of its arrays."""
    parts, method, metric = state["_tree"], state["_fit_method"], state["effective_metric_"]
    if parts is None:
        return {}
    parameters = state["effective_metric_params_"]
    with _built(method, metric):
        return {"_tree": build(method, state["_fit_X"], owner.leaf_size, metric, parameters, parts)}


@contextmanager
def _built(method: str, metric: str) -> Iterator[None]:
    """Raise :class:`StructureError` for a metric that the tree does not have."""
    try:
        yield
    except (TypeError, ValueError) as error:
        if isinstance(error, StructureError):
            raise
        raise StructureError(f"A {method} by {metric!r} cannot be built: {error}.") from error


class _DensityTree(DensityTree):
    """The attribute ``tree_``, of a metric whose parameters are checked."""

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the tree, checked."""
        owner = restoring.owner
        _check_metric("metric_params", owner.metric_params or {}, restoring.state["n_features_in_"])
        with _built(str(owner.algorithm), str(owner.metric)):
            return super().decode(reader, path, restoring)


class RowSearch(Nested):
    """An attribute that holds a search of as many rows as its owner's arrays have."""

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the search, checked."""
        before = len(restoring.commits)
        found = super().decode(reader, path, restoring)
        for _, state in restoring.commits[before:]:
            if state["n_samples_fit_"] != restoring.sizes["rows"]:
                raise StructureError(f"{path!r} searches other rows than those of its owner.")
        return found


_ROWS: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "_fit_X": Reals("rows n") | Sparse("rows n"),
    "_fit_method": Word(("brute", *TREES)),
    "n_samples_fit_": Size("rows", minimum=1),
    "effective_metric_": Word(),
    "effective_metric_params_": DictOf(Number() | Reals("_") | Reals("_ _") | MISSING),
    "_tree": SearchTree(),
}


def _neighbors(required: Mapping[str, Field] | None = None) -> Schema:
    return schema(
        {**_ROWS, **(required or {})},
        rebuild=_rebuild,
        check=_check,
    )


_CLASSES: Final[Mapping[str, Field]] = {
    "_y": Integers("rows") | Integers("rows outputs"),
    "classes_": Classes("_", minimum=1) | ListOf(Classes("_", minimum=1)),
    "outputs_2d_": Flag(),
}
_OUTLIERS: Final = MISSING | ListOf(Number() | Word() | MISSING)
_REGRESSOR: Final = _neighbors({"_y": Reals("rows") | Reals("rows outputs")})
_TRANSFORMER: Final = _neighbors({"_n_features_out": Size("rows")})

SCHEMAS: Final = {
    "neighbors.KNeighborsClassifier": _neighbors(_CLASSES),
    "neighbors.KNeighborsRegressor": _REGRESSOR,
    "neighbors.KNeighborsTransformer": _TRANSFORMER,
    "neighbors.KernelDensity": schema(
        {"n_features_in_": Size("n"), "bandwidth_": Number(minimum=0), "tree_": _DensityTree()}
    ),
    "neighbors.LocalOutlierFactor": _neighbors(
        {
            "n_neighbors_": Size("neighbors", minimum=1),
            "negative_outlier_factor_": Floats("rows"),
            "offset_": Number(),
            "_distances_fit_X_": Floats("rows neighbors"),
            "_lrd": Floats("rows"),
        }
    ),
    "neighbors.NearestCentroid": schema(
        {
            "n_features_in_": Size("n"),
            "classes_": Classes("classes", minimum=1),
            "centroids_": Halves("classes n"),
            "class_prior_": Floats("classes"),
            "within_class_std_dev_": Floats("n"),
        },
        {"deviations_": Floats("classes n")},
    ),
    "neighbors.NearestNeighbors": _neighbors(),
    "neighbors.RadiusNeighborsClassifier": _neighbors({**_CLASSES, "outlier_label_": _OUTLIERS}),
    "neighbors.RadiusNeighborsRegressor": _REGRESSOR,
    "neighbors.RadiusNeighborsTransformer": _TRANSFORMER,
}
