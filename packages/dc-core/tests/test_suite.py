"""What holds for every suite: laws cannot be lost, and expected failures are watched."""

import os
import subprocess
import sys
from typing import final

import pytest

from dc_core.testing import LawBroken, Suite, SuiteError, law

AUTHORS = """
from dc_core.testing import LawBroken, Suite, law

class Numbers(Suite):
    value = 0

    @law
    def test_it_is_positive(self):
        \"\"\"A number is above zero.\"\"\"
        if self.value <= 0:
            raise LawBroken(f"It is {self.value}.", hint="Take a larger one.")

    @law
    def test_it_divides(self):
        \"\"\"A number divides one.\"\"\"
        1 / self.value

class TestGood(Numbers):
    value = 1

class TestBad(Numbers):
    pass

class TestKnown(Numbers):
    expected_failures = {"test_it_is_positive": "not yet", "test_it_divides": "not ever"}

class TestMended(Numbers):
    value = 1
    expected_failures = {"test_it_is_positive": "not yet"}

class TestMendedAndSaidSo(TestMended):
    expected_failures = {}

class NewNumbers(Numbers):
    @law(since="0.1")
    def test_it_is_old(self):
        \"\"\"A number is not 2.\"\"\"
        assert self.value != 2

    @law(since="0.2")
    def test_it_is_new(self):
        \"\"\"A number is not 3.\"\"\"
        assert self.value != 3

class TestUnpinned(NewNumbers):
    value = 3

class TestPinned(NewNumbers):
    value = 3
    kit_version = "0.1"

class TestPinnedAndGood(NewNumbers):
    value = 1
    kit_version = "0.1"

class TestPinnedAndBad(NewNumbers):
    value = 2
    kit_version = "0.1"

class TestPinnedAndKnown(NewNumbers):
    value = 1
    kit_version = "0.1"
    expected_failures = {"test_it_is_new": "not yet"}
"""


class Numbers(Suite):
    @law
    def test_it_is_positive(self):
        """A number is above zero."""


def test_a_law_cannot_be_redefined():
    with pytest.raises(SuiteError, match="redefines the law 'test_it_is_positive'"):

        class Mine(Numbers):
            def test_it_is_positive(self):
                pass


@pytest.mark.parametrize(
    "value",
    [None, staticmethod(lambda: None), law(lambda self: None)],
    ids=["nothing", "a function", "another law"],
)
def test_a_law_cannot_be_shadowed(value):
    with pytest.raises(SuiteError):
        type("Mine", (Numbers,), {"test_it_is_positive": value})


class Quiet:
    def test_it_is_positive(self):
        pass

    def measure(self):
        pass


def test_a_law_cannot_be_redefined_by_a_mixin():
    with pytest.raises(SuiteError, match="redefines the law 'test_it_is_positive' by inheriting"):
        type("Mine", (Quiet, Numbers), {})


def test_a_mixin_that_comes_after_the_suite_redefines_nothing():
    assert type("Mine", (Numbers, Quiet), {}).test_it_is_positive is Numbers.test_it_is_positive


def test_a_method_that_the_laws_call_cannot_be_redefined():
    class Measured(Numbers):
        @final
        def measure(self):
            """Return what the laws need."""

    for bases, body in (((Measured,), {"measure": None}), ((Quiet, Measured), {})):
        with pytest.raises(SuiteError, match=r"redefines '(measure|test_it_is_positive)'|the law"):
            type("Mine", bases, body)


def test_a_suite_cannot_inherit_two_laws_of_one_name():
    class Others(Suite):
        @law
        def test_it_is_positive(self):
            """Another law."""

    with pytest.raises(SuiteError, match="inherits two laws named 'test_it_is_positive'"):
        type("Mine", (Numbers, Others), {})


def test_an_expected_failure_has_a_reason():
    with pytest.raises(SuiteError, match="does not say why"):
        type("Mine", (Numbers,), {"expected_failures": {"test_it_is_positive": ""}})


@pytest.mark.parametrize("version", ["0.1.0", "1", "new", "", "0.1\n", "9.0"])
def test_a_kit_version_is_one_that_is_installed(version):
    with pytest.raises(SuiteError) as caught:
        type("Mine", (Numbers,), {"kit_version": version})
    assert caught.value.hint


def test_only_a_law_can_be_expected_to_fail():
    with pytest.raises(SuiteError, match="'test_typo'"):

        class Mine(Numbers):
            expected_failures = {"test_typo": "because"}  # noqa: RUF012


def test_an_unexpected_error_is_reported_as_the_law_that_it_breaks():
    class Failing(Suite):
        @law
        def test_it_works(self):
            """It works."""
            raise OSError("disk on fire")

    with pytest.raises(LawBroken, match=r"The law is: It works\. .* OSError: disk on fire"):
        Failing().test_it_works()


def test_pytest_collects_the_laws_and_watches_expected_failures(tmp_path):
    (tmp_path / "test_numbers.py").write_text(AUTHORS)
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-rA", "-p", "no:cacheprovider", "test_numbers.py"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        capture_output=True,
        text=True,
        check=False,
    )
    outcome = {}
    for line in done.stdout.splitlines():
        word, _, rest = line.partition(" ")
        if word in ("PASSED", "FAILED", "XFAIL", "XPASS"):
            name = rest.partition("::")[2].split(" ")[0]
            outcome[name.replace("test_it_", "")] = word
    assert outcome == {
        "TestGood::is_positive": "PASSED",
        "TestGood::divides": "PASSED",
        "TestBad::is_positive": "FAILED",
        "TestBad::divides": "FAILED",
        "TestKnown::is_positive": "XFAIL",
        "TestKnown::divides": "XFAIL",
        "TestMended::is_positive": "FAILED",
        "TestMended::divides": "PASSED",
        "TestMendedAndSaidSo::is_positive": "PASSED",
        "TestMendedAndSaidSo::divides": "PASSED",
    } | {
        f"{suite}::{name}": word
        for suite, words in {
            "TestUnpinned": "PASSED PASSED PASSED FAILED",
            "TestPinned": "PASSED PASSED PASSED XFAIL",
            "TestPinnedAndGood": "PASSED PASSED PASSED XPASS",
            "TestPinnedAndBad": "PASSED PASSED FAILED XPASS",
            "TestPinnedAndKnown": "PASSED PASSED PASSED FAILED",
        }.items()
        for name, word in zip(
            ("is_positive", "divides", "is_old", "is_new"), words.split(), strict=True
        )
    }
    assert "new in dc-core 0.2; the suite is pinned to 0.1" in done.stdout
    assert "The law is: A number is above zero. It is 0. Take a larger one." in done.stdout
