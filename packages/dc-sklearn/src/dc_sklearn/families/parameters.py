"""Objects that are parameters of others, and learn nothing: splitters, selectors of columns."""

from __future__ import annotations

from typing import Final

from dc_sklearn.schema import schema

_PARAMETER: Final = schema()

SCHEMAS: Final = {
    "compose.make_column_selector": _PARAMETER,
    "model_selection.GroupKFold": _PARAMETER,
    "model_selection.GroupShuffleSplit": _PARAMETER,
    "model_selection.KFold": _PARAMETER,
    "model_selection.LeaveOneGroupOut": _PARAMETER,
    "model_selection.LeaveOneOut": _PARAMETER,
    "model_selection.LeavePGroupsOut": _PARAMETER,
    "model_selection.LeavePOut": _PARAMETER,
    "model_selection.PredefinedSplit": _PARAMETER,
    "model_selection.RepeatedKFold": _PARAMETER,
    "model_selection.RepeatedStratifiedKFold": _PARAMETER,
    "model_selection.ShuffleSplit": _PARAMETER,
    "model_selection.StratifiedGroupKFold": _PARAMETER,
    "model_selection.StratifiedKFold": _PARAMETER,
    "model_selection.StratifiedShuffleSplit": _PARAMETER,
    "model_selection.TimeSeriesSplit": _PARAMETER,
}
