"""Covariance matrices, and the outlier detector by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from dc_core.errors import StructureError
from dc_sklearn.kinds import (
    MISSING,
    Count,
    DictOf,
    Flags,
    Floats,
    Halves,
    ListOf,
    Number,
    Reals,
    Size,
)
from dc_sklearn.schema import Field, State, schema


def _check_precision(owner: Any, state: State) -> None:
    """Check that the inverse of the covariance is there if the parameter asks to store it."""
    if getattr(owner, "store_precision", True) and state["precision_"] is None:
        raise StructureError("precision_ is None, and store_precision asks for it.")


_COVARIANCE: Final[Mapping[str, Field]] = {
    "n_features_in_": Size("n"),
    "location_": Halves("n"),
    "covariance_": Halves("n n"),
    "precision_": Floats("n n") | MISSING,
}
_SHRINKAGE: Final[Mapping[str, Field]] = {"shrinkage_": Number(0, 1)}
_DESCENT: Final[Mapping[str, Field]] = {
    "costs_": ListOf(ListOf(Number(), "2", tuple)),
    "n_iter_": Count(),
}
_ROBUST: Final[Mapping[str, Field]] = {
    "dist_": Floats("rows"),
    "raw_covariance_": Halves("n n"),
    "raw_location_": Halves("n"),
    "raw_support_": Flags("rows"),
    "support_": Flags("rows"),
}

SCHEMAS: Final = {
    "covariance.EllipticEnvelope": schema(
        {**_COVARIANCE, **_ROBUST, "offset_": Number()}, check=_check_precision
    ),
    "covariance.EmpiricalCovariance": schema(_COVARIANCE, check=_check_precision),
    "covariance.GraphicalLasso": schema(_COVARIANCE, _DESCENT, check=_check_precision),
    "covariance.GraphicalLassoCV": schema(
        {**_COVARIANCE, "alpha_": Number()},
        {**_DESCENT, "cv_results_": DictOf(Reals("_"))},
        check=_check_precision,
    ),
    "covariance.LedoitWolf": schema({**_COVARIANCE, **_SHRINKAGE}, check=_check_precision),
    "covariance.MinCovDet": schema({**_COVARIANCE, **_ROBUST}, check=_check_precision),
    "covariance.OAS": schema({**_COVARIANCE, **_SHRINKAGE}, check=_check_precision),
    "covariance.ShrunkCovariance": schema(_COVARIANCE, check=_check_precision),
}
