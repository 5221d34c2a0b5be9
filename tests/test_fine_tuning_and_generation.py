"""Networks of dc-torch in the flows of dc-pipeline: fine-tuned, generating, stored and loaded."""

from __future__ import annotations

from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch

import dc_hub
from dc_core import NumpyDataset
from dc_pipeline import (
    ECFP,
    Ensemble,
    FineTuning,
    GeneratorPipeline,
    HillClimbing,
    NormalizationTransformer,
    Pipeline,
    SmilesTokens,
    transfer_weights,
)
from dc_torch import MultitaskRegressor, SequenceGenerator, TorchModel

SMILES = [
    f"{head}{'C' * length}{tail}"
    for head in ("C", "O", "N", "Cl", "CO")
    for length in range(1, 9)
    for tail in ("", "O", "N", "C(=O)O", "C(C)C")
]
LENGTHS = [float(len(smiles)) for smiles in SMILES]


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(tmp_path / "hub"))
    return tmp_path / "hub"


def network(n_tasks: int, **options: object) -> MultitaskRegressor:
    return MultitaskRegressor(n_tasks, 64, layer_sizes=(16,), batch_size=32, epochs=5, **options)


def pipeline(model: object) -> Pipeline:
    return Pipeline(model, ECFP(size=64, counts=True), [NormalizationTransformer("y")])


def pretrained() -> Pipeline:
    y = np.array([[text.count(letter) for letter in "CON"] for text in SMILES], float)
    return pipeline(network(3)).fit(NumpyDataset(SMILES, y), progress=False)


def test_a_body_is_transferred_from_pipeline_to_pipeline_and_stays_frozen() -> None:
    source, target = pretrained(), pipeline(network(1, seed=5, freeze=["layers.0.*"]))
    report = transfer_weights(source, target)
    assert set(report.copied) == {"pipeline/model/layers/0/0", "pipeline/model/layers/0/1"}
    target.fit(NumpyDataset(SMILES[:30], LENGTHS[:30]), progress=False)
    for name in report.copied:
        np.testing.assert_array_equal(target[name], source[name])


def test_a_fine_tuning_is_stored_and_loaded(hub: Path) -> None:
    tuned = pipeline(FineTuning(network(1), pretrained().model.get_weights()))
    tuned.fit(NumpyDataset(SMILES[:30], LENGTHS[:30]), progress=False)
    dc_hub.publish(tuned, "tuned")
    loaded = Pipeline.from_pretrained("tuned")
    np.testing.assert_array_equal(loaded.predict(SMILES), tuned.predict(SMILES))
    again = loaded.unfitted().fit(NumpyDataset(SMILES[:30], LENGTHS[:30]), progress=False)
    np.testing.assert_array_equal(again.predict(SMILES), tuned.predict(SMILES))


def test_every_member_of_an_ensemble_starts_from_the_pretrained_weights() -> None:
    weights = pretrained().model.get_weights()
    model = pipeline(FineTuning(network(1, freeze=["layers.0.*"]), weights))
    ensemble = Ensemble.of(model, 2, seed=1)
    ensemble.fit(NumpyDataset(SMILES[:30], LENGTHS[:30]))
    first, second = (member.model.model for member in ensemble.members)
    for name in ("multitask_regressor/layers/0/0", "multitask_regressor/layers/0/1"):
        np.testing.assert_array_equal(first[name], weights[name])
        np.testing.assert_array_equal(second[name], weights[name])
    head = "multitask_regressor/layers/3/0"
    assert not np.array_equal(first[head], second[head])


def generator() -> GeneratorPipeline:
    tokens = SmilesTokens.learn(SMILES)
    network = SequenceGenerator(
        tokens.size, embedding_size=8, hidden_size=32, max_length=24, epochs=15, batch_size=32
    )
    return GeneratorPipeline(network, tokens).fit(NumpyDataset(SMILES), progress=False)


def test_a_generator_is_stored_and_loaded_and_writes_the_same(hub: Path) -> None:
    model = generator()
    dc_hub.publish(model, "writer")
    loaded = GeneratorPipeline.from_pretrained("writer")
    assert loaded.sample(30, seed=4).X.tolist() == model.sample(30, seed=4).X.tolist()


def test_hill_climbing_raises_the_score_of_a_network_and_is_continued(tmp_path: Path) -> None:
    def oxygens(smiles: list[str]) -> list[float]:
        return [text.count("O") / len(text) for text in smiles]

    def climbing(model: GeneratorPipeline, directory: Path | None) -> HillClimbing:
        training = {"epochs": 4, "progress": False}
        options = {"samples": 100, "keep": 30, "training": training, "directory": directory}
        return HillClimbing(model, oxygens, reference=SMILES, **options)

    model = generator()
    prior = model.get_weights()
    rounds = climbing(model, None).run(4)
    assert rounds[-1].mean > 1.2 * rounds[0].mean
    model.set_weights(prior)
    climbing(model, tmp_path).run(2)
    model.set_weights(prior)
    continued = climbing(model, tmp_path)
    assert continued.history == rounds[:2]
    assert continued.run(4) == rounds


class Unregistered(torch.nn.Sequential):
    """A module that can be copied, but not be made anew."""


@pytest.mark.parametrize("kind", [torch.nn.Sequential, Unregistered])
def test_every_fine_tuning_begins_with_the_first_weights_of_the_module(
    kind: type[torch.nn.Sequential],
) -> None:
    rng = np.random.default_rng(0)
    rows = NumpyDataset(rng.normal(size=(20, 8)).astype(np.float32), rng.normal(size=20))
    torch.manual_seed(7)
    module = kind(torch.nn.Linear(8, 6), torch.nn.ReLU(), torch.nn.Linear(6, 1))
    weights = TorchModel(deepcopy(module), epochs=1).fit(rows).get_weights()
    tuned = Pipeline(FineTuning(TorchModel(module, epochs=1), weights, exclude=["2"]))
    first = tuned.fit(rows).predict(rows)
    assert (tuned.fit(rows).predict(rows) == first).all()
    assert (tuned.unfitted().fit(rows).predict(rows) == first).all()
