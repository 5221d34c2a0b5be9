"""The public surface: what there is, and what importing it costs."""

import subprocess
import sys

import dc_torch


def test_every_public_name_is_there_and_sorted():
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
