"""The leakage report: what is planted is found, and figures are those of the libraries."""

from typing import NamedTuple

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator

from dc_core import Dataset, NumpyDataset
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import (
    CSVLoader,
    GroupSplitter,
    IndexSplitter,
    KFold,
    MaxMinSplitter,
    RandomSplitter,
    Scaffolds,
    ScaffoldSplitter,
    leakage,
)
from dc_pipeline.splitters.leakage import QUANTILES


class Pair(NamedTuple):
    train: Dataset
    test: Dataset


def pair(train, test, y=(None, None)):
    return Pair(NumpyDataset(train, y[0]), NumpyDataset(test, y[1]))


@pytest.fixture(scope="module")
def molecules(freesolv):
    return CSVLoader(tasks="expt").load(freesolv).dataset


def test_duplicates_are_found_however_they_are_written():
    found = leakage(pair(["OCC", "c1ccccc1"], ["CCO", "C(C)O", "C1=CC=CC=C1", "CCN", "bad"]))
    (overlap,) = found.overlaps
    assert (overlap.part, overlap.against) == ("test", "train")
    assert (overlap.rows, overlap.duplicates) == (5, 3)


def test_enantiomers_differ_and_tautomers_are_equal_by_inchikey_only():
    split = pair(["C[C@H](N)O", "O=c1cccc[nH]1"], ["C[C@@H](N)O", "Oc1ccccn1"])
    assert leakage(split).overlaps[0].duplicates == 0
    assert leakage(split, inchikey=True).overlaps[0].duplicates == 1


def test_shared_scaffolds_are_counted_and_acyclic_molecules_share_none():
    (overlap,) = leakage(pair(["Cc1ccccc1", "CCO"], ["Nc1ccccc1", "CCN", "C1CC1"])).overlaps
    assert overlap.shared_scaffolds == 1


def test_similarities_are_those_of_rdkit(molecules):
    split = RandomSplitter().split(molecules)
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    train, valid, test = (
        [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in part.X] for part in split
    )
    expected = {
        ("valid", "train"): (valid, train),
        ("test", "train"): (test, train),
        ("test", "valid"): (test, valid),
    }
    overlaps = leakage(split).overlaps
    assert [(o.part, o.against) for o in overlaps] == list(expected)
    for overlap in overlaps:
        queries, references = expected[overlap.part, overlap.against]
        best = [max(DataStructs.BulkTanimotoSimilarity(q, references)) for q in queries]
        assert overlap.similarities == pytest.approx(np.quantile(best, QUANTILES), abs=1e-6)
        assert overlap.compared == len(queries)


def test_a_scaffold_split_shares_no_scaffold_and_a_random_one_does(molecules):
    whole = GroupSplitter(Scaffolds(), order="balanced")
    for splitter in (ScaffoldSplitter(), whole):
        assert [o.shared_scaffolds for o in leakage(splitter.split(molecules)).overlaps] == [0] * 3
    random = leakage(RandomSplitter().split(molecules)).overlaps
    assert all(o.shared_scaffolds > 10 for o in random)


def test_a_maxmin_test_set_is_further_from_train_than_a_random_one(molecules):
    median = QUANTILES.index(0.5)
    far, near = (
        leakage(splitter.split(molecules)).overlaps[1].similarities[median]
        for splitter in (MaxMinSplitter(), RandomSplitter())
    )
    assert far < 0.8 * near


def test_more_pairs_than_the_limit_are_sampled_and_the_report_says_so(molecules):
    split = RandomSplitter().split(molecules)
    found = leakage(split, max_pairs=20 * len(split.train))
    assert [o.compared for o in found.overlaps[:2]] == [20, 20]
    assert "of 20 sampled" in repr(found)
    assert found == leakage(split, max_pairs=20 * len(split.train))
    assert found != leakage(split, max_pairs=20 * len(split.train), seed=1)
    whole = leakage(split).overlaps[0].similarities
    assert found.overlaps[0].similarities == pytest.approx(whole, abs=0.35)


def test_the_balance_of_labels_leaves_missing_ones_out():
    y = np.array([[0.0, 1], [1, np.nan], [1, 3]])
    found = leakage(pair(["C", "CC", "CCC"], ["N", "NC", "O"], (y, y * 2))).balances
    assert [(b.part, b.task, b.labels, b.mean, b.std) for b in found] == [
        ("train", "task0", 3, pytest.approx(2 / 3), pytest.approx(np.std([0, 1, 1]))),
        ("train", "task1", 2, 2.0, 1.0),
        ("test", "task0", 3, pytest.approx(4 / 3), pytest.approx(np.std([0, 2, 2]))),
        ("test", "task1", 2, 4.0, 2.0),
    ]


def test_datasets_without_molecules_are_compared_by_X():
    X = np.arange(12.0).reshape(6, 2)
    (overlap,) = leakage(pair(X, np.r_[X[:2], X + 100])).overlaps
    assert (overlap.duplicates, overlap.shared_scaffolds, overlap.similarities) == (2, None, ())


def test_bits_in_X_are_compared_without_molecules():
    X = np.array([[1, 1, 0, 0], [0, 0, 1, 1]], np.uint8)
    (overlap,) = leakage(pair(X, np.array([[1, 1, 1, 1]], np.uint8))).overlaps
    assert overlap.similarities == (0.5,) * len(QUANTILES)


def test_an_empty_part_is_reported_as_such(molecules):
    found = leakage(IndexSplitter().split(molecules))
    assert [(o.rows, o.duplicates, o.similarities) for o in found.overlaps] == [(0, 0, ())] * 3
    assert np.isnan(found.balances[1].mean)


def test_folds_have_a_report_too(molecules):
    fold = next(iter(KFold(RandomSplitter(), 5).split(molecules)))
    assert [(o.part, o.rows) for o in leakage(fold).overlaps] == [("test", 128)]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_the_report_is_a_tidy_table(molecules, backend):
    found = leakage(RandomSplitter().split(molecules))
    table = found.to_dataframe(backend)
    rows = table.to_dict("records") if backend == "pandas" else None
    rows = table.to_dicts() if backend == "polars" else rows
    rows = table.to_pylist() if backend == "pyarrow" else rows
    values = {(r["part"], r["against"], r["task"], r["measure"]): r["value"] for r in rows}
    assert values["test", "train", "", "duplicates"] == found.overlaps[1].duplicates
    assert values["test", "train", "", "similarity_50"] == found.overlaps[1].similarities[3]
    assert values["valid", "", "expt", "mean"] == found.balances[1].mean
    assert len(values) == len(rows) == 3 * (4 + len(QUANTILES)) + 3 * 3


def test_the_report_shows_itself_and_escapes_names():
    found = leakage(pair(["CCO"], ["CCO", "OCC"], ([1.0], [1.0, 2.0])))
    assert repr(found) == (
        "Leakage(2 of 2 rows of test are in train, 0 have a scaffold of it, median similarity 1.00)"
    )
    named = Pair(*(NumpyDataset(["C"], [1.0], tasks=["<b>"]) for _ in range(2)))
    page = leakage(named)._repr_html_()
    assert "&lt;b&gt;" in page
    assert "<b>" not in page
    assert "similarity 50%" in page


@pytest.mark.parametrize(
    "bad", [None, "split", [1, 2], (NumpyDataset(["C"]),), NumpyDataset(["C"])]
)
def test_anything_but_the_parts_of_a_split_is_a_typed_error(bad):
    with pytest.raises(DatasetError, match=r"what splitter.split\(dataset\) returned"):
        leakage(bad)


def test_options_that_cannot_be_used_are_a_typed_error():
    split = pair(["C"], ["CC"])
    for options in ({"inchikey": 1}, {"max_pairs": 0}, {"seed": -1}, {"featurizer": "ecfp"}):
        with pytest.raises(ParameterError, match=next(iter(options))):
            leakage(split, **options)
