"""The commands and the program in README.md work."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
QUICKSTART = ROOT / "examples" / "quickstart.py"


def block(language: str) -> str:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    (found,) = re.findall(rf"```{language}\n(.*?)```", text, re.DOTALL)
    return str(found)


def test_the_example_in_the_readme_runs_as_it_stands(tmp_path: Path) -> None:
    environment = {**os.environ, "DEEPCHEM_MODEL_HUB": str(tmp_path / "hub")}
    done = subprocess.run(
        [sys.executable, "-W", "error", str(QUICKSTART)],
        env=environment,
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    (prediction,) = re.findall(r"\[\[(.*?)\]\]", done.stdout)
    assert -6.0 < float(prediction) < -4.0, "a fifth alcohol is like the four others"
    assert (tmp_path / "hub" / "alcohols" / "refs" / "main.json").is_file()


def test_the_program_in_the_readme_is_the_one_that_runs() -> None:
    docstring, program = QUICKSTART.read_text(encoding="utf-8").split("\n\n", 1)
    assert ast.get_docstring(ast.parse(docstring))
    assert program == block("python")


def test_the_readme_installs_what_its_example_needs() -> None:
    """Importing a package imports what it depends on; dc-hub is loaded as a plugin."""
    commands = block("sh").splitlines()
    (install,) = [command for command in commands if command.startswith("pip install ")]
    paths = install.split()[2:]
    imported = {
        node.module.replace("_", "-")
        for node in ast.walk(ast.parse(block("python")))
        if isinstance(node, ast.ImportFrom) and node.module
    }
    assert {path.removeprefix("./packages/") for path in paths} == {*imported, "dc-hub"}
    assert all((ROOT / path / "pyproject.toml").is_file() for path in paths)
    assert commands[-1] == f"python {QUICKSTART.relative_to(ROOT).as_posix()}"
