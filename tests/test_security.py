"""SECURITY.md: each test that it names exists, where it says."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TEXT = (ROOT / "SECURITY.md").read_text(encoding="utf-8")

_TOKEN = re.compile(r"`(?:packages/[\w-]+/tests/)?(test_\w+)(\.py)?`")


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}


TESTS = {
    path: functions(path)
    for folder in (ROOT / "tests", *sorted(ROOT.glob("packages/*/tests")))
    for path in folder.rglob("test_*.py")
}


def paragraphs() -> list[tuple[str, str]]:
    """Return what names tests: paragraphs, and rows of tables with their header."""
    found = []
    for block in TEXT.split("\n\n"):
        lines = block.splitlines()
        if block.startswith("|"):
            found += [(lines[0], row) for row in lines[2:]]
        else:
            found.append(("", block))
    return found


def claims() -> list[tuple[str, str]]:
    """Return each test that is named, with the file that is named last before it, or none."""
    found = set()
    for header, text in paragraphs():
        file = ""
        for match in _TOKEN.finditer(f"{header} {text}"):
            file = f"{match[1]}.py" if match[2] else file
            found.add((file, "" if match[2] else match[1]))
    return sorted(found)


@pytest.mark.parametrize(("file", "test"), claims())
def test_every_test_that_is_named_exists(file, test):
    places = [path for path in TESTS if not file or path.name == file]
    assert places, f"there is no {file}"
    assert not test or any(test in TESTS[path] for path in places), (
        f"{test} is not in {file or '?'}"
    )


def test_every_attempt_names_a_test():
    rows = [row for header, row in paragraphs() if header.startswith("| attempt")]
    assert len(rows) > 40
    assert [row for row in rows if not _TOKEN.search(row) and "| the same |" not in row] == []


def test_the_threat_model_has_the_four_attackers():
    for attacker in ("file", "hub", "mirror", "local user"):
        assert f"**A hostile {attacker}**" in TEXT


def test_a_test_that_does_not_exist_would_be_noticed():
    with pytest.raises(AssertionError):
        test_every_test_that_is_named_exists("test_trust.py", "test_no_such_thing")
    with pytest.raises(AssertionError):
        test_every_test_that_is_named_exists("test_no_such_file.py", "")
