"""Linear models."""

from __future__ import annotations

from typing import Final

from dc_sklearn.schema import schema

_REGRESSOR: Final = schema("n_features_in_ coef_ intercept_")

SCHEMAS: Final = {
    "LinearRegression": _REGRESSOR,
    "Ridge": _REGRESSOR,
}
