"""Export a stored model to ONNX, and compare what the file predicts before it is written."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np

from dc_core import Estimator, plugins
from dc_hub.errors import NotSerializable, ParamsError, PredictionsChanged
from dc_hub.format.filenames import GOLDEN
from dc_hub.format.golden import Golden, compare_golden, golden_tensors
from dc_hub.loading.opening import Opened
from dc_hub.loading.restoring import restore

RTOL: Final = 1e-4
ATOL: Final = 1e-5
"""What ONNX predictions may differ by: they are in single precision, and summed in other orders."""


def to_onnx(opened: Opened, inputs: Any = None) -> bytes:
    """Return the ONNX form of the model in ``opened``, checked on ``inputs`` or its golden inputs.

    Raises what :func:`dc_hub.export` does.
    """
    model = restore(opened.stored, Estimator, ())  # type: ignore[type-abstract]
    place = str(opened.source.path)
    if model.backend is None or not plugins.backend(model.backend).supports("onnx"):
        raise NotSerializable(
            f"{type(model).__name__} cannot be exported to ONNX.",
            path=place,
            hint="A pipeline with a featurizer has no ONNX form: publish its model alone.",
        )
    expected = _expected(model, opened, inputs)
    data = plugins.backend(model.backend).export_onnx(model, expected["inputs"])
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "model.onnx")
        file.write_bytes(data)
        exported = plugins.read_file("onnx", file, trusted=False).obj
    result = compare_golden(plugins.claim(exported).backend.wrap(exported), expected, place)
    if not result.passed:
        raise PredictionsChanged(
            f"The ONNX model predicts other values than the model: they differ by up to "
            f"{result.max_difference:.3g} in {result.rows} rows.",
            path=place,
            hint="Nothing was written. Some operators have other rules in ONNX, such as for ties.",
        )
    return data


def _expected(model: Estimator, opened: Opened, inputs: Any) -> Mapping[str, np.ndarray]:
    """Return golden rows with the tolerance of ONNX."""
    if inputs is not None:
        golden = golden_tensors(model, Golden(inputs))
    elif GOLDEN in opened.contents.names:
        golden = dict(opened.read_tensors(GOLDEN))
    else:
        raise ParamsError(
            "The model has no golden rows to check the ONNX model with.",
            path="inputs",
            hint="Give some rows of X as inputs=…, or publish the model with golden=….",
        )
    if "inputs" not in golden:
        raise NotSerializable(
            "The model takes text, which ONNX models cannot featurize.",
            path="inputs",
            hint="Publish the model without its featurizer, and export that.",
        )
    return golden | {"tolerance": np.maximum(golden["tolerance"], [RTOL, ATOL])}
