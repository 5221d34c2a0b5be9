"""The converter ``xgboost``: models that XGBoost has stored as JSON or UBJSON.

XGBoost reads the file, in the confined process that converts; what it has read is stored as arrays,
which are checked like any stranger's when they are loaded.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import xgboost

from dc_core import hookimpl
from dc_core.errors import ConversionError
from dc_core.plugins import Foreign
from dc_xgboost.state import first_line

_ESTIMATORS: Final = {
    "classifier": xgboost.XGBClassifier,
    "ranker": xgboost.XGBRanker,
    "regressor": xgboost.XGBRegressor,
}
"""The estimators by the type that ``save_model`` notes in their files."""


@hookimpl
def dc_calls_libraries() -> bool:
    """Return True: XGBoost is called by ctypes."""
    return True


@hookimpl
def dc_read_file(path: Path, trusted: bool) -> Foreign:
    """Return the estimator in a file of XGBoost, or its booster if no estimator has stored it."""
    data = bytearray(path.read_bytes())
    try:
        booster = xgboost.Booster(model_file=data)
        obj: Any = booster
        kind = _estimator_type(booster)
        if kind is not None:
            obj = _ESTIMATORS[kind]()
            obj.load_model(data)
    except (TypeError, ValueError) as error:
        raise ConversionError(f"XGBoost cannot read the file: {first_line(error)}") from error
    return Foreign(
        f"a {type(obj).__name__} of XGBoost",
        obj=obj,
        omitted={} if kind is None else {"training": "the file has no parameters of training"},
        versions={"xgboost": xgboost.__version__},
    )


def _estimator_type(booster: xgboost.Booster) -> str | None:
    """Return the type of the estimator that stored the booster, None without one."""
    noted = booster.attr("scikit_learn")
    if noted is None:
        return None
    found = json.loads(noted)
    kind = found.get("_estimator_type") if isinstance(found, dict) else None
    return kind if kind in _ESTIMATORS else None
