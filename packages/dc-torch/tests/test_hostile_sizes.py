"""No size in a file makes torch allocate, hang or crash."""

import subprocess
import sys
from pathlib import Path

PROGRAM = Path(__file__).with_name("hostile.py")


def test_hostile_arguments_of_every_class_are_refused_or_harmless():
    ran = subprocess.run(
        [sys.executable, str(PROGRAM), "400"], capture_output=True, text=True, timeout=240
    )
    assert ran.returncode == 0, ran.stdout[-2000:] + ran.stderr[-2000:]
    *faults, last = ran.stdout.splitlines()
    assert faults == []
    assert int(last.removeprefix("cases ")) > 10_000
