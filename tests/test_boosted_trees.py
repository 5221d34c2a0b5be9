"""Files of XGBoost and LightGBM become models that predict the same."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import lightgbm
import numpy as np
import pytest
import xgboost

from dc_core.errors import ConversionError
from dc_hub import convert, load

FOREIGN = Path(__file__).parents[1] / "packages/dc-hub/tests/data/foreign"
rng = np.random.default_rng(0)
X = rng.normal(size=(60, 4))
y = (X[:, 0] > 0).astype(int) + (X[:, 1] > 1)


@pytest.mark.parametrize("ending", ["json", "ubj"])
def test_a_booster_in_a_file_of_xgboost_predicts_the_same(ending: str, tmp_path: Path) -> None:
    file = FOREIGN / f"xgboost-3.2.0.{ending}"
    conversion = convert(file, tmp_path / "model")
    assert (conversion.kind, conversion.backend) == ("xgboost", "xgboost")
    booster = xgboost.Booster(model_file=file)
    rows = rng.normal(size=(20, booster.num_features()))
    expected = booster.inplace_predict(rows)
    assert np.array_equal(load(tmp_path / "model").predict(rows)[:, 0], expected)


def test_a_booster_in_a_file_of_lightgbm_predicts_the_same(tmp_path: Path) -> None:
    file = FOREIGN / "lightgbm-4.7.0.txt"
    conversion = convert(file, tmp_path / "model")
    assert (conversion.kind, conversion.backend) == ("lightgbm", "lightgbm")
    booster = lightgbm.Booster(model_file=file)
    rows = rng.normal(size=(20, booster.num_feature()))
    assert np.array_equal(load(tmp_path / "model").predict(rows)[:, 0], booster.predict(rows))


def test_an_estimator_in_a_file_of_xgboost_stays_one(tmp_path: Path) -> None:
    classifier = xgboost.XGBClassifier(n_estimators=3, n_jobs=1).fit(X, y)
    classifier.save_model(tmp_path / "model.ubj")
    convert(tmp_path / "model.ubj", tmp_path / "model")
    loaded = load(tmp_path / "model")
    assert isinstance(loaded.native, xgboost.XGBClassifier)
    assert np.array_equal(loaded.predict(X)[:, 0], classifier.predict_proba(X))


@pytest.mark.parametrize("name", ["xgboost-3.2.0.json", "xgboost-3.2.0.ubj", "lightgbm-4.7.0.txt"])
def test_a_truncated_file_is_a_typed_error(name: str, tmp_path: Path) -> None:
    data = (FOREIGN / name).read_bytes()
    file = tmp_path / "model"
    file.write_bytes(data[: len(data) // 2])
    with pytest.raises(ConversionError):
        convert(file, tmp_path / "converted")
    assert not (tmp_path / "converted").exists()


def test_the_command_converts_a_file_that_a_new_process_loads(tmp_path: Path) -> None:
    file = FOREIGN / "xgboost-3.2.0.ubj"
    command = [str(Path(sys.executable).with_name("dc-hub")), "convert", str(file), "-o"]
    subprocess.run([*command, str(tmp_path / "model")], check=True, capture_output=True)
    code = f"""
from dc_hub import load
import numpy as np
model = load({str(tmp_path / "model")!r})
print(type(model).__name__, model.predict(np.zeros((2, model.native.num_features()))).shape)
"""
    run = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert run.stdout.split() == ["XGBoostModel", "(2,", "1)"]
