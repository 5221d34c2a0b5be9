"""The conformance kit, on Keras models and modules of TensorFlow that hold every kind of weight."""

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import keras
import numpy as np
import tensorflow as tf

from dc_core.testing import BackendSuite


class Everything(keras.Model):
    """Layers of many kinds, some in containers, and variables of several dtypes."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convolution = keras.layers.Conv1D(4, 3)
        self.blocks = [
            keras.layers.BatchNormalization(),
            {"dense": keras.layers.Dense(5)},
        ]
        self.dropout = keras.layers.Dropout(0.5)

    def build(self, shape):
        self.convolution.build(shape)
        norm, more = self.blocks
        norm.build((None, None, 4))
        more["dense"].build((None, None, 4))
        self.scale = self.add_weight(shape=(), name="scale")
        self.shift = self.add_weight(shape=(5,), dtype="float64", autocast=False, trainable=False)
        self.counts = self.add_weight(
            shape=(2,), dtype="int32", initializer="zeros", trainable=False, name="counts"
        )
        self.raw = tf.Variable(tf.zeros(5))
        self.built = True

    def call(self, x, training=False):
        norm, more = self.blocks
        x = norm(self.convolution(x), training=training)
        x = self.dropout(more["dense"](x), training=training)
        count = keras.ops.sum(keras.ops.cast(self.counts, "float32"))
        return x * self.scale + keras.ops.cast(self.shift, "float32") + self.raw + count


class Tied(keras.Model):
    def __init__(self):
        super().__init__()
        self.encoder = keras.layers.Dense(3)
        self.again = [self.encoder]
        self.bias = self.add_weight(shape=(3,), name="bias")

    def call(self, x):
        return self.again[0](self.encoder(x)) + self.bias


class Holder(keras.layers.Layer):
    """Adds up what it holds."""

    def __init__(self, shape, dtype="float32"):
        super().__init__(dtype=dtype)
        self.shape = shape

    def build(self, _):
        self.held = self.add_weight(shape=self.shape, name="held")
        self.bias = self.add_weight(shape=(), name="bias")

    def call(self, x):
        return keras.ops.sum(x) * self.bias + keras.ops.sum(self.held)


def filled(obj, seed):
    rng = np.random.default_rng(seed)
    variables = obj.weights if isinstance(obj, keras.Layer) else obj.variables
    for variable in [*variables, *([obj.raw] if hasattr(obj, "raw") else [])]:
        values = rng.random(variable.shape) + 0.1
        if keras.backend.standardize_dtype(variable.dtype) == "int32":
            values = values * 10
        variable.assign(tf.cast(values, variable.dtype))
    return obj


class TestKeras(BackendSuite):
    backend = "keras"

    def make(self, seed):
        return filled(self.blank(), seed)

    def blank(self):
        model = Everything()
        model.build((None, 7, 3))
        return model

    def predict(self, obj):
        x = np.linspace(-1, 1, 42, dtype=np.float32)
        x = x.reshape((2, 7, 3) if isinstance(obj, Everything) else (14, 3))
        return keras.ops.convert_to_numpy(keras.ops.cast(obj(x), "float64"))

    def strangers(self):
        model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
        return [
            model.weights[0],
            tf.zeros(2),
            keras.optimizers.Adam(),
            keras.losses.MeanSquaredError(),
        ]

    def built(self, obj, seed):
        obj(np.zeros((1, 3)))
        return filled(obj, seed)

    def make_tied(self, seed):
        return self.built(Tied(), seed)

    def make_scalar(self, seed):
        return self.built(Holder(()), seed)

    def make_empty(self, seed):
        return self.built(Holder((0, 3)), seed)

    def make_bfloat16(self, seed):
        return self.built(Holder((5, 2), "bfloat16"), seed)

    def make_large(self, seed):
        return self.built(Holder((2**24,)), seed)

    def global_state(self):
        return (
            keras.config.floatx(),
            keras.config.dtype_policy().name,
            keras.config.image_data_format(),
            tf.config.functions_run_eagerly(),
            tf.executing_eagerly(),
        )


class TestLayers(TestKeras):
    """Keras's own layers, which the backend can also describe and build."""

    def blank(self):
        inputs = keras.Input((7, 3))
        x = keras.layers.Conv1D(2, 3, activation="relu")(inputs)
        x = keras.layers.BatchNormalization()(x)
        return keras.Model(inputs, keras.layers.Dense(1, use_bias=False)(x[:, 0]) + 1)

    def predict(self, obj):
        if not isinstance(obj, keras.Model):
            return super().predict(obj)
        return obj(np.linspace(-1, 1, 42, dtype=np.float32).reshape(2, 7, 3)).numpy()

    def strangers(self):
        return ()


class Module(tf.Module):
    """Variables of several dtypes, modules in containers, and a layer of Keras."""

    def __init__(self):
        super().__init__()
        self.layers = [Linear(3, 4), Linear(4, 5)]
        self.dense = keras.layers.Dense(5)
        self.dense.build((None, 5))
        self.shift = tf.Variable(tf.zeros(5, tf.float64), trainable=False)
        self.wave = tf.Variable(tf.zeros(2, tf.complex64))

    @property
    def held(self):
        return [*self.variables, *self.dense.weights]

    def __call__(self, x):
        for layer in self.layers:
            x = layer(x)
        wave = tf.reduce_sum(tf.math.real(self.wave) + tf.math.imag(self.wave))
        return self.dense(x) + tf.cast(self.shift, tf.float32) + wave


class Linear(tf.Module):
    def __init__(self, n, m, kernel=None, dtype=tf.float32):
        super().__init__()
        self.kernel = tf.Variable(tf.zeros((n, m), dtype)) if kernel is None else kernel
        self.bias = tf.Variable(tf.zeros((), dtype))

    @property
    def held(self):
        return self.variables

    def __call__(self, x):
        return tf.cast(x, self.kernel.dtype) @ self.kernel + self.bias


class Pair(tf.Module):
    def __init__(self):
        super().__init__()
        self.first = Linear(3, 3)
        self.second = Linear(3, 3, self.first.kernel)

    @property
    def held(self):
        return self.variables

    def __call__(self, x):
        return self.second(self.first(x))


def with_values(module, seed):
    rng = np.random.default_rng(seed)
    for variable in module.held:
        variable.assign(tf.cast(rng.random(variable.shape) + 0.1, variable.dtype))
    return module


class TestModule(TestKeras):
    backend = "tensorflow"

    def make(self, seed):
        return with_values(Module(), seed)

    def blank(self):
        return Module()

    def predict(self, obj):
        x = np.linspace(-1, 1, 42, dtype=np.float32).reshape(14, 3)
        return tf.cast(obj(x), tf.float64).numpy()

    def strangers(self):
        return [tf.zeros(2), tf.Variable(1.0), tf.TensorSpec(()), tf.float32]

    def make_tied(self, seed):
        return with_values(Pair(), seed)

    def make_scalar(self, seed):
        return with_values(Linear(3, 2), seed)

    def make_empty(self, seed):
        return with_values(Linear(3, 0), seed)

    def make_bfloat16(self, seed):
        return with_values(Linear(3, 2, dtype=tf.bfloat16), seed)

    def make_large(self, seed):
        return with_values(Linear(3, 2**23), seed)
