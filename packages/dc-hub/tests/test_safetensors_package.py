"""Weights files and the ``safetensors`` package: each reads what the other writes."""

from __future__ import annotations

import sys

import ml_dtypes
import numpy as np
import pytest

from dc_hub.errors import HubError
from dc_hub.format.header import CODES
from dc_hub.format.tensors import TensorFile, read_tensors, write_tensors

safetensors = pytest.importorskip("safetensors", reason="needs the package safetensors")

NATIVE = sorted(name for name in CODES.values() if hasattr(np, name))


def tensors(names, seed=0):
    rng = np.random.default_rng(seed)
    made = {}
    for i, name in enumerate(names):
        dtype = np.dtype(getattr(ml_dtypes, name, name))
        for shape in ((), (0, 2), (3,), (2, 1, i + 1)):
            raw = rng.integers(0, 2 if name == "bool" else 256, (*shape, dtype.itemsize), np.uint8)
            made[f"layer{i}.{name}.{len(shape)}"] = raw.view(dtype)[..., 0]
    return made


def equal(a, b):
    return a.shape == b.shape and a.dtype == b.dtype and a.tobytes() == b.tobytes()


def save(path, arrays, metadata=None):
    with path.open("wb") as file:
        write_tensors(file, arrays, metadata)


@pytest.fixture
def known(tmp_path):
    """The dtypes that the installed release knows: the newest ones came with later releases."""

    def is_known(name):
        save(tmp_path / name, tensors([name]))
        try:
            with safetensors.safe_open(tmp_path / name, "np") as file:
                return bool(file.keys())
        except safetensors.SafetensorError:
            return False

    found = {name for name in CODES.values() if is_known(name)}
    young = {"complex64", "float8_e8m0fnu", "float8_e4m3fnuz", "float8_e5m2fnuz"}
    assert found >= set(CODES.values()) - young
    return found


def test_the_package_reads_what_is_written_here(tmp_path, known):
    from safetensors.numpy import load_file

    made = tensors([name for name in NATIVE if name in known])
    made["f"] = np.asfortranarray(np.arange(6.0).reshape(2, 3))
    save(tmp_path / "w", made, {"format": "np", "b": "é"})
    back = load_file(tmp_path / "w")
    assert back.keys() == made.keys()
    assert all(equal(back[name], made[name]) for name in made)
    with safetensors.safe_open(tmp_path / "w", "np") as file:
        assert file.metadata() == {"format": "np", "b": "é"}


def test_what_the_package_writes_is_read_here(tmp_path):
    from safetensors.numpy import save_file

    made = tensors([name for name in NATIVE if name != "complex64"])
    save_file(made, tmp_path / "w", {"format": "np"})
    with TensorFile.open(tmp_path / "w") as file:
        assert file.metadata == {"format": "np"}
        assert file.keys() == made.keys()
        assert all(equal(file[name], made[name]) for name in made)
    back = read_tensors(tmp_path / "w")
    assert all(equal(back[name], made[name]) for name in made)


def test_torch_reads_what_is_written_here_and_the_other_way_round(tmp_path, known):
    torch = pytest.importorskip("torch", reason="needs torch")
    from safetensors.torch import load_file, save_file

    dtypes = {name: getattr(torch, name) for name in sorted(known) if hasattr(torch, name)}
    assert {"bfloat16", "float8_e4m3fn", "float8_e5m2"} <= dtypes.keys()
    made = tensors(dtypes)
    save(tmp_path / "ours", made)
    loaded = load_file(tmp_path / "ours")
    assert loaded.keys() == made.keys()
    for name, tensor in loaded.items():
        assert tensor.dtype == dtypes[name.split(".")[1]]
        raw = tensor.contiguous().view(-1).view(torch.uint8) if tensor.numel() else tensor
        assert raw.numpy().tobytes() == made[name].tobytes() if tensor.numel() else True
    # Older releases read the wide unsigned integers and write them not.
    wide = {torch.uint16, torch.uint32, torch.uint64}
    saved = {name: tensor for name, tensor in loaded.items() if tensor.dtype not in wide}
    save_file(saved, tmp_path / "theirs")
    back = read_tensors(tmp_path / "theirs")
    assert back.keys() == saved.keys()
    assert all(equal(back[name], made[name]) for name in saved)


def test_a_module_loads_its_weights_from_the_file_without_this_project(tmp_path):
    torch = pytest.importorskip("torch", reason="needs torch")
    from safetensors.torch import load_file

    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.BatchNorm1d(4))
    state = {name: tensor.numpy() for name, tensor in module.state_dict().items()}
    save(tmp_path / "w", state, {"format": "pt"})
    module.load_state_dict(load_file(tmp_path / "w"))


def test_the_package_accepts_no_file_that_is_refused_here_for_its_structure(tmp_path):
    """Ours is the stricter reader: whatever it accepts, the package accepts."""
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    save(tmp_path / "w", tensors(["float32", "uint8", "bool"]))
    data = (tmp_path / "w").read_bytes()
    rng = np.random.default_rng(0)
    outcomes = {}
    for _ in range(300):
        changed = bytearray(data)
        place = int(rng.integers(0, 8 + int.from_bytes(data[:8], "little")))
        changed[place] ^= 1 << int(rng.integers(8))
        (tmp_path / "w").write_bytes(changed)
        try:
            ours = read_tensors(tmp_path / "w")
        except HubError:
            ours = None
        try:
            theirs = load_file(tmp_path / "w")
        except (SafetensorError, KeyError, AttributeError):
            theirs = None
        outcomes[ours is None, theirs is None] = True
        if ours is not None:
            assert theirs is not None
            assert all(equal(ours[name], theirs[name]) for name in ours)
    assert outcomes.keys() >= {(True, True), (False, False)}


def test_neither_package_nor_torch_is_loaded_to_read_a_file():
    import subprocess

    code = "import sys, dc_hub.format.tensors, dc_hub.format.shards; print(*sys.modules)"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"safetensors", "torch", "ml_dtypes", "jax"} & set(run.stdout.split())
