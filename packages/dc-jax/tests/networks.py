"""Small modules of every library, for the tests."""

import equinox as eqx
import jax
import jax.numpy as jnp
from flax import nnx


class FlaxNetwork(nnx.Module):
    """A hidden layer with a batch norm and dropout, made from numbers alone."""

    def __init__(self, inputs, outputs, width=8, dropout=0.2, norm=True, seed=0):
        rngs = nnx.Rngs(seed)
        self.hidden = nnx.Linear(inputs, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, momentum=0.9, rngs=rngs) if norm else None
        self.dropout = nnx.Dropout(dropout, rngs=rngs)
        self.output = nnx.Linear(width, outputs, rngs=rngs)

    def __call__(self, x):
        x = self.hidden(x)
        if self.norm is not None:
            x = self.norm(x)
        return self.output(self.dropout(nnx.relu(x)))


class EquinoxNetwork(eqx.Module):
    """The same, which takes a row and returns its state if it has a batch norm."""

    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm | None
    dropout: eqx.nn.Dropout
    output: eqx.nn.Linear

    def __init__(self, inputs, outputs, width=8, dropout=0.2, norm=True, seed=0):
        keys = jax.random.split(jax.random.key(seed))
        self.hidden = eqx.nn.Linear(inputs, width, key=keys[0])
        self.norm = eqx.nn.BatchNorm(width, "batch", mode="batch") if norm else None
        self.dropout = eqx.nn.Dropout(dropout)
        self.output = eqx.nn.Linear(width, outputs, key=keys[1])

    def __call__(self, x, state=None, *, key=None):
        x = self.hidden(x)
        if self.norm is not None:
            x, state = self.norm(x, state)
        x = self.output(self.dropout(jax.nn.relu(x), key=key))
        return x if self.norm is None else (x, state)


def apply(params, x, *, key=None):
    """The same as a function of parameters, with dropout of 0.2 if it is given a key."""
    x = jax.nn.relu(x @ params["hidden"]["kernel"] + params["hidden"]["bias"])
    if key is not None:
        x = jnp.where(jax.random.bernoulli(key, 0.8, x.shape), x / 0.8, 0)
    return x @ params["output"]["kernel"] + params["output"]["bias"]


def apply_without_noise(params, x):
    return apply(params, x)


def pytree(inputs, outputs, width=8, function=apply, seed=0):
    keys = jax.random.split(jax.random.key(seed))

    def layer(key, size_in, size_out):
        kernel = jax.random.normal(key, (size_in, size_out)) * size_in**-0.5
        return {"kernel": kernel, "bias": jnp.zeros(size_out)}

    params = {"hidden": layer(keys[0], inputs, width), "output": layer(keys[1], width, outputs)}
    return jax.tree_util.Partial(function, params)
