"""The command: what it prints, and what it exits with."""

import io
import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path

import pytest

from dc_hub import list_tags, publish, read_tensors, save, write_tensors
from dc_hub.command import program


@pytest.fixture
def published(chain, hub, monkeypatch):
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(hub.path))
    return publish(chain, "lab/chain", golden=["CCO"], metadata={"task": "solubility"})


def test_ls_lists_names_tags_and_revisions(run, published):
    code, out, _ = run("ls")
    assert code == 0
    assert "lab/chain" in out
    assert f"main → {published.revision[:12]}" in out
    code, out, _ = run("ls", "--json")
    assert json.loads(out) == [
        {
            "name": "lab/chain",
            "tags": {"main": published.revision},
            "revisions": [published.revision],
        }
    ]


def test_several_hubs_are_looked_up_in_order(run, published, hub, linear, tmp_path):
    mine = publish(linear, "mine", hub=tmp_path / "first").revision
    both = ("--hub", tmp_path / "first", "--hub", hub.path)
    code, out, _ = run("ls", "--json", *both)
    assert code == 0
    assert [model["name"] for model in json.loads(out)] == ["lab/chain", "mine"]
    for name, revision in (("mine", mine), ("lab/chain", published.revision)):
        code, out, _ = run("verify", name, *both)
        assert (code, revision in out) == (0, True)
    assert run("tag", "set", "lab/chain", "v1", *both)[0] == 0
    assert list_tags("lab/chain", hub=hub)["v1"] == published.revision
    assert run("rm", "mine", "--yes", *both)[0] == 0
    code, _, err = run("ls", "--hub", tmp_path / "none", "--hub", hub.path)
    assert code == 2
    assert "none" in err


def test_info_shows_arguments_as_calls_and_weights_by_name(run, published):
    code, out, _ = run("info", "lab/chain")
    assert code == 0
    words = " ".join(out.split())
    assert published.revision in out
    for text in ("test/Chain", 'test/Letters(alphabet="CNO")', "solubility", "model.intercept"):
        assert text in words
    code, out, _ = run("info", "lab/chain", "--json")
    assert json.loads(out)["weights"]["chain/model/intercept/0"]["shape"] == [1]


def test_verify_names_the_damaged_file_and_exits_with_one(run, published):
    assert run("verify", "lab/chain")[0] == 0
    weights = published.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    code, out, err = run("verify", "lab/chain")
    assert code == 2
    assert "HashMismatch" in err
    assert "model.safetensors" in err
    assert "Traceback" not in out + err


def test_check_golden_tells_whether_the_outputs_are_the_same(run, published):
    code, out, _ = run("check-golden", "lab/chain")
    assert code == 0
    assert "passed" in out
    code, out, _ = run("check-golden", "lab/chain", "--json")
    assert json.loads(out)["passed"] is True


def test_publish_copies_a_directory_and_moves_the_tags(run, published, linear, tmp_path, hub):
    saved = save(linear, tmp_path / "model")
    code, out, _ = run("publish", tmp_path / "model", "lab/linear", "--tag", "v1")
    assert code == 0
    assert saved.revision in out
    assert hub.tags("lab/linear") == {"main": saved.revision, "v1": saved.revision}
    run("publish", published.path, "lab/linear", "--tag", "v2", "--no-move-main")
    assert hub.tags("lab/linear")["main"] == saved.revision
    assert hub.tags("lab/linear")["v2"] == published.revision


def test_diff_exits_with_one_where_models_differ(run, published, linear, hub):
    assert run("diff", "lab/chain", "lab/chain")[0] == 0
    publish(linear, "linear", hub=hub)
    code, out, _ = run("diff", "lab/chain", "linear")
    assert code == 1
    assert "test/Linear" in out
    assert run("diff", "lab/chain", "linear", "--json")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (("info", "no-such"), "ModelNotFound"),
        (("info", "../no-such-directory"), "FileMissing"),
        (("info", "Bad Name"), "UnsafePath"),
        (("verify", "lab/chain@v9"), "RevisionNotFound"),
        (("ls", "--hub", "/no/such/hub"), "HubUnavailable"),
    ],
)
def test_an_error_is_one_line_and_the_next_step(run, published, arguments, text):
    code, out, err = run(*arguments)
    assert code == 2
    assert out == ""
    assert err.startswith(text)
    assert 1 <= err.count("\n") <= 2


@pytest.mark.parametrize("arguments", [("verify",), ("no-such",), ("ls", "--no-such")])
def test_wrong_usage_exits_with_two(run, arguments):
    assert run(*arguments)[0] == 2


COMMANDS = [
    text.split()
    for text in (
        *("ls", "search", "info", "verify", "check-golden", "diff", "pull", "lock", "bundle"),
        *("unbundle", "gc", "publish", "sign", "card", "lineage", "convert", "export", "rm"),
        *("index", "site", "serve", "doctor"),
        *("tag list", "tag set", "tag move", "tag delete"),
        *("key list", "key new", "key trust", "key remove"),
    )
]
WITHOUT_FACTS = ["serve", "tag delete", "key remove"]


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help(run, command):
    code, out, _ = run(*command, "--help")
    assert code == 0
    assert "Usage: dc-hub" in out
    assert "[OPTIONS]" in out
    assert ("--json" in out) is (" ".join(command) not in WITHOUT_FACTS)


def test_the_readme_names_every_command():
    readme = (Path(__file__).parents[1] / "README.md").read_text(encoding="utf-8")
    known = {" ".join(command) for command in COMMANDS}
    assert known == {
        *(
            command.name or command.callback.__name__.replace("_", "-")
            for command in program.app.registered_commands
        ),
        *(f"tag {command.name}" for command in program.tags.registered_commands),
        *(f"key {command.name}" for command in program.keys.registered_commands),
    }
    assert [name for name in sorted(known) if f"`{name}`" not in readme] == []


def test_commands_that_change_a_hub_print_what_they_did_as_json(run, published, linear, tmp_path):
    saved = save(linear, tmp_path / "model")
    out = run("publish", tmp_path / "model", "net", "--json")[1]
    assert json.loads(out)["revision"] == saved.revision
    assert json.loads(run("pull", "net", "--json")[1])[0]["revision"] == saved.revision
    assert json.loads(run("tag", "set", "net", "v1", "--json")[1]) == {"v1": saved.revision}
    assert json.loads(run("tag", "move", "net", "v1", "--json")[1]) == {"v1": saved.revision}
    (tmp_path / "text").write_text("My words.")
    changed = json.loads(run("card", "net", "--set", tmp_path / "text", "--json")[1])["revision"]
    assert changed != saved.revision
    bundle = tmp_path / "site.tar"
    assert json.loads(run("bundle", "net", "-o", bundle, "--json")[1]) == {"path": str(bundle)}
    index = json.loads(run("index", published.path.parents[3], "--json")[1])["path"]
    assert index.endswith("index.json")
    assert sorted(json.loads(run("rm", "net", "--yes", "--json")[1])) == sorted(
        [saved.revision, changed]
    )


def test_help_names_every_command(run):
    code, out, _ = run("--help")
    assert code == 0
    for command in COMMANDS:
        assert f"\n  {command[0]} " in out


def test_version_is_that_of_the_distribution(run):
    assert run("--version") == (0, f"dc-hub {metadata.version('dc-hub')}\n", "")


def test_a_warning_is_one_line(run, linear, tmp_path):
    path = save(linear, tmp_path / "model").path
    (path / "MANIFEST.json").unlink()
    code, _, err = run("info", path)
    assert code == 0
    assert err.startswith("warning: ")
    assert err.count("\n") == 1


def test_names_of_weights_are_printed_as_they_are(run, linear, hub):
    publish(linear, "m", hub=hub, metadata={"[red]note[/]": "[bold]x[/]"})
    _, out, _ = run("info", "m", "--hub", hub.path)
    assert "[red]note[/]" in out
    assert "[bold]x[/]" in out


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_no_text_of_a_model_controls_the_terminal(run, linear, chain, hub, options):
    evil = "a\x1b]0;x\x07\x9b31m\u202eb :bomb: \n"
    publish(linear, "evil", hub=hub, metadata={"note": evil, evil: 1})
    publish(chain, "good", hub=hub)
    for command in (("info", "evil"), ("diff", "evil", "good")):
        _, out, _ = run(*command, "--hub", hub.path, *options)
        assert all(line.isprintable() for line in out.split("\n"))
        assert "\\u202eb :bomb:" in out
    _, _, err = run("info", "./no\x1b[31msuch")
    assert "no\\x1b[31msuch" in err


def test_long_values_are_printed_on_one_line(run, models, dataset, hub, monkeypatch):
    monkeypatch.setenv("COLUMNS", "40")
    for name, note in (("a", "x" * 300), ("b", "y" * 300)):
        publish(models["Linear"]().fit(dataset), name, hub=hub, metadata={"note": note})
    _, out, _ = run("info", "a", "--hub", hub.path)
    assert f"  {'x' * 300}\n" in out
    _, out, _ = run("diff", "a", "b", "--hub", hub.path)
    assert f"{'x' * 300} → {'y' * 300}\n" in out


@pytest.mark.parametrize(
    "value",
    [{"$model": 5}, {"$component": {"class": []}}, {"$tuple": 5}, {"$dict": 5}, {"$dict": [[1]]},
     {"$x": {"$tuple": {}}}],
    ids=str,
)  # fmt: skip
def test_info_shows_arguments_that_no_reader_would_build(run, linear, tmp_path, edit_params, value):
    path = save(linear, tmp_path / "model").path
    edit_params(path, lambda content: content["params"].update(alpha=value))
    code, out, _ = run("info", path)
    assert code == 0
    assert "params.alpha" in out


def test_output_that_the_terminal_cannot_encode_is_escaped(published, hub):
    command = [sys.executable, "-c", "from dc_hub.command.program import main; main()", "ls"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"main \\u2192 " in done.stdout


def test_json_output_has_null_for_infinity(run, linear, dataset, hub, reseal):
    path = publish(linear, "m", hub=hub, golden=dataset.X).path
    golden = dict(read_tensors(path / "golden.safetensors"))
    golden["outputs"] = golden["outputs"][:1]
    with (path / "golden.safetensors").open("wb") as file:
        write_tensors(file, golden)
    reseal(path)
    code, out, _ = run("check-golden", path, "--json")
    assert code == 1
    assert json.loads(out, parse_constant=pytest.fail)["max_difference"] is None


def test_rm_asks_unless_told_not_to(run, published, hub, monkeypatch):
    for answer in ("n\n", "", "\n"):
        monkeypatch.setattr(sys, "stdin", io.StringIO(answer))
        code, out, err = run("rm", "lab/chain")
        assert code == 1
        assert "Remove lab/chain: 1 revision, tags main?" in err
        assert "Traceback" not in out + err
    assert hub.names() == ["lab/chain"]
    monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
    assert run("rm", "lab/chain")[0] == 0
    assert hub.names() == []


def test_rm_removes_a_tagged_revision_only_with_its_tags(run, published, hub):
    reference = f"lab/chain@{published.revision}"
    code, _, err = run("rm", reference, "--yes")
    assert code == 2
    assert "RevisionTagged" in err
    assert "--remove-tags" in err
    code, out, _ = run("rm", reference, "--yes", "--remove-tags")
    assert code == 0
    assert published.revision in out
    assert hub.names() == []


def test_tags_are_set_moved_deleted_and_listed(run, published, linear, hub):
    second = publish(linear, "lab/chain", hub=hub).revision
    assert run("tag", "set", f"lab/chain@{published.revision}", "v1")[0] == 0
    code, _, err = run("tag", "set", "lab/chain", "v1")
    assert code == 2
    assert "TagMoved" in err
    assert run("tag", "move", "lab/chain", "v1", "--expected", "main")[0] == 2
    assert run("tag", "move", "lab/chain", "v1", "--expected", published.revision)[0] == 0
    code, out, _ = run("tag", "list", "lab/chain", "--json")
    assert json.loads(out) == {"main": second, "v1": second} == list_tags("lab/chain", hub=hub)
    assert run("tag", "delete", "lab/chain", "v1")[0] == 0
    _, out, _ = run("tag", "list", "lab/chain")
    assert out.split() == ["main", second]


def test_deleting_main_asks_first(run, published, hub, monkeypatch):
    monkeypatch.setattr(sys, "stdin", io.StringIO("n\n"))
    code, _, err = run("tag", "delete", "lab/chain", "main")
    assert code == 1
    assert "which lab/chain without a revision refers to?" in err
    assert list_tags("lab/chain", hub=hub) == {"main": published.revision}
    assert run("tag", "delete", "lab/chain", "main", "--yes")[0] == 0
    assert list_tags("lab/chain", hub=hub) == {}
    code, _, err = run("info", "lab/chain")
    assert code == 2
    assert f"dc-hub tag set lab/chain@{published.revision[:12]} main" in " ".join(err.split())


LONG = "k" * 900_000


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["metadata"].update({LONG: 1, **{f"key {i}": 1 for i in range(9)}}),
        lambda content: content["metadata"].update({str(i): 1 for i in range(40_000)}),
        lambda content: content["metadata"].update(note=LONG),
        lambda content: content["metadata"].update(notes=list(range(100_000))),
        lambda content: content["params"].update({LONG: {"$model": {}}}),
        lambda content: content.update({"class": LONG}),
        lambda content: content.update({LONG: 1}),
        lambda content: content["weights"].update({LONG: {"native": "w", "aliases": []}}),
    ],
    ids=["key", "keys", "string", "list", "argument", "class", "unknown key", "weight"],
)
def test_what_a_command_prints_of_a_file_is_bounded(run, linear, tmp_path, edit_params, change):
    good = save(linear, tmp_path / "good").path
    path = save(linear, tmp_path / "model").path
    edit_params(path, change)
    for command in (("info", path), ("verify", path), ("diff", good, path), ("diff", path, good)):
        code, out, err = run(*command)
        assert code in (0, 1, 2)
        assert len(out) + len(err) < 100_000
    _, out, _ = run("info", path, "--json")
    assert len(out) < 1_500_000


def test_a_list_that_is_cut_tells_how_many_rows_are_left_out(run, linear, hub):
    publish(linear, "m", hub=hub, metadata={f"key {i:04}": i for i in range(1200)})
    _, out, _ = run("info", "m", "--hub", hub.path)
    assert "… and 202 more" in out  # created_with and parameters are two of 1 202
    assert "model.safetensors" in out
    _, out, _ = run("info", "m", "--hub", hub.path, "--json")
    assert len(json.loads(out)["metadata"]) == 1202


def test_the_installed_command_removes_a_model_and_reports_an_error(published, hub):
    command = [Path(sys.executable).with_name("dc-hub"), "rm", "lab/chain", "--yes"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 2
    assert done.stderr.startswith("ModelNotFound: ")
    assert "Traceback" not in done.stderr


def test_a_reader_that_stops_early_gets_no_traceback(linear, hub):
    publish(linear, "m", hub=hub, metadata={f"key {i}": "x" * 500 for i in range(900)})
    command = [Path(sys.executable).with_name("dc-hub"), "info", "m", "--hub", hub.path]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        errors = process.stderr.read()
    assert errors == b""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
def test_output_that_cannot_be_written_is_an_error_of_one_line(linear, hub):
    publish(linear, "m", hub=hub, metadata={f"key {i}": "x" * 500 for i in range(90)})
    for arguments in (("ls",), ("info", "m"), ("info", "m", "--json")):
        command = [Path(sys.executable).with_name("dc-hub"), *arguments, "--hub", hub.path]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
        assert done.returncode == 2
        assert done.stderr.startswith("OSError: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.needs("process numbers")
@pytest.mark.parametrize("module", ["typer", "numpy", "dc_hub.command.program"])
def test_an_interrupt_during_the_imports_ends_the_command_quietly(module):
    """The signal comes when ``module`` is about to be imported."""
    code = f"""
import os, signal, sys

class Interrupting:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            os.kill(os.getpid(), signal.SIGINT)

signal.signal(signal.SIGINT, signal.default_int_handler)  # tests in the background ignore it
sys.argv = ["dc-hub", "--version"]
from {entry_point().module} import main
sys.meta_path.insert(0, Interrupting())
main()
"""
    ended = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "")


def entry_point():
    (found,) = metadata.entry_points(group="console_scripts", name="dc-hub")
    return found
