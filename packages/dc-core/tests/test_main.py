"""``python -m dc_core plugins``."""

import json
import subprocess
import sys
from importlib import metadata

import pytest

from dc_core.__main__ import main

GOOD = """
from dc_core import hookimpl
from dc_core.plugins import BackendInfo

@hookimpl
def dc_backend_info():
    return BackendInfo({"tiny": "1.0"})
"""


@pytest.fixture
def only():
    """Show the command only what the test installs, whatever this environment holds."""
    # A patch of its own: `install` has monkeypatch save sys.path, which must be the whole one.
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [path for path in sys.path if not _holds_plugins(path)])
        yield


def _holds_plugins(folder):
    return any(
        entry.group.startswith("dc.")
        for distribution in metadata.distributions(path=[folder])
        for entry in distribution.entry_points
    )


def lines(capsys):
    return capsys.readouterr().out.splitlines()


def test_missing_backends_are_listed_with_the_line_that_installs_them(only, install, capsys):
    install("dist-good", {"dc.backends.v1": {"good": "good_plugin"}}, {"good_plugin": GOOD})
    assert main(["plugins"]) == 0
    shown = lines(capsys)
    assert shown[0].split() == ["PLUGIN", "STATUS", "DISTRIBUTION", "GROUP"]
    torch = next(i for i, line in enumerate(shown) if line.startswith("torch "))
    assert shown[torch].split() == ["torch", "missing", "dc-torch", "dc.backends.v1"]
    assert shown[torch + 1] == "    Run: pip install dc-torch"
    assert ["good", "ready", "dist-good", "1.0", "dc.backends.v1"] in map(str.split, shown)


@pytest.mark.parametrize(
    ("entry_points", "status"),
    [
        ({"dc.backends.v1": {"bad": "bad_plugin"}}, "broken"),
        ({"dc.models": {"lab/Bad": "bad_plugin:Net"}}, "broken"),
    ],
)
def test_a_broken_plugin_gives_exit_code_1_and_its_cause(
    only, install, capsys, entry_points, status
):
    install("dist-bad", entry_points, {"bad_plugin": "raise RuntimeError('boom')"})
    assert main(["plugins"]) == 1
    shown = lines(capsys)
    bad = next(i for i, line in enumerate(shown) if "dist-bad 1.0" in line)
    assert status in shown[bad]
    assert "RuntimeError: boom" in shown[bad + 1]
    assert "einstall" in shown[bad + 2]


@pytest.mark.parametrize(("group", "name"), [("dc.backends.v1", "x"), ("dc.models", "x/y")])
def test_a_conflict_gives_exit_code_1_and_names_both(only, install, capsys, group, name):
    install("dist-a", {group: {name: "plugin_a"}}, {"plugin_a": GOOD})
    install("dist-b", {group: {name: "plugin_b"}}, {"plugin_b": GOOD})
    assert main(["plugins"]) == 1
    assert any("dist-a and dist-b both provide" in line for line in lines(capsys))


def test_json_holds_the_same(only, install, capsys):
    install("dist-good", {"dc.backends.v1": {"good": "good_plugin"}}, {"good_plugin": GOOD})
    assert main(["plugins", "--json"]) == 0
    report = {line["name"]: line for line in json.loads(capsys.readouterr().out)}
    assert report["good"] == {
        "group": "dc.backends.v1",
        "name": "good",
        "status": "ready",
        "distribution": "dist-good",
        "version": "1.0",
        "detail": "",
        "hint": "",
    }
    assert report["torch"]["hint"] == "Run: pip install dc-torch"


def test_it_runs_as_a_module():
    done = subprocess.run(
        [sys.executable, "-m", "dc_core", "--help"], capture_output=True, text=True, check=True
    )
    assert "plugins" in done.stdout


@pytest.mark.parametrize(
    "entry_points",
    [
        {"dc.backends.v1": {"numpy": "good_plugin"}},
        {"dc.backends.v2": {"tiny": "good_plugin"}},
        {"dc.models": {"torch/Squatted": "good_plugin:Net"}},
        {"dc.models": {"no-namespace": "good_plugin:Net"}},
        {"dc.components": {"numpy/Mine": "good_plugin:Net"}},
        {"dc.components": {"rdkit/Mine": "good_plugin:Net"}},
        {"dc.components": {"local/Mine": "good_plugin:Net"}},
    ],
)
def test_a_refused_entry_point_gives_exit_code_1_and_one_line(only, install, capsys, entry_points):
    install("dist-bad", entry_points, {"good_plugin": GOOD})
    assert main(["plugins"]) == 1
    shown = [line for line in lines(capsys) if "dist-bad 1.0" in line]
    assert len(shown) == 1
    assert "refused" in shown[0]


def test_no_text_of_a_distribution_controls_the_terminal_or_breaks_the_table(only, install, capsys):
    home = install(
        "dist-bad", {"dc.backends.v1": {"al\x1bpha": "good_plugin"}}, {"good_plugin": GOOD}
    )
    (listed,) = home.glob("*/METADATA")
    listed.write_text("Metadata-Version: 2.1\nName: dist\x1b[31m-bad\nVersion: 1\x9b0\n")
    bad = GOOD.replace("backend_info", "bakend_info")
    install("dist-misspelled", {"dc.backends.v1": {"beta": "bad_plugin"}}, {"bad_plugin": bad})
    assert main(["plugins"]) == 1
    out = capsys.readouterr().out
    assert out.replace("\n", "").isprintable()
    assert r"dist\x1b[31m-bad 1\x9b0" in out
    shown = out.splitlines()
    misspelled = next(i for i, line in enumerate(shown) if "dist-misspelled" in line)
    assert "dc_bakend_info" in shown[misspelled + 1]
    assert "einstall" in shown[misspelled + 2]
    assert not shown[misspelled + 3].startswith(" ")
