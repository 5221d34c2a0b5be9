"""Small models in plain NumPy, and a hub and a cache of the test's own."""

from __future__ import annotations

import hashlib
import json
import os
import runpy
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest

if os.environ.get("DC_HUB_TESTS_MASKED"):  # before anything of dc-hub is imported
    runpy.run_path(str(Path(__file__).with_name("masked.py")))["import_masked"]("dc_hub")

from dc_core import (
    Component,
    Dataset,
    Estimator,
    NumpyDataset,
    Transformer,
    register_component,
    register_model,
)
from dc_core.errors import NotFitted
from dc_hub import LocalHub
from dc_hub.files import system
from dc_hub.format.filenames import MANIFEST
from dc_hub.format.manifest import Entry, Manifest

CAPABILITIES = {
    "open directories": system.GUARDED,
    "file owners": system.OWNERS,
    "process numbers": system.PROCESSES,
    "fork": hasattr(os, "fork"),
    "FIFOs": hasattr(os, "mkfifo"),
    "resource limits": find_spec("resource") is not None,
    "/proc": Path("/proc/self/fd").is_dir(),
    "file modes": os.name == "posix",
    "root": hasattr(os, "geteuid") and os.geteuid() == 0,
    "a user without rights": hasattr(os, "geteuid") and os.geteuid() != 0,
}


def pytest_configure(config):
    config.addinivalue_line("markers", "needs(*capabilities): skipped on systems without them")


def pytest_runtest_setup(item):
    wanted = {name for marker in item.iter_markers("needs") for name in marker.args}
    missing = sorted(name for name in wanted if not CAPABILITIES[name])
    if missing:
        pytest.skip(f"this system lacks {', '.join(missing)}, or they are masked")


def features(data):
    return data.X if isinstance(data, Dataset) else np.asarray(data)


@register_model("test/Linear")
class Linear(Estimator):
    """Ridge regression."""

    fitted = ("coefficients", "intercept")

    def __init__(self, alpha=1.0, seed=None):
        self.alpha = alpha
        self.seed = seed

    def fit(self, dataset):
        X, y = dataset.X, dataset.y
        inner = X.T @ X + self.alpha * np.eye(X.shape[1])
        self.coefficients = np.linalg.solve(inner, X.T @ (y - y.mean(axis=0)))
        self.intercept = y.mean(axis=0)
        return self

    def predict(self, dataset):
        if getattr(self, "coefficients", None) is None:
            raise NotFitted("Linear is not fitted.")
        return features(dataset) @ self.coefficients + self.intercept


@register_model("test/RidgeOfLinear")
class Ridge(Linear):
    """A subclass with a name of its own."""


@register_model("test/Other")
class Other(Linear):
    """A sibling that a stored Ridge is not."""


class Unregistered(Linear):
    """A class of the user's own."""


@register_component("test/Shift")
class Shift(Transformer):
    """Centres X."""

    fitted = ("mean",)

    def fit(self, dataset):
        self.mean = dataset.X.mean(axis=0)
        return self

    def transform(self, dataset):
        return NumpyDataset(dataset.X - self.mean, dataset.y)


@register_component("test/Letters")
class Letters(Component):
    """Counts letters: strings to numbers."""

    def __init__(self, alphabet="CNO"):
        self.alphabet = alphabet

    def featurize(self, inputs):
        return np.array([[text.count(a) for a in self.alphabet] for text in inputs], float)


@register_model("test/Chain")
class Chain(Estimator):
    """Featurizer, transformers and model as one."""

    def __init__(self, model, featurizer=None, transformers=(), weights=None):
        self.model = model
        self.featurizer = featurizer
        self.transformers = transformers
        self.weights = weights

    def _prepare(self, inputs):
        X = features(inputs)
        return X if self.featurizer is None else self.featurizer.featurize(X.tolist())

    def fit(self, dataset):
        data = NumpyDataset(self._prepare(dataset), dataset.y)
        for transformer in self.transformers:
            data = transformer.fit(data).transform(data)
        self.model.fit(data)
        return self

    def predict(self, dataset):
        data = NumpyDataset(self._prepare(dataset))
        for transformer in self.transformers:
            data = transformer.transform(data)
        return self.model.predict(data)


SMILES = ["CCO", "CCN", "C", "CCCC", "NCO", "OCCO", "CN", "CCCN"]


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch):
    """Reach servers on loopback directly, whatever the environment says."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    monkeypatch.setenv("no_proxy", "127.0.0.1,localhost")


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """Keep stamps, keys and the default hub out of the user's folders."""
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(tmp_path / "default-hub"))
    monkeypatch.setenv("DEEPCHEM_CONFIG", str(tmp_path / "config"))
    monkeypatch.delenv("DEEPCHEM_TRUST", raising=False)
    return tmp_path / "cache"


@pytest.fixture
def hub(tmp_path):
    return LocalHub(tmp_path / "hub")


@pytest.fixture
def dataset():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 4))
    return NumpyDataset(X, X @ rng.normal(size=(4, 2)) + 1)


@pytest.fixture
def linear(dataset):
    return Linear(alpha=0.1).fit(dataset)


@pytest.fixture
def chain():
    model = Chain(Linear(), Letters("CNO"), (Shift(),), weights=np.arange(3.0))
    return model.fit(NumpyDataset(SMILES, np.arange(8.0)))


@pytest.fixture
def models():
    """The classes, for test modules: they cannot import this one."""
    return {
        cls.__name__: cls for cls in (Linear, Ridge, Other, Unregistered, Shift, Letters, Chain)
    }


def seal(directory):
    """Give a directory the manifest of what it holds now, whoever changed it."""
    entries = []
    for file in directory.iterdir():
        if file.name != MANIFEST:
            data = file.read_bytes()
            digest = hashlib.sha256(data).hexdigest()
            entries.append(Entry(file.name, len(data), digest, (digest,) if data else ()))
    (directory / MANIFEST).write_bytes(Manifest.of(entries).to_bytes())


@pytest.fixture
def reseal():
    return seal


@pytest.fixture
def edit_params():
    """Return a function that edits the params.json of a directory and seals it again."""

    def edit(directory, change):
        file = directory / "params.json"
        content = json.loads(file.read_text())
        change(content)
        file.write_text(json.dumps(content))
        seal(directory)
        return directory

    return edit


@pytest.fixture(scope="session")
def endpoint():
    """Start a server of the protocol of S3 on loopback, and yield its URL."""
    pytest.importorskip("boto3", reason="boto3 is not installed")
    server = pytest.importorskip("moto.server", reason="moto's server is not installed")
    started = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    started.start()
    host, port = started.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        # Each client would read the descriptions of the services again, for a seventh of a second.
        loader = import_module("botocore.loaders").create_loader()
        patch.setattr("botocore.session.create_loader", lambda *_: loader)
        yield f"http://{host}:{port}"
    started.stop()


@pytest.fixture
def buckets(endpoint, monkeypatch):
    """A client of the buckets on the server, which ``s3://`` names in the test."""
    from boto3 import client

    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
    return client("s3")


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs ``dc-hub`` and returns exit code, output and errors."""
    from dc_hub.command import program

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dc-hub", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            program.main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run
