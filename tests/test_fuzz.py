"""A slice of `nox -s fuzz`: whatever a stored number, name or part becomes, errors are typed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

FUZZ = Path(__file__).with_name("fuzz")
KINDS = ("SVC", "KBins", "ColumnTransformer", "RadiusNeighborsClassifier", "Multitask", "chain")


@pytest.mark.skipif(sys.platform != "linux", reason="the limits on memory hold on Linux")
@pytest.mark.parametrize("only", KINDS)
def test_a_change_to_a_stored_model_gives_a_model_or_a_typed_error(
    tmp_path: Path, only: str
) -> None:
    report = tmp_path / "report.jsonl"
    command = [sys.executable, str(FUZZ), "--cases", "60", "--only", only, "--report", str(report)]
    run = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    outcomes = [json.loads(line)["outcome"] for line in report.read_text().splitlines()]
    assert len(outcomes) == 60
    assert "refused" in outcomes


@pytest.mark.skipif(sys.platform != "linux", reason="the limits on memory hold on Linux")
def test_an_interrupted_fuzz_goes_on_after_its_last_case(tmp_path: Path) -> None:
    report = tmp_path / "report.jsonl"
    command = [sys.executable, str(FUZZ), "--only", "LabelBinarizer", "--report", str(report)]
    for cases in ("3", "5"):
        subprocess.run([*command, "--cases", cases], check=True, timeout=600)
    assert [json.loads(line)["case"] for line in report.read_text().splitlines()] == [0, 1, 2, 3, 4]
