"""What publishes, loads: fitted, with every package named, and checked under other versions."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dc_hub
from dc_core import NumpyDataset
from dc_pipeline import ECFP, NormalizationTransformer, Pipeline
from dc_sklearn import SklearnModel
from dc_torch import MultitaskRegressor, TorchModel

SMILES = ["C", "CC", "CO", "CCO", "CCN", "c1ccccc1"]
LABELS = np.arange(6.0)


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "hub"


def fitted() -> Pipeline:
    model = Pipeline(SklearnModel(Ridge()), ECFP(size=64), [NormalizationTransformer()])
    return model.fit(NumpyDataset(SMILES, LABELS))


def half_fitted() -> Any:
    """Return a scikit-learn pipeline whose last step alone is fitted."""
    X = np.arange(12.0).reshape(6, 2)
    pipeline = make_pipeline(StandardScaler(), Ridge())
    pipeline[-1].fit(X, LABELS)
    return pipeline


@pytest.mark.parametrize(
    ("make", "part"),
    [
        (lambda: SklearnModel(Ridge()), "This SklearnModel is not fitted"),
        (lambda: SklearnModel(half_fitted()), "This SklearnModel is not fitted"),
        (Ridge, "is not fitted"),
        (lambda: MultitaskRegressor(1, 4), "This MultitaskRegressor is not fitted"),
        (
            lambda: Pipeline(fitted().model, ECFP(size=64), [NormalizationTransformer()]),
            r"The part transformers/0 \(a NormalizationTransformer\) is not fitted",
        ),
    ],
    ids=["model", "half a pipeline in a model", "estimator", "network", "transformer"],
)
def test_what_is_not_fitted_is_published_only_if_it_is_asked_for(
    hub: Path, make: Callable[[], Any], part: str
) -> None:
    with pytest.raises(dc_hub.errors.NotFitted, match=part):
        dc_hub.publish(make(), "m", hub=hub)
    assert not hub.exists()
    path = dc_hub.publish(make(), "m", hub=hub, unfitted=True).path
    dc_hub.from_pretrained(path)


def test_half_a_fitted_pipeline_of_scikit_learn_has_no_stored_form(hub: Path) -> None:
    for options in ({}, {"unfitted": True}):
        with pytest.raises(dc_hub.errors.NotSerializable, match="standardscaler"):
            dc_hub.publish(half_fitted(), "m", hub=hub, **options)
    assert not hub.exists()


def test_what_can_be_used_without_fitting_is_published_as_it_is(hub: Path) -> None:
    dc_hub.publish(TorchModel(torch.nn.Linear(4, 1)), "module", hub=hub)
    dc_hub.publish(ECFP(size=32), "fingerprint", hub=hub)
    assert dc_hub.from_pretrained("fingerprint", cls=ECFP, hub=hub).size == 32


def test_a_model_that_cannot_be_stored_is_found_out_before_training() -> None:
    dc_hub.check_publishable(Pipeline(MultitaskRegressor(1, 64), ECFP(size=64)))
    dc_hub.check_publishable(SklearnModel(make_pipeline(StandardScaler(), Ridge())))

    class Local(torch.nn.Linear):
        pass

    with pytest.raises(dc_hub.errors.NotSerializable, match="argument module"):
        dc_hub.check_publishable(TorchModel(Local(2, 1)))


def test_every_package_is_named_and_the_card_installs_them(hub: Path) -> None:
    path = dc_hub.publish(fitted(), "forest", hub=hub).path
    names = {"dc-core", "dc-hub", "dc-pipeline", "dc-sklearn", "numpy", "rdkit", "scikit-learn"}
    created_with = dc_hub.info(path).metadata["created_with"]
    assert created_with == {name: version(name) for name in names}
    assert 'pip install "dc-hub[sklearn]" dc-pipeline' in (path / "README.md").read_text()

    model = Pipeline(MultitaskRegressor(1, 64), ECFP(size=64))
    path = dc_hub.publish(model, "network", hub=hub, unfitted=True).path
    assert {"dc-torch", "torch", "rdkit"} <= dc_hub.info(path).metadata["created_with"].keys()
    assert 'pip install "dc-hub[torch]" dc-pipeline' in (path / "README.md").read_text()


def restate(path: Path, **versions: str) -> None:
    """Let the stored model in ``path`` say that it was stored with other versions."""
    params = json.loads((path / "params.json").read_text())
    params["metadata"]["created_with"] |= versions
    (path / "params.json").write_text(json.dumps(params))
    (path / "MANIFEST.json").unlink()


@pytest.mark.filterwarnings("ignore:.*its files are not verified")
def test_a_model_of_another_release_is_checked_against_its_golden_rows(
    hub: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = dc_hub.save(fitted(), hub / "m", golden=SMILES).path
    restate(path, **{"scikit-learn": "1.2.2", "rdkit": "2019.3.1"})
    assert set(dc_hub.info(path).version_changes) == {"scikit-learn", "rdkit"}
    dc_hub.from_pretrained(path)
    # Another release of RDKit that sets other bits.
    featurize = ECFP.featurize
    monkeypatch.setattr(ECFP, "featurize", lambda self, inputs, **o: featurize(self, inputs[::-1]))
    with pytest.raises(dc_hub.errors.PredictionsChanged, match=r"rdkit 2019\.3\.1"):
        dc_hub.from_pretrained(path)
    assert dc_hub.from_pretrained(path, allow_changed_predictions=True).is_fitted


def test_golden_rows_of_a_plain_estimator_can_be_checked(hub: Path) -> None:
    X = np.arange(12.0).reshape(6, 2)
    dc_hub.publish(Ridge().fit(X, LABELS), "ridge", hub=hub, golden=X)
    assert dc_hub.check_golden("ridge", hub=hub).passed
