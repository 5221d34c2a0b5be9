"""Selectors of features: by scores, by an estimator, by trying."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
from sklearn.base import clone

from dc_core.errors import StructureError
from dc_sklearn.kinds import (
    MISSING,
    Count,
    DictOf,
    Flags,
    Floats,
    Integers,
    ListOf,
    Number,
    Reals,
    Size,
)
from dc_sklearn.nested import Nested
from dc_sklearn.schema import Field, State, schema


def _check_selection(owner: Any, state: State) -> None:
    """Check that there are p-values if the selector goes by them."""
    if owner.mode not in ("percentile", "k_best") and state["pvalues_"] is None:
        raise StructureError(f"pvalues_ is None, and mode={owner.mode!r} selects by it.")


def _selected_by(owner: Any, state: State) -> Any:
    return clone(owner.estimator)


def _importance_getter(owner: Any) -> str:
    getter = owner.importance_getter
    return getter if isinstance(getter, str) and getter != "auto" else ""


_FEATURES: Final[Mapping[str, Field]] = {"n_features_in_": Size("n")}
_SCORES: Final[Mapping[str, Field]] = {**_FEATURES, "scores_": Floats("n")}
_BEST: Final = schema({**_SCORES, "pvalues_": Floats("n") | MISSING})
_SIGNIFICANT: Final = schema({**_SCORES, "pvalues_": Floats("n")})
_ELIMINATION: Final = schema(
    {
        **_FEATURES,
        "ranking_": Integers("n"),
        "estimator_": Nested(_selected_by),
    },
    {
        "cv_results_": DictOf(Reals("_") | Reals("_ _")),
        "step_n_features_": ListOf(Count()),
        "step_ranking_": ListOf(Integers("n")),
        "step_scores_": ListOf(Number() | Floats("_")),
        "step_support_": ListOf(Flags("n")),
    },
    derived={
        "support_": lambda owner, state: state["ranking_"] == 1,
        "n_features_": lambda owner, state: np.sum(state["ranking_"] == 1),
    },
)

SCHEMAS: Final = {
    "feature_selection.GenericUnivariateSelect": schema(
        {**_SCORES, "pvalues_": Floats("n") | MISSING}, check=_check_selection
    ),
    "feature_selection.RFE": _ELIMINATION,
    "feature_selection.RFECV": _ELIMINATION,
    "feature_selection.SelectFdr": _SIGNIFICANT,
    "feature_selection.SelectFpr": _SIGNIFICANT,
    "feature_selection.SelectFromModel": schema(
        {"estimator_": Nested(_selected_by, read_by=_importance_getter)},
        {"max_features_": Count()},
    ),
    "feature_selection.SelectFwe": _SIGNIFICANT,
    "feature_selection.SelectKBest": _BEST,
    "feature_selection.SelectPercentile": _BEST,
    "feature_selection.SequentialFeatureSelector": schema(
        {**_FEATURES, "support_": Flags("n")},
        derived={"n_features_to_select_": lambda owner, state: state["support_"].sum()},
    ),
    "feature_selection.VarianceThreshold": schema({**_FEATURES, "variances_": Floats("n")}),
}
