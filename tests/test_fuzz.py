"""A slice of `nox -s fuzz`: whatever a stored number, name or part becomes, errors are typed."""

from __future__ import annotations

import json
import os
import runpy
import signal
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz")
MODELS = "SVC,KBins,ColumnTransformer,LabelBinarizer,Bagging"


OVERRUN = """
import numpy as np
from scipy import sparse
matrix = sparse.csr_matrix((np.ones(131), np.full(131, 1), np.arange(132)), shape=(131, 1))
matrix.toarray()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="the C library of Linux checks its heap")
def test_a_worker_ends_at_a_write_beyond_the_heap() -> None:
    limits = runpy.run_path(str(FUZZ / "__main__.py"))["LIMITS"]
    command = [sys.executable, "-c", OVERRUN]
    # One address in 256 has the very byte behind a block that is written here.
    runs = [
        subprocess.run(command, env=os.environ | limits, capture_output=True, check=False)
        for _ in range(3)
    ]
    assert -signal.SIGABRT in [run.returncode for run in runs], runs


@pytest.mark.skipif(sys.platform != "linux", reason="the limits on memory hold on Linux")
def test_a_change_to_a_stored_model_gives_a_model_or_a_typed_error(tmp_path: Path) -> None:
    """Also after an interruption: the second run goes on after the first one's last case."""
    report, corpus = tmp_path / "report.jsonl", tmp_path / "corpus"
    places = ["--report", str(report), "--corpus", str(corpus), "--only", MODELS]
    for cases in ("100", "250"):
        command = [sys.executable, str(FUZZ), "--cases", cases, *places]
        run = subprocess.run(command, capture_output=True, text=True, timeout=900, check=False)
        assert run.returncode == 0, run.stdout + run.stderr
    outcomes = [json.loads(line) for line in report.read_text().splitlines()]
    assert [outcome["case"] for outcome in outcomes] == list(range(250))
    assert {"refused", "answered"} <= {outcome["outcome"] for outcome in outcomes}
