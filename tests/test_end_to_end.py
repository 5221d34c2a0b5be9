"""All packages together: models of real frameworks, published to a hub and loaded again."""

from __future__ import annotations

import json
import subprocess
import sys
from collections import OrderedDict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from sklearn.datasets import load_diabetes
from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dc_hub
from dc_core import NumpyDataset, register_component
from dc_core.errors import NotSerializable
from dc_pipeline import ECFP, RMSE, NormalizationTransformer, Pipeline
from dc_sklearn import SklearnModel
from dc_torch import MultitaskClassifier, MultitaskRegressor, TorchModel

MEASURED = {  # kcal/mol, FreeSolv, doi:10.1007/s10822-014-9747-x
    "CO": -5.10,
    "CCO": -5.00,
    "CCCO": -4.85,
    "CCCCO": -4.72,
    "CCCCCO": -4.57,
    "CCCCCCO": -4.40,
    "C": 2.00,
    "CC": 1.83,
    "c1ccccc1": -0.90,
    "Cc1ccccc1": -0.90,
    "Oc1ccccc1": -6.60,
    "CC(N)=O": -9.71,
}


@register_component("road/normed")
class Normed(torch.nn.Module):
    """Batch-norm buffers, a tied weight and a bfloat16 weight: what is easily lost."""

    def __init__(self, features: int, hidden: int = 8) -> None:
        super().__init__()
        self.first = torch.nn.Linear(features, hidden)
        self.norm = torch.nn.BatchNorm1d(hidden)
        self.second = torch.nn.Linear(hidden, hidden)
        self.third = torch.nn.Linear(hidden, hidden)
        self.third.weight = self.second.weight
        self.gain = torch.nn.Parameter(torch.ones((), dtype=torch.bfloat16))
        self.out = torch.nn.Linear(hidden, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        h = self.norm(self.first(x))
        h = torch.relu(self.third(torch.relu(self.second(h))))
        return self.out(h) * self.gain.to(h.dtype)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(tmp_path / "hub"))
    return tmp_path / "hub"


@pytest.fixture
def molecules() -> NumpyDataset:
    return NumpyDataset(X=list(MEASURED), y=list(MEASURED.values()), tasks=["hydration"])


@pytest.fixture
def numbers() -> NumpyDataset:
    X, y = load_diabetes(return_X_y=True)
    return NumpyDataset(X[:200].astype(np.float32), (y[:200] - 150) / 80, tasks=["progression"])


def pipeline(model: Any) -> Pipeline:
    return Pipeline(model, featurizer=ECFP(size=256), transformers=[NormalizationTransformer("y")])


def test_a_pipeline_predicts_bit_for_bit_the_same_in_a_new_process(
    hub: Path, molecules: NumpyDataset, tmp_path: Path
) -> None:
    network = MultitaskRegressor(n_tasks=1, n_features=256, layer_sizes=(32,), epochs=5, seed=1)
    forest = SklearnModel(RandomForestRegressor(n_estimators=10, random_state=0))
    here = {}
    for name, model in {"network": network, "forest": forest}.items():
        fitted = pipeline(model).fit(molecules)
        here[name] = fitted.predict(list(MEASURED))
        fitted.to_pretrained(name)
        assert len(np.unique(here[name])) > 2, "a constant would be equal for no reason"
    code = (
        "import dc_hub, json, sys, numpy as np\n"
        "names = json.loads(sys.argv[1]); smiles = json.loads(sys.argv[2])\n"
        "np.savez(sys.argv[3], **{n: dc_hub.from_pretrained(n).predict(smiles) for n in names})\n"
    )
    out = tmp_path / "there.npz"
    arguments = [json.dumps(list(here)), json.dumps(list(MEASURED)), str(out)]
    subprocess.run([sys.executable, "-W", "error", "-c", code, *arguments], check=True)
    there = np.load(out)
    for name in here:
        np.testing.assert_array_equal(there[name], here[name])


def test_loading_runs_no_pickle_and_compiles_nothing(hub: Path, molecules: NumpyDataset) -> None:
    models = {
        "network": MultitaskRegressor(n_tasks=1, n_features=256, epochs=1),
        "forest": SklearnModel(RandomForestRegressor(3)),
        "ridge": SklearnModel(make_pipeline(StandardScaler(), Ridge())),
    }
    for name, model in models.items():
        pipeline(model).fit(molecules).to_pretrained(name)
    code = """
import sys, dc_hub
names = sys.argv[1:]
for name in names: dc_hub.from_pretrained(name)  # importing compiles, and is over after this
seen = []
watched = {"pickle.find_class", "exec", "compile", "subprocess.Popen", "os.system", "os.exec"}
sys.addaudithook(lambda event, args: seen.append((event, args)) if event in watched else None)
for name in names: dc_hub.from_pretrained(name)
sys.exit(repr(seen) if seen else 0)
"""
    done = subprocess.run([sys.executable, "-c", code, *models], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_buffers_ties_and_bfloat16_survive_the_hub(hub: Path, numbers: NumpyDataset) -> None:
    torch.manual_seed(0)
    model = TorchModel(Normed(10), epochs=3, seed=0).fit(numbers)
    model.to_pretrained("lab/normed")
    again = TorchModel.from_pretrained("lab/normed")
    np.testing.assert_array_equal(again.predict(numbers), model.predict(numbers))
    assert again.native.third.weight is again.native.second.weight
    assert again.native.gain.dtype == torch.bfloat16
    assert torch.equal(again.native.norm.running_mean, model.native.norm.running_mean)
    assert int(again.native.norm.num_batches_tracked) > 0


def test_the_weight_file_is_a_plain_state_dict_for_others(hub: Path, numbers: NumpyDataset) -> None:
    model = TorchModel(Normed(10), epochs=1, seed=0).fit(numbers)
    path = model.to_pretrained("lab/normed").path
    state = safetensors.torch.load_file(path / "model.safetensors")
    other = Normed(10)
    missing, unexpected = other.load_state_dict(state, strict=False)
    assert unexpected == []
    assert set(missing) <= {"third.weight"}, "only the second name of a tied weight"
    x = torch.from_numpy(numbers.X)
    assert torch.equal(other.eval()(x), model.native.eval()(x))


def test_the_weights_of_any_module_load_into_the_callers_module(hub: Path) -> None:
    def build() -> torch.nn.Module:
        return torch.nn.Sequential(torch.nn.Linear(4, 3), torch.nn.BatchNorm1d(3))

    module = build()
    module(torch.randn(16, 4))
    dc_hub.publish(module, "bare")
    other = build()
    dc_hub.load_weights("bare", into=other)
    x = torch.randn(5, 4)
    assert torch.equal(module.eval()(x), other.eval()(x))
    wrong = torch.nn.Sequential(torch.nn.Linear(4, 2), torch.nn.BatchNorm1d(2))
    before = {name: tensor.clone() for name, tensor in wrong.state_dict().items()}
    with pytest.raises(dc_hub.errors.WeightsMismatch):
        dc_hub.load_weights("bare", into=wrong)
    assert all(torch.equal(before[name], tensor) for name, tensor in wrong.state_dict().items())


class Unregistered(torch.nn.Linear):
    """A layer of a class without a name."""


def test_containers_of_layers_are_stored_as_what_they_are(hub: Path, numbers: NumpyDataset) -> None:
    module = torch.nn.Sequential(
        torch.nn.Unflatten(1, (1, 10)),
        torch.nn.Conv1d(1, 4, 3, padding="same"),
        torch.nn.Sequential(OrderedDict(norm=torch.nn.BatchNorm1d(4), act=torch.nn.GELU("tanh"))),
        torch.nn.Flatten(),
        torch.nn.Linear(40, 1),
    )
    module[1].weight.requires_grad_(False)
    model = TorchModel(module, epochs=1).fit(numbers)
    model.to_pretrained("lab/layers")
    loaded = TorchModel.from_pretrained("lab/layers")
    assert repr(loaded.module) == repr(module)
    assert [p.requires_grad for p in loaded.module.parameters()] == [
        p.requires_grad for p in module.parameters()
    ]
    assert np.array_equal(loaded.predict(numbers), model.predict(numbers))
    dc_hub.publish(module, "lab/bare-layers")
    bare = dc_hub.from_pretrained("lab/bare-layers")
    assert np.array_equal(bare.predict(numbers), model.predict(numbers))


def test_registered_modules_are_stored_within_containers(hub: Path, numbers: NumpyDataset) -> None:
    module = torch.nn.Sequential(Normed(10), torch.nn.Tanh())
    model = TorchModel(module, epochs=1).fit(numbers)
    model.to_pretrained("lab/mixed")
    loaded = TorchModel.from_pretrained("lab/mixed")
    assert type(loaded.module[0]) is Normed
    assert np.array_equal(loaded.predict(numbers), model.predict(numbers))


def test_the_weights_of_a_container_of_anything_are_stored_alone(hub: Path) -> None:
    module = torch.nn.Sequential(Unregistered(4, 3))
    dc_hub.publish(module, "lab/foreign")
    with pytest.raises(dc_hub.errors.ClassMismatch, match="load_weights"):
        dc_hub.from_pretrained("lab/foreign")
    other = dc_hub.load_weights("lab/foreign", into=torch.nn.Sequential(Unregistered(4, 3)))
    assert torch.equal(other[0].weight, module[0].weight)


def test_a_module_of_an_unregistered_class_is_refused_at_save(
    hub: Path, numbers: NumpyDataset
) -> None:
    model = TorchModel(Unregistered(10, 1), epochs=1).fit(numbers)
    with pytest.raises(NotSerializable, match="module"):
        model.to_pretrained("nameless")
    assert not (hub / "nameless" / "refs").exists() or not any((hub / "nameless/refs").iterdir())


def test_training_resumed_from_the_hub_equals_uninterrupted_training(
    hub: Path, numbers: NumpyDataset
) -> None:
    def fresh() -> MultitaskRegressor:
        return MultitaskRegressor(
            n_tasks=1, n_features=10, layer_sizes=(16,), dropout=0.2, epochs=4, seed=3
        )

    straight = fresh().fit(numbers, epochs=4)
    fresh().fit(numbers, epochs=2).to_pretrained("half", training=True)
    resumed = MultitaskRegressor.from_pretrained("half", training=True)
    resumed.fit(numbers, epochs=2, resume=True)
    for name, weight in straight.get_weights().items():
        np.testing.assert_array_equal(resumed[name], weight)


def test_a_scikit_learn_estimator_is_published_as_it_is(hub: Path, numbers: NumpyDataset) -> None:
    forest = RandomForestRegressor(5, random_state=0).fit(numbers.X, numbers.y[:, 0])
    dc_hub.publish(forest, "plain-forest")
    again = dc_hub.from_pretrained("plain-forest")
    np.testing.assert_array_equal(again.predict(numbers)[:, 0], forest.predict(numbers.X))


def test_a_flipped_byte_in_any_file_is_refused_by_name(
    hub: Path, molecules: NumpyDataset, tmp_path: Path
) -> None:
    fitted = pipeline(MultitaskRegressor(n_tasks=1, n_features=256, epochs=1)).fit(molecules)
    path = dc_hub.publish(fitted, "victim", golden=["CCO"]).path
    dc_hub.from_pretrained("victim")
    files = sorted(file.name for file in path.iterdir())
    assert {"params.json", "model.safetensors", "README.md", "MANIFEST.json"} <= set(files)
    for name in files:
        whole = (path / name).read_bytes()
        (path / name).chmod(0o644)
        (path / name).write_bytes(whole[:-2] + bytes([whole[-2] ^ 1]) + whole[-1:])
        with pytest.raises(dc_hub.HubError, match=name):
            dc_hub.from_pretrained("victim")
        (path / name).write_bytes(whole)
    dc_hub.from_pretrained("victim")


def test_classes_and_tasks_come_back_for_classifiers(hub: Path, numbers: NumpyDataset) -> None:
    labels = NumpyDataset(numbers.X, (numbers.y > 0).astype(float), tasks=["high"])
    for name, model in {
        "net": MultitaskClassifier(n_tasks=1, n_features=10, n_classes=2, epochs=2, seed=0),
        "forest": SklearnModel(RandomForestClassifier(5, random_state=0)),
    }.items():
        prediction = model.fit(labels).predict(labels)
        assert prediction.shape == (200, 1, 2)
        np.testing.assert_allclose(prediction.sum(axis=-1), 1, atol=1e-6)
        model.to_pretrained(name)
        np.testing.assert_array_equal(dc_hub.from_pretrained(name).predict(labels), prediction)


def test_equal_training_gives_equal_revisions_and_no_second_copy(
    hub: Path, molecules: NumpyDataset
) -> None:
    def publish() -> Any:
        network = MultitaskRegressor(n_tasks=1, n_features=256, epochs=2, seed=7)
        return pipeline(network).fit(molecules).to_pretrained("same")

    assert publish().revision == publish().revision
    assert dc_hub.LocalHub(hub).revisions("same") == [publish().revision]


def test_a_loaded_pipeline_can_be_stored_again_unchanged(
    hub: Path, molecules: NumpyDataset
) -> None:
    first = pipeline(MultitaskRegressor(n_tasks=1, n_features=256, epochs=1, seed=0)).fit(molecules)
    one = first.to_pretrained("one")
    two = dc_hub.from_pretrained("one").to_pretrained("two")
    assert one.revision == two.revision


def test_a_pipeline_beats_the_mean_on_its_training_data(molecules: NumpyDataset) -> None:
    network = MultitaskRegressor(n_tasks=1, n_features=256, layer_sizes=(64,), epochs=300, seed=0)
    fitted = pipeline(network).fit(molecules)
    rmse = fitted.evaluate(molecules, [RMSE()], allow_train=True)["rmse"]
    assert rmse < 0.5 * float(np.std(molecules.y))
