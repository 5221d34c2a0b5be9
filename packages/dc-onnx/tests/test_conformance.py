"""The conformance kit's laws for models in ONNX form."""

from __future__ import annotations

from typing import Any

import numpy as np
from ml_dtypes import bfloat16
from onnx import ModelProto, TensorProto, helper, numpy_helper

from dc_core.testing import BackendSuite
from dc_onnx import Session


def network(seed: int) -> ModelProto:
    """Return relu(X·W1 + b1)·W2 + b2 of 4 features, 3 hidden units and 2 outputs."""
    rng = np.random.default_rng(seed)
    shapes = {"hidden.weight": (4, 3), "hidden.bias": (3,), "out.weight": (3, 2), "out.bias": (2,)}
    nodes = [
        helper.make_node("Gemm", ["X", "hidden.weight", "hidden.bias"], ["h"]),
        helper.make_node("Relu", ["h"], ["a"]),
        helper.make_node("Gemm", ["a", "out.weight", "out.bias"], ["predictions"]),
    ]
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["rows", 2])],
        [
            numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)
            for name, shape in shapes.items()
        ],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)


class TestBackend(BackendSuite):
    backend = "onnx"

    def make(self, seed: int) -> ModelProto:
        return network(seed)

    def blank(self) -> ModelProto:
        return network(99)

    def predict(self, obj: Any) -> np.ndarray:
        return Session(obj).predict(np.linspace(-1, 1, 20, dtype=np.float32).reshape(5, 4))

    def strangers(self) -> list[Any]:
        return [object(), TensorProto(), {}]

    def make_scalar(self, seed: int) -> ModelProto:
        return _with_initializer(np.array(3.0, np.float32))

    def make_empty(self, seed: int) -> ModelProto:
        return _with_initializer(np.zeros((0, 3), np.float32))

    def make_bfloat16(self, seed: int) -> ModelProto:
        return _with_initializer(np.array([1.5, -2.0], bfloat16))


def _with_initializer(value: np.ndarray) -> ModelProto:
    graph = helper.make_graph(
        [helper.make_node("Identity", ["X"], ["predictions"])],
        "identity",
        [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["rows", 4])],
        [helper.make_tensor_value_info("predictions", TensorProto.FLOAT, ["rows", 4])],
        [numpy_helper.from_array(value, "value")],
    )
    return helper.make_model(graph)
