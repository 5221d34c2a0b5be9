"""Models of every library as a user has them: trained, stored, loaded and used elsewhere."""

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

import dc_core
import dc_hub
from dc_core import NumpyDataset, plugins
from dc_core.errors import DatasetError, NotSerializable, ParameterError, UnknownParameter
from dc_core.training import Callback
from dc_jax import JaxModel
from dc_jax.optimizers import OPTIMIZERS


@dc_core.register_component("dcjaxtests/flax")
class FlaxNetwork(nnx.Module):
    def __init__(self, width, *, rngs):
        self.hidden = nnx.Linear(4, width, rngs=rngs)
        self.norm = nnx.BatchNorm(width, rngs=rngs)
        self.dropout = nnx.Dropout(0.1, rngs=rngs)
        self.output = nnx.Linear(width, 1, rngs=rngs)

    def __call__(self, x):
        return self.output(self.dropout(nnx.relu(self.norm(self.hidden(x)))))


@dc_core.register_component("dcjaxtests/equinox")
class EquinoxNetwork(eqx.Module):
    hidden: eqx.nn.Linear
    norm: eqx.nn.BatchNorm
    output: eqx.nn.Linear

    def __init__(self, width, *, key):
        keys = jax.random.split(key)
        self.hidden = eqx.nn.Linear(4, width, key=keys[0])
        self.norm = eqx.nn.BatchNorm(width, "batch", mode="batch")
        self.output = eqx.nn.Linear(width, 1, key=keys[1])

    def __call__(self, x, state):
        x, state = self.norm(self.hidden(x), state)
        return self.output(jax.nn.relu(x)), state


def mlp(params, x):
    return jax.nn.relu(x @ params["hidden"]) @ params["output"]


@dc_core.register_model("dcjaxtests/mlp")
class MLP(JaxModel):
    def __init__(self, width, *, seed=0, **options):
        keys = jax.random.split(jax.random.key(seed))
        params = {
            "hidden": jax.random.normal(keys[0], (4, width)),
            "output": jax.random.normal(keys[1], (width, 1)),
        }
        super().__init__(jax.tree_util.Partial(mlp, params), **options)


MAKE = {
    "flax": lambda **o: JaxModel(FlaxNetwork(8, rngs=nnx.Rngs(0, dropout=1)), **o),
    "equinox": lambda **o: JaxModel(EquinoxNetwork(8, key=jax.random.key(3)), **o),
    "mlp": lambda **o: MLP(8, **o),
}


def rows(n=40, seed=0):
    X = np.random.default_rng(seed).normal(size=(n, 4)).astype(np.float32)
    return NumpyDataset(X, X[:, :1])


@pytest.mark.parametrize("name", MAKE)
def test_a_published_model_predicts_the_same_and_trains_on(name, tmp_path):
    whole = MAKE[name](epochs=3).fit(rows())
    model = MAKE[name](epochs=3).fit(rows(), epochs=2)
    model.to_pretrained(name, hub=tmp_path, training=True)
    again = dc_core.Model.from_pretrained(name, hub=tmp_path, training=True)
    assert type(again) is type(model)
    np.testing.assert_array_equal(again.predict(rows()), model.predict(rows()))
    again.fit(rows(), resume=True)
    np.testing.assert_array_equal(again.predict(rows()), whole.predict(rows()))
    fresh = again.unfitted()
    assert fresh.history == ()


@pytest.mark.parametrize("name", MAKE)
def test_a_new_process_loads_and_predicts_the_same(name, tmp_path):
    model = MAKE[name](epochs=1).fit(rows())
    model.to_pretrained(name, hub=tmp_path)
    np.save(tmp_path / "expected.npy", model.predict(rows()))
    program = f"""
import runpy, numpy as np, dc_core
tests = runpy.run_path({__file__!r})
model = dc_core.Model.from_pretrained({name!r}, hub={str(tmp_path)!r})
expected = np.load({str(tmp_path / "expected.npy")!r})
assert np.array_equal(model.predict(tests["rows"]()), expected)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_stored_weights_load_into_a_module_of_flax_in_place(tmp_path):
    model = MAKE["flax"](epochs=1).fit(rows())
    model.to_pretrained("net", hub=tmp_path)
    module = FlaxNetwork(8, rngs=nnx.Rngs(7))
    assert dc_hub.load_weights("net", into=module, hub=tmp_path) is module
    np.testing.assert_array_equal(module.hidden.kernel[...], model.module.hidden.kernel[...])


def test_stored_weights_load_into_a_new_module_of_equinox(tmp_path):
    model = MAKE["equinox"](epochs=1).fit(rows())
    model.to_pretrained("net", hub=tmp_path)
    module = EquinoxNetwork(8, key=jax.random.key(7))
    loaded = dc_hub.load_weights("net", into=module, hub=tmp_path)
    np.testing.assert_array_equal(loaded.hidden.weight, model.module.hidden.weight)
    assert not np.array_equal(module.hidden.weight, loaded.hidden.weight)


def test_the_state_of_a_module_of_equinox_has_the_names_of_its_layers():
    _, state = eqx.nn.make_with_state(EquinoxNetwork)(8, key=jax.random.key(0))
    _, other = eqx.nn.make_with_state(EquinoxNetwork)(8, key=jax.random.key(0))
    claimed = plugins.claim(state)
    names = [info.native for info in claimed.describe_weights().values()]
    assert names == [
        "norm.batch_counter",
        "norm.batch_state_index.0",
        "norm.batch_state_index.1",
    ]
    weights = {name: np.add(a, 1, out=a) for name, a in claimed.export_weights().items()}
    loaded = plugins.claim(other).import_weights(weights)
    for name, array in plugins.claim(loaded).export_weights().items():
        np.testing.assert_array_equal(array, weights[name])


def test_a_bare_module_is_published_and_loaded(tmp_path):
    module = jax.tree_util.Partial(mlp, {"hidden": jnp.ones((4, 2)), "output": jnp.ones((2, 1))})
    dc_hub.publish(module, "bare", hub=tmp_path)
    other = jax.tree_util.Partial(mlp, {"hidden": jnp.zeros((4, 2)), "output": jnp.zeros((2, 1))})
    loaded = dc_hub.load_weights("bare", into=other, hub=tmp_path)
    np.testing.assert_array_equal(loaded(np.ones((3, 4))), module(np.ones((3, 4))))


def test_a_function_is_refused_before_training_would_be_lost():
    module = jax.tree_util.Partial(mlp, {"hidden": jnp.ones((4, 2)), "output": jnp.ones((2, 1))})
    with pytest.raises(NotSerializable, match="register"):
        JaxModel(module).check_storable()


def test_training_in_flax_learns_the_statistics_of_a_batch_norm():
    model = MAKE["flax"](epochs=30, learning_rate=0.01).fit(rows(200))
    hidden = np.asarray(rows(200).X) @ model["jax_model/hidden/1"] + model["jax_model/hidden/0"]
    np.testing.assert_allclose(model["jax_model/norm/1"], hidden.mean(axis=0), atol=0.3)
    assert model.history[-1].loss < 0.5 * model.history[0].loss


def test_the_last_batch_is_the_only_other_shape():
    traced = []

    def noting(params, x):
        traced.append(x.shape)
        return mlp(params, x)

    params = {"hidden": jnp.ones((4, 2)), "output": jnp.ones((2, 1))}
    model = JaxModel(jax.tree_util.Partial(noting, params), batch_size=8, epochs=3)
    model.fit(rows(20))
    assert set(traced) == {(8, 4), (4, 4)}
    traced.clear()
    for n in (33, 40, 50, 63):
        model.predict(rows(n))
    assert {shape[0] for shape in traced} <= {8, 16, 32, 64}


def test_frozen_weights_do_not_change():
    model = MAKE["flax"](epochs=2, freeze=["hidden.*", "norm.mean"])
    before = model.get_weights()
    model.fit(rows())
    changed = {
        info.native
        for name, info in model.weight_table().items()
        if not np.array_equal(before[name], model[name])
    }
    assert changed == {"norm.bias", "norm.scale", "norm.var", "output.bias", "output.kernel"}


def test_a_factor_of_0_1_makes_a_tenth_of_the_first_step():
    steps = {}
    for factor in (1.0, 0.1):
        model = MLP(8, optimizer="sgd", learning_rate_factors={"hidden": factor}, epochs=1)
        before = model.get_weights()
        model.fit(rows(8))
        steps[factor] = {name: model[name] - before[name] for name in model}
    np.testing.assert_allclose(10 * steps[0.1]["mlp/0"], steps[1.0]["mlp/0"], rtol=1e-3, atol=1e-6)
    np.testing.assert_allclose(steps[0.1]["mlp/1"], steps[1.0]["mlp/1"], rtol=1e-6)


@pytest.mark.parametrize("optimizer", sorted(OPTIMIZERS))
def test_every_optimizer_is_resumed_exactly(optimizer):
    whole = MLP(4, optimizer=optimizer, epochs=2).fit(rows(20))
    model = MLP(4, optimizer=optimizer, epochs=2).fit(rows(20), epochs=1)
    again = MLP(4, optimizer=optimizer, epochs=2)
    again.set_weights(model.get_weights())
    again.set_training_state(model.get_training_state())
    again.fit(rows(20), resume=True)
    for name in whole:
        np.testing.assert_array_equal(again[name], whole[name])


def test_columns_by_name_are_keyword_arguments():
    def named(params, a, b):
        return a @ params["w"] + b[:, None]

    X = rows().X
    data = NumpyDataset({"a": X, "b": X[:, 0]}, X[:, :1])
    model = JaxModel(jax.tree_util.Partial(named, {"w": jnp.zeros((4, 1))}), epochs=1).fit(data)
    assert model.predict(data).shape == (40, 1)


def test_what_does_not_fit_is_a_typed_error():
    model = MAKE["flax"](epochs=1)
    with pytest.raises(DatasetError, match="FlaxNetwork fails"):
        model.fit(NumpyDataset(np.ones((5, 3), np.float32), np.ones(5)))
    with pytest.raises(DatasetError, match="axes"):
        model.fit(NumpyDataset(np.ones((5, 4), np.float32), np.ones((5, 2))))
    with pytest.raises(ParameterError, match="Partial"):
        JaxModel({"w": jnp.zeros(2)})
    with pytest.raises(UnknownParameter, match="learning_rate"):
        MAKE["mlp"](lr=1)
    with pytest.raises(ParameterError, match="cannot be made"):
        MAKE["mlp"](optimizer="sgd", optimizer_options={"b1": 0.1})
    with pytest.raises(ParameterError, match="no weight with a name"):
        MAKE["mlp"](freeze=["nothing.*"]).fit(rows())


def test_a_callback_sees_the_weights_of_each_step():
    seen = []

    class Noting(Callback):
        def on_step(self, model, step, steps):
            seen.append(model["mlp/0"].copy())

    MLP(4, batch_size=10, epochs=1).fit(rows(), callbacks=[Noting()])
    assert len(seen) == 4
    assert not any(np.array_equal(one, other) for one, other in pairwise(seen))


def test_the_command_describes_a_stored_model(tmp_path):
    MAKE["flax"](epochs=1).fit(rows()).to_pretrained("net", hub=tmp_path)
    command = [str(Path(sys.executable).with_name("dc-hub")), "info", "net", "--hub", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "jax/JaxModel" in done.stdout
