"""The conformance kit, on modules of Flax and Equinox and on plain pytrees."""

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from dc_core.testing import BackendSuite
from dc_jax.structure import weights_of, with_arrays


class FlaxNetwork(nnx.Module):
    """Parameters, running statistics, generators, a variable of its own and arrays of NumPy."""

    def __init__(self, rngs):
        self.first = nnx.Conv(3, 4, (3,), rngs=rngs)
        self.norm = nnx.BatchNorm(4, rngs=rngs)
        self.blocks = nnx.List([nnx.Linear(4, 4, rngs=rngs) for _ in range(2)])
        self.dropout = nnx.Dropout(0.5, rngs=rngs)
        self.scale = nnx.Param(jnp.ones(()))
        self.shift = nnx.Variable(jnp.zeros(4, jnp.int32))
        self.table = nnx.data(np.zeros(4))

    def __call__(self, x):
        x = self.norm(self.first(x))
        for block in self.blocks:
            x = self.dropout(jnp.tanh(block(x)))
        return x * self.scale + self.shift + jnp.asarray(self.table, x.dtype)


class FlaxTied(nnx.Module):
    def __init__(self, rngs):
        self.encoder = nnx.Linear(3, 3, rngs=rngs)
        self.decoder = nnx.Linear(3, 3, rngs=rngs)
        self.decoder.kernel = self.encoder.kernel

    def __call__(self, x):
        return self.decoder(self.encoder(x))


class FlaxHolder(nnx.Module):
    def __init__(self, shape, dtype=jnp.float32):
        self.weight = nnx.Param(jnp.zeros(shape, dtype))
        self.bias = nnx.Param(jnp.zeros((), dtype))

    def __call__(self, x):
        return x.sum() * self.bias[...] + self.weight[...].sum()


def filled(module, seed):
    """Return ``module`` with other values in all of its arrays."""
    rng = np.random.default_rng(seed)

    def value(array):
        if jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key):
            return jax.random.key(seed + 7)
        drawn = rng.uniform(0.1, 1.1, array.shape)
        if jnp.issubdtype(array.dtype, np.integer):
            drawn = np.full(array.shape, seed + 3)
        made = drawn.astype(array.dtype)
        return made if isinstance(array, np.ndarray) else jnp.asarray(made)

    return with_arrays(module, {each.native: value(each.value) for each in weights_of(module)})


class Suite(BackendSuite):
    x = jnp.linspace(-1, 1, 42, dtype=jnp.float32).reshape(2, 7, 3)

    def make(self, seed):
        return filled(self.blank(), seed)

    def make_scalar(self, seed):
        return filled(self.holder(()), seed)

    def make_empty(self, seed):
        return filled(self.holder((0, 3)), seed)

    def make_bfloat16(self, seed):
        return filled(self.holder((5, 2), jnp.bfloat16), seed)

    def make_large(self, seed):
        return filled(self.holder(2**24), seed)

    def global_state(self):
        return (
            jax.config.values["jax_enable_x64"],
            jax.config.values["jax_default_prng_impl"],
            jax.config.values["jax_default_matmul_precision"],
        )


class TestFlax(Suite):
    backend = "flax"

    def blank(self):
        return nnx.view(FlaxNetwork(nnx.Rngs(0)), deterministic=True, use_running_average=True)

    def predict(self, obj):
        return np.asarray(obj(self.x), np.float64)

    def strangers(self):
        return [nnx.Param(jnp.zeros(2)), nnx.State({}), jnp.zeros(2), FlaxNetwork]

    def make_tied(self, seed):
        return filled(FlaxTied(nnx.Rngs(0)), seed)

    def holder(self, *args):
        return FlaxHolder(*args)


class EquinoxNetwork(eqx.Module):
    """Layers, a state, keys, a static field, a function and an array of NumPy."""

    first: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    blocks: list[eqx.nn.Linear]
    key: jax.Array
    scale: jax.Array
    table: np.ndarray
    act: object
    width: int = eqx.field(static=True)

    def __init__(self, width=4):
        keys = jax.random.split(jax.random.key(0), 3)
        self.first = eqx.nn.Linear(3, width, key=keys[0])
        self.norm = eqx.nn.BatchNorm(width, "batch", mode="batch")
        self.blocks = [eqx.nn.Linear(width, width, key=key) for key in keys[1:]]
        self.key = keys[0]
        self.scale = jnp.ones(())
        self.table = np.zeros(width)
        self.act = jax.nn.tanh
        self.width = width

    def __call__(self, x, state):
        x, state = self.norm(self.first(x), state)
        for block in self.blocks:
            x = self.act(block(x))
        noise = jax.random.normal(self.key, (self.width,))
        return x * self.scale + jnp.asarray(self.table, x.dtype) + noise, state


class EquinoxHolder(eqx.Module):
    weight: jax.Array
    bias: jax.Array

    def __init__(self, shape, dtype=jnp.float32):
        self.weight = jnp.zeros(shape, dtype)
        self.bias = jnp.zeros((), dtype)

    def __call__(self, x):
        return x.sum() * self.bias + self.weight.sum()


class TestEquinox(Suite):
    backend = "equinox"

    def blank(self):
        return EquinoxNetwork()

    def predict(self, obj):
        if isinstance(obj, EquinoxHolder):
            return np.asarray(obj(self.x), np.float64)
        state = eqx.nn.State(obj)
        run = jax.vmap(
            eqx.nn.inference_mode(obj), axis_name="batch", in_axes=(0, None), out_axes=(0, None)
        )
        return np.asarray(run(self.x.reshape(14, 3), state)[0], np.float64)

    def strangers(self):
        return [jnp.zeros(2), EquinoxNetwork, EquinoxNetwork().norm.batch_counter.marker]

    def holder(self, *args):
        return EquinoxHolder(*args)


def apply(params, x):
    for layer in params["layers"]:
        x = jnp.tanh(x @ layer["kernel"] + layer["bias"])
    return x * params["scale"]


def hold(params, x):
    return x.sum() * params["bias"] + params["weight"].sum()


class TestPytree(Suite):
    backend = "jax"

    def blank(self):
        layer = {"kernel": jnp.zeros((3, 3)), "bias": np.zeros(3, np.float32)}
        params = {"layers": [dict(layer), dict(layer)], "scale": jnp.ones(()), "name": 3}
        return jax.tree_util.Partial(apply, params)

    def predict(self, obj):
        return np.asarray(obj(self.x.reshape(14, 3)), np.float64)

    def strangers(self):
        return [jnp.zeros(2), {"a": jnp.zeros(2)}, apply]

    def holder(self, shape, dtype=jnp.float32):
        params = {"weight": jnp.zeros(shape, dtype), "bias": jnp.zeros((), dtype)}
        return jax.tree_util.Partial(hold, params)
