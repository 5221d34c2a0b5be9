"""What an exception says, in one line, and whether it may not come again."""

import errno
import os
from importlib import metadata

import pytest

from dc_core.plugins.causes import cause_text, is_passing, one_line, passed_through


class Mute(Exception):
    def __str__(self):
        raise ZeroDivisionError


class Interrupted(Exception):
    def __str__(self):
        raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (ValueError("no"), "ValueError: no"),
        (ValueError(), "ValueError"),
        (
            ValueError("one\n two\t\x1b[31m \u202e\ud800"),
            r"ValueError: one two \x1b[31m \u202e\ud800",
        ),
        (Mute(), "Mute: (no message: str() raised ZeroDivisionError)"),
    ],
)
def test_an_exception_is_one_printable_line(error, text):
    assert cause_text(error) == text
    assert text.isprintable()


def test_a_ctrl_c_passes_through_a_message():
    with pytest.raises(KeyboardInterrupt):
        cause_text(Interrupted())


def test_printable_text_is_left_alone():
    assert one_line("Ångström, 1 Å") == "Ångström, 1 Å"


def caused(error, cause=None, context=None):
    error.__cause__, error.__context__ = cause, context
    return error


SHORT = OSError(errno.EMFILE, os.strerror(errno.EMFILE))
TEXT = os.strerror(errno.ENFILE)


@pytest.mark.parametrize(
    ("error", "passing"),
    [
        (MemoryError(), True),
        (SHORT, True),
        (OSError(errno.ENOMEM, ""), True),
        (OSError(errno.ENOENT, ""), False),
        (OSError(TEXT), False),
        (ImportError(f"libm.so: cannot open shared object file: {TEXT}"), True),
        (ImportError("libm.so: no such file"), False),
        (RuntimeError(TEXT), False),
        (caused(ValueError(), cause=SHORT), True),
        (caused(ValueError(), context=caused(KeyError(), context=MemoryError())), True),
        (caused(SHORT, cause=ValueError()), True),
    ],
)
def test_a_lack_of_memory_or_files_is_told_from_what_stays(error, passing):
    assert is_passing(error) is passing


def test_errors_that_come_from_one_another_are_each_looked_at_once():
    first, second = ValueError(), KeyError()
    first.__context__, second.__context__ = second, first
    assert not is_passing(first)


def test_the_module_that_an_error_passed_through_is_found_in_all_its_causes():
    try:
        metadata.version("no-such-distribution-at-all")
    except metadata.PackageNotFoundError as error:
        found = error
    assert passed_through(found, "importlib.metadata")
    assert passed_through(found, __name__)
    assert passed_through(caused(ValueError(), context=found), "importlib.metadata")
    assert not passed_through(found, "importlib.resources")
    assert not passed_through(ValueError(), __name__)
