"""Losses, optimizers and schedules of the user's own in hubs, and distributions in pipelines."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import dc_hub
from dc_core import NumpyDataset, register_component
from dc_core.errors import NotSerializable
from dc_core.training import Progress, Schedule
from dc_pipeline import ECFP, Ensemble, NormalizationTransformer, Pipeline
from dc_torch import Checkpoint, Loss, MultitaskClassifier, MultitaskRegressor

RNG = np.random.default_rng(0)
ROWS = NumpyDataset(RNG.normal(size=(30, 4)).astype(np.float32), RNG.normal(size=(30, 1)))


@register_component("dc-tests/Tolerant")
class Tolerant(Loss):
    def __init__(self, margin: float) -> None:
        self.margin = margin

    def elementwise(self, output: Tensor, y: Tensor) -> Tensor:
        return (output - y).abs().sub(self.margin).clamp(min=0)


@register_component("dc-tests/SignSGD")
class SignSGD(torch.optim.Optimizer):
    def __init__(self, params: Any, lr: float = 1e-3, momentum: float = 0.5) -> None:
        super().__init__(params, {"lr": lr, "momentum": momentum})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        for group in self.param_groups:
            for p in group["params"]:
                state = self.state[p]
                if not state:
                    state["steps"], state["mean"] = 0, torch.zeros_like(p)
                state["steps"] += 1
                state["mean"].lerp_(p.grad, 1 - group["momentum"])
                p.sub_(state["mean"].sign(), alpha=group["lr"] / state["steps"])


@register_component("dc-tests/Halves")
@dataclass(frozen=True)
class Halves(Schedule):
    by: float = 0.5

    def decay(self, at: Progress, warmup: float, results: Any) -> float:
        return 1.0 if at.epochs < at.total / 2 else self.by


class Nameless(Tolerant):
    pass


class NamelessSGD(SignSGD):
    pass


def absolute(output: Tensor, y: Tensor) -> Tensor:
    return (output - y).abs()


OWN: dict[str, Any] = {
    "loss": Tolerant(margin=0.2),
    "optimizer": SignSGD,
    "schedule": Halves(by=0.25),
}
NAMES = {
    "loss": "dc-tests/Tolerant",
    "optimizer": "dc-tests/SignSGD",
    "schedule": "dc-tests/Halves",
}


def regressor(**options: Any) -> MultitaskRegressor:
    return MultitaskRegressor(1, 4, layer_sizes=(3,), epochs=4, batch_size=10, **options)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "hub"


def test_training_with_parts_of_ones_own_resumes_exactly_from_a_checkpoint(hub: Path) -> None:
    whole = regressor(**OWN).fit(ROWS)
    regressor(**OWN).fit(ROWS, epochs=2, callbacks=[Checkpoint("lab/net", every=2, hub=hub)])
    loaded: Any = dc_hub.from_pretrained("lab/net", hub=hub, training=True)
    assert loaded.config.loss.margin == 0.2
    assert loaded.config.schedule == Halves(by=0.25)
    assert loaded.config.optimizer == "dc-tests/SignSGD"
    loaded.fit(ROWS, resume=True)
    for weight, expected in zip(loaded.values(), whole.values(), strict=True):
        np.testing.assert_array_equal(weight, expected)


@pytest.mark.parametrize("option", OWN)
def test_a_program_without_the_class_says_which_is_missing(option: str, hub: Path) -> None:
    path = dc_hub.publish(regressor(**{option: OWN[option]}).fit(ROWS), "net", hub=hub).path
    code = f"import dc_hub; dc_hub.from_pretrained({str(path)!r})"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert ran.returncode == 1
    assert f"UnknownClass: No class is registered as '{NAMES[option]}'" in ran.stderr


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"loss": Nameless(0.1)}, "Nameless"),
        ({"loss": absolute}, "options.loss"),
        ({"optimizer": NamelessSGD}, "options.optimizer"),
    ],
    ids=["loss", "function", "optimizer"],
)
def test_what_is_not_registered_is_not_published(
    options: dict[str, Any], argument: str, hub: Path
) -> None:
    model = regressor(**options).fit(ROWS)
    with pytest.raises(dc_hub.errors.NotSerializable, match=argument) as caught:
        dc_hub.publish(model, "net", hub=hub)
    assert "@dc_core.register_component" in caught.value.hint
    assert not hub.exists()
    with pytest.raises(NotSerializable, match="register_component"):
        regressor(**options).fit(ROWS, callbacks=[Checkpoint("net", hub=hub)])
    assert not hub.exists()


@pytest.mark.parametrize(
    "model",
    [
        regressor(loss="huber", loss_options={"delta": 2.0}, optimizer="radam", init="deepchem"),
        regressor(loss="mean_variance"),
        regressor(loss="quantile", loss_options={"quantiles": [0.25, 0.5]}, init="orthogonal"),
        MultitaskClassifier(1, 4, loss="focal", class_weight={"task0": [1, 3]}, epochs=1),
    ],
    ids=["huber", "mean variance", "quantile", "focal"],
)
def test_a_loaded_model_has_its_options_and_predictions(model: Any, hub: Path) -> None:
    rows = NumpyDataset(ROWS.X, (ROWS.y > 0).astype(float))
    model.fit(rows)
    loaded: Any = dc_hub.from_pretrained(dc_hub.publish(model, "net", hub=hub).path)
    assert loaded.config == model.config
    np.testing.assert_array_equal(loaded.predict(rows), model.predict(rows))


SMILES = ["C" * (i % 7 + 1) + "O" * (i % 3) + "N" * (i % 2) for i in range(40)]


def test_a_pipeline_predicts_distributions_in_the_labels_own_units() -> None:
    rows = NumpyDataset(SMILES, 1000 + 50 * RNG.normal(size=40))
    model = MultitaskRegressor(1, 64, layer_sizes=(8,), loss="mean_variance", epochs=3)
    pipeline = Pipeline(model, ECFP(size=64), [NormalizationTransformer()]).fit(rows)
    mean, std = pipeline.predict_distribution(SMILES)
    np.testing.assert_array_equal(mean, pipeline.predict(SMILES))
    assert np.abs(mean - 1000).max() < 500
    assert 1 < std.min() <= std.max() < 500


def test_an_ensemble_adds_the_variances_that_its_members_predict() -> None:
    members = [regressor(loss="mean_variance", seed=seed).fit(ROWS) for seed in range(3)]
    ensemble = Ensemble(members)
    moments = [member.predict_distribution(ROWS) for member in members]
    means = np.stack([mean for mean, _ in moments]).astype(float)
    variances = np.stack([std for _, std in moments]).astype(float) ** 2
    expected = np.sqrt(variances.mean(axis=0) + means.var(axis=0))
    np.testing.assert_allclose(ensemble.predict_distribution(ROWS).std, expected, rtol=1e-6)
