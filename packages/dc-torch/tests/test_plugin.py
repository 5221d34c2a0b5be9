"""The plugin in an environment where another distribution is damaged, which PyTorch cannot bear."""

import json
import os
import subprocess
import sys


def test_a_pytorch_that_cannot_be_imported_is_imported_once_and_the_cause_named(tmp_path):
    info = tmp_path / "damaged-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: damaged\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[torch.backends]\nno equals sign\n")
    done = subprocess.run(
        [sys.executable, "-m", "dc_core", "plugins", "--json"],
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    lines = [line for line in json.loads(done.stdout) if line["distribution"] == "dc-torch"]
    assert {line["name"] for line in lines} >= {"torch", "torch/TorchModel"}
    for line in lines:
        assert line["status"] == "broken"
        assert line["hint"].endswith("pip install --force-reinstall damaged")
