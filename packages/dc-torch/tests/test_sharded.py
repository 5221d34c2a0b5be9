"""Weights that FSDP2 spreads over processes are read and set as a whole."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from torch import distributed, nn

from dc_core import plugins
from dc_core.errors import NotSerializable, WeightsMismatch

if not distributed.is_available() or not distributed.is_gloo_available():
    pytest.skip("torch was built without gloo", allow_module_level=True)


def net(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(3, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))


def sharded(module):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cpu", (distributed.get_world_size(),))
    return fully_shard(module, mesh=mesh)


def holder(module):
    return plugins.claim(module)


def equal(first, second):
    return all(np.array_equal(first[name], second[name]) for name in {**first, **second})


def check(rank, world, path):
    """Pass weights between a module and a sharded one, in one of several processes."""
    store = distributed.FileStore(path, world)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=world)
    try:
        plain, module = net(0), sharded(net(rank + 1))
        weights = holder(plain).export_weights()
        assert holder(module).describe_weights() == holder(plain).describe_weights()
        holder(module).import_weights(weights)
        local = module[0].weight.to_local()
        assert sum(p.numel() for p in module.parameters()) == sum(
            p.numel() for p in plain.parameters()
        )
        assert len(local) < 5 or world == 1
        assert equal(holder(module).export_weights(), weights)
        x = torch.linspace(-1, 1, 12).reshape(4, 3)
        with torch.no_grad():
            torch.testing.assert_close(module.eval()(x), plain.eval()(x))
        before = holder(module).export_weights()
        with pytest.raises(WeightsMismatch):
            holder(module).import_weights({**weights, "0/0": np.zeros((5, 4), np.float32)})
        assert equal(holder(module).export_weights(), before)
        with torch.device("meta"):
            empty = net(0)
        with pytest.raises(NotSerializable, match="to_empty"):
            holder(sharded(empty)).import_weights(weights)
    finally:
        distributed.destroy_process_group()


@pytest.mark.parametrize("world", [1, 2])
def test_a_sharded_module_has_the_names_and_takes_the_weights_of_a_plain_one(world, tmp_path):
    command = [sys.executable, __file__, str(world), str(tmp_path / "store")]
    ranks = [
        subprocess.Popen([*command, str(rank)], stderr=subprocess.PIPE, text=True)
        for rank in range(world)
    ]
    try:
        for rank in ranks:
            _, errors = rank.communicate(timeout=300)
            assert rank.returncode == 0, errors
    finally:
        for rank in ranks:
            rank.kill()


if __name__ == "__main__":
    check(int(sys.argv[3]), int(sys.argv[1]), sys.argv[2])
