"""The kit for hubs itself: each of its checks is broken by a bad hub, and says what is wrong."""

import ast
import re
import runpy
from pathlib import Path

import pytest

from dc_core.testing import LawBroken
from dc_hub import testing

KIT = Path(testing.__file__).parent
CHECKED = sorted(KIT.glob("*.py"))
CHECKS = {
    "expect",
    "expect_files",
    "refuses",
    "same_state",
    "_is_gone",
    "_mended_or_refused",
    "_not_found",
    "_refused",
    "_fail",
    "_whole",
}
"""The methods of the kit that raise LawBroken for their caller."""

GRAVES = runpy.run_path(str(Path(__file__).with_name("bad_hubs.py")))["GRAVES"]

hit: set[tuple[str, int]] = set()
"""The lines of the kit at which bad hubs broke a law: file and number."""

tried: set[str] = set()
"""The bad hubs that were tried in this run."""


@pytest.mark.parametrize("grave", GRAVES)
def test_a_bad_hub_is_found_by_the_check_for_its_fault(grave):
    bad = GRAVES[grave]
    with pytest.raises(LawBroken) as caught:
        getattr(bad.suite(), bad.law)()
    note(caught.value)
    tried.add(grave)
    assert str(caught.value).startswith("The law is: ")
    assert bad.says in str(caught.value) or re.search(bad.says, str(caught.value))
    assert caught.value.hint


def note(error):
    """Note the lines at which ``error`` passed through the kit."""
    while error is not None:
        frame = error.__traceback__
        while frame is not None:
            hit.add((frame.tb_frame.f_code.co_filename, frame.tb_lineno))
            frame = frame.tb_next
        error = error.__cause__


def checks(file):
    """Yield the lines of every check in ``file``, and its source."""
    for node in ast.walk(ast.parse(file.read_text())):
        raises = isinstance(node, ast.Raise)
        called = getattr(node.exc if raises else node, "func", None)
        name = getattr(called, "attr", getattr(called, "id", None))
        if name in ({"LawBroken"} if raises else CHECKS):
            yield range(node.lineno, node.end_lineno + 1), ast.unparse(node)


@pytest.mark.parametrize("file", CHECKED, ids=lambda file: file.stem)
def test_every_check_of_the_kit_has_a_bad_hub(file):
    if tried != GRAVES.keys():
        pytest.skip("the bad hubs were not all tried in this run")
    lines = {number for name, number in hit if Path(name) == file}
    missed = [
        f"{file.name}:{span.start}: {source}"
        for span, source in checks(file)
        if lines.isdisjoint(span)
    ]
    assert not missed, "\n".join(missed)


def test_every_law_has_a_bad_hub():
    assert {bad.law for bad in GRAVES.values()} == set(testing.HubSuite.laws())
