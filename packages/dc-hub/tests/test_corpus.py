"""The published corpus of hostile files: each is a typed error, in time and within bounds."""

from __future__ import annotations

import filecmp
import hashlib
import json
import os
import runpy
import subprocess
import sys
import time
import tracemalloc
from importlib.metadata import version
from pathlib import Path
from types import SimpleNamespace

import pytest

from dc_hub import LocalHub, errors
from dc_hub.files.paths import read_small
from dc_hub.format import values
from dc_hub.format.manifest import MAX_BYTES, Manifest
from dc_hub.format.record import Record
from dc_hub.format.tensors import read_tensors
from dc_hub.hubs.contract import StoredModel, read_tag
from dc_hub.hubs.index import parse_index
from dc_hub.loading.opening import open_model

CORPUS = Path(__file__).with_name("corpus")
unpacking = SimpleNamespace(**runpy.run_path(str(CORPUS / "unpack.py"), run_name="unpacking"))
CASES = {case["id"]: case for case in unpacking.cases()}
PACKAGE = "0.8.0"
"""The release of the safetensors package that README.md compares."""


@pytest.fixture(autouse=True)
def nothing_is_registered(monkeypatch):
    """Read the corpus as who has none of the classes that other tests register."""
    registry = SimpleNamespace(components=SimpleNamespace(names=lambda: ()))
    monkeypatch.setattr(values, "registry", registry)


def refuse(kind, body, path):
    raise errors.UnknownClass(f"{path} has a class that nobody registered.", path=path)


def read_params(file):
    record = Record.from_bytes(read_small(file.parent, file.name, 1 << 21), what=str(file))
    for name, value in record.params.items():
        values.decode(value, path=name, arrays={}, build=refuse)


def read_model(source):
    with open_model(source, "full", versioned=True) as opened:
        for name in opened.weights:
            opened.weights.read(name)


def read_hub(path):
    hub = LocalHub(path / "it")
    read_model(hub.fetch(hub.resolve("lab/net")))


READERS = {
    "weights": read_tensors,
    "params": read_params,
    "manifest": lambda file: Manifest.from_bytes(read_small(file.parent, file.name, MAX_BYTES)),
    "tag": lambda file: read_tag(file.read_bytes(), "main", str(file)),
    "index": lambda file: parse_index(file.read_bytes(), str(file)),
    "directory": lambda path: read_model(StoredModel("", "", path / "it")),
    "hub": read_hub,
}


def unpacked(case, place):
    try:
        unpacking.unpack(case, place)
    except (OSError, AttributeError) as error:
        pytest.skip(f"this system cannot hold the case: {error}")
    return place


@pytest.mark.parametrize("name", CASES)
def test_every_case_is_read_or_refused_as_it_says_within_a_second(name, tmp_path):
    case = CASES[name]
    place = unpacked(case, tmp_path / "case")
    started = time.process_time()
    try:
        READERS[case["kind"]](place)
    except errors.HubError as error:
        found = type(error).__name__
    else:
        found = None
    assert time.process_time() - started < 1
    assert found == case["error"]


def test_the_corpus_is_read_within_32_mib(tmp_path):
    """The largest file that is parsed at all has 16 MiB, and is read once."""
    for name, case in CASES.items():
        place = tmp_path / name
        try:
            unpacking.unpack(case, place)
        except (OSError, AttributeError):
            continue
        tracemalloc.start()
        try:
            READERS[case["kind"]](place)
        except errors.HubError:
            pass
        finally:
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
        assert peak < 32 << 20, name


def test_the_corpus_has_every_kind_and_more_than_200_cases():
    kinds = {(case["kind"], case["reader"]) for case in CASES.values()}
    assert kinds == {(kind, reader) for kind in READERS for reader in ("accept", "refuse")}
    assert len(CASES) > 200
    assert all(getattr(errors, case["error"]) for case in CASES.values() if case["error"])


def test_stored_files_are_those_that_the_cases_say_and_few_bytes():
    stored = {CORPUS / case["file"]: case for case in CASES.values() if "file" in case}
    total = 0
    for file, case in stored.items():
        data = file.read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (case["size"], case["sha256"])
        total += len(data)
    assert total < 1 << 18
    kinds = {"weights", "params", "manifest", "tag", "index"}
    assert {f for kind in kinds for f in (CORPUS / kind).iterdir()} == set(stored)


def test_the_script_writes_the_corpus_again(tmp_path):
    """The files are those of the suite's present tables: run corpus/make.py after a change."""
    command = [sys.executable, str(CORPUS / "make.py"), str(tmp_path)]
    subprocess.run(command, check=True, env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"})
    made = sorted(str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file())
    same, different, missing = filecmp.cmpfiles(tmp_path, CORPUS, made, shallow=False)
    assert (different, missing) == ([], [])
    assert "cases.json" in same


PROBE = """
import json, sys
from safetensors.numpy import load_file

accepted = []
for path in sys.argv[1:]:
    try:
        load_file(path)
        accepted.append(path)
    except BaseException:  # some of its errors are no Exception
        pass
print(json.dumps(accepted))
"""


@pytest.mark.skipif(version("safetensors") != PACKAGE, reason=f"compares safetensors {PACKAGE}")
def test_the_readme_names_every_case_in_which_the_safetensors_package_differs(tmp_path):
    readme = (CORPUS / "README.md").read_text(encoding="utf-8")
    told = json.loads(readme.partition("```json\n")[2].partition("```")[0])
    files = {
        str(unpacked(case, tmp_path / name)): case
        for name, case in CASES.items()
        if case["kind"] == "weights"
    }
    command = [sys.executable, "-c", PROBE, *files]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    accepted = set(json.loads(run.stdout))
    found = {
        case["id"]: "accept" if file in accepted else "refuse"
        for file, case in files.items()
        if (file in accepted) != (case["reader"] == "accept")
    }
    assert found == told
