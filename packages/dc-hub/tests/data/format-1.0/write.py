"""Write the frozen models of format 1.0. They were written once; nothing is overwritten.

A later format gets a folder of its own. Needs an environment in which dc-hub's tests run.
"""

import importlib.util
from pathlib import Path

import numpy as np

from dc_core.dtypes import dtype_from_name
from dc_hub import Golden, save
from dc_hub.format.record import Record, StoredWeight
from dc_hub.hubs.staging import Staging
from dc_hub.publishing.card import model_card
from dc_hub.publishing.models import Prepared

HERE = Path(__file__).parent
SPEC = importlib.util.spec_from_file_location("frozen", HERE.parents[1] / "test_frozen_files.py")
frozen = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(frozen)


def composite(path):
    linear = frozen.Linear(0.5)
    linear.coefficients, linear.intercept = np.array([1.0, -0.5, 0.25]), np.array(0.125)
    linear.steps = 7
    shift = frozen.Shift()
    shift.mean = np.array([1.0, 0.5, 0.0])
    model = frozen.Chain(linear, frozen.Letters("CNO"), (shift,), scale=np.array([2.0]))
    metadata = {"task": "regression", "units": "kcal/mol", "licence": "CC0-1.0", "year": 2025}
    golden = Golden(["CCO", "", "µN", "N"], rtol=0.0, atol=1e-9)
    save(model, path, metadata=metadata, golden=golden, training=True)


def values(path):
    save(frozen.Values(frozen.STORED_VALUES), path)


def tensors(path):
    model = frozen.Tensors()
    for name, (bits, _) in frozen.TENSORS.items():
        setattr(model, name, np.frombuffer(bytes.fromhex(bits), dtype_from_name(name)))
    for name, (dtype, shape) in frozen.SHAPES.items():
        setattr(model, name, np.full(shape, 2.5 if name == "scalar" else 0, dtype))
    save(model, path)


def sharded(path):
    model = frozen.Sharded()
    model.a = np.array([1.0, 2.0, 3.0, 4.0])
    model.b = np.array([[1, 2, 3], [4, 5, 6]], np.int32)
    model.c = np.full(9, 0.5, np.float16)
    save(model, path, golden=np.eye(4)[:2], shard_size=64)


def bare(path):
    weights = {"layer.weight": np.array([[1.0, -2.0]], np.float32)}
    names = {"bare/weight/0": StoredWeight("layer.weight", ("layer.tied",))}
    record = Record(None, 1, None, {}, names)
    card = model_card(record, weights).encode()
    with Staging(path.parent) as staging:
        Prepared(record.to_bytes(), card, weights, {}, 1 << 20).write(staging)
        staging.seal()
        staging.move_to(path)


for write in (composite, values, tensors, sharded, bare):
    if (HERE / write.__name__).exists():
        raise SystemExit(f"{HERE / write.__name__} is frozen.")
    write(HERE / write.__name__)
