"""No stored config makes Keras allocate, hang, crash, or raise an error that is not typed."""

import pytest

pytest.importorskip("tensorflow", reason="TensorFlow is not installed")

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("hostile.py")


@pytest.mark.skipif(sys.platform != "linux", reason="reads the size of its process from /proc")
def test_changed_configs_are_refused_or_harmless():
    pytest.importorskip("keras", reason="Keras is not installed")
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), "150", "1"], capture_output=True, text=True, timeout=280
    )
    assert ran.returncode == 0, ran.stderr[-2000:]
    *faults, counts = ran.stdout.splitlines()
    assert faults == []
    built, refused, failed = (int(part) for part in counts.split()[1::2])
    assert min(built, refused) > 5
    assert failed == 0
