"""New interpreters: they have the same path and other hashes, and their failures are reported."""

import json
import sys

import pytest

from dc_core.testing.fresh import fresh_interpreter

HASH = "print(hash('a name'))"


def test_the_output_of_the_code_is_returned():
    assert fresh_interpreter("import sys; print(sys.argv[1:])", "a", "b c") == "['a', 'b c']\n"


def test_the_search_path_is_the_same(tmp_path, monkeypatch):
    (tmp_path / "somewhere.py").write_text("place = 'found'")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path, ""])
    assert fresh_interpreter("import somewhere; print(somewhere.place)") == "found\n"
    path = json.loads(fresh_interpreter("import json, sys; print(json.dumps(sys.path[1:]))"))
    assert path[: len(sys.path) - 1] == [entry for entry in sys.path if entry]


@pytest.mark.parametrize("seed", ["0", "1", "2", "random"])
def test_strings_have_other_hashes_in_every_new_interpreter(seed, monkeypatch):
    monkeypatch.setenv("PYTHONHASHSEED", seed)
    hashes = {fresh_interpreter(HASH) for _ in range(2)}
    assert len(hashes | {f"{hash('a name')}\n"}) == 3


def test_the_environment_is_the_same(monkeypatch):
    monkeypatch.setenv("OF_THE_CALLER", "kept")
    assert fresh_interpreter("import os; print(os.environ['OF_THE_CALLER'])") == "kept\n"


def test_a_failure_raises_what_was_written_to_standard_error():
    with pytest.raises(RuntimeError, match=r"(?s)The new interpreter failed:\n.*disk on fire\Z"):
        fresh_interpreter("print('output'); raise OSError('disk on fire')")
    with pytest.raises(RuntimeError):
        fresh_interpreter("import sys; sys.exit(3)")
