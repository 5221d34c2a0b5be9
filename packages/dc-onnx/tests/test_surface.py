"""The laws an empty package keeps: importing it is silent and loads no framework."""

import subprocess
import sys

FRAMEWORKS = {"jax", "keras", "lightgbm", "rdkit", "sklearn", "tensorflow", "torch", "xgboost"}


def in_a_fresh_interpreter(program: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "error", "-c", program]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


def test_import_is_silent() -> None:
    done = in_a_fresh_interpreter("import dc_onnx")
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_import_loads_no_framework() -> None:
    done = in_a_fresh_interpreter("import sys, dc_onnx; print(*sys.modules)")
    assert FRAMEWORKS.isdisjoint(done.stdout.split())
