"""Models of transformers and PyTorch Geometric, and wrapped ones, loaded in other processes."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dc_hub
from dc_core import Model, NumpyDataset, Ragged
from dc_hub.errors import ParamsError, UnknownParameter, WeightsMismatch
from dc_torch import TorchModel, TransformersModule

TOKENS = {"vocab_size": 40, "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}
BERT = {
    **TOKENS,
    "hidden_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
    "intermediate_size": 32,
    "max_position_embeddings": 40,
    "num_labels": 1,
}
GPT2 = {**TOKENS, "n_embd": 16, "n_layer": 1, "n_head": 2, "n_positions": 40}

ELSEWHERE = """
import socket, sys
import numpy as np

def refuse(*_):
    raise AssertionError("something was to be downloaded")

socket.socket.connect = refuse
from dc_core import Model, NumpyDataset, Ragged
stored = np.load(sys.argv[3])
rows = NumpyDataset(Ragged(stored["values"], stored["offsets"]))
model = Model.from_pretrained(sys.argv[2], hub=sys.argv[1])
sys.exit(0 if np.array_equal(model.predict(rows), stored["prediction"]) else 1)
"""


@pytest.fixture
def transformers() -> Any:
    return pytest.importorskip("transformers", reason="transformers is not installed")


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "hub"


def rows(n: int = 30) -> NumpyDataset:
    rng = np.random.default_rng(0)
    tokens = [rng.integers(3, 40, rng.integers(2, 9)).astype(np.uint16) for _ in range(n)]
    return NumpyDataset(Ragged.from_rows(tokens), np.array([[np.mean(t) / 40] for t in tokens]))


def bert(transformers: Any, **changed: Any) -> Any:
    torch.manual_seed(0)
    config = transformers.BertConfig(**{**BERT, **changed})
    return transformers.BertForSequenceClassification(config)


def gpt2(transformers: Any, seed: int = 0) -> Any:
    torch.manual_seed(seed)
    return transformers.GPT2LMHeadModel(transformers.GPT2Config(**GPT2)).eval()


def test_a_trained_transformer_predicts_the_same_in_another_process(
    transformers: Any, hub: Path, tmp_path: Path
) -> None:
    dataset = rows()
    model = TorchModel(TransformersModule(bert(transformers)), epochs=2, learning_rate=1e-3)
    model.fit(dataset, progress=False).to_pretrained("bert", hub=hub)
    X = dataset.X
    assert isinstance(X, Ragged)
    stored = tmp_path / "stored.npz"
    np.savez(stored, values=X.values, offsets=X.offsets, prediction=model.predict(dataset))
    command = [sys.executable, "-W", "error", "-c", ELSEWHERE, str(hub), "bert", str(stored)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_stored_transformer_names_its_package(transformers: Any, hub: Path) -> None:
    TorchModel(TransformersModule(bert(transformers))).to_pretrained("bert", hub=hub)
    described = dc_hub.info("bert", hub=hub)
    assert described.metadata["created_with"]["transformers"] == transformers.__version__


def test_loading_and_publishing_again_gives_the_same_revision(transformers: Any, hub: Path) -> None:
    first = TorchModel(TransformersModule(bert(transformers))).to_pretrained("bert", hub=hub)
    again = Model.from_pretrained("bert", hub=hub).to_pretrained("again", hub=hub)
    assert first.revision == again.revision


def test_a_bare_transformer_is_published_and_its_weights_load_into_another(
    transformers: Any, hub: Path
) -> None:
    net = gpt2(transformers)
    dc_hub.publish(net, "lm", hub=hub)
    other = dc_hub.load_weights("lm", into=gpt2(transformers, seed=1), hub=hub)
    assert other.lm_head.weight is other.transformer.wte.weight
    ids = torch.arange(9)[None]
    assert torch.equal(other(ids).logits, net(ids).logits)
    loaded = Model.from_pretrained("lm", hub=hub)
    assert torch.equal(loaded.native(ids).logits, net(ids).logits)


@pytest.mark.filterwarnings("ignore:.*has no MANIFEST.json")
def test_weights_load_from_a_directory_of_save_pretrained(
    transformers: Any, hub: Path, tmp_path: Path
) -> None:
    net = gpt2(transformers)
    net.save_pretrained(tmp_path / "saved")
    other = dc_hub.load_weights(tmp_path / "saved", into=gpt2(transformers, seed=1))
    ids = torch.arange(9)[None]
    assert torch.equal(other(ids).logits, net(ids).logits)


@pytest.mark.filterwarnings("ignore:.*has no MANIFEST.json")
def test_weights_of_another_config_are_refused(
    transformers: Any, hub: Path, tmp_path: Path
) -> None:
    bert(transformers).save_pretrained(tmp_path / "saved")
    other = bert(transformers, hidden_size=32)
    with pytest.raises(WeightsMismatch):
        dc_hub.load_weights(tmp_path / "saved", into=other)


@pytest.mark.filterwarnings("ignore:.*has no MANIFEST.json")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"attention":"sdpa"', '"attention":"them/kernel"'),
        ('"vocab_size":40', '"vocab_size":40,"auto_map":{"AutoModel":"them/evil--code.Model"}'),
        ('"vocab_size":40', '"vocab_size":40,"trust_remote_code":true'),
        ('"vocab_size":40', '"vocab_size":40,"quantization_config":{"quant_method":"x"}'),
        ('"num_hidden_layers":1', '"num_hidden_layers":1000000000'),
    ],
)
def test_an_edited_config_is_refused(
    transformers: Any, hub: Path, tmp_path: Path, old: str, new: str
) -> None:
    dc_hub.publish(bert(transformers), "bert", hub=hub)
    dc_hub.export("bert", tmp_path / "copy", hub=hub)
    params = tmp_path / "copy" / "params.json"
    text = "".join(params.read_text().split())
    assert old in text
    params.write_text(text.replace(old, new))
    (tmp_path / "copy" / "MANIFEST.json").unlink()
    with pytest.raises((ParamsError, UnknownParameter)):
        dc_hub.load(tmp_path / "copy")


def test_a_compiled_module_is_published_as_the_module(hub: Path) -> None:
    torch.manual_seed(0)
    net = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    plain = TorchModel(net, device="cpu").to_pretrained("plain", hub=hub)
    compiled = torch.compile(net, backend="eager")
    model = TorchModel(compiled, device="cpu").to_pretrained("compiled", hub=hub)
    assert model.revision == plain.revision
    dc_hub.publish(compiled, "bare", hub=hub)
    other = torch.nn.DataParallel(
        torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 1))
    )
    dc_hub.load_weights("bare", into=other, hub=hub)
    assert torch.equal(other.module[0].weight, net[0].weight)


def test_a_graph_network_of_pytorch_geometric_is_published_and_loaded(hub: Path) -> None:
    pytest.importorskip("torch_geometric", reason="torch_geometric is not installed")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it compiles parts of itself by torch.jit
        from torch_geometric import nn as geometric
    from dc_core import register_component

    @register_component("graphs/geometric")
    class GraphNet(torch.nn.Module):
        def __init__(self, width: int) -> None:
            super().__init__()
            self.layer = geometric.GCNConv(2, width)
            self.out = torch.nn.Linear(width, 1)

        def forward(self, atoms: Any, edges: Any) -> Any:
            graphs = torch.arange(len(atoms.offsets) - 1)
            of_atom = torch.repeat_interleave(graphs, torch.diff(atoms.offsets))
            of_edge = torch.repeat_interleave(graphs, torch.diff(edges.offsets))
            index = (edges.values + atoms.offsets[of_edge, None]).T
            x = self.layer(atoms.values, index).relu()
            return self.out(geometric.global_mean_pool(x, of_atom, len(graphs)))

    atoms = Ragged.from_rows([np.ones((2, 2), np.float32), np.zeros((3, 2), np.float32)])
    edges = Ragged.from_rows([np.array([[0, 1], [1, 0]]), np.array([[0, 1], [1, 2]])])
    dataset = NumpyDataset({"atoms": atoms, "edges": edges}, np.array([[1.0], [0.0]]))
    model = TorchModel(GraphNet(4), epochs=2, device="cpu").fit(dataset, progress=False)
    model.to_pretrained("graphs", hub=hub)
    loaded = Model.from_pretrained("graphs", hub=hub)
    assert isinstance(loaded, TorchModel)
    assert np.array_equal(loaded.predict(dataset), model.predict(dataset))
