"""Predicting for files and datasets of any size, into one table."""

import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pandas as pd
import pytest

from dc_core import NumpyDataset, register_model
from dc_core.errors import EmptyDataset, ParameterError
from dc_pipeline import ECFP, CSVLoader, NormalizationTransformer, Pipeline, predict_to

pytest.importorskip("dc_hub", reason="the model is stored for the workers")
sklearn = pytest.importorskip("dc_sklearn", reason="a model is needed")
from sklearn.linear_model import LogisticRegression, Ridge  # noqa: E402

SMILES = ["CCO", "c1ccccc1", "CC(=O)O", "N", "CCN", "O", "CCCC", "c1ccncc1"]


def fitted(estimator=None, y=None):
    labels = np.arange(8.0) if y is None else y
    transformers = [NormalizationTransformer()] if y is None else []
    model = Pipeline(sklearn.SklearnModel(estimator or Ridge()), ECFP(size=64), transformers)
    return model.fit(NumpyDataset(SMILES, labels, tasks=["activity"]))


@register_model("test/Dangerous")
class Dangerous(Pipeline):
    """A pipeline that dies of one input."""

    def predict(self, dataset, *, strict=False):
        if "abort" in list(dataset.X):
            os.abort()
        return super().predict(dataset, strict=strict)


def inputs(n):
    return [SMILES[i % 8] if i % 11 else "not a molecule" for i in range(n)]


@pytest.mark.parametrize("engine", ["serial", "processes"])
@pytest.mark.parametrize("suffix", ["parquet", "csv"])
def test_the_table_has_what_predict_returns(tmp_path, engine, suffix):
    model = fitted()
    rows = NumpyDataset(inputs(300), ids=[f"m{i}" for i in range(300)])
    done = predict_to(model, rows, tmp_path / f"out.{suffix}", engine=engine, shard_rows=64)
    table = (pd.read_parquet if suffix == "parquet" else pd.read_csv)(done.path)
    expected = model.predict(rows)
    np.testing.assert_allclose(table["predicted_0"], expected[:, 0], rtol=1e-12)
    assert table["row"].tolist() == list(range(300))
    assert table["id"].tolist() == [f"m{i}" for i in range(300)]
    assert table["input"].tolist() == inputs(300)
    failed = [i for i in range(300) if i % 11 == 0]
    assert table.index[table["status"] == "parse"].tolist() == failed
    assert [failure.row for failure in done.failures] == failed
    assert (table["status"][~np.isnan(expected[:, 0])] == "ok").all()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"out.{suffix}"]


def test_a_file_has_one_row_for_each_of_its_rows(tmp_path):
    lines = ["smiles,name", "CCO,a", '"C,b', "N,c", "?,d", ",e", "O,f", '"N,g']
    (tmp_path / "library.csv").write_text("\n".join(lines) + "\n")
    model = fitted()
    done = model.predict(
        tmp_path / "library.csv",
        out=tmp_path / "scores.parquet",
        loader=CSVLoader(id="name"),
        shard_rows=2,
    )
    table = pd.read_parquet(done.path)
    assert done.rows == 7
    assert table["row"].tolist() == list(range(7))
    assert table["status"].tolist() == ["ok", "parse", "ok", "parse", "parse", "ok", "parse"]
    assert table["id"].tolist() == ["a", "", "c", "d", "", "f", ""]
    expected = model.predict(["CCO", "N", "O"])[:, 0]
    np.testing.assert_allclose(table["predicted_0"].dropna(), expected, rtol=1e-12)
    assert [failure.row for failure in done.failures] == [1, 3, 4, 6]
    assert (table["message"][table["status"] != "ok"] != "").all()


def test_probabilities_have_the_names_of_their_classes(tmp_path):
    model = fitted(LogisticRegression(), y=["on", "off"] * 4)
    done = predict_to(model, NumpyDataset(SMILES), tmp_path / "out.parquet")
    table = pd.read_parquet(done.path)
    expected = model.predict(SMILES)
    np.testing.assert_allclose(table["p_activity_off"], expected[:, 0, 0], rtol=1e-12)
    np.testing.assert_allclose(table["p_activity_on"], expected[:, 0, 1], rtol=1e-12)


def test_an_input_that_kills_its_worker_costs_one_row(tmp_path):
    model = Dangerous(sklearn.SklearnModel(Ridge()), ECFP(size=64))
    model.fit(NumpyDataset(SMILES, np.arange(8.0)))
    rows = inputs(40)
    rows[25] = "abort"
    done = predict_to(
        model,
        NumpyDataset(rows),
        tmp_path / "out.parquet",
        engine="processes",
        shard_rows=8,
        retries=0,
    )
    table = pd.read_parquet(done.path)
    assert table["status"][25] == "crash"
    assert table["predicted_0"].isna().tolist() == [i % 11 == 0 or i == 25 for i in range(40)]
    assert 25 in [failure.row for failure in done.failures]


def test_a_killed_prediction_continues(tmp_path):
    fitted().to_pretrained(tmp_path / "model")
    program = textwrap.dedent(
        """
        import sys
        from dc_core import NumpyDataset
        from dc_pipeline import Pipeline, predict_to
        model = Pipeline.from_pretrained(sys.argv[1] + "/model")
        rows = NumpyDataset(["C" * (1 + i % 50) for i in range(15_000)])
        predict_to(model, rows, sys.argv[1] + "/out.parquet", shard_rows=500)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path)])
    run = tmp_path / "out.parquet.work" / "run"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(run.glob("0*-*"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = list(run.glob("0*-*"))
    assert 3 <= len(finished) < 30
    assert not (tmp_path / "out.parquet").exists()
    reports = []
    model = Pipeline.from_pretrained(tmp_path / "model")
    rows = NumpyDataset(["C" * (1 + i % 50) for i in range(15_000)])
    predict_to(model, rows, tmp_path / "out.parquet", engine="processes", progress=reports.append)
    assert reports[0].done >= 500 * len(finished)
    table = pd.read_parquet(tmp_path / "out.parquet")
    expected = model.predict(["C" * n for n in range(1, 51)])[:, 0]
    np.testing.assert_allclose(table["predicted_0"], np.tile(expected, 300), rtol=1e-12)


def test_what_cannot_be_done_is_said_before_any_work(tmp_path):
    model = fitted()
    rows = NumpyDataset(SMILES)
    with pytest.raises(ParameterError, match=r"neither a \.parquet nor a \.csv"):
        predict_to(model, rows, tmp_path / "out.xlsx")
    with pytest.raises(ParameterError, match="loader="):
        predict_to(model, tmp_path / "library.txt", tmp_path / "out.csv")
    with pytest.raises(ParameterError, match="not an estimator"):
        predict_to(Ridge(), rows, tmp_path / "out.csv")
    with pytest.raises(EmptyDataset):
        predict_to(model, rows[:0], tmp_path / "out.csv")
    with pytest.raises(ParameterError, match="out="):
        model.predict(SMILES, engine="processes")
    with pytest.raises(ParameterError, match="There is no directory"):
        predict_to(model, rows, tmp_path / "absent" / "out.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(ParameterError, match=r"folder\.csv is a directory"):
        predict_to(model, rows, tmp_path / "folder.csv")
    with pytest.raises(ParameterError, match="no meaning"):
        model.predict(rows, strict=True, out=tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.csv"]


def test_failures_are_logged_once_with_their_rows_in_the_source(tmp_path, caplog):
    lines = ["smiles", ",", "bad1", *["CCO"] * 1500, "bad2"]
    (tmp_path / "library.csv").write_text("\n".join(lines) + "\n")
    predict_to(fitted(), tmp_path / "library.csv", tmp_path / "out.csv", loader=CSVLoader("smiles"))
    logged = [r.getMessage() for r in caplog.records if "bad" in r.getMessage()]
    assert len(logged) == 1
    assert "1503 rows, 3 failed" in logged[0]
    assert "row 1 ('bad1')" in logged[0]
    assert "row 1502 ('bad2')" in logged[0]


def test_memory_does_not_grow_with_the_number_of_rows(tmp_path):
    fitted().to_pretrained(tmp_path / "model")
    program = textwrap.dedent(
        """
        import resource, sys
        from dc_pipeline import CSVLoader, Pipeline, predict_to
        model = Pipeline.from_pretrained(sys.argv[1] + "/model")
        peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
        for name in ("small", "large"):
            path = f"{sys.argv[1]}/{name}.csv"
            predict_to(model, path, path + ".parquet", loader=CSVLoader(), shard_rows=2000)
            print(peak())
        """
    )
    for name, n in (("small", 4_000), ("large", 40_000)):
        (tmp_path / f"{name}.csv").write_text("smiles\n" + "CCO\n" * n)
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path)], capture_output=True, text=True, check=True
    )
    small, large = map(int, done.stdout.split())
    assert large < small + 30
