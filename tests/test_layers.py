"""Who may import whom, read from the source.

`.importlinter` says which packages may know each other. These laws say how: through public modules,
and only what a package declares that it needs.
"""

import ast
import functools
import sys
import tomllib
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PACKAGES = {path.name: path for path in sorted((ROOT / "packages").iterdir()) if path.is_dir()}
MODULES = {name.replace("-", "_") for name in PACKAGES}


distributions = functools.cache(metadata.packages_distributions)


class Import(NamedTuple):
    where: str
    path: tuple[str, ...]
    optional: bool


def tolerates_absence(node: ast.Try) -> bool:
    """Whether ``node`` goes on when a module is not installed."""
    caught = [name for handler in node.handlers if handler.type for name in ast.walk(handler.type)]
    absent = {"ImportError", "ModuleNotFoundError"}
    return any(isinstance(name, ast.Name) and name.id in absent for name in caught)


def paths(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield what ``node`` imports from outside its own package, one dotted path a name."""
    if isinstance(node, ast.Import):
        for alias in node.names:
            yield tuple(alias.name.split("."))
    elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
        for alias in node.names:
            yield (*node.module.split("."), alias.name)


def imports(source: str, where: str = "<test>") -> Iterator[Import]:
    """Yield the absolute imports anywhere in ``source``."""

    def visit(node: ast.AST, optional: bool) -> Iterator[Import]:
        for path in paths(node):
            yield Import(f"{where}:{getattr(node, 'lineno', 0)}", path, optional)
        guarded = node.body if isinstance(node, ast.Try) and tolerates_absence(node) else []
        for child in ast.iter_child_nodes(node):
            yield from visit(child, optional or child in guarded)

    yield from visit(ast.parse(source), optional=False)


def imports_of(package: str) -> Iterator[Import]:
    for file in sorted((PACKAGES[package] / "src").rglob("*.py")):
        yield from imports(file.read_text(encoding="utf-8"), str(file.relative_to(ROOT)))


def is_private(path: tuple[str, ...], owner: str) -> bool:
    return path[0] in MODULES - {owner} and any(
        part.startswith("_") and not part.startswith("__") for part in path
    )


def declared(package: str) -> set[str]:
    project = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def providers(module: str) -> set[str]:
    """Return the distributions that bring the top-level ``module``."""
    if module in MODULES:
        return {canonicalize_name(module)}
    return {canonicalize_name(name) for name in distributions().get(module, [])}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_a_private_name_of_another(package: str) -> None:
    owner = package.replace("-", "_")
    assert [found for found in imports_of(package) if is_private(found.path, owner)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_declares_what_it_imports(package: str) -> None:
    known = sys.stdlib_module_names | {package.replace("-", "_")}
    needed = [found for found in imports_of(package) if not found.optional]
    needed = [found for found in needed if found.path[0] not in known]
    allowed = declared(package)
    assert [found for found in needed if allowed.isdisjoint(providers(found.path[0]))] == []


def test_a_private_import_is_seen_in_every_form() -> None:
    for line in (
        "import dc_core._weights",
        "from dc_core._weights import read",
        "from dc_core import _weights",
        "def f():\n    from dc_core.plugins._manager import find",
    ):
        (found,) = imports(line)
        assert is_private(found.path, "dc_torch"), line
        assert not is_private(found.path, "dc_core"), line


def test_only_an_import_that_may_fail_is_optional() -> None:
    guarded = "try:\n    import ml_dtypes\nexcept ImportError:\n    import numpy"
    assert [found.optional for found in imports(guarded)] == [True, False]
    unguarded = guarded.replace("ImportError", "OSError")
    assert [found.optional for found in imports(unguarded)] == [False, False]
