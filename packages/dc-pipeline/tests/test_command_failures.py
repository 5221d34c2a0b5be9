"""Bad input, full disks, killed programs: an error or a reported row, and no half result."""

import gzip
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from dc_core import Features, Featurizer, register_component
from dc_pipeline import DiskDataset, stored_failures
from dc_pipeline.command import program

pty = pytest.importorskip("pty")
resource = pytest.importorskip("resource")
for name in ("dc_hub", "dc_sklearn"):
    pytest.importorskip(name)

DC_PIPELINE = str(Path(sys.executable).with_name("dc-pipeline"))
LABELS = ("--tasks", "y")
FEATURIZE = ("--featurizer", "ecfp:size=64")
MODEL = ("--model", "sklearn/Ridge")
SERIAL = ("--engine", "serial")


@register_component("test/DangerousWords")
class DangerousWords(Featurizer[str]):
    """Features that are the lengths of words; some words are dangerous."""

    def featurize(self, inputs, *, strict=False):
        if "abort" in list(inputs):
            os.abort()
        if "hang" in list(inputs):
            time.sleep(1000)
        lengths = np.array([[len(word)] for word in inputs], float).reshape(-1, 1)
        return Features(lengths, np.ones(len(inputs), bool))


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Return a function that runs ``dc-pipeline`` and returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dc-pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            program.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return caught.value.code or 0, out, " ".join(err.split())

    return run


@pytest.fixture
def model(run):
    """A stored model of SMILES."""
    rows = "\n".join(f"{'C' * n},{n}" for n in range(1, 21))
    Path("good.csv").write_text(f"smiles,y\n{rows}\n")
    code, _, err = run(
        "train", "--data", "good.csv", *LABELS, *FEATURIZE, *MODEL, "--out", "result", "-q"
    )
    assert (code, err) == (0, "")
    return "./result/model"


HEAD = "smiles,y\n"
UNREADABLE = {
    "no file": (None, "cannot be read"),
    "empty": (b"", "is empty"),
    "blank": (b"\n\n\n", "is empty"),
    "header only": (HEAD.encode(), ""),
    "wrong columns": (b"a,b\nCCO,1\n", "no column 'smiles'. It has: a, b"),
    "a column twice": (b"smiles,y,smiles\nCCO,1,CCO\n", "several columns 'smiles'"),
    "not text": (b"smiles,y\n\xff\xfe\xff,1\n" * 3, "utf-8"),
    "cut gzip": (gzip.compress(b"smiles,y\nCCO,1\n" * 999)[:-20], "damaged gzip file"),
    "no molecule": (b"smiles,y\nC1CC,1\n?,2\n", "No row|no usable row|usable"),
}
COMMANDS = {
    "featurize": (
        "featurize",
        "bad.csv",
        *LABELS,
        *FEATURIZE,
        "--engine",
        "serial",
        "--out",
        "new",
    ),
    "split": ("split", "bad.csv", *LABELS, "--splitter", "scaffold", "--out", "new"),
    "train": ("train", "--data", "bad.csv", *LABELS, *FEATURIZE, *MODEL, "--out", "new"),
    "predict": ("predict", "./result/model", "bad.csv", *SERIAL, "--out", "new.csv"),
    "evaluate": ("evaluate", "./result/model", "bad.csv", *LABELS),
}


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize("kind", UNREADABLE)
def test_a_file_that_cannot_be_used_is_one_error_and_no_result(run, model, command, kind):
    content, message = UNREADABLE[kind]
    if content is not None:
        Path("bad.csv").write_bytes(content)
    code, out, err = run(*COMMANDS[command], "-q")
    if command == "predict" and kind == "no molecule":
        assert code == 0  # a table of rows that failed
        assert "2 failed" in err
        return
    assert (code, out) == (2, "")
    if kind != "no molecule":
        assert message in err
    assert len(err) < 1000
    assert not Path("new.csv").exists()
    assert not Path("new/dataset.json").exists()
    assert not Path("new/model").exists()
    assert not Path("new/split.json").exists()
    if kind not in ("no molecule", "header only", "cut gzip", "not text"):
        assert not list(Path().glob("*new*")), "nothing was begun"


BAD_ROWS = [
    ("CCO", "1", ""),
    ("CCN", "", "missing label"),
    ("CCC", "NaN", "missing label"),
    ("CCCl", "high", "label"),
    ("CCBr", ">5", "censored"),
    ("C1CC", "2", "parse"),
    ("C" * 10_000_000, "3", "parse"),
    ("", "4", "parse"),
    ("CCO", "5", "duplicate"),
    ("c1ccccc1", "6", ""),
    *((f"{'C' * n}O", str(n), "") for n in range(4, 24)),
]


@pytest.fixture
def mixed(tmp_path):
    """A file in which rows are bad in all ways, and labels are of mixed types."""
    file = tmp_path / "mixed.csv"
    file.write_text(HEAD + "".join(f"{smiles},{label}\n" for smiles, label, _ in BAD_ROWS))
    return file


def expected_failures():
    return [
        (row, status)
        for row, (_, _, status) in enumerate(BAD_ROWS)
        if status in ("label", "censored", "parse")
    ]


def test_bad_rows_are_reported_and_the_others_featurized(run, mixed):
    code, out, err = run(
        *("featurize", "mixed.csv", *LABELS, *FEATURIZE, "--out", "new", "--engine", "serial"), "-q"
    )
    assert code == 0
    assert "5 failed" in err
    assert "3 × parse" in err
    assert "see new/failures.jsonl" in err
    assert [(f.row, f.status) for f in stored_failures("new")] == expected_failures()
    found = DiskDataset("new")
    assert len(found) == len(BAD_ROWS) - 3
    assert int((found.w == 0).sum()) == 4
    assert f"{len(found)} rows" in out


def test_bad_rows_are_reported_and_the_others_learned(run, mixed):
    code, _, err = run(
        "train", "--data", "mixed.csv", *LABELS, *FEATURIZE, *MODEL, "--out", "new", "-q"
    )
    assert code == 0
    assert "see new/failures.jsonl" in err
    assert [(f.row, f.status) for f in stored_failures("new")] == expected_failures()
    assert json.loads(Path("new/record.json").read_text())["rows"]["failed"] == {
        "label": 1,
        "censored": 1,
        "parse": 3,
    }


def test_every_row_has_a_prediction_or_a_reason(run, model, mixed):
    code, _, err = run(
        "predict", model, "mixed.csv", "--out", "new.parquet", "--engine", "serial", "-q"
    )
    assert code == 0
    pandas = pytest.importorskip("pandas")
    table = pandas.read_parquet("new.parquet")
    assert table["row"].tolist() == list(range(len(BAD_ROWS)))
    failed = [row for row, status in expected_failures() if status == "parse"]
    assert table.index[table["status"] == "parse"].tolist() == failed
    assert table["predicted_0"].isna().sum() == len(failed)
    assert "3 failed (3 × parse); see the column status of new.parquet" in err


@pytest.mark.parametrize("command", ["featurize", "split", "train", "evaluate"])
def test_strict_fails_at_the_first_bad_row(run, model, mixed, command):
    mixed.rename("bad.csv")
    code, out, err = run(*COMMANDS[command], "--strict", "-q")
    assert (code, out) == (2, "")
    assert "FeaturizationError" in err
    assert not Path("new").exists() or not Path("new/dataset.json").exists()


def test_a_place_that_cannot_be_written_is_an_error_before_the_training(run):
    Path("good.csv").write_text("smiles,y\nCCO,1\nCC,2\nC,3\nCCC,4\nCCCC,5\nCCN,6\n")
    Path("file").touch()
    code, _, err = run(
        *("train", "--data", "good.csv", *LABELS, *FEATURIZE, *MODEL, "--out", "file/new")
    )
    assert code == 2
    assert "file/new" in err
    assert "reading" not in err


def test_labels_that_are_all_missing_are_an_error(run):
    Path("bad.csv").write_text(HEAD + "".join(f"{'C' * n},NaN\n" for n in range(1, 20)))
    code, _, err = run(*COMMANDS["train"], "-q")
    assert code == 2
    assert "label is missing" in err
    assert not Path("new").exists()


def test_data_that_is_not_a_table_is_an_error_whatever_the_flags_say(run):
    Path("run.toml").write_text('data = "good.csv"\nmodel = "sklearn/Ridge"\nout = "x"\n')
    for flags in ((), LABELS):
        code, _, err = run("train", "run.toml", *flags)
        assert code == 2
        assert "data is 'good.csv', which is not a table." in err


def test_a_training_without_tasks_says_how_to_name_them(run, model):
    code, _, err = run("train", "--data", "good.csv", *FEATURIZE, *MODEL, "--out", "other")
    assert code == 2
    assert "'data.tasks' is not given. Name the columns of the labels: --tasks" in err


def test_labels_that_are_not_numbers_are_an_error_with_the_reason(run):
    Path("named.csv").write_text("smiles,y\nC,methane\nCC,ethane\n")
    code, _, err = run("train", "--data", "named.csv", *LABELS, *FEATURIZE, *MODEL, "--out", "x")
    assert code == 2
    assert "Every label is missing. The first of 2 that failed" in err
    assert "methane" in err
    assert "training on" not in err


def test_a_misspelled_estimator_is_not_taken_for_the_wrapper_of_all(run):
    code, _, err = run(
        "train", "--data", "x.csv", *LABELS, "--model", "sklearn/Rigde", "--out", "x"
    )
    assert code == 2
    assert "SklearnModel" not in err


def test_ids_that_are_repeated_are_a_warning(run):
    rows = "".join(f"{'C' * n},{n},same\n" for n in range(1, 20))
    Path("bad.csv").write_text(f"smiles,y,name\n{rows}")
    code, _, err = run(*COMMANDS["train"], "--id", "name", "-q")
    assert code == 0
    assert err.startswith("warning: ")
    assert "18 rows have the id of a row before them" in err


@pytest.mark.parametrize(
    ("word", "status", "options"),
    [
        ("abort", "crash", ("--shard-rows", "4")),
        # On a busy machine a worker takes seconds to start, which count.
        ("hang", "timeout", ("--shard-rows", "1", "--timeout", "10")),
    ],
)
def test_an_input_that_kills_its_worker_costs_one_row(run, word, status, options):
    words = [f"word{i}" for i in range(12)]
    words[7] = word
    Path("words.csv").write_text("smiles\n" + "\n".join(words) + "\n")
    code, _, err = run(
        *(
            "featurize",
            "words.csv",
            "--featurizer",
            "test/DangerousWords",
            "--out",
            "new",
            "--quiet",
        ),
        *("--workers", "2", "--retries", "0", *options),
    )
    assert code == 0, err
    assert f"1 failed (1 × {status})" in err
    assert [(f.row, f.input, f.status) for f in stored_failures("new")] == [(7, word, status)]
    assert len(DiskDataset("new")) == 11


def test_no_text_of_a_file_controls_the_terminal(run, model):
    Path("bad.csv").write_text("smiles,y\nC\x1b[31mC\x07,1\nCCO,2\n", "utf-8")
    for command in COMMANDS.values():
        if command[0] != "split":
            _, out, err = run(*command)
            assert all(line.isprintable() for line in f"{out}{err}".split("\n"))
    _, _, err = run("featurize", "no\x1b[31msuch.csv", *FEATURIZE, "--out", "x")
    assert "no\\x1b[31msuch.csv" in err


def test_what_is_missing_in_a_hub_is_one_error(run):
    (Path() / "hub").mkdir()
    Path("good.csv").write_text("smiles\nCCO\n")
    code, _, err = run("predict", "lab/no-such", "good.csv", "--out", "a.csv", "-q")
    assert code == 2
    assert err.startswith("ModelNotFound")
    code, _, err = run("predict", "./no-such", "good.csv", "--out", "a.csv", "-q")
    assert code == 2
    code, _, err = run("predict", "./no-such", "good.csv", "--out", "a.xlsx", "-q")
    assert code == 2
    assert not list(Path().glob("a.*"))


def limited():
    """Let no file become larger than 5 kB, as on a disk that is full."""
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))


@pytest.fixture
def many(tmp_path):
    """A file of a thousand molecules."""
    rows = "".join(f"C1{'C' * (2 + i % 9)}1{'C' * (i % 7)},{i % 7}\n" for i in range(1000))
    (tmp_path / "bad.csv").write_text(HEAD + rows)


@pytest.mark.parametrize("command", ["featurize", "split", "train", "predict"])
def test_a_full_disk_is_one_error_and_no_result(run, model, many, command):
    arguments = [DC_PIPELINE, *COMMANDS[command], "-q"]
    done = subprocess.run(arguments, preexec_fn=limited, capture_output=True, text=True)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert "File too large" in done.stderr
    assert not Path("new.csv").exists()
    assert not Path("new/dataset.json").exists()
    assert not Path("new/model").exists()
    assert not Path("new/split.json").exists()
    done = subprocess.run(arguments, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def begun(command, run_directory, shards):
    """Start a command and wait until so many shards are finished."""
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(run_directory.glob("0*-*"))) < shards:
        time.sleep(0.01)
    return process


@pytest.mark.parametrize("signal_", [signal.SIGKILL, signal.SIGINT], ids=lambda s: s.name)
def test_an_interrupted_featurization_goes_on_where_it_was(run, signal_):
    rows = [f"{'C' * (1 + i % 50)} m{i}" for i in range(6000)]
    Path("many.smi").write_text("\n".join(rows) + "\n")
    command = ("featurize", "many.smi", *FEATURIZE, "--engine", "serial", "--out", "new")
    shards = Path("new/.work/run")
    process = begun([DC_PIPELINE, *command, "--shard-rows", "64"], shards, 3)
    process.send_signal(signal_)
    _, err = process.communicate()
    if signal_ is signal.SIGINT:
        assert process.returncode == 130
        assert "Interrupted. What is finished is kept" in err
        assert "Traceback" not in err
    finished = len(list(shards.glob("0*-*")))
    assert 3 <= finished < 94
    assert not Path("new/dataset.json").exists()
    code, _, err = run(*command)
    assert code == 0
    assert "of 6,000 rows" in err
    first = int(err.split("featurizing: ")[1].split(" of")[0].replace(",", ""))
    assert first >= 64 * finished
    assert len(DiskDataset("new")) == 6000


def test_an_interrupted_training_leaves_nothing(run):
    pytest.importorskip("dc_torch")
    Path("good.csv").write_text(HEAD + "".join(f"{'C' * (1 + n % 40)},{n}\n" for n in range(400)))
    command = [
        *(DC_PIPELINE, "train", "--data", "good.csv", *LABELS, *FEATURIZE, "--out", "result"),
        *("--model", "torch/MultitaskRegressor:epochs=1000000"),
    ]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    for line in process.stderr:
        if line.startswith("training"):
            break
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate()
    assert process.returncode == 130
    assert "Interrupted. Nothing was written." in err
    assert sorted(path.name for path in Path().iterdir()) == ["good.csv"]


def test_a_terminal_shows_a_bar(run):
    Path("good.smi").write_text("".join(f"{'C' * n}\n" for n in range(1, 40)))
    leader, follower = pty.openpty()
    command = ("featurize", "good.smi", *FEATURIZE, "--engine", "serial", "--out", "new")
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    done = subprocess.run([DC_PIPELINE, *command], stderr=follower, env=environment, check=False)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 65536)
        except OSError:
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert done.returncode == 0
    assert "39 of 39 rows" in shown.decode()
    assert "━" in shown.decode()


def test_a_reader_that_stops_early_gets_no_traceback(run):
    with subprocess.Popen(
        [DC_PIPELINE, "train", "--example"], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        process.stdout.close()
        errors = process.stderr.read()
    assert b"Traceback" not in errors
