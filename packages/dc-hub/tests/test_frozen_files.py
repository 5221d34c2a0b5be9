"""Models that format 1.0 wrote once load for ever, and mean what they meant.

The files in ``data/format-1.0`` are never written again; ``write.py`` beside them made them. What
they hold stands here as literals.
"""

from __future__ import annotations

import enum
import math
import shutil
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest

from dc_core import Component, Estimator, Transformer, register_component, register_model
from dc_core.dtypes import EXTENDED, NATIVE, dtype_from_name
from dc_hub import check_golden, errors, info, load_weights, read_tensors, verify
from dc_hub import load as load_directory
from dc_hub.format.values import _Decoder

DATA = Path(__file__).parent / "data" / "format-1.0"

REVISIONS = {
    "bare": "3f0c46b6aabbe54ab50fdae38e9cae7d9c9dec64d3d404a8cb55a837f78043a6",
    "composite": "c615aab1025e2743ce244064a924b244c4885e3c556fcba7cfcaf0c933d40d6a",
    "sharded": "ac870e90782af0b23f6bce67b05c925f53fa825ca734b12a3a82748755934409",
    "tensors": "d1e6f016b3ad8c41c92983073339540d92f8628418d980c993858795d68ad0df",
    "values": "a4c2c0934e31073d95d365bc4dda0355d37bcae94f99fcae317b6fb63a18858a",
}


@register_component("frozen/Colour")
class Colour(enum.Enum):
    RED = 1
    GREEN = 2


@register_component("frozen/Letters")
class Letters(Component):
    """Counts letters: strings to numbers."""

    def __init__(self, alphabet="CNO"):
        self.alphabet = alphabet

    def featurize(self, inputs):
        return np.array([[text.count(a) for a in self.alphabet] for text in inputs], float)


@register_component("frozen/Shift")
class Shift(Transformer):
    fitted = ("mean",)

    def fit(self, dataset):
        return self

    def transform(self, dataset):
        return dataset - self.mean


@register_model("frozen/Linear")
class Linear(Estimator):
    fitted = ("coefficients", "intercept")

    def __init__(self, alpha=1.0):
        self.alpha = alpha
        self.steps = 0

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.asarray(dataset) @ self.coefficients + self.intercept

    def get_training_state(self):
        return {"steps": np.array(self.steps), "moments": np.zeros((0, 3), np.float32)}

    def set_training_state(self, state):
        assert state["moments"].shape == (0, 3)
        self.steps = int(state["steps"])


@register_model("frozen/Chain")
class Chain(Estimator):
    def __init__(self, model, featurizer, transformers=(), scale=None):
        self.model = model
        self.featurizer = featurizer
        self.transformers = transformers
        self.scale = scale

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        X = self.featurizer.featurize(dataset.tolist())
        for transformer in self.transformers:
            X = transformer.transform(X)
        return self.model.predict(X) * self.scale


@register_model("frozen/Values")
class Values(Estimator):
    """Holds arguments of every kind."""

    def __init__(self, values):
        self.values_ = values

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.zeros(len(dataset))


# The bytes of each tensor, and the numbers that they mean.
TENSORS = {
    "bool": ("010001", [True, False, True]),
    "int8": ("807fff", [-128, 127, -1]),
    "int16": ("0080ff7f", [-32768, 32767]),
    "int32": ("00000080ffffff7f", [-(2**31), 2**31 - 1]),
    "int64": ("0000000000000080ffffffffffffff7f", [-(2**63), 2**63 - 1]),
    "uint8": ("00ff", [0, 255]),
    "uint16": ("0100ffff", [1, 65535]),
    "uint32": ("01000000ffffffff", [1, 2**32 - 1]),
    "uint64": ("0100000000000000ffffffffffffffff", [1, 2**64 - 1]),
    "float16": ("003e00800100007c017e", [1.5, -0.0, 2.0**-24, math.inf, math.nan]),
    "float32": ("0000c03f0000008001000000000080ff", [1.5, -0.0, 2.0**-149, -math.inf]),
    "float64": ("9a9999999999b93f0000000000000080", [0.1, -0.0]),
    "complex64": ("0000803f000000c0", [1 - 2j]),
    "bfloat16": ("c03f0080807fc17f", [1.5, -0.0, math.inf, math.nan]),
    "float8_e4m3fn": ("3c80017e7f", [1.5, -0.0, 2.0**-9, 448.0, math.nan]),
    "float8_e4m3fnuz": ("44017f80", [1.5, 2.0**-10, 240.0, math.nan]),
    "float8_e5m2": ("3e80017b7c7f", [1.5, -0.0, 2.0**-16, 57344.0, math.inf, math.nan]),
    "float8_e5m2fnuz": ("42017f80", [1.5, 2.0**-17, 57344.0, math.nan]),
    "float8_e8m0fnu": ("7f8000ff", [1.0, 2.0, 2.0**-127, math.nan]),
}
SHAPES = {"scalar": ("float64", ()), "empty": ("float32", (0, 3)), "hollow": ("int8", (2, 0, 4))}


@register_model("frozen/Tensors")
class Tensors(Estimator):
    fitted = (*TENSORS, *SHAPES)

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.zeros(len(dataset))


class Sharded(Estimator):
    """A class of the user's own: it has no registered name."""

    fitted = ("a", "b", "c")

    def fit(self, dataset):
        return self

    def predict(self, dataset):
        return np.asarray(dataset) @ self.a


class Bare(Component):
    """What the weights of an object without a class go to."""

    fitted = ("weight",)


STORED_VALUES = {
    "array": np.array([[1, 2], [3, -4]], np.int16),
    "arrays": {"empty": np.zeros((0, 2)), "scalar": np.array(2.5, np.float32)},
    "bytes": b"\x00\xff dc",
    "complex": [complex(1.5, -2.0), complex(-0.0, math.inf)],
    "component": Letters("CH"),
    "dict": {3: "three", "b": None, "$a": {"nested": (1,)}, (1, 2): 0.5},
    "dtype": [dtype_from_name(name) for name in sorted(NATIVE | EXTENDED.keys())],
    "enum": Colour.GREEN,
    "float": [math.nan, math.inf, -math.inf],
    "int": [2**64, -(2**53), 10**308],
    "model": Linear(0.25),
    "plain": [None, True, False, 'é\n"\u2028\x7f', 0.1, -0.0, 1.0, 1, -9007199254740991, 5e-324],
    "scalar": [
        np.True_,
        np.int8(-128),
        np.int16(-32768),
        np.int32(-7),
        np.int64(-(2**63)),
        np.uint8(255),
        np.uint16(65535),
        np.uint32(7),
        np.uint64(2**64 - 1),
        np.float16(1.5),
        np.float32("inf"),
        np.float64(0.1),
        np.complex64(1j),
        np.complex128(complex(0.1, -0.0)),
        ml_dtypes.bfloat16(1.5),
        ml_dtypes.float8_e4m3fn(448),
        ml_dtypes.float8_e4m3fnuz(1.5),
        ml_dtypes.float8_e5m2(1.5),
        ml_dtypes.float8_e5m2fnuz(1.5),
        ml_dtypes.float8_e8m0fnu(2.0),
    ],
    "tuple": (1, [2.5, ()], {}),
    "type": [bool, int, float, complex, str, np.bool_, np.float32, ml_dtypes.bfloat16],
}


def same(a, b):
    if type(a) is not type(b):
        return False
    if isinstance(a, dict):
        keys = zip(a, b, strict=True) if len(a) == len(b) else [(0, 1)]
        return all(same(k, j) and same(a[k], b[j]) for k, j in keys)
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if isinstance(a, Component):
        return same(a.get_parameters(), b.get_parameters())
    if isinstance(a, np.ndarray | np.generic):
        return (a.dtype, a.shape, a.tobytes()) == (b.dtype, b.shape, b.tobytes())
    return repr(a) == repr(b) if isinstance(a, float | complex) else a == b


@pytest.fixture(params=[None, 0o666, 0o444], ids=["as checked out", "open to all", "read-only"])
def directory(request, tmp_path):
    """Return a function that gives a case's path, under file modes that a checkout may have."""
    if request.param is None:
        return DATA.joinpath
    copy = tmp_path / "data"
    shutil.copytree(DATA, copy)
    for file in copy.rglob("*.*"):
        if file.is_file():
            file.chmod(request.param)
    return copy.joinpath


@pytest.mark.parametrize("case", sorted(path.name for path in DATA.iterdir() if path.is_dir()))
def test_every_frozen_directory_is_complete_and_has_its_revision(directory, case):
    assert verify(directory(case)).revision == REVISIONS[case]
    assert info(directory(case)).revision == REVISIONS[case]


def test_every_revision_is_there_and_all_are_small():
    assert {path.name for path in DATA.iterdir() if path.is_dir()} == REVISIONS.keys()
    assert sum(file.stat().st_size for file in DATA.rglob("*") if file.is_file()) < 100_000


def test_a_composite_comes_back_with_its_parts_arrays_and_training_state(directory):
    model = load_directory(directory("composite"), cls=Chain, training=True)
    assert isinstance(model.model, Linear)
    assert (model.model.alpha, model.model.steps) == (0.5, 7)
    assert model.featurizer.alphabet == "CNO"
    assert isinstance(model.transformers, tuple)
    assert same(model.scale, np.array([2.0]))
    weights = model.get_weights()
    assert {name: array.tolist() for name, array in weights.items()} == {
        "chain/model/coefficients/0": [1.0, -0.5, 0.25],
        "chain/model/intercept/0": 0.125,
        "chain/transformers/0/mean/0": [1.0, 0.5, 0.0],
    }
    assert {array.dtype.name for array in weights.values()} == {"float64"}
    assert model.predict(np.array(["CCO"])).tolist() == [3.25]


def test_golden_rows_of_strings_and_of_numbers_are_computed_as_then(directory):
    composite = check_golden(directory("composite"), cls=Chain)
    assert (composite.passed, composite.rows, composite.rtol, composite.atol) == (True, 4, 0, 1e-9)
    rows = read_tensors(directory("composite") / "golden.safetensors")
    assert rows["inputs.utf8"].tobytes().decode() == "CCOµNN"
    assert rows["inputs.offsets"].tolist() == [0, 3, 3, 6, 7]
    assert rows["outputs"].tolist() == [3.25, -1.25, -2.25, -2.25]
    sharded = check_golden(directory("sharded"), cls=Sharded)
    assert (sharded.passed, sharded.rows, sharded.rtol, sharded.atol) == (True, 2, 1e-5, 1e-6)


def test_every_tagged_value_comes_back(directory):
    stored = info(directory("values")).params["values"]
    assert set(_tags(stored)) == set(_Decoder({}, None).tags)
    model = load_directory(directory("values"), cls=Values)
    values = model.get_parameters()["values"]
    assert values.keys() == STORED_VALUES.keys()
    for key, value in STORED_VALUES.items():
        assert same(values[key], value), key


def test_every_dtype_comes_back_bit_for_bit(directory):
    model = load_directory(directory("tensors"), cls=Tensors)
    assert TENSORS.keys() == (NATIVE | EXTENDED.keys()) - {"complex128"}
    for name, (bits, numbers) in TENSORS.items():
        array = model[f"tensors/{name}/0"]
        assert array.dtype == dtype_from_name(name)
        assert array.tobytes().hex() == bits
        assert list(map(repr, array.astype(_wide(array)).tolist())) == list(map(repr, numbers))


def test_scalars_and_empty_tensors_come_back_with_their_shapes(directory):
    model = load_directory(directory("tensors"), cls=Tensors)
    for name, (dtype, shape) in SHAPES.items():
        array = model[f"tensors/{name}/0"]
        assert (array.dtype.name, array.shape) == (dtype, shape)
    assert model["tensors/scalar/0"] == 2.5


def test_sharded_weights_of_the_users_own_class_come_back(directory):
    path = directory("sharded")
    assert sorted(file.name for file in path.glob("model*")) == [
        "model-00001-of-00002.safetensors",
        "model-00002-of-00002.safetensors",
        "model.safetensors.index.json",
    ]
    model = load_directory(path, cls=Sharded)
    assert {name: array.tolist() for name, array in model.items()} == {
        "sharded/a/0": [1.0, 2.0, 3.0, 4.0],
        "sharded/b/0": [[1, 2, 3], [4, 5, 6]],
        "sharded/c/0": [0.5] * 9,
    }
    with pytest.raises(errors.UnknownClass, match="local/Sharded"):
        load_directory(path)


@pytest.mark.parametrize("by", ["weight/0", "layer.weight", "layer.tied"])
def test_weights_of_an_object_without_a_class_go_to_one_of_the_users(directory, by):
    stored = info(directory("bare"))
    assert (stored.cls, stored.backend) == (None, None)
    assert stored.weights["bare/weight/0"].aliases == ("layer.tied",)
    into = load_weights(directory("bare"), Bare(), rename={by: "weight/0"})
    assert same(into.weight, np.array([[1.0, -2.0]], np.float32))


def _tags(value):
    """Yield the tags in stored arguments, at every depth."""
    if isinstance(value, dict):
        yield from (key for key in value if key.startswith("$"))
    for item in value.values() if isinstance(value, dict) else value:
        if isinstance(item, dict | list):
            yield from _tags(item)


def _wide(array):
    """Return a dtype whose items are Python's numbers, for those of the 8- and 16-bit floats."""
    return np.float32 if array.dtype.name in EXTENDED else array.dtype
