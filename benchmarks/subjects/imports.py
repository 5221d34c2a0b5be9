"""The cost of ``import`` in a fresh interpreter."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target


def interpreter(folder: Path, *, code: str) -> Callable[[], Any]:
    """Run ``code`` in a new interpreter."""

    def action() -> None:
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        subprocess.run([sys.executable, "-c", code], check=True, **quiet)

    action()
    return action


def importing(module: str, environment: str | None = None) -> Way:
    code = f"import {module}"
    return Way(code, interpreter, {"code": code}, environment)


NOTHING = "the interpreter alone"

SUBJECTS = (
    Subject(
        title="Imports",
        note="A whole interpreter that does nothing else, from start to end, with compiled "
        "bytecode and files in the cache. DeepChem has neither torch nor TensorFlow beside it.",
        calls=5,
        repeats=5,
        unit="ms",
        versions=("numpy", "safetensors", "huggingface-hub"),
        ways=(
            Way(NOTHING, interpreter, {"code": "pass"}),
            importing("dc_core"),
            importing("dc_hub"),
            importing("numpy"),
            importing("safetensors"),
            importing("huggingface_hub"),
            importing("deepchem", "deepchem"),
        ),
        targets=(
            Target("cpu", "import dc_core", NOTHING, "difference"),
            Target("cpu", "import dc_hub", NOTHING, "difference"),
            Target("cpu", "import dc_core", "import numpy", at_most=1.0),
            Target("cpu", "import dc_hub", "import numpy", at_most=1.0),
        ),
    ),
)
