"""Smoke test of the installed wheel: a session computes what its graph says."""

import numpy as np
from onnx import parser

from dc_onnx import Session

model = parser.parse_model(
    '<ir_version: 9, opset_import: ["" : 18]> net (float[n] X) => (float[n] y) { y = Neg (X) }'
)
if Session(model).predict(np.array([1.0, -2.0])).tolist() != [-1.0, 2.0]:
    raise SystemExit("a session does not compute what its graph says")
