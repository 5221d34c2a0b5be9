"""What holds for every suite: laws cannot be lost, and expected failures are watched."""

import os
import subprocess
import sys

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
        if word in ("PASSED", "FAILED", "XFAIL"):
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
    }
    assert "The law is: A number is above zero. It is 0. Take a larger one." in done.stdout
