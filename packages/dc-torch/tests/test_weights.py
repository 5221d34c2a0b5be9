"""A module's weights as named arrays: what the conformance kit does not try."""

import subprocess
import sys

import numpy as np
import pytest
import safetensors.torch
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from dc_core import dtype_name, plugins
from dc_core.errors import NotSerializable, StructureError, WeightsMismatch
from dc_torch import MultitaskRegressor

FLOATS_OF_EIGHT_BITS = [
    torch.float8_e4m3fn,
    torch.float8_e5m2,
    torch.float8_e4m3fnuz,
    torch.float8_e5m2fnuz,
]
DTYPES = [
    torch.bool,
    torch.uint8,
    torch.int8,
    torch.int16,
    torch.int32,
    torch.int64,
    torch.uint16,
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
    *FLOATS_OF_EIGHT_BITS,
]


class Holder(nn.Module):
    def __init__(self, **tensors):
        super().__init__()
        for name, tensor in tensors.items():
            if isinstance(tensor, nn.Parameter):
                self.register_parameter(name, tensor)
            else:
                self.register_buffer(name, tensor)


def holder_of(module):
    return plugins.claim(module)


def tensor_of(raw, dtype, shape):
    """Return the tensor whose memory holds the bytes ``raw``."""
    if not raw:
        return torch.empty(shape, dtype=dtype)
    return torch.frombuffer(bytearray(raw), dtype=dtype).reshape(shape)


@given(
    dtype=st.sampled_from(DTYPES),
    shape=st.lists(st.integers(0, 3), max_size=3).map(tuple),
    copy=st.booleans(),
    seed=st.integers(0, 2**32),
)
def test_any_dtype_and_shape_round_trips_to_the_bit(dtype, shape, copy, seed):
    size = int(np.prod(shape)) * dtype.itemsize
    raw = np.random.default_rng(seed).integers(0, 2 if dtype == torch.bool else 256, size)
    raw = raw.astype(np.uint8).tobytes()
    first, second = Holder(x=tensor_of(raw, dtype, shape)), Holder(x=torch.zeros(shape).to(dtype))
    array = holder_of(first).export_weights(copy=copy)["0"]
    assert dtype_name(array.dtype) == str(dtype).removeprefix("torch.")
    assert array.shape == shape
    assert array.tobytes() == raw
    holder_of(second).import_weights({"0": array}, copy=copy)
    assert second.x.dtype == dtype
    assert holder_of(second).export_weights()["0"].tobytes() == raw


WITHOUT_ML_DTYPES = """
import sys
import dc_core.dtypes
dc_core.dtypes.find_spec = lambda name: None
import numpy as np, torch
from dc_core import plugins
assert "ml_dtypes" not in sys.modules
for dtype, size in ((torch.bfloat16, 2), (torch.float8_e4m3fn, 1)):
    modules = [torch.nn.Module(), torch.nn.Module()]
    values = torch.tensor([[1.5, -2.0]]), torch.zeros(1, 2)
    for module, value in zip(modules, values):
        module.register_buffer("x", value.to(dtype))
        module.register_buffer("scalar", value.to(dtype)[0, 0])
    arrays = plugins.claim(modules[0]).export_weights()
    print(arrays["0"].dtype.names, arrays["0"].dtype.itemsize == size, arrays["1"].shape)
    plugins.claim(modules[1]).import_weights(arrays)
    print(modules[1].x.float().tolist(), modules[1].scalar.item())
"""


def test_dtypes_that_numpy_lacks_are_exact_without_ml_dtypes():
    ran = subprocess.run([sys.executable, "-c", WITHOUT_ML_DTYPES], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines() == [
        "('bfloat16',) True ()",
        "[[1.5, -2.0]] 1.5",
        "('float8_e4m3fn',) True ()",
        "[[1.5, -2.0]] 1.5",
    ]


def test_parameters_come_before_buffers_and_layers_are_numbered():
    module = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    module.register_parameter("scale", nn.Parameter(torch.ones(1)))
    table = holder_of(module).describe_weights()
    assert {name: info.native for name, info in table.items()} == {
        "0": "scale",
        "0/0": "0.weight",
        "0/1": "0.bias",
        "1/0": "1.weight",
        "1/1": "1.bias",
        "1/2": "1.running_mean",
        "1/3": "1.running_var",
        "1/4": "1.num_batches_tracked",
    }


def test_native_names_are_the_keys_of_the_state_dict(tmp_path):
    module, other = nn.LSTM(3, 4, num_layers=2), nn.LSTM(3, 4, num_layers=2)
    holder = holder_of(module)
    arrays, table = holder.export_weights(), holder.describe_weights()
    tensors = {info.native: torch.from_numpy(arrays[name]) for name, info in table.items()}
    safetensors.torch.save_file(tensors, tmp_path / "model.safetensors")
    other.load_state_dict(safetensors.torch.load_file(tmp_path / "model.safetensors"))
    x = torch.ones(2, 1, 3)
    assert torch.equal(module(x)[0], other(x)[0])


class Omitting(nn.Linear):
    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination.pop(f"{prefix}offset", None)


def omitting():
    module = Omitting(2, 2)
    module.register_buffer("offset", torch.ones(2))
    return nn.Sequential(module)


def dropping_a_buffer():
    module = nn.Sequential(nn.BatchNorm1d(3))

    def drop(module, state, prefix, metadata):
        del state["0.running_mean"]

    module.register_state_dict_post_hook(drop)
    return module


def shadowed():
    module = nn.BatchNorm1d(3)
    kept = module.state_dict
    module.state_dict = lambda *args, **kwargs: {
        name: value for name, value in kept(*args, **kwargs).items() if name != "running_var"
    }
    return module


STATEFUL = {
    "layers": lambda: nn.Sequential(nn.BatchNorm1d(3), nn.GRU(3, 2), nn.MultiheadAttention(4, 2)),
    "nothing": lambda: nn.BatchNorm1d(3, affine=False, track_running_stats=False),
    "parametrization": lambda: nn.utils.parametrizations.weight_norm(nn.Linear(2, 2)),
    "hook": dropping_a_buffer,
    "class": omitting,
    "attribute": shadowed,
}


@pytest.mark.parametrize("kind", STATEFUL)
def test_exactly_the_entries_of_the_state_dict_are_weights_whatever_made_it(kind):
    module = STATEFUL[kind]()
    names = [info.native for info in holder_of(module).describe_weights().values()]
    assert sorted(names) == sorted(module.state_dict())


def test_load_state_dict_reads_tied_weights_with_strict_false():
    def tied():
        module = nn.Sequential(nn.Linear(3, 3), nn.Linear(3, 3))
        module[1].weight = module[0].weight
        return module

    module, other = tied(), tied()
    table = holder_of(module).describe_weights()
    tensors = {
        table[name].native: torch.from_numpy(array)
        for name, array in holder_of(module).export_weights().items()
    }
    loaded = other.load_state_dict(tensors, strict=False)
    assert (loaded.missing_keys, loaded.unexpected_keys) == (["1.weight"], [])
    assert torch.equal(module(torch.eye(3)), other(torch.eye(3)))


def test_describing_works_on_the_meta_device():
    def build():
        module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2), nn.Linear(2, 2))
        module[2].weight = module[0].weight
        module[2].bias = nn.Parameter(module[0].bias.data)
        return module

    with torch.device("meta"):
        on_meta = build()
    assert holder_of(on_meta).describe_weights() == holder_of(build()).describe_weights()


def test_parameters_with_the_same_memory_are_one_weight():
    module = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    module[1].weight = nn.Parameter(module[0].weight.data)
    table = holder_of(module).describe_weights()
    assert table["0/0"].aliases == ("1.weight",)
    holder_of(module).import_weights(
        {name: np.full(info.shape, 2, np.float32) for name, info in table.items()}, copy=False
    )
    assert module[0].weight.data_ptr() == module[1].weight.data_ptr()
    assert module[1].weight.eq(2).all()


def test_different_views_of_the_same_memory_are_exported_separately():
    memory = torch.arange(6.0)
    arrays = holder_of(Holder(x=memory[:4], y=memory[2:], z=memory[::2])).export_weights()
    assert arrays["0"].tolist() == [0, 1, 2, 3]
    assert arrays["1"].tolist() == [2, 3, 4, 5]
    assert arrays["2"].tolist() == [0, 2, 4]


def test_overlapping_weights_that_contradict_each_other_are_refused():
    memory = torch.arange(6.0)
    module = Holder(x=memory[:4], y=memory[2:], z=torch.zeros(1))
    given = holder_of(module).export_weights()
    given["0"][3] = 7
    given["2"][0] = 1
    with pytest.raises(StructureError, match=r"'0'.*shares memory"):
        holder_of(module).import_weights(given)
    assert memory.tolist() == [0, 1, 2, 3, 4, 5]
    assert module.z.item() == 0
    given["1"][1] = 7
    holder_of(module).import_weights(given)
    assert memory.tolist() == [0, 1, 2, 7, 4, 5]


def test_an_expanded_buffer_takes_different_values():
    module = Holder(x=torch.zeros(1).expand(3))
    holder_of(module).import_weights({"0": np.arange(3, dtype=np.float32)})
    assert module.x.tolist() == [0, 1, 2]


@pytest.mark.parametrize("copy", [True, False])
def test_lazily_conjugated_weights_are_exported_by_value(copy):
    values = torch.tensor([1 + 2j, 3 - 1j])
    module = Holder(x=values.conj(), y=values.conj().imag)
    arrays = holder_of(module).export_weights(copy=copy)
    assert arrays["0"].tolist() == [1 - 2j, 3 + 1j]
    assert arrays["1"].tolist() == [-2, 1]


def test_an_export_without_copying_shares_memory():
    module = nn.Linear(2, 2)
    array = holder_of(module).export_weights(copy=False)["0"]
    with torch.no_grad():
        module.weight.fill_(5)
    assert (array == 5).all()
    assert not isinstance(array, torch.Tensor)


def placed(array, offset):
    """Return a copy of ``array`` whose memory begins ``offset`` bytes after a multiple of 64."""
    memory = np.zeros(array.nbytes + 128, np.uint8)
    start = -memory.ctypes.data % 64 + offset
    copy = memory[start : start + array.nbytes].view(array.dtype).reshape(array.shape)
    copy[...] = array
    return copy


def test_the_alignment_of_arrays_does_not_change_predictions():
    def build():
        return MultitaskRegressor(1, 8, seed=1)

    x = np.random.default_rng(0).normal(size=(30, 8)).astype(np.float32)
    model = build()
    weights, expected = model.export_weights(), model.predict(x)
    for offset in range(0, 64, 4):
        moved = plugins.backend("torch").skeleton(build)
        moved.import_weights({n: placed(a, offset) for n, a in weights.items()}, copy=False)
        assert np.array_equal(moved.predict(x), expected)
        assert np.array_equal(moved.predict(placed(x, offset)), expected)


def test_an_import_without_copying_keeps_the_arrays():
    module = nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2))
    given = {name: placed(a, 0) for name, a in holder_of(module).export_weights().items()}
    holder_of(module).import_weights(given, copy=False)
    kept = holder_of(module).export_weights(copy=False)
    assert all(np.shares_memory(kept[name], array) for name, array in given.items())


@pytest.mark.parametrize("copy", [True, False])
def test_an_optimizer_continues_with_imported_weights(copy):
    module = nn.Linear(2, 1)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.5)
    parameter = module.weight
    given = {"0": np.ones((1, 2), np.float32), "1": np.zeros(1, np.float32)}
    holder_of(module).import_weights(given, copy=copy)
    assert module.weight is parameter
    module(torch.ones(1, 2)).sum().backward()
    optimizer.step()
    assert module.weight.tolist() == [[0.5, 0.5]]


def test_importing_records_no_gradient():
    module = nn.Linear(2, 1)
    holder_of(module).import_weights(holder_of(module).export_weights())
    assert module.weight.grad is None
    assert module.weight.is_leaf
    assert module.weight.requires_grad


def test_memory_formats_are_kept():
    module = nn.Conv2d(3, 4, 3).to(memory_format=torch.channels_last)
    stride = module.weight.stride()
    weights = holder_of(module).export_weights()
    assert weights["0"].flags.c_contiguous
    for copy in (True, False):
        holder_of(module).import_weights(weights, copy=copy)
        assert module.weight.stride() == stride


def test_missing_weights_of_a_meta_module_keep_no_values():
    with torch.device("meta"):
        module = nn.Linear(2, 1)
    holder_of(module).import_weights({"0": np.ones((1, 2), np.float32)}, {"1"})
    assert not module.weight.is_meta
    assert module.bias.is_meta
    assert list(holder_of(module).export_weights()) == ["0"]
    with pytest.raises(NotSerializable, match=r"bias.*meta"):
        holder_of(module).export_weights(["1"])


def test_a_meta_module_takes_nothing_if_something_does_not_fit():
    with torch.device("meta"):
        module = nn.Linear(2, 1)
    with pytest.raises(WeightsMismatch):
        holder_of(module).import_weights(
            {"0": np.ones((1, 2), np.float32), "1": np.zeros(2, np.float32)}, copy=False
        )
    assert module.weight.is_meta
    assert module.bias.is_meta


class WithExtraState(nn.Linear):
    def get_extra_state(self):
        return {"steps": object()}

    def set_extra_state(self, state):
        pass


class WithoutSetter(nn.Linear):
    def get_extra_state(self):
        return 1


class Subclass(torch.Tensor):
    pass


def hiding():
    module = nn.Linear(2, 2)

    def hide(module, state, prefix, metadata):
        del state["bias"]

    module.register_state_dict_post_hook(hide)
    return module


UNSTORABLE = {
    "extra state": (lambda: nn.Sequential(WithExtraState(2, 2)), "0._extra_state"),
    "extra state without a setter": (
        lambda: nn.Sequential(WithoutSetter(2, 2)),
        "0._extra_state",
    ),
    "hidden": (hiding, "bias"),
    "sparse": (lambda: Holder(x=torch.eye(3).to_sparse()), "x"),
    "sparse rows": (lambda: Holder(x=torch.eye(3).to_sparse_csr()), "x"),
    "lazy": (lambda: nn.Sequential(nn.LazyLinear(3)), "0.weight"),
    "subclass": (lambda: Holder(x=torch.zeros(2).as_subclass(Subclass)), "x"),
    "half complex": (lambda: Holder(x=torch.zeros(2, dtype=torch.complex32)), "x"),
}


@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta")
@pytest.mark.filterwarnings("ignore:ComplexHalf support is experimental")
@pytest.mark.parametrize("kind", UNSTORABLE)
def test_weights_that_cannot_be_stored_are_refused_by_name(kind):
    build, entry = UNSTORABLE[kind]
    module = build()
    for call in ("describe_weights", "export_weights"):
        with pytest.raises(NotSerializable) as caught:
            getattr(holder_of(module), call)()
        assert repr(entry) in str(caught.value)
    with pytest.raises(NotSerializable):
        holder_of(module).import_weights({})
