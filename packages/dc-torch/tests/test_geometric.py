"""Layers of PyTorch Geometric in a module of one's own, on ragged columns of atoms and edges."""

import warnings

import numpy as np
import pytest
import torch
from torch import nn

from dc_core import NumpyDataset, Ragged, plugins, register_component, registry
from dc_torch import TorchModel

pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # it compiles parts of itself by torch.jit
    from torch_geometric import nn as geometric

LAYERS = {
    "gcn": geometric.GCNConv,
    "gin": lambda n, m: geometric.GINConv(nn.Sequential(nn.Linear(n, m), nn.ReLU())),
    "gat": geometric.GATv2Conv,
    "sage": geometric.SAGEConv,
}


@register_component("torchtests/geometric")
class GraphNet(nn.Module):
    def __init__(self, kind, width):
        super().__init__()
        self.first = LAYERS[kind](4, width)
        self.norm = geometric.BatchNorm(width)
        self.second = LAYERS[kind](width, width)
        self.out = geometric.Linear(width, 1)

    def forward(self, atoms, edges):
        graphs = torch.arange(len(atoms.offsets) - 1)
        of_atom = torch.repeat_interleave(graphs, torch.diff(atoms.offsets))
        of_edge = torch.repeat_interleave(graphs, torch.diff(edges.offsets))
        index = (edges.values + atoms.offsets[of_edge, None]).T
        x = self.norm(self.first(atoms.values, index)).relu()
        x = self.second(x, index).relu()
        return self.out(geometric.global_add_pool(x, of_atom, len(graphs)))


def graphs(n=60):
    """Chains of atoms of four kinds; the label is the number of one less that of another."""
    rng = np.random.default_rng(0)
    atoms, edges, y = [], [], []
    for _ in range(n):
        size = rng.integers(2, 7)
        kinds = rng.integers(0, 4, size)
        atoms.append(np.eye(4, dtype=np.float32)[kinds])
        bonds = np.stack([np.arange(size - 1), np.arange(1, size)], axis=1)
        edges.append(np.concatenate([bonds, bonds[:, ::-1]]))
        y.append([(kinds == 0).sum() - (kinds == 1).sum()])
    columns = {"atoms": Ragged.from_rows(atoms), "edges": Ragged.from_rows(edges)}
    return NumpyDataset(columns, np.array(y, float))


@pytest.mark.parametrize("kind", LAYERS)
def test_a_graph_network_learns_and_is_rebuilt_bit_for_bit(kind):
    torch.manual_seed(0)
    dataset = graphs()
    model = TorchModel(GraphNet(kind, 16), epochs=15, learning_rate=0.01, device="cpu")
    model.fit(dataset, progress=False)
    assert model.history[-1].loss < 0.5 * model.history[0].loss
    assert "cannot be stored" not in repr(model)
    described = registry.describe(model.module)
    again = plugins.backend("torch").skeleton(lambda: GraphNet(**described.params))
    assert all(parameter.is_meta for parameter in again.parameters())
    plugins.claim(again).import_weights(plugins.claim(model.module).export_weights(), copy=False)
    assert np.array_equal(TorchModel(again, device="cpu").predict(dataset), model.predict(dataset))


def test_a_model_of_the_library_can_be_registered():
    register_component("torchtests/gat")(geometric.GAT)
    described = registry.describe(geometric.GAT(4, 8, num_layers=2, heads=2))
    assert described.name == "torchtests/gat"
    assert described.params["num_layers"] == 2


def test_a_layer_of_an_unknown_size_is_refused_by_name():
    model = TorchModel(nn.Sequential(geometric.Linear(-1, 2)), device="cpu")
    assert "'0.weight' has no shape yet" in repr(model)
