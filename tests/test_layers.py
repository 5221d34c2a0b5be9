"""Rules for imports, checked in the source.

`.importlinter` says which packages may import each other. These tests say how: through the public
surface, only from declared dependencies, and without cycles inside a package.
"""

import ast
import functools
import graphlib
import importlib
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
PACKAGES = {
    path.parent.name: path.parent for path in sorted((ROOT / "packages").glob("*/pyproject.toml"))
}
MODULES = {name.replace("-", "_") for name in PACKAGES}


distributions = functools.cache(metadata.packages_distributions)


class Import(NamedTuple):
    where: str
    path: tuple[str, ...]
    optional: bool


def tolerates_absence(node: ast.Try) -> bool:
    """Whether ``node`` handles a module that is not installed."""
    caught = [name for handler in node.handlers if handler.type for name in ast.walk(handler.type)]
    absent = {"ImportError", "ModuleNotFoundError"}
    return any(isinstance(name, ast.Name) and name.id in absent for name in caught)


def is_for_types(node: ast.AST) -> bool:
    """Whether ``node`` is ``if TYPE_CHECKING``, which is never executed."""
    return isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"


def paths(node: ast.AST) -> Iterator[tuple[str, ...]]:
    """Yield what ``node`` imports from outside its own package, one dotted path per name."""
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
        may_fail = isinstance(node, ast.Try) and tolerates_absence(node)
        guarded = node.body if may_fail or is_for_types(node) else []
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


def is_public(path: tuple[str, ...], owner: str) -> bool:
    """Whether ``path`` belongs to the package itself or to the public surface of another.

    The surface is what ``__all__`` lists; a module listed there has a surface of its own.
    """
    package, *names = path
    if package not in MODULES - {owner} or path[:2] == ("dc_core", "testing"):
        return True
    surface = importlib.import_module(package)
    for name in names:
        if name not in getattr(surface, "__all__", vars(surface)):
            return False
        surface = getattr(surface, name)
    return True


def module_graph(package: str) -> dict[str, set[str]]:
    """Return the modules that each module of ``package`` imports, type-only imports included."""
    source = PACKAGES[package] / "src"
    names = {
        ".".join(file.relative_to(source).with_suffix("").parts).removesuffix(".__init__"): file
        for file in source.rglob("*.py")
    }
    root = package.replace("-", "_")
    graph: dict[str, set[str]] = {}
    for name, file in names.items():
        found = graph.setdefault(name, set())
        for _, path, _ in imports(file.read_text(encoding="utf-8")):
            ends = (".".join(path[:length]) for length in range(len(path), 0, -1))
            found |= {next((end for end in ends if end in names), name)} - {name, root}
    del graph[root]  # its imports are lazy
    return graph


def declared(package: str) -> set[str]:
    project = tomllib.loads((PACKAGES[package] / "pyproject.toml").read_text())["project"]
    return {canonicalize_name(Requirement(line).name) for line in project["dependencies"]}


def providers(module: str) -> set[str]:
    """Return the distributions that provide the top-level ``module``.

    One that is not installed is taken to have the module's name: the frameworks of some packages
    are installed only where these are tested. One without code for GPUs, ``xgboost-cpu``, stands in
    for ``xgboost``.
    """
    if module in MODULES:
        return {canonicalize_name(module)}
    found = {canonicalize_name(name) for name in distributions().get(module, [module])}
    return found | {name.removesuffix("-cpu") for name in found}


@pytest.mark.parametrize("package", PACKAGES)
def test_no_package_imports_a_private_name_of_another(package: str) -> None:
    owner = package.replace("-", "_")
    assert [found for found in imports_of(package) if is_private(found.path, owner)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_the_public_surface_of_each_other(package: str) -> None:
    owner = package.replace("-", "_")
    assert [found for found in imports_of(package) if not is_public(found.path, owner)] == []


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_inside_a_package_have_no_cycle(package: str) -> None:
    graphlib.TopologicalSorter(module_graph(package)).prepare()


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_declares_what_it_imports(package: str) -> None:
    known = sys.stdlib_module_names | {package.replace("-", "_")}
    needed = [found for found in imports_of(package) if not found.optional]
    needed = [found for found in needed if found.path[0] not in known]
    allowed = declared(package)
    assert [found for found in needed if allowed.isdisjoint(providers(found.path[0]))] == []


def test_a_private_import_is_detected_in_every_form() -> None:
    for line in (
        "import dc_core._weights",
        "from dc_core._weights import read",
        "from dc_core import _weights",
        "def f():\n    from dc_core.plugins._manager import find",
    ):
        (found,) = imports(line)
        assert is_private(found.path, "dc_torch"), line
        assert not is_private(found.path, "dc_core"), line


@pytest.mark.parametrize(
    ("line", "public"),
    [
        ("from dc_core import Model, errors", True),
        ("from dc_core.errors import DatasetError", True),
        ("from dc_core.testing import BackendSuite", True),
        ("import dc_core", True),
        ("from dc_core.parameters import check_count", False),
        ("from dc_core.plugins.backends import Backend", False),
        ("import dc_core.dataset", False),
    ],
)
def test_an_import_past_the_public_surface_is_detected(line: str, public: bool) -> None:
    assert all(is_public(found.path, "dc_torch") for found in imports(line)) is public


def test_only_an_import_that_may_fail_or_is_for_types_is_optional() -> None:
    guarded = "try:\n    import ml_dtypes\nexcept ImportError:\n    import numpy"
    assert [found.optional for found in imports(guarded)] == [True, False]
    unguarded = guarded.replace("ImportError", "OSError")
    assert [found.optional for found in imports(unguarded)] == [False, False]
    for_types = "if TYPE_CHECKING:\n    import torch\nelse:\n    import numpy"
    assert [found.optional for found in imports(for_types)] == [True, False]
