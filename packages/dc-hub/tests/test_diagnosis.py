"""What `dc-hub doctor` finds."""

import json
import os
import subprocess
import sys

import pytest

from dc_hub import diagnose, publish

DIST_INFO = "Metadata-Version: 2.1\nName: dc-shaky\nVersion: 1.2\n"


def doctor(*arguments, **environment):
    command = "from dc_hub.command.program import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, "doctor", *arguments],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def by_subject(findings):
    return {finding.subject: finding for finding in findings}


def test_a_hub_that_answers_is_good_and_its_models_are_counted(hub, linear):
    publish(linear, "a", hub=hub)
    found = by_subject(diagnose(hub=hub))["hub"]
    assert (found.status, found.text) == ("good", f"{hub!r}: 1 model")


def test_a_hub_that_is_not_made_yet_is_not_wrong(tmp_path):
    assert by_subject(diagnose(hub=tmp_path / "none"))["hub"].status == "absent"


def test_a_hub_that_does_not_answer_is_wrong_and_says_why(monkeypatch):
    monkeypatch.setenv("DEEPCHEM_OFFLINE", "1")
    found = by_subject(diagnose(hub="http://127.0.0.1:9/"))
    assert found["hub"].status == "wrong"
    assert found["hub"].text.startswith("Offline: ")
    assert found["network"].status == "absent"


def test_a_trust_policy_is_found_and_its_rules_are_counted(tmp_path):
    file = tmp_path / "config" / "trust.toml"
    found = by_subject(diagnose())["trust policy"]
    assert (found.status, found.text) == ("absent", f"{file}: no signature is required")
    file.parent.mkdir(exist_ok=True)
    file.write_text("version = 1\n[default]\nrequire_signature = false\n")
    found = by_subject(diagnose())["trust policy"]
    assert (found.status, found.text) == ("good", f"{file}: 1 rule")
    file.write_text(f"{file.read_text()}[hubs.'https://host/hub']\nrequire_signature = false\n")
    assert by_subject(diagnose())["trust policy"].text == f"{file}: 2 rules"


def test_a_trust_policy_that_cannot_be_used_is_wrong_and_says_why(tmp_path):
    file = tmp_path / "config" / "trust.toml"
    file.parent.mkdir(exist_ok=True)
    file.write_text("version = 1\n[default]\nrequire_signature = ['nobody']\n")
    found = by_subject(diagnose())["trust policy"]
    assert found.status == "wrong"
    assert "'nobody'" in found.text
    assert "dc-hub key trust" in found.hint
    assert doctor("--json").returncode == 1
    found = by_subject(diagnose(hub=None))
    assert found["cache"].status == "good"


@pytest.mark.parametrize("limit", ["", "20GB"])
def test_the_cache_is_tried(tmp_path, monkeypatch, limit):
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", limit)
    assert by_subject(diagnose())["cache"].status == "good"
    assert not any((tmp_path / "cache").iterdir())


def test_a_cache_that_cannot_be_written_or_has_no_size_is_wrong(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "file" / "cache"))
    found = by_subject(diagnose())["cache"]
    assert found.status == "wrong"
    assert found.hint
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DEEPCHEM_CACHE_LIMIT", "much")
    assert "DEEPCHEM_CACHE_LIMIT" in by_subject(diagnose())["cache"].text


def test_a_broken_plugin_is_wrong_and_named_and_the_exit_code_says_so(tmp_path):
    info = tmp_path / "dc_shaky-1.2.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(DIST_INFO)
    (info / "entry_points.txt").write_text("[dc.hubs]\nshaky = dc_shaky\n")
    (tmp_path / "dc_shaky.py").write_text("raise RuntimeError('half installed')\n")
    paths = os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])
    told = doctor("--json", PYTHONPATH=paths, DEEPCHEM_MODEL_HUB=str(tmp_path / "hub"))
    assert told.returncode == 1, told.stderr
    found = {line["subject"]: line for line in json.loads(told.stdout)}
    assert found["dc.hubs shaky"]["status"] == "wrong"
    assert "half installed" in found["dc.hubs shaky"]["text"]


def test_a_healthy_installation_exits_with_0_in_words_and_in_json(tmp_path):
    environment = {"DEEPCHEM_MODEL_HUB": str(tmp_path), "DEEPCHEM_CACHE": str(tmp_path / "c")}
    listed = doctor("--json", **environment)
    wrong = [line["subject"] for line in json.loads(listed.stdout) if line["status"] == "wrong"]
    if any(subject.startswith("dc.backends.") for subject in wrong):
        pytest.skip("a backend is installed without its framework")
    assert listed.returncode == 0, wrong
    told = doctor(**environment)
    assert told.returncode == 0, told.stdout + told.stderr
    assert "dc-hub:" in told.stdout
    assert "wrong" not in told.stdout
