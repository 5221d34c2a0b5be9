"""store: a loader's rows on disk, whole or not at all, in flat memory, across interruptions."""

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import textwrap
import tracemalloc

import numpy as np
import pytest

from dc_core import FailureReport, Features, Featurizer
from dc_core.errors import EmptyDataset, FeaturizationError, LoaderError
from dc_pipeline import ECFP, CSVLoader, DiskDataset, store, stored_failures
from dc_pipeline.errors import DiskDatasetError

ROWS = 100


def table(n=ROWS, bad=(17, 60)):
    rows = [f"{'C' * (i % 7 + 1)},{i},m{i}" for i in range(n)]
    for i in bad:
        rows[i] = f"C1CC,{i},m{i}"
    rows[5] = "CC,>5,m5"
    return "\n".join(["smiles,y,id", *rows])


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "table.csv"
    path.write_text(table())
    return path


LOADER = CSVLoader(tasks="y", id="id", featurizer=ECFP(size=64))


class Counting(Featurizer[str]):
    """The lengths of the inputs; fails at some."""

    def __init__(self, fail_at=None):
        self.fail_at = fail_at
        self.seen = []

    def featurize(self, inputs, *, strict=False):
        self.seen += inputs
        if self.fail_at in inputs:
            raise KeyboardInterrupt
        return Features(np.array([[len(i)] for i in inputs]), np.ones(len(inputs), bool))


def test_what_is_stored_is_what_load_returns(file, tmp_path):
    stored = store(LOADER, file, tmp_path / "data", size=7, pack=True)
    dataset, report = LOADER.load(file)
    assert len(stored) == 98
    np.testing.assert_array_equal(stored.X, dataset.X)
    np.testing.assert_array_equal(stored.y, dataset.y)
    assert stored.ids.tolist() == dataset.ids.tolist()
    assert FailureReport(tuple(stored_failures(tmp_path / "data"))) == report
    assert not (tmp_path / "data.partial").exists()
    stored.verify()


def test_the_provenance_names_source_loader_and_versions(file, tmp_path):
    found = store(LOADER, file, tmp_path / "data").provenance
    assert found["source"] == {
        "name": str(file),
        "size": file.stat().st_size,
        "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
    }
    assert found["loader"]["class"] == "dc_pipeline.loaders.csv.CSVLoader"
    assert found["loader"]["tasks"] == "y"
    assert found["loader"]["featurizer"]["size"] == 64
    assert set(found["versions"]) == {"dc-core", "dc-pipeline", "numpy", "rdkit"}
    assert found["failures"] == {"censored": 1, "parse": 2}
    assert found["source_rows"] == ROWS


def test_an_interrupted_store_goes_on_and_skips_the_rows_that_are_done(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("smiles\n" + "\n".join(["C" * (i + 1) for i in range(50)]))
    first = Counting(fail_at="C" * 31)
    with pytest.raises(KeyboardInterrupt):
        store(CSVLoader(featurizer=first), file, tmp_path / "data", size=5, interval=0)
    assert not (tmp_path / "data").exists()
    second = Counting()
    stored = store(CSVLoader(featurizer=second), file, tmp_path / "other", size=5)
    assert len(second.seen) == 50
    loader = CSVLoader(featurizer=Counting(fail_at="C" * 31))
    loader.featurizer.fail_at = None
    resumed = store(loader, file, tmp_path / "data", size=8)
    assert loader.featurizer.seen == ["C" * (i + 1) for i in range(30, 50)]
    np.testing.assert_array_equal(resumed.X, stored.X)
    assert resumed.ids.tolist() == stored.ids.tolist()
    assert resumed.provenance["source_rows"] == 50


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL is POSIX's")
@pytest.mark.parametrize("after", [0, 1, 3])
def test_a_killed_process_loses_no_committed_row_and_no_failure_is_written_twice(
    file, tmp_path, after
):
    code = textwrap.dedent(f"""
        import os, signal
        from dc_pipeline import CSVLoader, ECFP, store
        import dc_pipeline.storing as storing
        commits = 0
        whole = storing.append_failures
        def write(file, report):
            global commits
            whole(file, report)
            if commits == {after}:
                os.kill(os.getpid(), signal.SIGKILL)
            commits += 1
        storing.append_failures = write
        loader = CSVLoader(tasks="y", id="id", featurizer=ECFP(size=64))
        store(loader, {str(file)!r}, {str(tmp_path / "data")!r}, size=18, interval=0)
    """)
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode == -signal.SIGKILL
    assert not (tmp_path / "data").exists()
    stored = store(LOADER, file, tmp_path / "data", size=10)
    dataset, report = LOADER.load(file)
    np.testing.assert_array_equal(stored.X, dataset.X)
    assert stored.ids.tolist() == dataset.ids.tolist()
    assert FailureReport(tuple(stored_failures(tmp_path / "data"))) == report
    assert stored.provenance["failures"] == {"censored": 1, "parse": 2}


def test_a_whole_dataset_is_returned_as_it_is(file, tmp_path):
    store(LOADER, file, tmp_path / "data")
    before = (tmp_path / "data" / "dataset.json").stat().st_mtime_ns
    assert len(store(LOADER, file, tmp_path / "data")) == 98
    assert (tmp_path / "data" / "dataset.json").stat().st_mtime_ns == before


@pytest.mark.parametrize("whole", [True, False])
def test_another_source_or_loader_is_refused(file, tmp_path, whole):
    loader = CSVLoader(featurizer=Counting(fail_at=None if whole else "C" * 7))
    try:
        store(loader, file, tmp_path / "data", size=3, interval=0)
    except KeyboardInterrupt:
        assert not whole
    with pytest.raises(DiskDatasetError, match="has a dataset with another loader"):
        store(LOADER, file, tmp_path / "data")
    file.write_text(table() + "\nC,1,new")
    with pytest.raises(DiskDatasetError, match="has a dataset with another source"):
        store(loader, file, tmp_path / "data")


def test_a_truncated_source_is_an_error_and_no_dataset(tmp_path):
    file = tmp_path / "table.csv.gz"
    file.write_bytes(gzip.compress(table(20_000).encode())[:-30])
    with pytest.raises(LoaderError, match="damaged gzip file: it ends too early"):
        store(CSVLoader(tasks="y"), file, tmp_path / "data", interval=0)
    assert not (tmp_path / "data").exists()


def test_strict_raises_at_the_first_batch_with_a_failure(file, tmp_path):
    with pytest.raises(FeaturizationError, match=r"row 5 .* only a bound"):
        store(LOADER, file, tmp_path / "data", size=10, strict=True)
    assert not (tmp_path / "data").exists()


def test_a_source_without_any_usable_row_is_a_typed_error(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("smiles\nC1CC\nnot\n")
    loader = CSVLoader(featurizer=ECFP())
    with pytest.raises(EmptyDataset, match=r"None of the 2 rows .*2 × parse.*failures.jsonl"):
        store(loader, file, tmp_path / "data")
    assert len(list(stored_failures(tmp_path / "data.partial"))) == 2


def test_counts_are_logged(file, tmp_path, caplog):
    store(LOADER, file, tmp_path / "data")
    assert "98 rows stored, 3 failed (1 × censored, 2 × parse)" in caplog.text


def test_classes_are_numbered_alike_in_all_batches(tmp_path):
    file = tmp_path / "table.csv"
    file.write_text("smiles,kind\n" + "\n".join(f"C,{kind}" for kind in "zzzzyyyyxxxx"))
    loader = CSVLoader(tasks="kind", classes="kind")
    stored = store(loader, file, tmp_path / "data", size=2)
    assert stored.classes == {"kind": ("x", "y", "z")}
    np.testing.assert_array_equal(stored.y, loader.load(file).dataset.y)


def test_memory_does_not_grow_with_the_source(tmp_path):
    peaks = []
    for n in (40_000, 160_000):
        file = tmp_path / f"{n}.csv.gz"
        file.write_bytes(gzip.compress(table(n, bad=()).encode(), 1))
        tracemalloc.start()
        store(CSVLoader(tasks="y"), file, tmp_path / str(n))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
    assert peaks[1] < 1.2 * peaks[0]
    assert len(DiskDataset(tmp_path / "160000")) == 160_000
