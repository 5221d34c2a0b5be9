"""What README promises is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]


def test_the_example_in_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    (example,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    environment = {**os.environ, "DEEPCHEM_MODEL_HUB": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", example],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (prediction,) = re.findall(r"\[\[(.*?)\]\]", done.stdout)
    assert -6.0 < float(prediction) < -4.0, "a fifth alcohol is like the four others"
    assert (tmp_path / "hub" / "alcohols" / "refs" / "main.json").is_file()
