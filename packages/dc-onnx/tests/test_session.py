"""Sessions: what they predict, what they take, and what they refuse."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import ModelProto, TensorProto, helper, numpy_helper, parser

from dc_core import NumpyDataset, Ragged
from dc_core.errors import (
    DatasetError,
    EmptyDataset,
    NotFitted,
    ParameterError,
    StructureError,
    Unsupported,
)
from dc_onnx import Session
from dc_onnx.graph import MAX_DEPTH, check, parse, without_values

W = np.arange(12, dtype=np.float32).reshape(4, 3) / 10
B = np.array([0.5, -0.5, 0.0], np.float32)


def model_of(text: str) -> ModelProto:
    return parser.parse_model('<ir_version: 9, opset_import: ["" : 18, "ai.onnx.ml" : 3]>\n' + text)


def affine() -> ModelProto:
    model = model_of("net (float[n, 4] X) => (float[n, 3] y) { y = Gemm (X, w, b) }")
    model.graph.initializer.extend(
        numpy_helper.from_array(value, name) for name, value in (("w", W), ("b", B))
    )
    return model


@pytest.fixture
def X() -> np.ndarray:
    return np.random.default_rng(9).normal(size=(7, 4)).astype(np.float32)


def test_a_session_computes_what_the_graph_says(X):
    found = Session(affine()).predict(X)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, X @ W + B, rtol=1e-6)


def test_the_size_of_batches_does_not_change_predictions(X):
    expected = Session(affine()).predict(X)
    assert np.array_equal(Session(affine(), batch_size=2).predict(NumpyDataset(X)), expected)


def test_new_weights_are_used_after_a_prediction(X):
    session = Session(affine())
    before = session.predict(X)
    session["session/1"] = session["session/1"] + np.float32(1)
    np.testing.assert_allclose(session.predict(X), before + 1, atol=1e-6)


def test_integers_become_floating_point_numbers_and_never_the_reverse(X):
    whole = np.ones((2, 4), np.uint8)
    assert np.array_equal(Session(affine()).predict(whole), Session(affine()).predict(whole * 1.0))
    lookup = model_of("net (int64[n] X) => (float[n, 3] y) { y = Gather (w, X) }")
    lookup.graph.initializer.append(numpy_helper.from_array(W, "w"))
    assert np.array_equal(Session(lookup).predict(np.array([2, 0])), W[[2, 0]])
    with pytest.raises(DatasetError, match="takes int64"):
        Session(lookup).predict(np.array([2.0, 0.0]))


def test_inputs_are_named_columns():
    both = model_of("net (float[n] a, float[n] b) => (float[n] y) { y = Sub (a, b) }")
    columns = {"b": np.array([1.0, 2.0]), "a": np.array([5.0, 5.0])}
    assert Session(both).predict(NumpyDataset(columns)).tolist() == [4.0, 3.0]
    with pytest.raises(DatasetError, match=r"takes \['a', 'b'\]"):
        Session(both).predict(NumpyDataset({"a": columns["a"]}))
    with pytest.raises(DatasetError, match="one column"):
        Session(both).predict(columns["a"])


def test_an_output_is_chosen_by_name():
    two = model_of("net (float[n] X) => (float[n] y, float[n] z) { y = Neg (X)  z = Exp (X) }")
    zeros = np.zeros(2, np.float32)
    assert Session(two, output="z").predict(zeros).tolist() == [1.0, 1.0]
    with pytest.raises(ParameterError, match="no output 'w'"):
        Session(two, output="w")


def test_text_is_an_input_too():
    same = model_of("net (string[n] X, string[n] Y) => (bool[n] y) { y = Equal (X, Y) }")
    same.opset_import[0].version = 19
    columns = {"X": np.array(["C", "CC"]), "Y": np.array(["C", "N"])}
    assert Session(same).predict(NumpyDataset(columns)).tolist() == [True, False]


@pytest.mark.parametrize(
    "rows", [np.zeros((2, 5)), np.zeros((2, 4, 4)), np.array(["C"]), np.zeros((2, 4), complex)]
)
def test_rows_of_another_form_are_a_typed_error(rows):
    with pytest.raises(DatasetError):
        Session(affine()).predict(rows)


def test_a_ragged_column_is_a_typed_error():
    ragged = Ragged.from_rows([[1.0, 2.0], [3.0]])
    with pytest.raises(DatasetError, match="ragged"):
        Session(affine()).predict(NumpyDataset(ragged))


def test_an_output_that_is_not_one_row_per_row_is_a_typed_error(X):
    total = model_of("net (float[n, 4] X) => (float y) { y = ReduceSum <keepdims=0> (X) }")
    with pytest.raises(DatasetError, match="For 7 rows"):
        Session(total).predict(X)


def test_no_rows_are_an_empty_dataset(X):
    with pytest.raises(EmptyDataset):
        Session(affine()).predict(X[:0])


def test_a_session_is_read_only(X):
    with pytest.raises(Unsupported, match="read-only"):
        Session(affine()).fit(NumpyDataset(X, X))


def test_a_bare_graph_has_to_be_given_weights_first(X):
    session = Session(without_values(affine()))
    assert not session.is_fitted
    with pytest.raises(NotFitted):
        session.predict(X)
    session.set_weights(Session(affine()).get_weights())
    assert np.array_equal(session.predict(X), Session(affine()).predict(X))


def test_a_graph_that_onnxruntime_refuses_is_a_typed_error(X):
    wrong = model_of("net (float[n, 4] X) => (float[n, 4] y) { y = NoSuchOperator (X) }")
    with pytest.raises(StructureError, match="onnxruntime refuses"):
        Session(wrong).predict(X)


def in_another_file(tensor: TensorProto) -> None:
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="/etc/passwd")


def test_weights_in_another_file_are_refused():
    model = affine()
    in_another_file(model.graph.initializer[0])
    with pytest.raises(StructureError, match="another file"):
        Session(model)


def test_constants_in_another_file_are_refused_however_deep():
    model = affine()
    inner = helper.make_graph([], "inner", [], [])
    in_another_file(inner.initializer.add(name="x"))
    branch = helper.make_graph(
        [helper.make_node("If", ["c"], ["z"], then_branch=inner)], "b", [], []
    )
    model.graph.node.append(helper.make_node("If", ["c"], ["z"], else_branch=branch))
    with pytest.raises(StructureError, match="another file"):
        check(model)
    node = helper.make_node("Constant", [], ["z"], value=numpy_helper.from_array(W))
    in_another_file(node.attribute[0].t)
    model = affine()
    model.graph.node.append(node)
    with pytest.raises(StructureError, match="another file"):
        check(model)


@pytest.mark.parametrize(
    ("operator", "domain"),
    [
        ("Loop", ""),
        ("RandomNormal", ""),
        ("FusedMatMul", "com.microsoft"),
        ("PyOp", "ai.onnx.contrib"),
    ],
)
def test_operators_that_are_unbounded_random_or_not_standard_are_refused(operator, domain):
    model = affine()
    model.graph.node.append(helper.make_node(operator, ["X"], ["z"], domain=domain))
    with pytest.raises(StructureError, match=operator):
        Session(model)


def test_functions_and_foreign_domains_are_refused():
    model = affine()
    model.functions.add(name="f", domain="mine")
    with pytest.raises(StructureError, match="functions"):
        check(model)
    model = affine()
    model.opset_import.add(domain="mine", version=1)
    with pytest.raises(StructureError, match="'mine'"):
        check(model)


def test_graphs_that_are_nested_too_deep_are_refused():
    graph = helper.make_graph([], "g", [], [])
    for _ in range(MAX_DEPTH + 1):
        graph = helper.make_graph(
            [helper.make_node("If", ["c"], [], then_branch=graph)], "g", [], []
        )
    model = affine()
    model.graph.node.extend(graph.node)
    with pytest.raises(StructureError, match="deep"):
        check(model)


def test_two_initializers_of_one_name_are_refused():
    model = affine()
    model.graph.initializer.append(numpy_helper.from_array(W, "w"))
    with pytest.raises(StructureError, match="one name"):
        check(model)


def test_damaged_bytes_are_refused_or_make_a_checked_graph():
    data = affine().SerializeToString()
    rng = np.random.default_rng(0)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(data)
        for place in rng.integers(len(data), size=rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        try:
            check(parse(bytes(damaged)))
        except StructureError:
            refused += 1
    assert 100 < refused < 2000
