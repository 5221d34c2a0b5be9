"""The command: what it prints, and what it exits with."""

import json
import os
import subprocess
import sys

import pytest

from dc_hub import cli, publish, read_tensors, save, write_tensors


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs ``dc-hub`` and returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dc-hub", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            cli.main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


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


def test_info_shows_arguments_as_calls_and_weights_by_name(run, published):
    code, out, _ = run("info", "lab/chain")
    assert code == 0
    words = " ".join(out.split())
    assert published.revision in out
    for text in ("test/Chain", "test/Letters(alphabet=CNO)", "solubility", "model.intercept"):
        assert text in words
    code, out, _ = run("info", "lab/chain", "--json")
    assert json.loads(out)["weights"]["chain/model/intercept/0"]["shape"] == [1]


def test_verify_names_the_damaged_file_and_exits_with_one(run, published):
    assert run("verify", "lab/chain")[0] == 0
    weights = published.path / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"\xff")
    code, out, err = run("verify", "lab/chain")
    assert code == 1
    assert "HashMismatch" in err
    assert "model.safetensors" in err
    assert "Traceback" not in out + err


def test_check_says_whether_the_model_computes_the_same(run, published):
    code, out, _ = run("check", "lab/chain")
    assert code == 0
    assert "as stored" in out
    code, out, _ = run("check", "lab/chain", "--json")
    assert json.loads(out)["passed"] is True


def test_publish_copies_a_directory_and_moves_the_tags(run, published, linear, tmp_path, hub):
    saved = save(linear, tmp_path / "model")
    code, out, _ = run("publish", tmp_path / "model", "lab/linear", "--tag", "v1", "--tag", "main")
    assert code == 0
    assert saved.revision in out
    assert hub.tags("lab/linear") == {"main": saved.revision, "v1": saved.revision}


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
        (("info", "../x"), "FileMissing"),
        (("info", "Bad Name"), "UnsafePath"),
        (("verify", "lab/chain@v9"), "RevisionNotFound"),
        (("ls", "--hub", "/no/such/hub"), "HubUnavailable"),
    ],
)
def test_an_error_is_one_line_and_the_next_step(run, published, arguments, text):
    code, out, err = run(*arguments)
    assert code == 1
    assert out == ""
    assert err.startswith(text)
    assert 1 <= err.count("\n") <= 2


@pytest.mark.parametrize("arguments", [("verify",), ("no-such",), ("ls", "--no-such")])
def test_wrong_usage_exits_with_two(run, arguments):
    assert run(*arguments)[0] == 2


@pytest.mark.parametrize("command", ["ls", "info", "verify", "check", "publish", "diff"])
def test_every_command_has_help(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert "Usage: dc-hub" in out


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
def test_nothing_that_a_model_says_steers_the_terminal(run, linear, chain, hub, options):
    evil = "a\x1b]0;x\x07\x9b31m\u202eb :bomb: \n"
    publish(linear, "evil", hub=hub, metadata={"note": evil, evil: 1})
    publish(chain, "good", hub=hub)
    for command in (("info", "evil"), ("diff", "evil", "good")):
        _, out, _ = run(*command, "--hub", hub.path, *options)
        assert all(line.isprintable() for line in out.split("\n"))
        assert "\\u202eb :bomb:" in out
    _, _, err = run("info", "./no\x1b[31msuch")
    assert "no\\x1b[31msuch" in err


def test_long_values_are_printed_whole_on_one_line(run, models, dataset, hub, monkeypatch):
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
    command = [sys.executable, "-c", "from dc_hub.cli import main; main()", "ls"]
    environment = {**os.environ, "PYTHONIOENCODING": "ascii"}
    done = subprocess.run(command, env=environment, capture_output=True, check=True)
    assert b"main \\u2192 " in done.stdout


def test_json_says_null_where_a_number_is_infinite(run, linear, dataset, hub, reseal):
    path = publish(linear, "m", hub=hub, golden=dataset.X).path
    golden = dict(read_tensors(path / "golden.safetensors"))
    golden["outputs"] = golden["outputs"][:1]
    with (path / "golden.safetensors").open("wb") as file:
        write_tensors(file, golden)
    reseal(path)
    code, out, _ = run("check", path, "--json")
    assert code == 1
    assert json.loads(out, parse_constant=pytest.fail)["max_difference"] is None
