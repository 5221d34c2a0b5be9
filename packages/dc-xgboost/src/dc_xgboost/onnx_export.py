"""Export an :class:`XGBoostModel` to ONNX, by onnxmltools."""

from __future__ import annotations

from typing import Any

from dc_core import Columns, flat_rows, onnx_graph
from dc_core.errors import BackendNotInstalled
from dc_xgboost.model import XGBoostModel


def export_onnx(model: Any, X: Columns) -> bytes:
    """Return an ONNX model whose output ``predictions`` is that of ``model.predict``.

    Input and output are float32, as XGBoost's own are; the input is ``(n, features)``, and NaN in
    it is a missing value.

    Raises :class:`NotFitted`; :class:`NotSerializable` for a model that is not an
    :class:`XGBoostModel`, for several tasks, and for what onnxmltools cannot convert, such as named
    features; and :class:`BackendNotInstalled` without onnxmltools.
    """
    try:
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"The export to ONNX needs {error.name}.", hint='Run: pip install "dc-xgboost[onnx]"'
        ) from error
    if not isinstance(model, XGBoostModel):
        raise onnx_graph.refused(model, "only an XGBoostModel can be")
    rows = flat_rows(X, "XGBoost")
    if model.predict(rows[:1]).shape[1] != 1:
        raise onnx_graph.refused(model, "onnxmltools converts models of a single task alone")
    inputs = [("X", FloatTensorType([None, rows.shape[1]]))]
    return onnx_graph.exported(
        model, rows, lambda: convert_xgboost(model.native, initial_types=inputs)
    )
