"""Run Python code in a new interpreter with the same search path."""

from __future__ import annotations

import os
import subprocess
import sys


def fresh_interpreter(code: str, *arguments: str) -> str:
    """Run ``code`` with ``arguments`` and return its standard output.

    Strings have other hashes there. Raises ``RuntimeError`` with the standard error output if the
    process fails.
    """
    path = os.pathsep.join(filter(None, sys.path))
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        env={**os.environ, "PYTHONPATH": path, "PYTHONHASHSEED": "random"},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(f"The new interpreter failed:\n{done.stderr.strip()}")
    return done.stdout
