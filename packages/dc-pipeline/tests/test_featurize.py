"""Featurizing on engines, from disk to disk."""

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest

from dc_core import Features, Featurizer, NumpyDataset, Ragged, engines
from dc_core.errors import EmptyDataset, FeaturizationError
from dc_pipeline import ECFP, DiskDataset, featurize
from dc_pipeline.errors import DiskDatasetError
from dc_pipeline.scale.working import clear, identity

SMILES = ["CCO", "c1ccccc1", "C1CC", "CC(=O)O", "not a molecule", "N", "CCN", "[Na+].[Cl-]", "O"]


class Letters(Featurizer[str]):
    """Ragged letters and a count; some words are dangerous."""

    def featurize(self, inputs, *, strict=False):
        if "abort" in inputs:
            os.abort()
        if "hang" in inputs:
            ctypes.PyDLL(None).sleep(1000)  # holds the interpreter's lock
        letters = Ragged.from_rows([np.frombuffer(i.encode(), np.uint8) for i in inputs], np.uint8)
        values = {"letters": letters, "length": letters.lengths}
        return Features(values, np.ones(len(inputs), bool))


def data(n):
    return NumpyDataset(
        [SMILES[i % len(SMILES)] for i in range(n)],
        y=np.arange(n, dtype=float),
        w=np.linspace(1, 2, n),
        ids=[f"m{i}" for i in range(n)],
    )


def expected(dataset):
    features = ECFP(size=64).featurize(dataset)
    return features.values[features.ok], dataset.select(features.ok), features.failures


@pytest.mark.parametrize("engine", ["serial", "processes"])
def test_it_equals_featurizing_in_memory(tmp_path, engine):
    dataset = data(300)
    found, failures = featurize(
        dataset, ECFP(size=64), tmp_path / "out", engine=engine, shard_rows=70
    )
    X, rows, reported = expected(dataset)
    np.testing.assert_array_equal(found.X, X)
    np.testing.assert_array_equal(found.y, rows.y)
    np.testing.assert_array_equal(found.w, rows.w)
    assert found.ids.tolist() == rows.ids.tolist()
    assert failures == reported
    assert isinstance(found, DiskDataset)
    assert (tmp_path / "out" / "x0.bin").stat().st_size == len(X) * 8
    assert not (tmp_path / "out" / ".work").exists()
    found.verify()


def test_a_dataset_on_disk_is_read_where_it_is(tmp_path):
    source = DiskDataset.create(tmp_path / "in", data(50), provenance={"from": "a test"})
    view = source[10:40]
    found, failures = featurize(view, ECFP(size=64), tmp_path / "out")
    X, rows, reported = expected(data(50)[10:40])
    np.testing.assert_array_equal(found.X, X)
    assert found.ids.tolist() == rows.ids.tolist()
    assert failures == reported
    assert found.provenance["source"] == {"from": "a test"}
    assert "ECFP" in found.provenance["featurizer"]
    assert found.provenance["packages"]["rdkit"]


def test_a_complete_featurization_is_opened_again(tmp_path):
    first, failures = featurize(data(30), ECFP(size=64), tmp_path)
    written = (tmp_path / "x0.bin").stat().st_mtime_ns
    second, again = featurize(data(30), ECFP(size=64), tmp_path)
    assert (tmp_path / "x0.bin").stat().st_mtime_ns == written
    assert again == failures
    np.testing.assert_array_equal(first.X, second.X)


@pytest.mark.parametrize(
    ("dataset", "featurizer"), [(data(31), ECFP(size=64)), (data(30), ECFP(size=32))]
)
def test_a_directory_of_other_features_is_left_alone(tmp_path, dataset, featurizer):
    first, _ = featurize(data(30), ECFP(size=64), tmp_path)
    names = sorted(tmp_path.rglob("*"))
    with pytest.raises(DiskDatasetError, match="other rows or another featurizer"):
        featurize(dataset, featurizer, tmp_path)
    assert sorted(tmp_path.rglob("*")) == names
    first.verify()


@pytest.mark.parametrize(("word", "status"), [("abort", "crash"), ("hang", "timeout")])
def test_a_poisoned_row_costs_itself_alone(tmp_path, word, status):
    words = [f"word{i}" for i in range(40)]
    words[23] = word
    found, failures = featurize(
        NumpyDataset(words),
        Letters(),
        tmp_path,
        engine="processes",
        shard_rows=16,
        timeout=2,
        retries=0,
    )
    assert [(f.row, f.input, f.status) for f in failures] == [(23, word, status)]
    kept = [w for w in words if w != word]
    assert [bytes(row).decode() for row in found["letters"].X] == kept
    assert found["length"].X.tolist() == [len(w) for w in kept]
    assert found.ids.tolist() == [str(i) for i in range(40) if i != 23]


def test_nothing_that_could_be_featurized_is_an_error_with_the_reasons(tmp_path):
    with pytest.raises(EmptyDataset, match=r"failures\.jsonl"):
        featurize(NumpyDataset(["C1CC", "?"]), ECFP(), tmp_path)
    assert "C1CC" in (tmp_path / "failures.jsonl").read_text()
    assert not (tmp_path / "dataset.json").exists()
    with pytest.raises(EmptyDataset):
        featurize(NumpyDataset(np.zeros(0, np.dtypes.StringDType())), ECFP(), tmp_path / "b")


def test_a_killed_run_continues_on_another_engine(tmp_path):
    program = textwrap.dedent(
        """
        import sys
        from dc_core import NumpyDataset
        from dc_pipeline import ECFP, featurize
        rows = NumpyDataset(["C" * (1 + i % 50) for i in range(20_000)])
        featurize(rows, ECFP(size=64), sys.argv[1], shard_rows=256)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program, str(tmp_path / "out")])
    run = tmp_path / "out" / ".work" / "run"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and len(list(run.glob("0*-*"))) < 3:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    finished = {path.name: path.stat().st_mtime_ns for path in run.glob("0*-*")}
    assert 3 <= len(finished) < 79
    done = []
    rows = NumpyDataset(["C" * (1 + i % 50) for i in range(20_000)])
    found, failures = featurize(
        rows,
        ECFP(size=64),
        tmp_path / "out",
        engine="processes",
        progress=lambda progress: done.append(progress.done),
    )
    assert not failures
    assert done[0] >= 256 * len(finished)
    np.testing.assert_array_equal(found.X[:50], ECFP(size=64).featurize(rows.X[:50]).values)
    np.testing.assert_array_equal(found.X[:50], found.X[19_950:])


def test_strict_refuses_a_complete_dataset_in_which_something_failed(tmp_path):
    rows = NumpyDataset(["CCO", "not a molecule"])
    featurize(rows, ECFP(64), tmp_path / "out")
    with pytest.raises(FeaturizationError, match="not a molecule"):
        featurize(rows, ECFP(64), tmp_path / "out", strict=True)
    assert len(featurize(rows, ECFP(64), tmp_path / "out").failures) == 1


def test_the_report_is_on_the_disk_before_the_dataset(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda fd: synced.append(os.fstat(fd).st_ino) or fsync(fd))
    featurize(NumpyDataset(["CCO", "not a molecule"]), ECFP(64), tmp_path / "out")
    report, header = (
        (tmp_path / "out" / name).stat().st_ino for name in ("failures.jsonl", "dataset.json")
    )
    assert synced.index(report) < synced.index(header)


def test_a_directory_of_something_else_is_left_alone(tmp_path):
    (tmp_path / "thesis.tex").touch()
    with pytest.raises(DiskDatasetError, match=r"thesis\.tex"):
        featurize(data(30), ECFP(size=64), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]


def test_rows_that_differ_only_in_a_column_named_like_a_part_are_other_rows(tmp_path):
    rows = [NumpyDataset({"smiles": ["CCO"], "y": [value]}, y=[1.0]) for value in (0.0, 1.0)]
    assert identity(rows[0]) != identity(rows[1])
    assert identity(rows[0]) == identity(rows[0][:])


def test_what_cannot_be_removed_at_the_end_is_logged(tmp_path, caplog):
    (tmp_path / "work").touch()  # rmtree removes no file
    clear(tmp_path / "work")
    assert "work could not be removed" in caplog.text
    clear(tmp_path / "absent")
    assert len(caplog.records) == 1


def test_what_identifies_rows_is_their_content(tmp_path):
    one = DiskDataset.create(tmp_path / "one", data(20))
    two = DiskDataset.create(tmp_path / "two", data(20))
    other = DiskDataset.create(tmp_path / "other", data(21))
    assert one.identity == two.identity
    identities = {one.identity, other.identity, one[1:].identity, one[[1, 2]].identity}
    assert len(identities) == 4
    assert engines.Task.key
