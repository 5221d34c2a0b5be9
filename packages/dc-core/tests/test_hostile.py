"""Hostile weights: the changes are reproducible, and a run says what became of each case."""

import subprocess
import sys

import numpy as np
import pytest

from dc_core.testing.fresh import search_path
from dc_core.testing.hostile import counted, main
from dc_core.testing.mutations import mutated

SOURCES = [
    {
        "tree/0": np.arange(6, dtype=np.int32),
        "values/0": np.linspace(0, 1, 6).reshape(3, 2),
        "flags/0": np.array([True, False]),
        "scale/0": np.array(2.0, np.float32),
        "wave/0": np.array([1j], np.complex64),
        "none/0": np.zeros((0, 3)),
    },
    {"tree/0": np.arange(9, dtype=np.int32), "values/0": np.ones((3, 2))},
]


def states(count):
    return [mutated(SOURCES, np.random.default_rng(case)) for case in range(count)]


def test_equal_generators_make_equal_changes_and_keep_the_sources():
    kept = [{name: array.copy() for name, array in source.items()} for source in SOURCES]
    first, second = states(200), states(200)
    for one, other in zip(first, second, strict=True):
        assert list(one) == list(other)
        assert all(one[name].tobytes() == other[name].tobytes() for name in one)
    for source, copy in zip(SOURCES, kept, strict=True):
        assert all(source[name].tobytes() == copy[name].tobytes() for name in source)


def test_every_weight_is_changed_in_values_and_in_form():
    found = {name: set() for name in SOURCES[0]}
    for state in states(2000):
        for name, array in state.items():
            original = SOURCES[0][name]
            if (array.shape, array.dtype) != (original.shape, original.dtype):
                found[name].add("form")
            elif array.tobytes() != original.tobytes():
                found[name].add("values")
        for name in SOURCES[0].keys() - state.keys():
            found[name].add("missing")
    assert found.pop("none/0") == {"form", "missing"}
    assert set(map(frozenset, found.values())) == {frozenset({"form", "values", "missing"})}


def test_states_are_c_contiguous_and_have_valid_bools():
    for state in states(500):
        for array in state.values():
            assert array.flags.c_contiguous
            assert array.dtype != np.bool_ or set(array.view(np.uint8).ravel()) <= {0, 1}


@pytest.fixture
def suites(install_tiny, graveyard):
    install_tiny({"tiny": "tiny_backend.plugin"})
    return graveyard("suites").__file__


def test_a_run_counts_the_outcomes(suites, capsys):
    assert main([f"{suites}::TestScaler", "--cases", "60"]) == 0
    said = capsys.readouterr().out
    assert said.startswith("60 cases: ")
    assert "refused" in said
    assert "predicted" in said


def test_a_fault_is_named_and_can_be_repeated(install_tiny, graveyard, capsys):
    install_tiny({"tiny": "graves:crashes_on_hostile_weights"})
    suite = f"{graveyard('suites').__file__}::TestScaler"
    assert main([suite, "--cases", "30"]) == 1
    first, *_ = faults = [line for line in capsys.readouterr().out.splitlines() if "crash:" in line]
    assert len(faults) > 1
    number = first.split()[1].rstrip(":")
    assert main([suite, "--cases", "1", "--first", number]) == 1
    assert capsys.readouterr().out.splitlines()[0] == first


def test_the_command_runs(suites):
    done = subprocess.run(
        [sys.executable, "-m", "dc_core.testing.hostile", f"{suites}::TestScaler", "--cases", "3"],
        env={"PYTHONPATH": search_path()},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.startswith("3 cases: ")
    assert done.stderr == ""


def test_counts_are_listed_by_frequency():
    from collections import Counter

    assert counted(Counter(refused=2, predicted=3)) == "5 cases: 3 predicted, 2 refused"
