"""The weights of Keras files, and HDF5 files that lead elsewhere."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

from dc_core.errors import ConversionError as CoreConversionError
from dc_hub import convert, info, read_tensors, verify
from dc_hub.converting import keras_files
from dc_hub.errors import ConversionError, LimitExceeded

h5py = pytest.importorskip("h5py", reason="needs h5py")

FOREIGN = Path(__file__).parent / "data" / "foreign"


def predict(weights, x):
    """Compute what the network of the file computes, by its definition."""
    hidden = np.maximum(x @ weights["layers/dense/vars/0"] + weights["layers/dense/vars/1"], 0)
    gamma, beta, mean, variance = (
        weights[f"layers/batch_normalization/vars/{i}"] for i in range(4)
    )
    normal = (hidden - mean) / np.sqrt(variance + 1e-3) * gamma + beta
    return normal @ weights["layers/dense_1/vars/0"] + weights["layers/dense_1/vars/1"]


@pytest.fixture(scope="module")
def converted(tmp_path_factory):
    path = tmp_path_factory.mktemp("keras") / "model"
    return convert(FOREIGN / "keras-3.15.1.keras", path)


def test_the_weights_of_a_keras_file_predict_what_keras_predicted(converted):
    assert converted.recognized == "a zip archive of Keras 3"
    assert converted.backend is None
    verify(converted.model.path)
    weights = read_tensors(converted.model.path / "model.safetensors")
    assert len(weights) == 8
    with np.load(FOREIGN / "keras-3.15.1.npz") as expected:
        np.testing.assert_allclose(predict(weights, expected["x"]), expected["y"], atol=1e-6)


def test_the_configuration_of_keras_is_kept_as_data_and_the_optimizer_is_left_out(converted):
    origin = info(converted.model.path).metadata["converted_from"]
    assert origin["facts"]["config"]["class_name"] == "Sequential"
    assert origin["facts"]["keras_version"] == "3.15.1"
    assert "training" in origin["omitted"]["optimizer"]
    assert "class_name" not in (converted.model.path / "README.md").read_text()


def keras_file(path, fill, config="{}"):
    """Write an archive like Keras's, whose HDF5 file ``fill`` fills."""
    weights = path.with_suffix(".h5")
    with h5py.File(weights, "w") as file:
        fill(file)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("config.json", config)
        archive.write(weights, "model.weights.h5")
    return path


def test_an_array_of_terabytes_in_a_small_file_is_a_typed_error(tmp_path):
    def fill(file):
        file.create_dataset("layers/a/vars/0", (1 << 40,), "f4", chunks=(1 << 20,))

    with pytest.raises(LimitExceeded, match="layers/a/vars/0"):
        convert(keras_file(tmp_path / "bomb.keras", fill), tmp_path / "model")


def test_a_file_that_leads_to_other_files_or_into_itself_is_a_typed_error(tmp_path, monkeypatch):
    secret = tmp_path / "secret"
    secret.write_bytes(b"secret!!")
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["a"] = np.ones(3)

    def external_link(file):
        file["a"] = h5py.ExternalLink(str(tmp_path / "other.h5"), "/a")

    def external_data(file):
        file.create_dataset("a", (8,), "u1", external=[(str(secret), 0, 8)])

    def virtual(file):
        layout = h5py.VirtualLayout((3,), "f8")
        layout[:] = h5py.VirtualSource(str(tmp_path / "other.h5"), "a", (3,))
        file.create_virtual_dataset("a", layout)

    def circle(file):
        file.create_group("a")["a"] = file["/"]

    def groups_of_each_other(file):
        inner = file.create_group("end")
        for level in range(60):
            outer = file.create_group(f"level{level}")
            outer["a"] = outer["b"] = inner
            inner = outer

    def soft_link(file):
        file["a"] = h5py.SoftLink("/b")

    def objects(file):
        file["a"] = ["text", "of any length"]

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(keras_files, "_MAX_MEMBERS", 1_000)
    hostile = (external_link, external_data, virtual, circle, soft_link, objects)
    for fill in (*hostile, groups_of_each_other):
        file = keras_file(tmp_path / f"{fill.__name__}.keras", fill)
        with pytest.raises(CoreConversionError):
            keras_files.dc_read_file(file, False)
        (tmp_path / "model.weights.h5").unlink()
    with pytest.raises(ConversionError, match="link to another place"):
        convert(tmp_path / "soft_link.keras", tmp_path / "model")
    assert not (tmp_path / "model").exists()


def test_a_configuration_that_is_too_large_or_damaged_is_said_to_be_left_out(tmp_path):
    def fill(file):
        file["layers/a/vars/0"] = np.ones(3)

    for number, config in enumerate(("x" * 300_000, "[" * 100, json.dumps({"a": 1}) + "}")):
        file = keras_file(tmp_path / f"{number}.keras", fill, config)
        found = convert(file, tmp_path / f"model{number}")
        assert "config.json" in found.omitted
        assert found.facts == {}
