"""Models of Keras's own layers are stored as what they are, or refused by name."""

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import json

import keras
import numpy as np

from dc_core import byte_budget, plugins
from dc_core.errors import BudgetExceeded, NotSerializable, ParameterError, UnknownClass
from dc_tensorflow import KerasModel
from dc_tensorflow.skeleton import charged
from dc_tensorflow.structure import build, describe
from dc_tensorflow.tables import CLASSES
from dc_tensorflow.weights import describe_weights, export_weights, import_weights

layers = keras.layers


@keras.saving.register_keras_serializable("dc-tests")
class Scaled(layers.Layer):
    def __init__(self, inner, **options):
        super().__init__(**options)
        self.inner = inner

    def build(self, shape):
        self.inner.build(shape)
        self.scale = self.add_weight(shape=(), name="scale")

    def call(self, x):
        return self.inner(x) * self.scale

    def get_config(self):
        inner = keras.saving.serialize_keras_object(self.inner)
        return {**super().get_config(), "inner": inner}

    @classmethod
    def from_config(cls, config):
        return cls(keras.saving.deserialize_keras_object(config.pop("inner")), **config)


def sequential():
    dense = layers.Dense(4, "relu", kernel_regularizer="l2", kernel_constraint="max_norm")
    rest = [layers.BatchNormalization(), layers.Dropout(0.1), layers.Dense(2, name="out")]
    return keras.Sequential([keras.Input((3,)), dense, *rest])


def functional():
    a, b = keras.Input((4,), name="a"), keras.Input((4,), name="b")
    shared = layers.Dense(3)
    x = layers.Concatenate()([shared(a) + shared(b), shared(b) * 2])[:, 1:4]
    return keras.Model({"a": a, "b": b}, sequential()(layers.LayerNormalization()(x)))


def recurrent():
    inputs = keras.Input((5, 4))
    x = layers.Bidirectional(layers.GRU(3, return_sequences=True))(inputs)
    x = layers.RNN(layers.StackedRNNCells([layers.LSTMCell(2), layers.SimpleRNNCell(3)]))(x)
    return keras.Model(inputs, layers.Dense(1, dtype="mixed_bfloat16")(x))


def attention():
    inputs = keras.Input((5,), dtype="int32")
    x = layers.Embedding(7, 4)(inputs)
    x = x + layers.MultiHeadAttention(2, 3)(x, x)
    return keras.Model(inputs, layers.GlobalAveragePooling1D()(x))


def built_later():
    model = keras.Sequential([layers.Dense(3), layers.Dense(1)])
    model.build((None, 4))
    return model


def registered():
    return keras.Sequential([keras.Input((3,)), Scaled(layers.Dense(2, activation="tanh"))])


def lone():
    layer = Scaled(layers.Dense(3))
    layer.build((None, 4))
    return layer


SHAPES = {
    sequential: (3,),
    functional: (4,),
    recurrent: (5, 4),
    attention: (5,),
    built_later: (4,),
    registered: (3,),
    lone: (4,),
}


@pytest.mark.parametrize("make", SHAPES)
def test_a_model_is_rebuilt_from_json_with_equal_weights_and_predictions(make):
    model = make()
    name, params = describe(model)
    again = build(name, json.loads(json.dumps(params)))
    assert type(again) is type(model)
    assert describe(again) == (name, params)
    assert describe_weights(again) == describe_weights(model)
    weights = export_weights(model)
    import_weights(again, weights)
    rng = np.random.default_rng(0)
    x = rng.integers(0, 7, (2, *SHAPES[make])).astype(np.float32)
    if make is functional:
        x = {"a": x, "b": x + 1}
    np.testing.assert_array_equal(np.asarray(model(x)), np.asarray(again(x)))


@pytest.mark.parametrize("make", [sequential, functional, recurrent])
def test_equal_models_of_one_process_are_described_alike(make):
    first, second = make(), make()
    assert first.name != second.name
    assert describe(first) == describe(second)
    assert list(describe_weights(first).items()) == list(describe_weights(second).items())


def test_names_of_the_user_stay_and_others_count_within_the_model():
    model = keras.Sequential(
        [keras.Input((2,)), layers.Dense(2), layers.Dense(2, name="mine"), layers.Dense(1)]
    )
    natives = [info.native for info in describe_weights(model).values()]
    assert natives[::2] == ["dense/kernel", "mine/kernel", "dense_1/kernel"]


def test_code_is_refused_by_name():
    model = keras.Sequential([keras.Input((2,)), layers.Lambda(lambda x: x, name="twice")])
    with pytest.raises(NotSerializable, match="'twice' holds code"):
        describe(model)
    dense = layers.Dense(1, activation=lambda x: x)
    model = keras.Sequential([keras.Input((2,)), dense])
    with pytest.raises(NotSerializable, match="holds code"):
        describe(model)
    assert "cannot be stored: The Dense" in repr(KerasModel(model))


def test_a_layer_that_is_not_registered_has_no_stored_form():
    class Own(layers.Dense):
        pass

    model = keras.Sequential([keras.Input((2,)), Own(1)])
    assert describe(model) is None
    assert "Own 'own' is not registered" in repr(KerasModel(model))


def test_lookup_tables_have_no_stored_form():
    model = keras.Sequential([layers.StringLookup(vocabulary=["a"])])
    assert describe(model) is None


def test_a_replaced_call_is_refused_by_name():
    model = sequential()
    model.layers[0].call = lambda x: x
    with pytest.raises(NotSerializable, match="Dense 'dense"):
        describe(model)


def test_layers_that_two_models_share_are_refused():
    shared = layers.Dense(3)
    inputs = keras.Input((3,))
    halves = [keras.Sequential([keras.Input((3,)), shared], name=name) for name in ("one", "two")]
    model = keras.Model(inputs, halves[0](inputs) + halves[1](inputs))
    aliases = [info.aliases for info in describe_weights(model).values()]
    assert aliases == [("two/dense/kernel",), ("two/dense/bias",)]
    with pytest.raises(NotSerializable, match="one and two share"):
        describe(model)


def node(kind, **config):
    return {"class": kind, "config": config}


IMPORTS = {"class_name": "system", "module": "os", "config": {}, "registered_name": None}

HOSTILE = {
    "a module to import": {"activation": IMPORTS},
    "a class of Keras that holds code": {"activation": node("layers/Lambda", function="x")},
    "a layer that reads files": {"activation": node("layers/TextVectorization", vocabulary="/x")},
    "a function that is not registered": {"activation": {"function": "builtins>eval"}},
    "a class that is not registered": {"activation": node("registered/os>system")},
    "a lambda": {"activation": {"class_name": "__lambda__", "config": {"value": "x"}}},
    "a name that is no activation": {"activation": "os.system"},
    "a huge number": {"units": 2**62},
    "a number below 0": {"units": -1},
    "text for a number": {"units": "4"},
    "an unknown parameter": {"no_such_parameter": 1},
    "a quantization": {"quantization_config": node("layers/Dense", units=1)},
}


@pytest.mark.parametrize("changes", HOSTILE.values(), ids=HOSTILE)
def test_a_config_that_asks_for_anything_else_is_a_typed_error(changes):
    with pytest.raises((ParameterError, UnknownClass)):
        build("keras/Dense", {"config": {"units": 2, **changes}, "build": {"input_shape": [1, 3]}})


@pytest.mark.parametrize(
    ("name", "error"),
    [
        ("keras/Lambda", UnknownClass),
        ("keras/NoSuchLayer", UnknownClass),
        ("keras/Model", UnknownClass),
        ("Dense", UnknownClass),
        ("keras/Registered", ParameterError),
    ],
)
def test_names_outside_the_table_are_refused(name, error):
    with pytest.raises(error):
        build(name, {"config": {}})


def test_weights_are_charged_before_they_are_allocated():
    params = {"config": {"units": 2**31 - 1}, "build": {"input_shape": [None, 2**20]}}
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded):
        plugins.backend("keras").skeleton(lambda: build("keras/Dense", params))
    with byte_budget(1 << 20), pytest.raises(BudgetExceeded):
        charged(lambda: build("keras/Dense", params))


def test_no_class_of_the_table_reads_files_or_holds_code():
    names = {name.partition("/")[2] for name in CLASSES}
    dangerous = {"Lambda", "StringLookup", "TextVectorization", "TFSMLayer", "TorchModuleWrapper"}
    assert names.isdisjoint(dangerous | {"IntegerLookup", "JaxLayer", "FlaxLayer", "FeatureSpace"})
