"""Semi-supervised classifiers: labels that spread to similar rows, and training on own labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from sklearn.base import clone
from sklearn.neighbors import NearestNeighbors

from dc_core.errors import StructureError
from dc_sklearn.families.neighbors import RowSearch
from dc_sklearn.kinds import Classes, Count, Floats, Labels, Reals, Size, Sparse, Word
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, Schema, State, schema


def _search(owner: Any, state: State) -> Any:
    if owner.kernel != "knn":
        return None
    return NearestNeighbors(n_neighbors=owner.n_neighbors, n_jobs=owner.n_jobs)


def _check_search(owner: Any, state: State) -> None:
    """Check that the rows are searched that the labels belong to."""
    search = state.get("nn_fit")
    if (owner.kernel == "knn") != (search is not None):
        raise StructureError("nn_fit and the parameter kernel do not fit together.")


def _teacher(owner: Any, state: State) -> Any:
    return clone(owner.estimator)


def _spreading(labels: Mapping[str, Field]) -> Schema:
    return schema(
        {
            "n_features_in_": Size("n"),
            "X_": Reals("rows n") | Sparse("rows n"),
            "classes_": Classes("classes", minimum=1),
            "label_distributions_": Floats("rows classes"),
        },
        {"nn_fit": RowSearch(_search), **labels, "n_iter_": Count()},
        check=_check_search,
    )


_SPREADING: Final = _spreading({"transduction_": Labels("rows")})

SCHEMAS: Final = {
    "semi_supervised.LabelPropagation": _SPREADING,
    "semi_supervised.LabelSpreading": _SPREADING,
    "semi_supervised.SelfTrainingClassifier": schema(
        {
            "estimator_": Nested(_teacher),
            "classes_": Classes("classes", minimum=1),
        },
        {
            "n_features_in_": Size("n"),
            "labeled_iter_": Labels("rows"),
            "n_iter_": Count(),
            "termination_condition_": Word(("max_iter", "no_change", "all_labeled")),
            "transduction_": Labels("rows"),
        },
    ),
}
