"""Names of classes go from the labels through every kind of model to the hub and back."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

import dc_hub
from dc_core import Estimator, Metric, NumpyDataset
from dc_core.errors import DatasetError
from dc_pipeline import ECFP, MAE, R2, RMSE, Accuracy, PearsonR, Pipeline
from dc_sklearn import SklearnModel
from dc_torch import MultitaskClassifier, MultitaskRegressor, TorchModel

SMILES = ["C", "CC", "CO", "CCO", "CCN", "c1ccccc1"]
NAMES = ["a", "b", "a", "b", "a", "b"]
X = ECFP(size=16).featurize(SMILES).values


def network() -> Estimator:
    return MultitaskClassifier(1, 16, layer_sizes=(4,), epochs=1)


CLASSIFIERS: dict[str, Callable[[], Estimator]] = {
    "estimator": lambda: SklearnModel(LogisticRegression()),
    "network": network,
    "logit": lambda: TorchModel(nn.Linear(16, 1), loss="bce", epochs=1),
    "pipeline": lambda: Pipeline(network(), ECFP(size=16)),
}
REGRESSORS: dict[str, Callable[[], Estimator]] = {
    "estimator": lambda: SklearnModel(Ridge()),
    "network": lambda: MultitaskRegressor(1, 16, layer_sizes=(4,), epochs=1),
    "module": lambda: TorchModel(nn.Linear(16, 1), epochs=1),
    "pipeline": lambda: Pipeline(SklearnModel(Ridge()), ECFP(size=16)),
}


def data(kind: str, labels: list[str] | np.ndarray) -> NumpyDataset:
    return NumpyDataset((SMILES if kind == "pipeline" else X)[: len(labels)], labels)


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_a_loaded_classifier_knows_its_classes_and_refuses_others(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    model = CLASSIFIERS[kind]().fit(data(kind, NAMES))
    model.to_pretrained("classifier", hub=tmp_path / "hub")
    loaded: Estimator = dc_hub.from_pretrained("classifier", hub=tmp_path / "hub")
    others = data(kind, ["b", "c", "b"])
    for fitted in (model, loaded):
        assert fitted.classes == {"task0": ("a", "b")}
        assert fitted.predict(data(kind, NAMES)).shape == (6, 1, len(fitted.classes["task0"]))
        with pytest.raises(DatasetError, match=r"numbers differ.*classes=model\.classes"):
            fitted.evaluate(others, [Accuracy()])
        assert fitted.evaluate(data(kind, NAMES[::-1]), [Accuracy()]).keys() == {"accuracy"}


@pytest.mark.parametrize("kind", CLASSIFIERS)
def test_training_that_continues_keeps_the_classes_and_a_fresh_fit_learns_new_ones(
    kind: str,
) -> None:
    model = CLASSIFIERS[kind]().fit(data(kind, NAMES))
    others = data(kind, ["x", "y", "x", "y", "x", "y"])
    if kind == "estimator":  # every fit of scikit-learn starts afresh
        assert model.fit(others).classes == {"task0": ("x", "y")}
        return
    with pytest.raises(DatasetError, match="numbers differ"):
        model.fit(others)
    assert model.fit(data(kind, np.array([0.0, 1, 0, 1]))).classes == {"task0": ("a", "b")}
    assert model.unfitted().fit(others).classes == {"task0": ("x", "y")}


@pytest.mark.parametrize("kind", REGRESSORS)
def test_a_regressor_refuses_classes(kind: str) -> None:
    model = REGRESSORS[kind]()
    with pytest.raises(DatasetError, match="'task0' are classes"):
        model.fit(data(kind, NAMES))
    assert not model.history if isinstance(model, TorchModel) else not model.is_fitted
    model.fit(data(kind, np.arange(6.0)))
    with pytest.raises(DatasetError, match="'task0' are classes"):
        model.evaluate(data(kind, NAMES), [RMSE()])


@pytest.mark.parametrize("metric", [RMSE(), MAE(), R2(), PearsonR()], ids=repr)
def test_a_metric_of_quantities_refuses_classes(metric: Metric) -> None:
    model = CLASSIFIERS["estimator"]().fit(data("estimator", NAMES))
    with pytest.raises(DatasetError, match=f"{metric.name} needs quantities"):
        model.evaluate(data("estimator", NAMES), [metric])


def test_more_classes_than_outputs_are_told_n_classes() -> None:
    with pytest.raises(DatasetError, match="n_classes="):
        network().fit(NumpyDataset(X, [0, 1, 2, 3, 0, 1]))


def test_an_estimator_given_text_is_told_to_featurize_it() -> None:
    model = SklearnModel(Ridge()).fit(NumpyDataset(X, np.arange(6.0)))
    with pytest.raises(DatasetError, match="X is text: featurize it first"):
        model.predict(np.array(["CC"]))


def test_a_module_that_was_only_passed_in_is_shown_as_given() -> None:
    model = TorchModel(nn.Linear(16, 1), epochs=1)
    assert "# module as given, 2 weights" in repr(model)
    assert "# fitted, 2 weights" in repr(model.fit(NumpyDataset(X, np.arange(6.0))))
    assert "# not fitted" in repr(network())


def test_a_device_may_be_an_object() -> None:
    model = TorchModel(nn.Linear(16, 1), epochs=1, device=torch.device("cpu"))
    assert model.fit(NumpyDataset(X, np.arange(6.0))).to(torch.device("cpu")).is_fitted


def test_notebooks_show_where_a_model_is_stored(tmp_path: Path) -> None:
    stored = dc_hub.StoredModel("a", "", tmp_path / "<b>")
    assert "&lt;b&gt;" in stored._repr_html_()
