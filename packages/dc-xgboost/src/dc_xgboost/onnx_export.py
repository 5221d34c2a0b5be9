"""Export an :class:`XGBoostModel` to ONNX, by onnxmltools."""

from __future__ import annotations

from typing import Any

from dc_core import Columns, flat_rows, onnx_graph
from dc_core.errors import BackendNotInstalled, NotSerializable
from dc_xgboost.model import XGBoostModel
from dc_xgboost.state import first_line


def export_onnx(model: Any, X: Columns) -> bytes:
    """Return an ONNX model whose output ``predictions`` is that of ``model.predict``.

    Input and output are float32, as XGBoost's own are; the input is ``(n, features)``, and NaN in
    it is a missing value.

    Raises :class:`NotFitted`; :class:`NotSerializable` for a model that is not an
    :class:`XGBoostModel`, for several tasks, and for what onnxmltools cannot convert, such as names
    of features; and :class:`BackendNotInstalled` without onnxmltools.
    """
    try:
        from onnxmltools import convert_xgboost
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"The export to ONNX needs {error.name}.", hint='Run: pip install "dc-xgboost[onnx]"'
        ) from error
    if not isinstance(model, XGBoostModel):
        raise _refused(model, "only an XGBoostModel can be")
    rows = flat_rows(X, "XGBoost")
    shape = model.predict(rows[:1]).shape
    if shape[1] != 1:
        raise _refused(model, "onnxmltools converts models of a single task alone")
    inputs = [("X", FloatTensorType([None, rows.shape[1]]))]
    try:
        exported = convert_xgboost(model.native, initial_types=inputs)
    except Exception as error:  # onnxmltools raises what its converters happen to
        raise _refused(model, f"onnxmltools cannot convert it: {first_line(error)}") from error
    # A classifier's outputs are the label and the probabilities.
    predicted = exported.graph.output[-1].name
    onnx_graph.set_predictions(exported.graph, predicted, shape[1:], onnx_graph.FLOAT)
    data: bytes = exported.SerializeToString(deterministic=True)
    return data


def _refused(model: Any, reason: str) -> NotSerializable:
    return NotSerializable(
        f"{type(model).__name__} cannot be exported to ONNX: {reason}.",
        hint="Keep it in the hub, and load it with from_pretrained.",
    )
