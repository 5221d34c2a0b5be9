"""``dc-pipeline tune``: the best of what a file lets it try."""

import json
import re
import sys
import tomllib
from pathlib import Path

import pytest

from dc_pipeline.command import program
from dc_pipeline.command.configuration import EXAMPLE, write_toml

for name in ("dc_hub", "dc_sklearn"):
    pytest.importorskip(name)

SMILES = ["CCO", "c1ccccc1", "CC(=O)O", "N", "CCN", "O", "CCCC", "c1ccncc1", "CCSCC", "C1CCCCC1"]
SPACE = {"model.alpha": {"choice": [0.01, 1.0, 1e4]}, "featurizer.radius": {"integer": [1, 2]}}
RUN = {
    "out": "result",
    "seed": 1,
    "model": "sklearn/Ridge",
    "featurizer": "ecfp:size=64",
    "splitter": "random:fractions=[0.6,0.2,0.2]",
    "data": {"path": "table.csv", "tasks": ["size"]},
}


@pytest.fixture
def run(monkeypatch, capsys, tmp_path):
    """Return a function that runs ``dc-pipeline`` and returns exit code, output and errors."""
    monkeypatch.chdir(tmp_path)
    rows = [f"{s}{'C' * n},{len(s) + n}" for n in range(4) for s in SMILES]
    Path("table.csv").write_text("smiles,size\n" + "\n".join(rows) + "\n")

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["dc-pipeline", *map(str, arguments)])
        with pytest.raises(SystemExit) as caught:
            program.main()
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return caught.value.code or 0, out, " ".join(err.split())

    return run


def tune(run, tuning, *more):
    Path("run.toml").write_text(write_toml({**RUN, "tuning": tuning}))
    return run("tune", "run.toml", "--engine", "serial", "-q", *more)


def test_the_result_is_that_of_training_with_the_best_parameters(run):
    code, out, err = tune(run, {"tuner": "grid", "space": SPACE}, "--json")
    assert (code, err) == (0, "")
    found = json.loads(out)
    scores = {}
    for trial in found["trials"]:
        alpha, radius = trial["parameters"].values()
        given = ("--set", f"model.alpha={alpha}", "--set", f"featurizer.radius={radius}")
        Path("one.toml").write_text(write_toml(RUN))
        _, out, _ = run("train", "one.toml", *given, "--out", f"{alpha}-{radius}", "--json", "-q")
        scores[alpha, radius] = json.loads(out)["scores"]["valid"]["rmse"]
        assert trial["score"] == pytest.approx(scores[alpha, radius], rel=1e-9)
    assert len(scores) == 6
    resolved = tomllib.loads(Path("result/run.toml").read_text())
    best = min(scores, key=scores.get)
    assert (resolved["model"]["alpha"], resolved["featurizer"]["radius"]) == best
    assert len(Path("result/trials.jsonl").read_text().splitlines()) >= 6
    assert not Path("result.tuning").exists()
    assert run("train", "result/run.toml", "-q")[0] == 0


def test_a_width_that_the_model_does_not_take_is_an_error_before_any_trial(run):
    pytest.importorskip("dc_torch")
    model = {"name": "torch/MultitaskRegressor", "layer_sizes": [4], "epochs": 1}
    Path("run.toml").write_text(
        write_toml(
            {
                **RUN,
                "model": model,
                "tuning": {"space": {"featurizer.size": {"choice": [64, 128]}}},
            }
        )
    )
    code, _, err = run("tune", "run.toml", "--engine", "serial")
    assert code == 2
    assert "With featurizer.size = 128 there are 128 features" in err
    assert "tuning featurizer" not in err


def test_the_documented_tuning_runs(run, freesolv):
    documented = Path(__file__).parents[1].joinpath("docs", "command.md").read_text("utf-8")
    (table,) = re.findall(r"```toml\n(\[tuning\].*?)```", documented, re.DOTALL)
    Path("run.toml").write_text(f"{EXAMPLE}\n{table}")
    Path("freesolv.csv").write_bytes(freesolv.read_bytes())
    few = ("--set", "model.n_estimators=3", "--set", 'tuning.tuner="random:trials=2"')
    code, out, err = run("tune", "run.toml", *few, "--engine", "serial")
    assert code == 0, err
    assert "best rmse" in out
    assert "trained  ./result/model" in out


@pytest.mark.parametrize(
    ("tuning", "message"),
    [
        ({}, "'tuning.space' is not given"),
        ({"spaces": SPACE}, "Did you mean 'tuning.space'?"),
        ({"space": 3}, "tuning.space is 3"),
        ({"space": {"model.alpha": 3}}, "tuning.space.model.alpha is 3"),
        ({"space": {"model.alpha": {"uniform": [1]}}}, "tuning.space.model.alpha has [1]"),
        ({"space": {"model.alpha": {"uniform": [2, 1]}}}, "low=2.0 must be less"),
        ({"space": {"model.alpha": {"normal": [0, 1]}}}, "Write { uniform"),
        ({"space": {"model.alhpa": {"uniform": [0.0, 1.0]}}}, "alhpa"),
        ({"space": {"seed": {"integer": [0, 5]}}}, "'seed', which is not a parameter"),
        ({"space": SPACE, "tuner": "bayes"}, "There is no tuner 'bayes'"),
        ({"space": SPACE, "tuner": "random:trails=3"}, "Did you mean 'trials'?"),
        ({"space": SPACE, "folds": 1}, "tuning.folds is 1"),
        ({"space": SPACE, "metric": "ecfp"}, "pipeline/ECFP is not a metric"),
    ],
    ids=str,
)
def test_a_table_is_checked_before_any_trial(run, tuning, message):
    code, out, err = tune(run, tuning)
    assert (code, out) == (2, "")
    assert message in err
    assert not Path("result").exists()


def test_a_result_is_never_replaced(run):
    Path("result").mkdir()
    code, _, err = tune(run, {"tuner": "grid", "space": SPACE})
    assert code == 2
    assert "result exists already" in err
