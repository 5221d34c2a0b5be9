"""Nothing that a file can hold crashes or hangs a module, a component or a training."""

import pytest

pytest.importorskip("jax", reason="JAX is not installed")

import re
import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("hostile.py")


def test_changed_arrays_and_arguments_are_refused_or_taken_exactly():
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), "150"], capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    *faults, last = ran.stdout.splitlines()
    assert faults == []
    counts = {what: int(number) for what, number in re.findall(r"(\w+) (\d+)", last)}
    assert counts["cases"] >= 600
    assert counts["refused"] > 200
    assert counts["taken"] > 100
