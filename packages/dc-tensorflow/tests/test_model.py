"""``KerasModel`` as users meet it."""

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import os
import subprocess
import sys

import keras
import numpy as np

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError, TrainingStateError
from dc_core.testing.bits import difference
from dc_tensorflow import KerasModel, TensorFlowError

layers = keras.layers


def network(outputs=1, *inner, n_features=3):
    return keras.Sequential([keras.Input((n_features,)), *inner, layers.Dense(outputs)])


def rows(n=40, tasks=1):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    return NumpyDataset(X, X @ np.array([[1.0, 0.5], [-2, 0], [3, 1]])[:, :tasks])


def test_a_linear_network_learns_a_linear_function():
    model = KerasModel(network(2), learning_rate=0.1, optimizer="adam", epochs=60, batch_size=10)
    model.fit(rows(tasks=2))
    np.testing.assert_allclose(
        model["keras_model/dense/0"], [[1.0, 0.5], [-2, 0], [3, 1]], atol=0.02
    )


def test_a_missing_label_has_no_gradient():
    """One step of plain SGD is computed by hand, with weights and a missing label."""
    X, y = np.eye(3, dtype=np.float32), np.array([[1.0, np.nan], [2.0, 3.0], [4.0, 5.0]])
    w = np.array([[1.0, 1.0], [2.0, 1.0], [1.0, 4.0]])
    model = KerasModel(network(2), optimizer="sgd", learning_rate=0.5, epochs=1, batch_size=3)
    kernel, bias = model["keras_model/dense/0"], model["keras_model/dense/1"]
    model.fit(NumpyDataset(X, y, w))
    weights = np.where(np.isnan(y), 0, w)
    slope = 2 * weights * (X @ kernel + bias - np.nan_to_num(y)) / weights.sum()
    np.testing.assert_allclose(model["keras_model/dense/0"], kernel - 0.5 * X.T @ slope, rtol=1e-5)
    np.testing.assert_allclose(model["keras_model/dense/1"], bias - 0.5 * slope.sum(0), rtol=1e-5)


def test_losses_of_regularizers_are_added():
    kernel = layers.Dense(1, use_bias=False, kernel_regularizer=keras.regularizers.L2(0.1))
    model = KerasModel(
        keras.Sequential([keras.Input((3,)), kernel]), optimizer="sgd", learning_rate=1.0, epochs=1
    )
    before = model["keras_model/dense/0"]
    model.fit(NumpyDataset(np.zeros((4, 3)), np.zeros((4, 1))))
    np.testing.assert_allclose(model["keras_model/dense/0"], 0.8 * before, rtol=1e-5)
    assert model.history[0].loss == pytest.approx(0.1 * (before**2).sum(), rel=1e-5)


def test_layers_that_are_not_trainable_keep_their_weights():
    inner = layers.Dense(4, trainable=False)
    model = KerasModel(network(1, inner, layers.BatchNormalization(trainable=False)), epochs=2)
    before = model.get_weights()
    after = model.fit(rows()).get_weights()
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    assert changed == ["keras_model/dense_1/0", "keras_model/dense_1/1"]


@pytest.mark.parametrize(("loss", "outputs"), [("bce", 1), ("cross_entropy", 2)])
def test_classifiers_predict_probabilities(loss, outputs):
    X = np.linspace(-1, 1, 40, dtype=np.float32)[:, None]
    flat = keras.Sequential([keras.Input((1,)), layers.Dense(outputs)])
    if loss == "cross_entropy":
        flat.add(layers.Reshape((1, 2)))
    model = KerasModel(flat, loss=loss, learning_rate=0.3, epochs=20)
    model.fit(NumpyDataset(X, (X > 0).astype(int)))
    found = model.predict(X)
    assert found.shape == (40, 1, 2)
    np.testing.assert_allclose(found.sum(axis=-1), 1, rtol=1e-6)
    assert ((found[:, 0, 1] > 0.5) == (X[:, 0] > 0)).mean() > 0.9


def test_a_label_that_is_no_class_is_a_typed_error():
    net = keras.Sequential([keras.Input((3,)), layers.Dense(2), layers.Reshape((1, 2))])
    with pytest.raises(DatasetError, match="not the number of one of 2 classes"):
        KerasModel(net, loss="cross_entropy").fit(NumpyDataset(np.zeros((3, 3)), [0, 1, 2]))


def test_named_columns_go_to_the_inputs_of_these_names():
    a, b = keras.Input((2,), name="a"), keras.Input((1,), name="b", dtype="int32")
    x = layers.Concatenate()([a, layers.Flatten()(layers.Embedding(5, 2)(b))])
    model = KerasModel(keras.Model({"a": a, "b": b}, layers.Dense(1)(x)), epochs=2)
    rng = np.random.default_rng(0)
    data = NumpyDataset({"a": rng.normal(size=(9, 2)), "b": rng.integers(0, 5, (9, 1))}, np.ones(9))
    assert model.fit(data).predict(data).shape == (9, 1)


def test_predicting_again_gives_the_same_bits_also_of_random_layers():
    class Noisy(layers.Layer):
        def __init__(self):
            super().__init__()
            self.seeds = keras.random.SeedGenerator(3)

        def call(self, x):
            return x + keras.random.normal(keras.ops.shape(x), seed=self.seeds)

    model = KerasModel(network(1, Noisy()))
    first = model.predict(rows())
    assert np.array_equal(first, model.predict(rows()))
    assert not np.array_equal(first, KerasModel(model.network, seed=1).predict(rows()))


def test_training_leaves_the_random_states_of_layers_alone():
    dropout = layers.Dropout(0.5)
    model = KerasModel(network(1, dropout), epochs=1)
    before = dropout.seed_generator.state.value.numpy()
    model.fit(rows())
    assert np.array_equal(before, dropout.seed_generator.state.value.numpy())


def test_an_unfitted_model_starts_from_the_first_weights():
    model = KerasModel(network(1, layers.Dense(4)), epochs=2)
    before = model.get_weights()
    trained = model.fit(rows()).get_weights()
    again = model.unfitted()
    assert not difference(before, again.get_weights())
    assert not difference(trained, again.fit(rows()).get_weights())


def test_a_normalization_layer_uses_imported_statistics():
    norm = layers.Normalization()
    norm.adapt(np.array([[1.0, 2, 3], [3.0, 6, 9]]))
    first, second = KerasModel(network(1, norm)), KerasModel(network(1, layers.Normalization()))
    x = np.ones((2, 3), np.float32)
    second.predict(x)
    second.set_weights(first.get_weights())
    np.testing.assert_array_equal(first.predict(x), second.predict(x))


@pytest.mark.parametrize(
    "damage",
    [
        lambda state: state.pop("optimizer/iterations"),
        lambda state: state.update({"optimizer/dense/kernel/momentums": np.zeros((3, 1))}),
        lambda state: state.update({"optimizer/other": np.zeros(1, np.float32)}),
        lambda state: state["optimizer/dense/kernel/velocities"].fill(np.nan),
    ],
    ids=["missing", "of another shape", "surplus", "not a number"],
)
def test_a_damaged_optimizer_state_is_a_typed_error(damage):
    model = KerasModel(network(), epochs=1).fit(rows())
    state = model.get_training_state()
    assert "optimizer/dense/kernel/momentums" in state
    damage(state)
    with pytest.raises(TrainingStateError):
        model.set_training_state(state)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"loss": "l2"}, "loss='l2'"),
        ({"optimizer": "adamax2"}, "optimizer='adamax2'"),
        ({"optimizer_options": {"learning_rate": 1}}, "'learning_rate' is not one of"),
        ({"optimizer_options": {"clipnorm": 1}}, "gradient_clip"),
        ({"optimizer_options": {"momentums": 1}}, "cannot be made with"),
        ({"input_dtype": "float31"}, "float31"),
        ({"lr": 1}, "learning_rate"),
    ],
)
def test_impossible_options_are_a_typed_error(options, message):
    with pytest.raises(ParameterError, match=message):
        KerasModel(network(), **options)


def test_what_cannot_be_used_is_a_typed_error():
    with pytest.raises(ParameterError, match="wraps a layer or model"):
        KerasModel(keras.Sequential)
    with pytest.raises(ParameterError, match="not built"):
        KerasModel(keras.Sequential([layers.Dense(1)]))
    frozen = keras.Sequential([keras.Input((3,)), layers.Dense(1, trainable=False)])
    with pytest.raises(ParameterError, match="no variable to train"):
        KerasModel(frozen).fit(rows())
    model = KerasModel(network())
    with pytest.raises(DatasetError, match="fails on X of shape"):
        model.predict(np.zeros((2, 5)))
    with pytest.raises(DatasetError, match="labels"):
        model.fit(rows(tasks=2))
    with pytest.raises(DatasetError, match="text"):
        model.predict(NumpyDataset(["CO"]))
    with pytest.raises(EmptyDataset):
        model.predict(np.zeros((0, 3)))


def test_keras_on_another_backend_is_a_typed_error():
    program = (
        "import keras\n"
        "from dc_core import plugins\n"
        "try:\n"
        "    plugins.backend('keras').build_component('keras/Dense', {'config': {'units': 1}})\n"
        "except RuntimeError as error:\n"
        "    print(type(error).__name__, error.hint)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=240,
        env={**os.environ, "KERAS_BACKEND": "numpy"},
    )
    assert done.stdout.startswith("KerasBackendMismatch Set the environment"), done.stderr[-2000:]
    assert issubclass(TensorFlowError, Exception)
