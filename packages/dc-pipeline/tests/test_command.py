"""``dc-pipeline``: what its commands do, print and exit with."""

import csv
import gzip
import json
import os
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

import dc_pipeline
from dc_pipeline import ECFP, CSVLoader, DiskDataset, KmerCounts, RandomSplitter
from dc_pipeline.command import program
from dc_pipeline.command.configuration import EXAMPLE, Run, read_toml, write_toml

SMILES = [
    *("CCO", "c1ccccc1", "CC(=O)O", "N", "CCN", "O", "CCCC", "c1ccncc1", "CCOCC", "C1CCCCC1"),
    *("CC(C)O", "c1ccccc1O", "CC#N", "CCS", "C1CCOC1", "CCCl", "CC=O", "c1ccsc1", "CNC", "CO"),
]
COMMANDS = ["featurize", "split", "train", "tune", "predict", "evaluate", "report", "components"]

hub_and_models = [pytest.importorskip(name) for name in ("dc_hub", "dc_sklearn")]


@pytest.fixture
def run(monkeypatch, capsys):
    """Return a function that runs ``dc-pipeline`` and returns exit code, output and errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dc-pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            program.main()
        out, err = capsys.readouterr()
        return caught.value.code or 0, out, err

    return run


@pytest.fixture
def table(tmp_path, monkeypatch):
    """A table of molecules with two labels, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DEEPCHEM_MODEL_HUB", str(tmp_path / "hub"))
    monkeypatch.setenv("DEEPCHEM_CACHE", str(tmp_path / "cache"))
    (tmp_path / "hub").mkdir()
    lines = [f"{s},m{i},{len(s)},{'yes' if 'O' in s else 'no'}" for i, s in enumerate(SMILES)]
    file = tmp_path / "table.csv"
    file.write_text("\n".join(["smiles,name,size,oxygen", *lines]) + "\n")
    return file


FLAGS = ("--tasks", "size", "--featurizer", "ecfp:size=64", "--model", "sklearn/Ridge")


def trained(run, out, *more):
    code, printed, err = run("train", "--data", "table.csv", *FLAGS, "--out", out, "-q", *more)
    assert (code, err) == (0, "")
    return printed


def test_version_is_that_of_the_distribution(run):
    assert run("--version") == (0, f"dc-pipeline {metadata.version('dc-pipeline')}\n", "")


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_has_help(run, command):
    code, out, _ = run(command, "--help")
    assert code == 0
    assert f"Usage: dc-pipeline {command}" in out
    assert command in run("--help")[1]


@pytest.mark.parametrize("arguments", [("train", "--no-such"), ("no-such",), ("predict", "a")])
def test_wrong_usage_exits_with_two(run, arguments):
    assert run(*arguments)[0] == 2


def test_featurize_writes_what_the_featurizer_returns(run, table):
    code, out, err = run(
        *("featurize", "table.csv", "--featurizer", "ecfp:size=64", "--out", "features"),
        *("--tasks", "size", "--id", "name", "--engine", "serial", "--quiet"),
    )
    assert (code, err) == (0, "")
    assert "20 rows" in out
    found = DiskDataset("features")
    np.testing.assert_array_equal(found.X, ECFP(size=64).featurize(SMILES).values)
    assert found.y[:, 0].tolist() == [len(s) for s in SMILES]
    assert found.ids[3] == "m3"
    assert sorted(path.name for path in Path("features").iterdir() if path.is_dir()) == []


def _write_smi(file):
    file.write_text("".join(f"{s} m{i}\n" for i, s in enumerate(SMILES)))


def _write_gzip(file):
    with gzip.open(file, "wt") as stream:
        stream.write("".join(f"{s} m{i}\n" for i, s in enumerate(SMILES)))


def _write_tsv(file):
    file.write_text("smiles\tname\n" + "".join(f"{s}\tm{i}\n" for i, s in enumerate(SMILES)))


def _write_lines(file):
    lines = [json.dumps({"smiles": s, "name": f"m{i}"}) for i, s in enumerate(SMILES)]
    file.write_text("\n".join(lines))


def _write_parquet(file):
    pandas = pytest.importorskip("pandas")
    rows = {"smiles": SMILES, "name": [f"m{i}" for i in range(len(SMILES))]}
    pandas.DataFrame(rows).to_parquet(file)


def _write_sdf(file):
    from rdkit import Chem

    with Chem.SDWriter(str(file)) as writer:
        for i, smiles in enumerate(SMILES):
            molecule = Chem.MolFromSmiles(smiles)
            molecule.SetProp("_Name", f"m{i}")
            writer.write(molecule)


@pytest.mark.parametrize(
    ("name", "write", "options"),
    [
        ("a.smi", _write_smi, ()),
        ("a.SMI.gz", _write_gzip, ()),
        ("a.tsv", _write_tsv, ("--id", "name")),
        ("a.jsonl", _write_lines, ("--id", "name")),
        ("a.parquet", _write_parquet, ("--id", "name")),
        ("a.sdf", _write_sdf, ()),
        ("a.txt", _write_smi, ("--format", "smi")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_files_are_read_by_their_endings(run, table, name, write, options):
    write(Path(name))
    code, _, err = run(
        *("featurize", name, "--featurizer", "ecfp:size=64", "--out", "features", "-q"),
        *("--engine", "serial", *options),
    )
    assert (code, err) == (0, "")
    found = DiskDataset("features")
    np.testing.assert_array_equal(found.X, ECFP(size=64).featurize(SMILES).values)
    assert found.ids.tolist() == [f"m{i}" for i in range(len(SMILES))]


def test_sequences_are_read_from_fasta(run, table):
    Path("a.fasta").write_text(">one\nACGT\n>two\nACCA\n")
    command = ("featurize", "a.fasta", "--featurizer", "kmer-counts:k=2,alphabet=dna")
    code, _, err = run(*command, "--out", "f", "--engine", "serial", "-q")
    assert (code, err) == (0, "")
    expected = KmerCounts(k=2, alphabet="dna").featurize(["ACGT", "ACCA"]).values
    np.testing.assert_array_equal(DiskDataset("f").X, expected)


def test_a_split_has_every_row_once_and_says_what_the_parts_share(run, table):
    Path("table.csv").write_text(Path("table.csv").read_text() + "C1CC,bad,1,no\nCCO,twice,3,yes\n")
    code, out, _ = run(
        *("split", "table.csv", "--tasks", "size", "--id", "name", "--splitter"),
        *("random:fractions=[0.5,0.25,0.25]", "--seed", "3", "--out", "split", "--files"),
    )
    assert code == 0
    content = json.loads(Path("split/split.json").read_text())
    rows = content["rows"]
    assert sorted(rows["train"] + rows["valid"] + rows["test"]) == list(range(22))
    dataset = CSVLoader(tasks="size", id="name").load("table.csv").dataset
    expected = RandomSplitter((0.5, 0.25, 0.25), seed=3).indices(dataset)
    assert [rows[name] for name in ("train", "valid", "test")] == [e.tolist() for e in expected]
    for name in ("train", "valid", "test"):
        part = CSVLoader(tasks="size", id="id").load(f"split/{name}.csv").dataset
        chosen = dataset.select(rows[name])
        assert (part.X == chosen.X).all()
        assert (part.ids == chosen.ids).all()
        np.testing.assert_array_equal(part.y, chosen.y)
    found = json.loads(Path("split/leakage.json").read_text())
    shared = sum(overlap["duplicates"] for overlap in found["overlaps"])
    together = any({0, 21} <= set(part) for part in rows.values())
    assert (shared == 0) is together
    assert "duplicates" in out


def test_training_uses_a_split_that_was_made_before(run, table):
    run("split", "table.csv", "--tasks", "size", "--seed", "5", "--out", "split", "-q")
    trained(run, "result", "--split", "split")
    ours, theirs = (json.loads(Path(d, "split.json").read_text()) for d in ("result", "split"))
    assert ours["rows"] == theirs["rows"]
    code, out, _ = run("train", "result/run.toml", "-q")
    assert code == 0
    assert "bit for bit" in out
    Path("table.csv").write_text(Path("table.csv").read_text() + "CCCO,m20,4,yes\n")
    code, _, err = run("train", "--data", "table.csv", *FLAGS, "--split", "split", "--out", "b")
    assert code == 2
    assert "divides another file" in err
    assert not Path("b").exists()


@pytest.mark.parametrize(
    "rows",
    [
        {"train": [0, 1], "valid": [2]},
        {"train": [0, 1], "valid": [2], "test": [999]},
        {"train": [0, 0], "valid": [], "test": [1]},
        {"train": [True], "valid": [], "test": []},
        {"train": ["0"], "valid": [], "test": []},
        {"train": [-1], "valid": [], "test": []},
        {"train": 3, "valid": {}, "test": "x"},
        {"train": [[0, 1], [2]], "valid": [], "test": []},
        {"train": [1e400], "valid": [], "test": []},
        {"train": [2**70], "valid": [], "test": []},
        [],
        None,
    ],
    ids=repr,
)
def test_a_damaged_split_is_an_error(run, table, rows):
    run("split", "table.csv", "--out", "split", "-q")
    content = json.loads(Path("split/split.json").read_text())
    Path("split/split.json").write_text(json.dumps({**content, "rows": rows}))
    code, out, err = run("train", "--data", "table.csv", *FLAGS, "--split", "split", "--out", "b")
    assert code == 2
    assert "Traceback" not in out + err
    assert not Path("b").exists()


def test_a_result_has_the_model_the_scores_and_what_made_them(run, table):
    out = trained(run, "result", "--metric", "rmse", "--metric", "r2", "--seed", "4")
    names = {path.name for path in Path("result").iterdir()}
    assert names == {"model", "run.toml", "record.json", "split.json", "failures.jsonl"}
    record = json.loads(Path("result/record.json").read_text())
    assert record["revision"] in out
    assert record["scores"].keys() == {"valid", "test"}
    assert record["scores"]["test"].keys() == {"rmse", "r2"}
    assert record["rows"] == {"train": 16, "valid": 2, "test": 2, "failed": {}}
    assert {"dc-core", "dc-pipeline", "dc-sklearn", "scikit-learn", "rdkit"} <= set(
        record["packages"]
    )
    resolved = tomllib.loads(Path("result/run.toml").read_text())
    assert resolved["model"] == {"name": "sklearn/Ridge", "random_state": 4}
    assert resolved["splitter"] == {"name": "pipeline/RandomSplitter", "seed": 4}
    assert resolved["data"]["sha256"] == record["data"]["sha256"]
    model = dc_pipeline.Pipeline.from_pretrained(Path("result/model"))
    rows = (
        CSVLoader(tasks="size")
        .load("table.csv")
        .dataset.select(json.loads(Path("result/split.json").read_text())["rows"]["test"])
    )
    assert model.evaluate(rows, [dc_pipeline.RMSE()])["rmse"] == record["scores"]["test"]["rmse"]


MODELS = {
    "forest": "sklearn/RandomForestRegressor:n_estimators=5",
    "network": "torch/MultitaskRegressor:layer_sizes=[8],epochs=3",
}


@pytest.mark.parametrize("model", MODELS.values(), ids=MODELS)
def test_the_recorded_run_repeats_bit_for_bit(run, table, model):
    if model.startswith("torch"):
        pytest.importorskip("dc_torch")
    code, _, err = run(
        *("train", "--data", "table.csv", *FLAGS[:4], "--model", model, "--seed", "11"),
        *("--transformer", "normalization", "--out", "result", "--publish", "lab/model"),
    )
    assert code == 0, err
    first = json.loads(Path("result/record.json").read_text())
    code, out, _ = run("train", "result/run.toml", "--json", "-q")
    again = json.loads(out)
    assert (code, again["changes"]) == (0, {})
    assert again["revision"] == first["revision"]
    code, _, _ = run("train", "result/run.toml", "--out", "other", "-q")
    assert code == 0
    assert json.loads(Path("other/record.json").read_text())["revision"] == first["revision"]
    assert not list(Path().glob(".*"))


def test_a_repeated_run_that_differs_says_so_and_exits_with_one(run, table):
    trained(run, "result")
    record = json.loads(Path("result/record.json").read_text())
    record["packages"]["numpy"] = "1.0"
    record["revision"] = "0" * 64
    Path("result/record.json").write_text(json.dumps(record))
    code, out, _ = run("train", "result/run.toml", "-q")
    assert code == 1
    assert "differs" in out
    assert "revision: " + "0" * 64 in out


def test_a_repeated_run_needs_the_same_data(run, table):
    trained(run, "result")
    Path("table.csv").write_text(Path("table.csv").read_text().replace("m3,1", "m3,2"))
    code, _, err = run("train", "result/run.toml", "-q")
    assert code == 2
    assert "SHA-256" in err


def test_the_result_of_another_run_is_left_alone(run, table):
    trained(run, "result")
    before = Path("result/record.json").read_bytes()
    arguments = ("train", "--data", "table.csv", *FLAGS, "--out", "result", "--set")
    code, _, err = run(*arguments, "model.alpha=3.0")
    assert code == 2
    assert "another run" in err
    assert Path("result/record.json").read_bytes() == before
    Path("notes").mkdir()
    code, _, err = run("train", "--data", "table.csv", *FLAGS, "--out", "notes")
    assert code == 2
    assert "not the result of a run" in err
    assert list(Path("notes").iterdir()) == []


def test_flags_replace_what_the_file_says(run, table):
    Path("run.toml").write_text(
        'out = "result"\nmodel = "sklearn/Ridge:alpha=2.0"\nseed = 3\nfeaturizer = "ecfp:size=64"\n'
        '[data]\npath = "table.csv"\ntasks = ["size"]\n'
    )
    code, _, err = run(
        *("train", "run.toml", "--seed", "8", "--set", "model.alpha=0.25", "--metric", "mae"),
        *("--set", "featurizer.radius=1", "-q"),
    )
    assert (code, err) == (0, "")
    resolved = tomllib.loads(Path("result/run.toml").read_text())
    assert resolved["seed"] == 8
    assert resolved["model"] == {"name": "sklearn/Ridge", "alpha": 0.25, "random_state": 8}
    assert resolved["featurizer"] == {"name": "pipeline/ECFP", "size": 64, "radius": 1}
    assert resolved["metrics"] == [{"name": "pipeline/MAE"}]


def test_paths_in_a_file_start_at_its_directory(run, table, monkeypatch):
    Path("runs").mkdir()
    Path("elsewhere").mkdir()
    Path("runs/run.toml").write_text(
        'out = "result"\nmodel = "sklearn/Ridge"\nfeaturizer = "ecfp:size=64"\n'
        '[data]\npath = "../table.csv"\ntasks = ["size"]\n'
    )
    monkeypatch.chdir("elsewhere")
    code, _, err = run("train", "../runs/run.toml", "-q")
    assert (code, err) == (0, "")
    assert (table.parent / "runs/result/model").is_dir()


DATA = {"path": "table.csv", "tasks": ["size"]}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"sed": 1}, "There is no key 'sed'. Did you mean 'seed'?"),
        ({"data": {**DATA, "task": "a"}}, "no key 'data.task'. Did you mean 'data.tasks'?"),
        ({"seed": "one"}, "seed is 'one'"),
        ({"seed": True}, "seed is True"),
        ({"seed": -1}, "seed is -1"),
        ({"strict": 1}, "strict is 1"),
        ({"out": 3}, "out is 3"),
        ({"out": ""}, "'out' is not given"),
        ({"metrics": 3}, "metrics[0] is 3"),
        ({"metrics": ["rmsee"]}, "Did you mean 'pipeline/RMSE'"),
        ({"featurizer": {"size": 3}}, "not a component"),
        ({"featurizer": {"name": 3}}, "not a component"),
        ({"model": "sklearn/Ridge:alphas=1"}, "no parameter 'alphas'. Did you mean 'alpha'?"),
        ({"model": "sklearn/Rigde"}, "sklearn/Rigde"),
        ({"model": "ecfp"}, "pipeline/ECFP is not a model"),
        ({"splitter": "random", "split": "split"}, "Both splitter and split"),
        ({"data": "table.csv"}, "data is 'table.csv', which is not a table"),
        ({"data": {"tasks": ["size"]}}, "'data.path' is not given"),
        ({"data": {**DATA, "tasks": [1]}}, "data.tasks is [1]"),
        ({"data": {**DATA, "path": "table.xyz"}}, "format of table.xyz cannot be told"),
        ({"data": {**DATA, "format": "xls"}}, "no format 'xls'"),
        ({"data": {**DATA, "format": "smi"}}, "Files of the format smi have no 'tasks'"),
    ],
    ids=str,
)
def test_a_file_is_checked_key_by_key_before_anything_is_done(run, table, change, message):
    base = {"out": "result", "model": "sklearn/Ridge", "featurizer": "ecfp:size=64", "data": DATA}
    Path("run.toml").write_text(write_toml({**base, **change}))
    code, out, err = run("train", "run.toml", "-q")
    assert code == 2
    assert message in " ".join(err.split())
    assert "Traceback" not in out + err
    assert not Path("result").exists()


@pytest.mark.parametrize(
    "text", [b"seed = ", b"\xff\xfe", b"a = " + b"[" * 50_000, b"x", b"seed = 1\nseed = 2"]
)
def test_a_file_that_is_not_toml_is_an_error(run, table, text):
    Path("run.toml").write_bytes(text)
    code, out, err = run("train", "run.toml")
    assert code == 2
    assert "is not TOML" in err
    assert "Traceback" not in out + err


def test_the_example_runs(run, table, freesolv):
    code, out, _ = run("train", "--example")
    assert (code, out) == (0, EXAMPLE)
    Path("run.toml").write_text(out)
    Path("freesolv.csv").write_bytes(freesolv.read_bytes())
    code, out, err = run("train", "run.toml", "--set", "model.n_estimators=5")
    assert code == 0, err
    record = json.loads(Path("result/record.json").read_text())
    assert 0.5 < record["scores"]["test"]["rmse"] < 5


def test_a_run_comes_back_from_its_file():
    content = tomllib.loads(EXAMPLE)
    run = Run.of(content)
    assert Run.of(tomllib.loads(write_toml(run.table()))) == run


def test_every_key_is_documented():
    documented = Path(__file__).parents[1].joinpath("docs", "command.md").read_text("utf-8")
    assert EXAMPLE in documented
    from dc_pipeline.command import configuration

    for key in (*configuration._RUN, *configuration._DATA):
        assert f"`{key}`" in documented, key


def test_a_report_shows_the_parts_of_a_split_in_one_page(run, table):
    pytest.importorskip("matplotlib")
    trained(run, "result", "--report", "--splitter", "random:fractions=[0.5,0.2,0.3]")
    assert "Predictions on test" in Path("result/report.html").read_text("utf-8")
    code, out, err = run(
        *("report", "./result/model", "table.csv", "--tasks", "size", "--split", "result"),
        *("--metric", "mae", "--units", "atoms", "--title", "Sizes", "--out", "page.html", "-q"),
    )
    assert (code, out, err) == (0, "reported  page.html\n", "")
    page = Path("page.html").read_text("utf-8")
    assert "Sizes" in page
    assert "Predictions on test" in page
    assert "mae" in page
    assert "rmse" not in page
    code, _, err = run("report", "./result/model", "table.csv", "--out", "no/such/page.html")
    assert code == 2
    assert "no directory" in err


def test_classes_are_learned_and_scored_by_name(run, table):
    code, _, err = run(
        *(
            "train",
            "--data",
            "table.csv",
            "--tasks",
            "oxygen",
            "--classes",
            "oxygen",
            "--featurizer",
        ),
        *("ecfp:size=64", "--model", "sklearn/LogisticRegression", "--out", "result", "-q"),
        *("--splitter", "stratified:fractions=[0.6,0.0,0.4]"),
    )
    assert (code, err) == (0, "")
    record = json.loads(Path("result/record.json").read_text())
    assert record["scores"]["test"].keys() == {"roc_auc", "accuracy"}
    code, out, _ = run(
        *("predict", "./result/model", "table.csv", "--out", "scores.csv", "--engine", "serial"),
    )
    assert code == 0
    assert "p_oxygen_yes" in Path("scores.csv").read_text().splitlines()[0]
    scored = (
        *("evaluate", "./result/model", "table.csv", "--tasks", "oxygen", "--classes", "oxygen"),
        *("--metric", "accuracy", "--json"),
    )
    code, out, err = run(*scored)
    assert (code, out) == (2, "")
    assert "was trained on" in err
    code, out, _ = run(*scored, "--allow-train")
    assert json.loads(out)["scores"]["accuracy"] > 0.5


def test_json_is_on_one_line_of_standard_output(run, table):
    serial = ("--engine", "serial", "--out")
    trained(run, "result")
    for command in (
        ("split", "table.csv", "--out", "split"),
        ("train", "--data", "table.csv", *FLAGS, "--out", "again"),
        ("predict", "./result/model", "table.csv", *serial, "a.csv"),
        ("evaluate", "./result/model", "table.csv", "--tasks", "size", "--allow-train"),
        ("featurize", "table.csv", "--featurizer", "ecfp", *serial, "features"),
        ("components", "metric"),
    ):
        code, out, _ = run(*command, "--json")
        assert code == 0
        assert out.count("\n") == 1
        json.loads(out, parse_constant=pytest.fail)


def test_progress_is_in_lines_without_a_terminal_and_nowhere_if_quiet(run, table):
    command = ("featurize", "table.csv", "--featurizer", "ecfp", "--engine", "serial", "--out")
    _, _, err = run(*command, "a", "--shard-rows", "8")
    assert "featurizing: 20 of 20 rows" in err
    code, out, err = run(*command, "b", "--quiet")
    assert (code, err) == (0, "")
    assert out.count("\n") == 1


def test_components_are_listed_by_role(run):
    code, out, _ = run("components", "splitter")
    assert code == 0
    assert "pipeline/ScaffoldSplitter" in out
    assert "fractions=(0.8, 0.1, 0.1)" in out
    assert "pipeline/RMSE" not in out
    assert "pipeline/RMSE" in run("components")[1]
    assert run("components", "no-such")[0] == 2


def test_from_measured_data_to_a_hub_to_predictions(tmp_path, freesolv):
    """The real program, in processes of its own, as in the README."""
    environment = {
        **os.environ,
        "DEEPCHEM_MODEL_HUB": str(tmp_path / "hub"),
        "DEEPCHEM_CACHE": str(tmp_path / "cache"),
    }
    (tmp_path / "hub").mkdir()
    (tmp_path / "freesolv.csv").write_bytes(freesolv.read_bytes())
    with gzip.open(tmp_path / "library.smi.gz", "wt") as stream:
        stream.write("CCO ethanol\nc1ccccc1 benzene\nC1CC broken\nCC(=O)N acetamide\n")

    def program(*arguments):
        done = subprocess.run(
            [Path(sys.executable).with_name("dc-pipeline"), *arguments],
            cwd=tmp_path,
            env=environment,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stderr
        return done

    done = program(
        *("train", "--data", "freesolv.csv", "--tasks", "expt", "--splitter", "scaffold"),
        *("--featurizer", "ecfp:size=1024", "--transformer", "normalization"),
        *("--model", "sklearn/RandomForestRegressor:n_estimators=50"),
        *("--out", "result", "--publish", "lab/freesolv"),
    )
    assert "revision" in done.stdout
    done = program("predict", "lab/freesolv", "library.smi.gz", "--out", "scores.csv")
    assert "1 failed (1 × parse)" in done.stderr
    with (tmp_path / "scores.csv").open() as stream:
        values = [row["predicted_0"] for row in csv.DictReader(stream)]
    assert values[2] == ""
    ethanol, benzene, _, acetamide = (float(value or "nan") for value in values)
    assert acetamide < ethanol < benzene, "amides dissolve, benzene does not"
    known = ("evaluate", "lab/freesolv", "freesolv.csv", "--tasks", "expt", "--json")
    done = program(*known, "--allow-train")
    assert json.loads(done.stdout)["scores"]["rmse"] < 3, "measured energies vary by 3.8"


def test_a_recorded_run_reads_back_as_it_was(run, table):
    trained(run, "result")
    assert Run.of(read_toml(Path("result/run.toml"))).out == str(table.parent / "result")
