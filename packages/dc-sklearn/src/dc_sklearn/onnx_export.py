"""Export a :class:`SklearnModel` to ONNX, by skl2onnx."""

from __future__ import annotations

import warnings
from typing import Any, Final

from sklearn.base import is_classifier

from dc_core import Columns, onnx_graph
from dc_core.errors import BackendNotInstalled
from dc_sklearn.model import SklearnModel
from dc_sklearn.wrapping import flat

_SINGLE: Final = frozenset({"SVMRegressor", "TreeEnsembleClassifier", "TreeEnsembleRegressor"})
"""Operators that onnxruntime computes in single precision alone."""


def export_onnx(model: Any, X: Columns) -> bytes:
    """Return an ONNX model whose output ``predictions`` is that of ``model.predict``.

    Input and output are float64; the input is ``(n, features)``. Trees convert their inputs to
    float32, as scikit-learn's own do, and what they predict is rounded to it.

    Raises :class:`NotFitted`; :class:`NotSerializable` for a model that is not a
    :class:`SklearnModel`, for classifiers without probabilities or of several tasks, and for what
    skl2onnx cannot convert; and :class:`BackendNotInstalled` without skl2onnx.
    """
    try:
        from skl2onnx import convert_sklearn
        from skl2onnx.common.data_types import DoubleTensorType
    except ModuleNotFoundError as error:
        raise BackendNotInstalled(
            f"The export to ONNX needs {error.name}.", hint='Run: pip install "dc-sklearn[onnx]"'
        ) from error
    if not isinstance(model, SklearnModel):
        raise onnx_graph.refused(model, "only a SklearnModel can be")
    native, rows = model.native, flat(X)
    classifies = is_classifier(native)
    if classifies and not _has_one_column_per_class(native, model.predict(rows[:1]).shape):
        raise onnx_graph.refused(
            model, "it does not predict the probabilities of the classes 0, 1, … alone"
        )
    options = {id(native): {"zipmap": False}} if classifies else None
    inputs = [("X", DoubleTensorType([None, rows.shape[1]]))]

    def convert() -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # skl2onnx lags behind scikit-learn's deprecations
            made = convert_sklearn(native, "model", inputs, options=options)
        _cast_for_single_precision(made.graph)
        return made

    return onnx_graph.exported(model, rows, convert)


def _cast_for_single_precision(graph: Any) -> None:
    """Convert the input of operators of single precision to float32, and their outputs back."""
    nodes = list(graph.node)
    del graph.node[:]
    for node in nodes:
        if node.op_type not in _SINGLE:
            graph.node.append(node)
            continue
        given, predicted = node.input[0], node.output[-1]
        node.input[0], node.output[-1] = f"{node.name}_input", f"{node.name}_output"
        onnx_graph.add_cast(graph, given, node.input[0], onnx_graph.FLOAT)
        graph.node.append(node)
        onnx_graph.add_cast(graph, node.output[-1], predicted, onnx_graph.DOUBLE)


def _has_one_column_per_class(native: Any, shape: tuple[int, ...]) -> bool:
    """Tell whether the columns of predictions of this ``shape`` are the estimator's classes."""
    if not hasattr(native, "predict_proba") or isinstance(native.classes_, list):
        return False
    return shape[1:] == (1, len(native.classes_))
