"""What must work with the bare wheel: NumPy and pluggy, nothing else."""

import subprocess
import sys
from importlib import import_module

import numpy as np

import dc_core
from dc_core import Estimator, Metric, NumpyDataset, plugins
from dc_core.errors import BackendNotInstalled, HubNotInstalled, WeightsMismatch


class Mean(Estimator):
    fitted = ("mean",)

    def __init__(self, offset=0.0):
        self.offset = offset
        self.mean = None

    def fit(self, dataset):
        self.mean = dataset.y.mean(axis=0)
        return self

    def predict(self, dataset):
        return np.tile(self.mean + self.offset, (len(dataset), 1))


class RMSE(Metric):
    greater_is_better = False

    def compute(self, y, prediction, w):
        return float(np.sqrt(np.average((y - prediction) ** 2, weights=w)))


def raises(error, call):
    try:
        call()
    except error as caught:
        return str(caught)
    raise SystemExit(f"{error.__name__} was not raised")


for name in dc_core.__all__:
    getattr(dc_core, name)

dataset = NumpyDataset(np.arange(6.0).reshape(3, 2), [1.0, 2.0, 3.0])
model = Mean(offset=1.0).fit(dataset)
twin = dc_core.construct(Mean, model.get_parameters())
twin.set_weights(model.get_weights())
if not np.array_equal(twin.predict(dataset), model.predict(dataset)):
    raise SystemExit("a round trip changed the predictions")
if not np.isclose(model.evaluate(dataset, [RMSE()])["rmse"], np.sqrt(5 / 3)):
    raise SystemExit("the metric is wrong")
raises(WeightsMismatch, lambda: twin.set_weights({"mean/mean/0": np.zeros(2)}))
if "pip install dc-hub" not in raises(HubNotInstalled, lambda: model.to_pretrained("a/b")):
    raise SystemExit("no hint for the hub")
thing = type("Module", (), {"__module__": "torch.nn"})()
if "pip install dc-torch" not in raises(BackendNotInstalled, lambda: plugins.claim(thing)):
    raise SystemExit("no hint for the backend")
hint = raises(ImportError, lambda: import_module("dc_core.testing.suite"))
if "dc-core[testing]" not in hint:
    raise SystemExit("no hint for the kit")
listed = subprocess.run(
    [sys.executable, "-I", "-m", "dc_core", "plugins"], capture_output=True, text=True, check=True
)
if "pip install dc-torch" not in listed.stdout:
    raise SystemExit("the command does not say how to get a backend")
print("dc-core", "works")
