"""The public surface: what there is, and what importing it costs."""

import re
import subprocess
import sys
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
