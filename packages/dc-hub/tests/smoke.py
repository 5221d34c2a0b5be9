"""Does the bare wheel work? Publish a model, get it back, and see a damaged one refused."""

import tempfile
from pathlib import Path

import numpy as np

import dc_hub
from dc_core import Estimator, NumpyDataset, register_model


@register_model("smoke/Mean")
class Mean(Estimator):
    fitted = ("mean",)

    def fit(self, dataset):
        self.mean = dataset.y.mean(axis=0)
        return self

    def predict(self, dataset):
        return np.tile(self.mean, (len(dataset), 1))


with tempfile.TemporaryDirectory() as folder:
    model = Mean().fit(NumpyDataset(np.zeros((3, 1)), np.arange(3.0)))
    published = model.to_pretrained("mean", hub=folder, golden=np.zeros((2, 1)))
    assert Mean.from_pretrained("mean", hub=folder).mean == model.mean
    assert dc_hub.check_golden("mean", hub=folder).passed
    weights = Path(published.path) / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    try:
        dc_hub.from_pretrained("mean", hub=folder)
    except dc_hub.errors.HashMismatch as error:
        refused = str(error)
    else:
        raise SystemExit("a damaged model was loaded")
    assert "model.safetensors" in refused
print("dc-hub works")
