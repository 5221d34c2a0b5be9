"""Whatever a file becomes, reading it gives a model or a typed error, in time and in bounds."""

from __future__ import annotations

import io
import re
import runpy
import subprocess
import sys
import tracemalloc
from pathlib import Path

import numpy as np
import pytest

from dc_hub.errors import LimitExceeded, WeightsFileError
from dc_hub.format.tensors import read_tensors, write_tensors

PROGRAM = Path(__file__).with_name("mutating.py")
PARSERS = Path(__file__).with_name("fuzzing.py")


@pytest.fixture(scope="module")
def mutations():
    return runpy.run_path(str(PROGRAM), run_name="mutating")["mutations"]


@pytest.mark.parametrize("seed", range(4))
def test_mutated_files_give_arrays_or_typed_errors_and_nothing_else(tmp_path, mutations, seed):
    file = io.BytesIO()
    tensors = {"a": np.ones((2, 3)), "b.c": np.zeros(4, bool), "é": np.ones((), np.float16)}
    write_tensors(file, tensors, {"format": "pt"})
    path, refused = tmp_path / "w", 0
    tracemalloc.start()
    for data in mutations(file.getvalue(), 250, seed):
        path.write_bytes(data)
        try:
            total = sum(array.nbytes for array in read_tensors(path).values())
        except (WeightsFileError, LimitExceeded):
            refused += 1
        else:
            assert total < len(data)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert refused > 125
    assert peak < 4 << 20


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory hold on Linux")
@pytest.mark.parametrize("seed", range(4))
def test_a_mutated_directory_gives_a_model_or_a_typed_error_within_128_mib(tmp_path, seed):
    run = subprocess.run(
        [sys.executable, str(PROGRAM), str(tmp_path), str(seed), "250"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stderr
    refused = int(re.fullmatch(r"(\d+) of 250 refused\n", run.stdout)[1])
    assert 125 < refused < 250


@pytest.mark.skipif(sys.platform != "linux", reason="limits of memory hold on Linux")
def test_every_parser_gives_what_it_read_again_or_a_typed_error_within_128_mib():
    """A slice of ``nox -s fuzz -- parsers``."""
    run = subprocess.run(
        [sys.executable, str(PARSERS), "--executions", "20000", "--seed", "7"],
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    counts = re.findall(r"(\w+) (\d+) \((\d+) accepted\)", run.stdout)
    assert len(counts) == 10
    assert all(0 < int(accepted) < int(count) == 2000 for _, count, accepted in counts)
