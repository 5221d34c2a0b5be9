"""A message-passing network over molecular graphs: trained, stored and loaded as one pipeline."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import dc_hub
from dc_core import Estimator, NumpyDataset, register_component, register_model
from dc_pipeline import (
    Conformer,
    CoulombEigenvalues,
    CoulombMatrix,
    FunctionFeaturizer,
    GraphExpansion,
    KmerCounts,
    MolecularGraph,
    NormalizationTransformer,
    OneHot,
    Pipeline,
    SequenceTokens,
    SmilesTokens,
    register_function,
)
from dc_torch import TorchModel

MEASURED = {  # kcal/mol, FreeSolv, doi:10.1007/s10822-014-9747-x
    "CO": -5.10,
    "CCO": -5.00,
    "CCCO": -4.85,
    "CCCCO": -4.72,
    "CCCCCO": -4.57,
    "C": 2.00,
    "CC": 1.83,
    "c1ccccc1": -0.90,
    "Cc1ccccc1": -0.90,
    "Oc1ccccc1": -6.60,
    "CC(N)=O": -9.71,
}


@register_component("graphs/message-passing")
class MessagePassing(torch.nn.Module):
    """Messages along directed bonds, which leave out the reverse bond, as in chemprop."""

    def __init__(self, atom_size: int, bond_size: int, hidden: int = 16, depth: int = 3) -> None:
        super().__init__()
        self.depth = depth
        self.start = torch.nn.Linear(atom_size + bond_size, hidden)
        self.message = torch.nn.Linear(hidden, hidden)
        self.readout = torch.nn.Linear(atom_size + hidden, hidden)
        self.out = torch.nn.Linear(hidden, 1)

    def forward(self, atoms: Any, bonds: Any, edges: Any, reverse: Any) -> torch.Tensor:
        x = atoms.values.to(self.out.weight.dtype)
        molecules = torch.arange(len(atoms.offsets) - 1)
        of_edge = torch.repeat_interleave(molecules, torch.diff(edges.offsets))
        source, target = (edges.values + atoms.offsets[of_edge, None]).T
        back = reverse.values + edges.offsets[of_edge]
        h0 = self.start(torch.cat([x[source], bonds.values.to(x.dtype)], 1))
        h = torch.relu(h0)
        for _ in range(self.depth - 1):
            incoming = torch.zeros(len(x), h.shape[1], dtype=x.dtype).index_add(0, target, h)
            h = torch.relu(h0 + self.message(incoming[source] - h[back]))
        incoming = torch.zeros(len(x), h.shape[1], dtype=x.dtype).index_add(0, target, h)
        per_atom = torch.relu(self.readout(torch.cat([x, incoming], 1)))
        of_atom = torch.repeat_interleave(molecules, torch.diff(atoms.offsets))
        sums = torch.zeros(len(molecules), per_atom.shape[1], dtype=x.dtype)
        return self.out(sums.index_add(0, of_atom, per_atom))


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(tmp_path / "hub"))
    return tmp_path / "hub"


SIZES = {"deepchem": (30, 11), "chemprop": (72, 14), "ogb": (9, 3)}


@pytest.mark.parametrize("scheme", SIZES)
def test_a_graph_network_is_trained_stored_and_loaded_as_one_pipeline(
    hub: Path, scheme: Any
) -> None:
    torch.manual_seed(0)
    dataset = NumpyDataset(list(MEASURED), list(MEASURED.values()), tasks=["hydration"])
    pipeline = Pipeline(
        TorchModel(MessagePassing(*SIZES[scheme]), epochs=60, batch_size=4, learning_rate=0.01),
        MolecularGraph(hydrogen_bonding=scheme == "deepchem"),
        [NormalizationTransformer("y"), GraphExpansion(scheme)],
    ).fit(dataset, progress=False)
    prediction = pipeline.predict(list(MEASURED))
    error = np.abs(prediction - dataset.y).mean()
    assert error < 0.5 * np.abs(dataset.y - dataset.y.mean()).mean()
    reference = dc_hub.publish(pipeline, f"graphs/{scheme}")
    loaded = Pipeline.from_pretrained(f"graphs/{scheme}")
    inputs = [*MEASURED, "C1CC", "CCN"]
    np.testing.assert_array_equal(loaded.predict(inputs), pipeline.predict(inputs))
    assert np.isnan(loaded.predict(inputs)[len(MEASURED)]).all()
    assert [failure.status for failure in loaded.failures] == ["parse"]
    assert reference is not None


def test_a_graph_network_gives_a_molecule_the_same_prediction_in_any_batch() -> None:
    torch.manual_seed(0)
    smiles = list(MEASURED)
    alone, together = (
        Pipeline(
            TorchModel(MessagePassing(72, 14).double(), batch_size=size),
            MolecularGraph(),
            [GraphExpansion("chemprop")],
        )
        for size in (1, 8)
    )
    alone.model.module.load_state_dict(together.model.module.state_dict())
    np.testing.assert_allclose(alone.predict(smiles), together.predict(smiles), rtol=1e-12)


@register_model("graphs/sums")
class Sums(Estimator):
    """Adds up what the featurizer gives for each row, whatever its columns."""

    def fit(self, dataset: Any, *, valid: Any = None) -> Any:
        return self

    def predict(self, dataset: Any) -> np.ndarray:
        X = dataset.X if isinstance(dataset.X, dict) else {"": dataset.X}
        rows = zip(*X.values(), strict=True)
        return np.array([[sum(float(part.sum()) for part in row)] for row in rows])


@register_function("graphs/length")
def length(text: str) -> float:
    return float(len(text))


@pytest.mark.parametrize(
    ("featurizer", "transformers"),
    [
        (MolecularGraph(hydrogens=True, canonical=True), [GraphExpansion("ogb")]),
        (Conformer(distances=True, seed=3), []),
        (CoulombMatrix(20, order="random", seed=4), []),
        (CoulombEigenvalues(20), []),
        (SmilesTokens.learn(list(MEASURED)), [OneHot(12)]),
        (SequenceTokens("ACNO"), [OneHot(4, length=9)]),
        (KmerCounts(2, "ACNO"), []),
        (FunctionFeaturizer(length), []),
    ],
    ids=lambda part: type(part).__name__,
)
def test_featurizers_and_expansions_are_stored_and_loaded(
    hub: Path, featurizer: Any, transformers: Any
) -> None:
    inputs = ["CCO", "C", "CNO", "OC"]
    pipeline = Pipeline(Sums(), featurizer, transformers).fit(NumpyDataset(inputs, np.ones(4)))
    dc_hub.publish(pipeline, "graphs/sums")
    loaded = Pipeline.from_pretrained("graphs/sums")
    expected = pipeline.predict(inputs, strict=True)
    np.testing.assert_array_equal(loaded.predict(inputs, strict=True), expected)
    assert len(np.unique(expected)) > 1
