"""Running a few lines of Python in a fresh interpreter that finds the same packages as this one."""

from __future__ import annotations

import os
import subprocess
import sys


def fresh_interpreter(code: str, *arguments: str, seed: int = 0) -> str:
    """Run ``code`` with ``arguments`` and return what it wrote to standard output.

    ``seed`` is that of the string hashes. Raises ``RuntimeError`` with the process's error output
    when it fails.
    """
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": str(seed)},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"The fresh interpreter failed:\n{done.stderr.strip()}")
    return done.stdout
