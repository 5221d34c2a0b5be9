"""The public surface: what there is, and what importing it costs."""

import re
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import numpy as np

import dc_torch
from dc_core import NumpyDataset


def test_every_public_name_exists_and_is_sorted():
    assert dc_torch.__all__ == sorted(dc_torch.__all__)
    assert set(dc_torch.__all__) <= set(dir(dc_torch))
    for name in dc_torch.__all__:
        assert getattr(dc_torch, name).__name__ == name


def test_importing_the_package_loads_no_library_and_prints_nothing():
    code = "import sys, dc_torch; print({'torch', 'numpy', 'rich', 'pluggy'} & set(sys.modules))"
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True
    )
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "set()\n", "")


def test_importing_the_plugin_prints_nothing():
    code = "import dc_torch.plugin, dc_torch.multitask"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, "", "")


EXAMPLES = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[1] / "README.md").read_text(), re.DOTALL
)


def test_the_readme_s_example_runs():
    rng = np.random.default_rng(0)
    rows = NumpyDataset(rng.integers(0, 2, (30, 2048)).astype(np.uint8), rng.normal(size=30))
    names = {"train": rows, "valid": rows, "test": rows}
    exec(EXAMPLES[0].replace("epochs=50", "epochs=2"), names)
    assert names["model"].predict(rows).shape == (30, 1)
    assert names["model"]["torch_model/hidden/0"].shape == (256, 2048)


def test_the_readme_s_loss_trains_and_can_be_stored():
    rng = np.random.default_rng(0)
    names = {}
    exec(EXAMPLES[1], names)
    model = names["model"].fit(
        NumpyDataset(rng.normal(size=(30, 2048)), rng.normal(size=30)), epochs=1
    )
    model.check_storable()


def test_the_readme_s_callback_logs_changes_the_rate_and_ends_training():
    class Run:
        def __init__(self):
            self.logged = []

        def log_metric(self, name, value, step):
            self.logged.append((name, value, step))

    (code,) = [example for example in EXAMPLES if "class Following" in example]
    names = {}
    exec(code, names)
    rng = np.random.default_rng(0)
    rows = NumpyDataset(rng.normal(size=(30, 4)), rng.normal(size=30))
    model = dc_torch.MultitaskRegressor(1, 4, layer_sizes=(), epochs=9, learning_rate=3.0)
    model.fit(rows, callbacks=[names["Following"](run := Run())])
    losses = [epoch.loss for epoch in model.history]
    assert run.logged == [("loss", loss, i) for i, loss in enumerate(losses, 1)]
    rises = sum(after > before for before, after in pairwise(losses))
    assert model.learning_rate_factor == 0.5**rises < 1
