"""Rules that every package of the repository follows."""

import ast
import tomllib
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[1]
PACKAGES = sorted(path.parent for path in (ROOT / "packages").glob("*/pyproject.toml"))

every_package = pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.name)


def project(package: Path) -> dict[str, Any]:
    text = (package / "pyproject.toml").read_text(encoding="utf-8")
    declared: dict[str, Any] = tomllib.loads(text)["project"]
    return declared


@every_package
def test_a_package_has_the_required_files(package: Path) -> None:
    module = package.name.replace("-", "_")
    files = (
        "README.md",
        "CHANGELOG.md",
        "lifecycle.toml",
        f"src/{module}/py.typed",
        "tests/smoke.py",
    )
    assert [file for file in files if not (package / file).exists()] == []


@every_package
def test_a_package_is_named_and_licensed_like_the_rest(package: Path) -> None:
    declared = project(package)
    assert declared["name"] == package.name
    assert declared["license"] == "Apache-2.0"
    assert (package / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


@every_package
def test_a_package_links_to_its_place_in_the_repository(package: Path) -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    repository = tomllib.loads(text)["tool"]["dc"]["repository"]
    assert project(package)["urls"] == {
        "Source": f"{repository}/tree/main/packages/{package.name}",
        "Changelog": f"{repository}/blob/main/packages/{package.name}/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


def test_packages_agree_on_the_lowest_version_of_a_dependency() -> None:
    """`nox -s minimum` tests all packages together: each must be tested with what it declares."""
    declared: dict[str, set[str]] = {}
    for package in PACKAGES:
        for line in project(package)["dependencies"]:
            requirement = Requirement(line)
            declared.setdefault(requirement.name, set()).add(str(requirement.specifier))
    assert {name: found for name, found in declared.items() if len(found) > 1} == {}


@every_package
def test_every_dependency_has_a_lowest_version_and_no_highest(package: Path) -> None:
    for line in project(package)["dependencies"]:
        clauses = [clause.operator for clause in Requirement(line).specifier]
        assert clauses == [">="], line


@every_package
def test_a_ledger_has_only_the_known_tables(package: Path) -> None:
    ledger = tomllib.loads((package / "lifecycle.toml").read_text(encoding="utf-8"))
    assert set(ledger) <= {"release", "deprecation", "lts"}


def test_the_pins_name_exact_versions() -> None:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.partition("==") for line in lines if line and not line.startswith("#")]
    names = [name for name, _, _ in pins]
    assert names == sorted(set(names))
    assert all(equals and version and "+" not in version for _, equals, version in pins)


def test_what_tools_leave_in_packages_is_no_package(tmp_path, monkeypatch):
    (tmp_path / "packages" / ".hypothesis").mkdir(parents=True)
    (tmp_path / "packages" / "dc-one").mkdir()
    (tmp_path / "packages" / "dc-one" / "pyproject.toml").touch()
    for file in (*ROOT.glob("tests/*.py"), ROOT / "noxfile.py"):
        for line in ast.parse(file.read_text()).body:
            if ast.unparse(line).startswith("PACKAGES = "):
                named = eval(ast.unparse(line.value), {"ROOT": tmp_path})
                assert [str(name)[-3:] for name in named] == ["one"], file


@every_package
def test_a_field_that_holds_a_failure_report_is_named_failures(package: Path) -> None:
    fields = {
        f"{path.name}: {node.target.id}"
        for path in package.glob("src/**/*.py")
        for cls in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(cls, ast.ClassDef)
        for node in cls.body
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name)
        if ast.unparse(node.annotation) == "FailureReport" and node.target.id != "failures"
    }
    assert fields == set()
