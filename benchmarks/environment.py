"""Environments for libraries that cannot be installed in this one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

DEEPCHEM = ("setuptools<81", "deepchem==2.8.0")


def interpreter(directory: Path, requirements: tuple[str, ...]) -> Path:
    """Return the Python of the virtual environment ``directory``, creating it if needed.

    Raises :class:`subprocess.CalledProcessError` if pip cannot install the ``requirements``.
    """
    python = directory / "bin" / "python"
    if not python.exists():
        subprocess.run([sys.executable, "-m", "venv", directory], check=True)
        # The project's pins are not meant for this environment.
    variables = {name: value for name, value in os.environ.items() if name != "PIP_CONSTRAINT"}
    install = [python, "-m", "pip", "install", "--quiet", *requirements]
    subprocess.run(install, check=True, env=variables)
    return python.absolute()
