"""Whatever is loaded, and from wherever: an audit hook sees nothing run, found or unpickled."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import dc_hub
from dc_core import NumpyDataset
from dc_hub import LocalHub, from_pretrained, publish
from dc_sklearn import SklearnModel
from dc_torch import MultitaskRegressor, TorchModel, TransformersModule

TRANSFORMERS = find_spec("transformers") is not None

FORBIDDEN = (
    *("compile", "exec", "code.", "import", "marshal.", "pickle.", "function.", "ctypes."),
    *("subprocess.", "os.system", "os.exec", "os.posix_spawn", "os.spawn", "os.fork", "pty."),
)
"""What the names of the events begin with that a load must not cause."""

seen: list[tuple[str, tuple[Any, ...]]] = []
watching = False


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if watching:
        seen.append((event, arguments))


@pytest.fixture(scope="module", autouse=True)
def hook() -> None:
    """Watch this process; a hook cannot be removed."""
    sys.addaudithook(_watch)


@contextmanager
def watched() -> Iterator[None]:
    """Check that the block executes nothing."""
    global watching
    seen.clear()
    watching = True
    try:
        yield
    finally:
        watching = False
    assert any(event == "open" for event, _ in seen)
    bad = [(event, arguments) for event, arguments in seen if event.startswith(FORBIDDEN)]
    assert bad == []


def models() -> dict[str, tuple[Any, Any]]:
    """Return two models of each kind: one to import everything that loading it needs, and one."""
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(30, 5)), rng.normal(size=(30, 1))
    regression, classes = NumpyDataset(X, y), NumpyDataset(X, (y > 0).astype(int))

    def forest(seed: int) -> Any:
        model = SklearnModel(RandomForestClassifier(3, random_state=seed))
        return model.fit(NumpyDataset(classes.X, classes.y[:, 0]))

    def chain(alpha: int) -> Any:
        model = SklearnModel(make_pipeline(StandardScaler(), Ridge(alpha)))
        return model.fit(NumpyDataset(X, y[:, 0]))

    def network(seed: int) -> Any:
        model = MultitaskRegressor(
            n_tasks=1, n_features=5, layer_sizes=(4,), epochs=1, batch_size=8, seed=seed
        )
        return model.fit(regression)

    found = {
        "a forest": (forest(0), forest(1)),
        "a pipeline": (chain(1), chain(2)),
        "a network": (network(0), network(1)),
    }
    if TRANSFORMERS:
        found["a transformer"] = (transformer(16), transformer(32))
    return found


def transformer(size: int) -> Any:
    """Return a model of transformers, as a module of a ``TorchModel``."""
    from transformers import BertConfig, BertForSequenceClassification

    config = BertConfig(
        vocab_size=9, hidden_size=size, num_hidden_layers=1, num_attention_heads=2, num_labels=1
    )
    return TorchModel(TransformersModule(BertForSequenceClassification(config)))


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> LocalHub:
    """A hub with both models of each kind."""
    found = LocalHub(tmp_path_factory.mktemp("hub"))
    for kind, pair in models().items():
        for number, model in enumerate(pair):
            publish(model, f"{kind.split()[1]}-{number}", hub=found)
    return found


@pytest.fixture(scope="module")
def url(hub: LocalHub) -> Iterator[str]:
    """Serve the hub in a process of its own, whose doings the hook does not see."""
    command = [sys.executable, "-u", "-m", "http.server", "0", "--bind", "127.0.0.1"]
    server = subprocess.Popen(
        [*command, "--directory", str(hub.path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert server.stdout is not None
    found = re.search(r"port (\d+)", server.stdout.readline())
    assert found is not None
    yield f"http://127.0.0.1:{found[1]}"
    server.kill()
    server.communicate()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.mark.parametrize(
    "kind",
    [
        *("forest", "pipeline", "network"),
        pytest.param(
            "transformer",
            marks=pytest.mark.skipif(not TRANSFORMERS, reason="transformers is not installed"),
        ),
    ],
)
@pytest.mark.parametrize("way", ["a hub", "a directory", "a server", "a bundle"])
def test_a_load_executes_imports_and_unpickles_nothing(
    hub: LocalHub, url: str, tmp_path: Path, kind: str, way: str
) -> None:
    def load(number: int) -> Any:
        name = f"{kind}-{number}"
        if way == "a directory":
            return dc_hub.load(hub.resolve(name).path, verify="full")
        if way == "a bundle":
            other = LocalHub(tmp_path / f"unpacked-{number}")
            dc_hub.unbundle(tmp_path / f"{number}.tar", hub=other)
            return from_pretrained(name, hub=other, verify="full")
        return from_pretrained(name, hub=url if way == "a server" else hub, verify="full")

    if way == "a bundle":
        for number in (0, 1):
            dc_hub.bundle([f"{kind}-{number}"], tmp_path / f"{number}.tar", hub=hub)
    load(0)  # which imports what loading such a model needs
    with watched():
        loaded = load(1)
    assert len(loaded.get_weights()) > 0


def test_the_hook_sees_what_it_must_see(tmp_path: Path) -> None:
    def run(text: str) -> None:
        (tmp_path / "x").write_text(text)
        eval((tmp_path / "x").read_text())

    with pytest.raises(AssertionError, match="compile"), watched():
        run("1 + 1")
