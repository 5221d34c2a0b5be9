"""Models leave a hub as ONNX files that predict the same, and such files come back as models."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.datasets import load_iris
from sklearn.ensemble import ExtraTreesClassifier, HistGradientBoostingRegressor
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVR
from torch import nn
from xgboost import XGBClassifier, XGBModel, XGBRegressor

import dc_hub
from dc_core import NumpyDataset
from dc_hub.errors import AlreadyExists, NotSerializable, ParamsError, PredictionsChanged
from dc_lightgbm import LightGBMModel
from dc_onnx import Session
from dc_sklearn import SklearnModel
from dc_torch import TorchModel
from dc_xgboost import XGBoostModel

rng = np.random.default_rng(0)
X = rng.normal(size=(60, 5)).astype(np.float32)
Y = np.stack([X @ np.arange(5), np.sin(X[:, 0])], axis=1)
CLASSES = (X[:, 0] > 0).astype(int) + (X[:, 1] > 0)


def network(outputs: int, **options: object) -> TorchModel:
    torch.manual_seed(0)
    layers = nn.Linear(5, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.5), nn.Linear(8, outputs)
    return TorchModel(nn.Sequential(*layers), epochs=2, **options)


def exported(model, hub, tmp_path, golden=X[:8]) -> Session:
    dc_hub.publish(model, "lab/net", hub=hub, golden=golden)
    found = dc_hub.export("lab/net", tmp_path / "net.onnx", format="onnx", hub=hub)
    return Session(onnx.load(found.path))


@pytest.fixture
def hub(tmp_path):
    return tmp_path / "hub"


@pytest.mark.parametrize(
    ("model", "y"),
    [
        (network(2), Y),
        (network(2, loss="mean_variance"), Y[:, :1]),
        (network(1, loss="bce"), CLASSES > 0),
    ],
    ids=["regression", "mean-variance", "classes"],
)
def test_a_network_predicts_the_same_in_onnx_for_any_number_of_rows(model, y, hub, tmp_path):
    model.fit(NumpyDataset(X, y))
    session = exported(model, hub, tmp_path)
    for rows in (1, 2, 60):
        np.testing.assert_allclose(
            session.predict(X[:rows]), model.predict(X[:rows]), rtol=1e-4, atol=1e-6
        )


def test_what_a_network_converts_the_onnx_model_converts_too(hub, tmp_path):
    bits = (X > 0).astype(np.uint8)
    model = network(2).fit(NumpyDataset(bits, Y))
    session = exported(model, hub, tmp_path, golden=bits[:8])
    np.testing.assert_allclose(session.predict(bits), model.predict(bits), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (Ridge(), Y),
        (make_pipeline(StandardScaler(), SVR()), Y[:, 0]),
        (GaussianProcessRegressor(), Y[:, 0]),
        (LogisticRegression(), CLASSES),
        (make_pipeline(StandardScaler(), ExtraTreesClassifier(10, random_state=0)), CLASSES),
    ],
    ids=["linear", "svm", "gaussian-process", "classes", "scaled-trees"],
)
def test_an_estimator_predicts_the_same_in_onnx(estimator, y, hub, tmp_path):
    model = SklearnModel(estimator).fit(NumpyDataset(X, y))
    session = exported(model, hub, tmp_path, golden=X[:8].astype(np.float64))
    found = session.predict(X.astype(np.float64))
    np.testing.assert_allclose(found, model.predict(X.astype(np.float64)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("estimator", "y"),
    [
        (XGBRegressor(n_estimators=8), Y[:, 0]),
        (XGBClassifier(n_estimators=8), CLASSES),
        (XGBClassifier(n_estimators=8), CLASSES > 0),
        (LGBMRegressor(n_estimators=8, min_child_samples=5, verbose=-1), Y[:, 0]),
        (LGBMClassifier(n_estimators=8, min_child_samples=5, verbose=-1), CLASSES),
    ],
    ids=["xgboost", "xgboost-classes", "xgboost-two-classes", "lightgbm", "lightgbm-classes"],
)
def test_boosted_trees_predict_the_same_in_onnx_also_for_missing_values(
    estimator, y, hub, tmp_path
):
    incomplete = np.where(X > 1, np.nan, X)
    wrapper = XGBoostModel if isinstance(estimator, XGBModel) else LightGBMModel
    model = wrapper(estimator).fit(NumpyDataset(incomplete, y))
    session = exported(model, hub, tmp_path, golden=incomplete[:8])
    np.testing.assert_allclose(
        session.predict(incomplete), model.predict(incomplete), rtol=1e-4, atol=1e-5
    )


def test_an_onnx_model_that_predicts_something_else_is_not_written(hub, tmp_path):
    # Some flowers have several neighbors at one distance, of which ONNX counts others.
    rows, species = load_iris(return_X_y=True)
    model = SklearnModel(KNeighborsClassifier()).fit(NumpyDataset(rows, species))
    dc_hub.publish(model, "ties", hub=hub, golden=rows)
    with pytest.raises(PredictionsChanged, match="predicts other values"):
        dc_hub.export("ties", tmp_path / "ties.onnx", format="onnx", hub=hub)
    assert not (tmp_path / "ties.onnx").exists()


def test_without_golden_rows_the_inputs_have_to_be_given(hub, tmp_path):
    model = network(2).fit(NumpyDataset(X, Y))
    dc_hub.publish(model, "net", hub=hub)
    with pytest.raises(ParamsError, match="golden rows"):
        dc_hub.export("net", tmp_path / "net.onnx", format="onnx", hub=hub)
    dc_hub.export("net", tmp_path / "net.onnx", format="onnx", inputs=X[:3], hub=hub)
    with pytest.raises(AlreadyExists):
        dc_hub.export("net", tmp_path / "net.onnx", format="onnx", inputs=X[:3], hub=hub)


def test_what_onnx_cannot_express_is_refused_and_named(hub, tmp_path):
    model = SklearnModel(HistGradientBoostingRegressor(max_iter=2)).fit(NumpyDataset(X, Y[:, 0]))
    dc_hub.publish(model, "trees", hub=hub, golden=X[:2])
    with pytest.raises(NotSerializable, match="its exporter fails"):
        dc_hub.export("trees", tmp_path / "trees.onnx", format="onnx", hub=hub)


def test_boosted_trees_of_several_tasks_are_refused(hub, tmp_path):
    model = XGBoostModel(XGBRegressor(n_estimators=2)).fit(NumpyDataset(X, Y))
    dc_hub.publish(model, "trees", hub=hub, golden=X[:2])
    with pytest.raises(NotSerializable, match="single task"):
        dc_hub.export("trees", tmp_path / "trees.onnx", format="onnx", hub=hub)


def test_an_exported_file_is_converted_published_and_loaded_in_a_new_process(hub, tmp_path):
    model = network(2).fit(NumpyDataset(X, Y))
    exported(model, hub, tmp_path)
    file = tmp_path / "net.onnx"
    dc_hub_command("convert", str(file), "--publish", "lab/net-onnx", "--hub", str(hub))
    np.save(tmp_path / "X.npy", X)
    program = (
        "import sys, json, numpy as np, dc_hub; "
        f"m = dc_hub.from_pretrained('lab/net-onnx', hub={str(hub)!r}); "
        f"p = m.predict(np.load({str(tmp_path / 'X.npy')!r})); "
        "print(json.dumps([type(m).__name__, 'torch' in sys.modules, p.tolist()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    name, torch_is_loaded, found = json.loads(done.stdout)
    assert (name, torch_is_loaded) == ("Session", False)
    np.testing.assert_allclose(found, model.predict(X), rtol=1e-4, atol=1e-6)


def test_the_command_exports_to_onnx(hub, tmp_path):
    dc_hub.publish(network(2).fit(NumpyDataset(X, Y)), "net", hub=hub)
    np.save(tmp_path / "X.npy", X[:4])
    output, inputs = str(tmp_path / "net.onnx"), str(tmp_path / "X.npy")
    dc_hub_command(
        *("export", "net", "--to", "onnx", "-o", output, "--inputs", inputs, "--hub", str(hub))
    )
    onnx.checker.check_model(onnx.load(output), full_check=True)


def dc_hub_command(*arguments: str) -> None:
    command = [str(Path(sys.executable).with_name("dc-hub")), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
