"""Converters: plugins that read files of other programs."""

import pytest

from dc_core.errors import BackendNotInstalled, ConversionError
from dc_core.plugins import CONVERTERS, Foreign, read_file, recognize_file

GOOD = """
from dc_core import hookimpl
from dc_core.plugins import Foreign

@hookimpl
def dc_recognize_file(path):
    return "a file of the lab" if path.read_bytes() == b"lab" else None

@hookimpl
def dc_read_file(path, trusted):
    return Foreign("a model of the lab", facts={"trusted": trusted})
"""


def test_a_plugin_recognizes_and_reads_its_own_kind_of_file(install, tmp_path):
    install("lab-files", {"dc.converters": {"lab": "lab_files"}}, {"lab_files": GOOD})
    file, other = tmp_path / "a", tmp_path / "b"
    file.write_bytes(b"lab")
    other.write_bytes(b"")
    assert "lab" in CONVERTERS
    assert recognize_file(file) == ("lab", "a file of the lab")
    assert recognize_file(other) is None
    assert read_file("lab", file, trusted=True) == Foreign(
        "a model of the lab", facts={"trusted": True}
    )


def test_a_plugin_that_returns_nothing_is_a_typed_error(install, tmp_path):
    source = GOOD.replace(
        'return Foreign("a model of the lab", facts={"trusted": trusted})', "pass"
    )
    install("lab-files", {"dc.converters": {"lab": "lab_files"}}, {"lab_files": source})
    with pytest.raises(ConversionError, match="returned nothing"):
        read_file("lab", tmp_path / "a", trusted=False)


def test_a_kind_without_a_plugin_is_a_typed_error(tmp_path):
    with pytest.raises(BackendNotInstalled, match="strange"):
        read_file("strange", tmp_path / "a", trusted=False)
