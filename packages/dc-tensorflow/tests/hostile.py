"""Change stored configs of Keras models at random, and build them as loading does.

    hostile.py <cases> <seed>

Prints each fault (another error than a typed one, more than ten seconds) and then the counts. The
process may use 2 GiB more than its libraries take, and ends after 100 seconds.
"""

import copy
import os
import random
import resource
import sys
import time
from pathlib import Path

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras

from dc_core import DCError, byte_budget, plugins

VALUES = [
    *(0, -1, 1, 2, 7, 2**12, 2**31, 2**62, 2**70, 0.5, float("nan"), float("inf"), True, None),
    *("", "x", "os.system", "keras", "float32", [], [2**40], [1] * 100, {}, {"a": 1}),
    {"class": "layers/Dense", "config": {"units": 2}},
    {"class": "layers/Lambda", "config": {}},
    {"class_name": "Lambda", "config": {}, "module": "keras.layers"},
    {"tensor": ["dense", 0, 0], "of": [[None, 3], "float32"]},
    {"slice": [0, 2**62, 1]},
    {"function": "builtins>eval"},
]
LAYERS = keras.layers


def models():
    rest = [LAYERS.BatchNormalization(), LAYERS.Dropout(0.1), LAYERS.Dense(2)]
    yield keras.Sequential([keras.Input((3,)), LAYERS.Dense(4, "relu"), *rest])
    image = keras.Input((8, 8, 1))
    x = LAYERS.Conv2D(2, 3, padding="same")(image)
    x = LAYERS.MaxPooling2D()(LAYERS.ZeroPadding2D()(LAYERS.UpSampling2D()(x)))
    x = LAYERS.Flatten()(x)
    yield keras.Model(image, LAYERS.Dense(1)(x) + LAYERS.Dense(1)(x))
    tokens = keras.Input((5,), dtype="int32")
    x = LAYERS.Embedding(7, 4)(tokens)
    x = x + LAYERS.MultiHeadAttention(2, 3)(x, x)
    yield keras.Model(tokens, LAYERS.GRU(2)(x))


def places(value, path=()):
    yield path
    if isinstance(value, dict | list):
        for key, item in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(item, (*path, key))


def changed(params, rng):
    made = copy.deepcopy(params)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        path = rng.choice([path for path in places(made) if path])
        owner = made
        for key in path[:-1]:
            owner = owner[key]
        action = rng.random()
        if action < 0.15 and isinstance(owner, dict):
            del owner[path[-1]]
        elif action < 0.25 and isinstance(owner, list):
            owner.insert(path[-1], copy.deepcopy(owner[path[-1]]))
        elif action < 0.35 and isinstance(owner, dict):
            owner[rng.choice(("self", "name", "cls", "config", "class", "module", "zzz"))] = 1
        else:
            owner[path[-1]] = copy.deepcopy(rng.choice(VALUES))
    return made


def main(cases, seed):
    rng = random.Random(seed)
    backend = plugins.backend("keras")
    described = [backend.describe_component(model) for model in models()]
    used = int(Path("/proc/self/status").read_text().split("VmSize:")[1].split()[0]) << 10
    resource.setrlimit(resource.RLIMIT_AS, (used + (2 << 30),) * 2)
    counts = {"built": 0, "refused": 0, "faults": 0}
    end = time.monotonic() + 100
    for _ in range(cases):
        if time.monotonic() > end:
            break
        name, params = rng.choice(described)
        case = changed(params, rng)
        started = time.monotonic()
        try:
            with byte_budget(64 << 20):
                backend.skeleton(lambda n=name, c=case: backend.build_component(n, c))
            counts["built"] += 1
        except DCError:
            counts["refused"] += 1
        except Exception as error:  # noqa: BLE001 - any other error is what is looked for
            counts["faults"] += 1
            print("fault", type(error).__name__, str(error)[:200], case, flush=True)
        if time.monotonic() - started > 10:
            print("fault", "slow", time.monotonic() - started, case, flush=True)
    print(*(f"{name} {count}" for name, count in counts.items()))


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
