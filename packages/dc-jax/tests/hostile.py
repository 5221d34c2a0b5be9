"""Give modules, components and trainings what files can hold: changed arrays and arguments.

    hostile.py <how many cases of each kind>

Prints each fault (another error than a typed one, a partly changed object, more than ten seconds of
CPU time) and then the numbers of cases, refusals and exact imports. The process may use 8 GiB of
address space.
"""

import random
import resource
import runpy
import sys
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import jax
import numpy as np
from flax import nnx

from dc_core import DCError, NumpyDataset, byte_budget, plugins
from dc_core.errors import TrainingStateError
from dc_jax import JaxModel

LIMIT = 8 << 30
SECONDS = 10
NETWORKS = runpy.run_path(str(Path(__file__).with_name("networks.py")))
MODULES = {
    "flax": lambda seed: NETWORKS["FlaxNetwork"](4, 2, seed=seed),
    "equinox": lambda seed: NETWORKS["EquinoxNetwork"](4, 2, seed=seed),
    "jax": lambda seed: NETWORKS["pytree"](4, 2, seed=seed),
}
VALUES = [
    *(0, -1, 1, 3, 2**16, 2**31, 2**40, 2**62, 2**70, -(2**62), 0.5, float("nan"), True, None),
    *(
        "x",
        b"x",
        (),
        [2**62],
        {"a": 1},
        np.zeros(2, np.uint32),
        np.zeros(2),
        np.zeros((9, 2), "u4"),
    ),
]


def changed_array(rng, array):
    """Return another array, or what is none."""
    flat = np.array(array).reshape(-1)
    kind = rng.randrange(10)
    if kind == 0:
        return array.astype(rng.choice(["f2", "f4", "f8", "i4", "u1", "c8"]))
    if kind == 1:
        return array[None]
    if kind == 2:
        return array.reshape(-1)[: rng.randrange(max(1, array.size))]
    if kind == 3:
        return array.astype(array.dtype.newbyteorder())
    if kind == 4:
        return array.astype(object)
    if kind == 5:
        return array.tolist()
    if kind == 6:
        return np.zeros((0, 2**40), array.dtype)
    if flat.size:
        if array.dtype.kind == "f":
            edges = [0, 1, -1, np.inf, np.nan, 1e38]
        elif array.dtype.kind == "b":
            edges = [False, True]
        else:
            limits = np.iinfo(array.dtype)
            edges = [0, 1, limits.max, limits.min]
        flat[rng.randrange(flat.size)] = rng.choice(edges)
    return flat.reshape(array.shape)


def changed_mapping(rng, arrays):
    """Return arrays of which one is missing, added, renamed or changed."""
    given = dict(arrays)
    name = rng.choice(sorted(given))
    kind = rng.randrange(8)
    if kind == 0:
        del given[name]
    elif kind == 1:
        given[rng.choice(["x/0", "", "../x", name + "/0", "0" * 600])] = np.zeros(2)
    elif kind == 2:
        given[name + rng.choice([".", "/", "\0"])] = given.pop(name)
    else:
        given[name] = changed_array(rng, given[name])
    return given


def same(first, second):
    return first.keys() == second.keys() and all(
        array.tobytes() == second[name].tobytes() and array.dtype == second[name].dtype
        for name, array in first.items()
    )


def weights(rng, count):
    """Import changed weights: each is imported exactly, or refused and nothing changes."""
    made = {name: make(1) for name, make in MODULES.items()}
    exported = {name: plugins.claim(obj).export_weights() for name, obj in made.items()}
    for i in range(count):
        name = list(MODULES)[i % 3]
        given = changed_mapping(rng, exported[name])
        target = MODULES[name](0) if i % 30 < 3 else made[name]
        before = plugins.claim(target).export_weights()

        def case(target=target, given=given, before=before):
            try:
                loaded = plugins.claim(target).import_weights(given)
            except DCError:
                if not same(before, plugins.claim(target).export_weights()):
                    raise AssertionError("it was refused and changed") from None
                raise
            if not same(given, plugins.claim(loaded).export_weights()):
                raise AssertionError("it was not imported exactly")

        yield case, ("weights", name)


def components(rng, count):
    """Build keys, streams and modules from changed arguments."""
    key = plugins.backend("jax").describe_component(jax.random.key(0))
    rngs = plugins.backend("flax").describe_component(nnx.Rngs(0, dropout=1))
    for _ in range(count):
        name, params = rng.choice([key, rngs])
        params = {k: dict(v) if isinstance(v, dict) else v for k, v in params.items()}
        place = rng.choice([params, *(v for v in params.values() if isinstance(v, dict))])
        names = [*place, "", "self", "__class__", "default.x", "params"]
        place[rng.choice(names)] = rng.choice(VALUES)
        backend = plugins.backend(name.partition("/")[0])
        yield (lambda b=backend, n=name, p=params: b.build_component(n, p)), (name, params)


def sizes(rng, count):
    """Build modules of absurd sizes without their weights."""
    for _ in range(count):
        name = rng.choice(["FlaxNetwork", "EquinoxNetwork", "pytree"])
        args = [rng.choice([1, 4, 2**20, 2**31, 2**40, 0]) for _ in range(3)]

        def case(name=name, args=args):
            backend = plugins.backend("jax")
            # What the module's constructor raises, the hub makes a typed error.
            with suppress(ArithmeticError, TypeError, ValueError):
                backend.skeleton(lambda: NETWORKS[name](*args))

        yield case, (name, args)


def states(rng, count):
    """Resume from changed states of trainings."""
    X = np.random.default_rng(0).normal(size=(12, 4)).astype(np.float32)
    data = NumpyDataset(X, X[:, :2])
    for name, make in MODULES.items():
        first = JaxModel(make(0), batch_size=6, epochs=3, average="ema")
        first.fit(data, valid=data, epochs=1)
        state, arrays = first.get_training_state(), first.get_weights()
        second = JaxModel(make(0), batch_size=6, epochs=2, average="ema")
        for i in range(count // 3):
            given = changed_mapping(rng, state)

            def case(second=second, given=given, arrays=arrays, runs=i % 20 == 0):
                second.set_weights(arrays)
                before = second.get_training_state()
                try:
                    second.set_training_state(given)
                except TrainingStateError:
                    if not same(before, second.get_training_state()):
                        raise AssertionError("it was refused and changed") from None
                    raise
                if runs:
                    second.fit(data, valid=data, resume=True, epochs=1)

            yield case, ("state", name)


def main(count):
    resource.setrlimit(resource.RLIMIT_AS, (LIMIT, LIMIT))
    rng = random.Random(0)
    counts = Counter()
    for kind in (weights, components, sizes, states):
        for case, shown in kind(rng, count):
            counts["cases"] += 1
            started = time.process_time()
            try:
                with byte_budget(64 << 20):
                    case()
                counts["taken"] += 1
            except DCError:
                counts["refused"] += 1
            except Exception as error:  # noqa: BLE001 - any other error is what is looked for
                print("fault", shown, type(error).__name__, str(error)[:300], flush=True)
            if time.process_time() - started > SECONDS:
                print("fault", shown, "slow", flush=True)
    print(*(f"{what} {number}" for what, number in sorted(counts.items())))


if __name__ == "__main__":
    main(int(sys.argv[1]))
