"""Workflows, templates and hooks call what exists and agree with the rest of the repository."""

import itertools
import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

yaml = pytest.importorskip("yaml", reason="`nox -s tests` installs PyYAML")

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent.name for path in (ROOT / "packages").glob("*/pyproject.toml"))
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
FORMS = sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml"))
PYTHONS = ["3.11", "3.12", "3.13", "3.14"]

every_workflow = pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)


def load(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def jobs(path: Path) -> dict[str, Any]:
    declared: dict[str, Any] = load(path)["jobs"]
    return declared


def commands(job: dict[str, Any]) -> Iterator[str]:
    """Yield every command that a job runs, for each cell of its matrix."""
    matrix = job.get("strategy", {}).get("matrix", {})
    for cell in itertools.product(*matrix.values()):
        for step in job["steps"]:
            command = step.get("run", "")
            for name, value in zip(matrix, cell, strict=True):
                command = command.replace(f"${{{{ matrix.{name} }}}}", value)
            yield from command.splitlines()


def selected(*options: str) -> list[str]:
    """Return the sessions that ``nox`` would run with these options."""
    pytest.importorskip("nox", reason="`nox -s tests` installs nox")
    command = [sys.executable, "-m", "nox", "--list-sessions", "--json", *options]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    found = json.loads(listed.stdout) if listed.returncode == 0 else []
    return [session["session"] for session in found]


@every_workflow
def test_a_workflow_calls_only_sessions_that_exist(path: Path) -> None:
    called = {command for job in jobs(path).values() for command in commands(job)}
    nox = sorted(command for command in called if command.startswith("nox "))
    assert nox
    assert [command for command in nox if not selected(*shlex.split(command)[1:])] == []


def test_a_session_that_does_not_exist_is_detected() -> None:
    assert selected("--session", "lint") == ["lint"]
    assert selected("--session", "tests(2.7)") == []
    assert selected("--tags", "snakes") == []


@every_workflow
def test_a_workflow_has_read_permission_only_and_a_time_limit(path: Path) -> None:
    content = load(path)
    assert content["permissions"] == {"contents": "read"}
    assert "cancel-in-progress" in content["concurrency"]
    for job in jobs(path).values():
        assert "permissions" not in job
        assert job["timeout-minutes"] <= 60


@every_workflow
def test_a_workflow_uses_actions_by_their_major_version(path: Path) -> None:
    for job in jobs(path).values():
        used = [step["uses"] for step in job["steps"] if "uses" in step]
        assert [use for use in used if not re.fullmatch(r"actions/[a-z-]+@v\d+", use)] == []
        for step in job["steps"]:
            if step.get("uses", "").startswith("actions/checkout@"):
                assert step["with"]["persist-credentials"] is False


def test_the_tests_run_on_every_system_and_interpreter() -> None:
    matrix = jobs(ROOT / ".github" / "workflows" / "tests.yml")["tests"]["strategy"]["matrix"]
    assert matrix["python"] == PYTHONS
    assert [name.partition("-")[0] for name in matrix["os"]] == ["ubuntu", "macos", "windows"]


def test_ruff_is_the_same_version_before_a_commit_and_in_ci() -> None:
    repositories = load(ROOT / ".pre-commit-config.yaml")["repos"]
    (ruff,) = [repo for repo in repositories if repo["repo"].endswith("/ruff-pre-commit")]
    pins = (ROOT / "constraints.txt").read_text(encoding="utf-8").split()
    assert f"ruff=={ruff['rev'].removeprefix('v')}" in pins


@pytest.mark.parametrize("path", FORMS, ids=lambda path: path.name)
def test_an_issue_form_has_what_github_asks_for(path: Path) -> None:
    form = load(path)
    if path.name == "config.yml":
        assert form["contact_links"][0]["about"]
        return
    assert form["name"]
    assert form["description"]
    asked = [field for field in form["body"] if field["type"] != "markdown"]
    assert len({field["id"] for field in asked}) == len(asked) > 0
    assert all(field["attributes"]["label"] for field in asked)


def test_the_bug_form_offers_every_package() -> None:
    form = load(ROOT / ".github" / "ISSUE_TEMPLATE" / "bug.yml")
    (field,) = [field for field in form["body"] if field.get("id") == "package"]
    assert field["attributes"]["options"] == PACKAGES


def test_a_security_problem_is_pointed_at_the_repository_itself() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    repository = tomllib.loads(text)["tool"]["dc"]["repository"]
    form = load(ROOT / ".github" / "ISSUE_TEMPLATE" / "config.yml")
    (link,) = form["contact_links"]
    assert link["url"] == f"{repository}/security/advisories/new"
