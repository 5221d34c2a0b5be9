"""Keras models predict the same in ONNX."""

from __future__ import annotations

import numpy as np
import pytest

keras = pytest.importorskip("keras", reason="Keras is not installed")
pytest.importorskip("tensorflow", reason="TensorFlow is not installed")
pytest.importorskip("tf2onnx", reason="tf2onnx is not installed")

from dc_core import NumpyDataset, plugins
from dc_core.errors import NotSerializable
from dc_tensorflow import KerasModel

rng = np.random.default_rng(0)
X = rng.normal(size=(40, 5)).astype(np.float32)
Y = np.stack([X @ np.arange(5), np.sin(X[:, 0])], axis=1)


def network(outputs: int) -> object:
    keras.utils.set_random_seed(0)
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((5,)),
            layers.Dense(8, activation="relu"),
            layers.BatchNormalization(),
            layers.Dropout(0.5),
            layers.Dense(outputs),
        ]
    )


def run(data: bytes, **columns: np.ndarray) -> np.ndarray:
    from onnxruntime import InferenceSession

    session = InferenceSession(data, providers=["CPUExecutionProvider"])
    (found,) = session.run(["predictions"], columns)
    return found


@pytest.mark.parametrize(
    ("outputs", "loss", "y"),
    [(2, "mse", Y), (2, "mean_variance", Y[:, :1]), (1, "bce", Y[:, :1] > 0)],
)
def test_a_network_predicts_the_same_in_onnx_for_any_number_of_rows(outputs, loss, y):
    model = KerasModel(network(outputs), loss=loss, epochs=2).fit(NumpyDataset(X, y))
    data = plugins.backend("keras").export_onnx(model, X[:3])
    for rows in (1, 2, 40):
        expected = model.predict(X[:rows])
        found = run(data, X=X[:rows])
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-6)


def test_what_predict_converts_the_onnx_model_converts_too():
    bits = (X > 0).astype(np.uint8)
    model = KerasModel(network(2), epochs=1).fit(NumpyDataset(bits, Y))
    data = plugins.backend("keras").export_onnx(model, bits)
    np.testing.assert_allclose(run(data, X=bits), model.predict(bits), rtol=1e-4, atol=1e-6)


def test_columns_are_inputs_by_their_names():
    a, b = keras.Input((3,), name="a"), keras.Input((2,), name="b")
    joined = keras.layers.Concatenate()([a, b])
    functional = keras.Model({"a": a, "b": b}, keras.layers.Dense(1)(joined))
    columns = {"a": X[:, :3], "b": X[:, 3:]}
    model = KerasModel(functional, epochs=1).fit(NumpyDataset(columns, Y[:, :1]))
    data = plugins.backend("keras").export_onnx(model, columns)
    expected = model.predict(NumpyDataset(columns))
    np.testing.assert_allclose(run(data, **columns), expected, rtol=1e-4, atol=1e-6)


def test_text_is_refused():
    model = KerasModel(network(1))
    with pytest.raises(NotSerializable, match="ragged or text"):
        plugins.backend("keras").export_onnx(model, np.array(["C"], np.dtypes.StringDType()))
