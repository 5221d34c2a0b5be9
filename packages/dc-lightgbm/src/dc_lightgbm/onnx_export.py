"""Export a :class:`LightGBMModel` to ONNX, by onnxmltools."""

from __future__ import annotations

from typing import Any

from dc_core import Columns, flat_rows, onnx_graph
from dc_core.errors import BackendNotInstalled
from dc_lightgbm.model import LightGBMModel


def export_onnx(model: Any, X: Columns) -> bytes:
    """Return an ONNX model whose output ``predictions`` is that of ``model.predict``.

    The input is ``(n, features)`` of float32; NaN in it is a missing value. LightGBM itself
    compares float64, so a value that is rounded across a threshold is predicted otherwise.

    Raises :class:`NotFitted`; :class:`NotSerializable` for a model that is not a
    :class:`LightGBMModel`, and for what onnxmltools cannot convert, such as named features; and
    :class:`BackendNotInstalled` without onnxmltools.
    """
    try:
        from onnxmltools import convert_lightgbm
        from onnxmltools.convert.common.data_types import FloatTensorType
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"The export to ONNX needs {error.name}.", hint='Run: pip install "dc-lightgbm[onnx]"'
        ) from error
    if not isinstance(model, LightGBMModel):
        raise onnx_graph.refused(model, "only a LightGBMModel can be")
    rows = flat_rows(X, "LightGBM")
    inputs = [("X", FloatTensorType([None, rows.shape[1]]))]
    return onnx_graph.exported(
        model, rows, lambda: convert_lightgbm(model.native, initial_types=inputs, zipmap=False)
    )
