"""Splitters: disjoint, complete, the same every time; scaffolds stay whole."""

import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem
from rdkit.Chem.Scaffolds.MurckoScaffold import MurckoScaffoldSmiles

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline import CSVLoader, RandomSplitter, ScaffoldSplitter

SPLITTERS = [RandomSplitter, ScaffoldSplitter]
RINGS = ["c1ccccc1", "c1ccncc1", "C1CCCCC1", "C1CCNCC1", "c1ccsc1", "c1ccoc1", "C1CC1", "C1CCC1"]

fractions = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)
molecules = st.lists(
    st.builds(lambda length, ring: "C" * length + ring, st.integers(0, 4), st.sampled_from(RINGS))
    | st.sampled_from(["C1CC", "bad"]),
    min_size=1,
    max_size=60,
)


def of(smiles):
    return NumpyDataset(np.array(smiles))


def scaffold(smiles):
    return MurckoScaffoldSmiles(mol=Chem.MolFromSmiles(smiles), includeChirality=False)


@settings(deadline=None)
@given(fractions, st.integers(1, 300), st.integers(0, 2**32))
def test_a_random_split_is_disjoint_complete_and_of_the_sizes_asked_for(parts, n, seed):
    indices = RandomSplitter(parts, seed).indices(NumpyDataset(np.zeros(n)))
    assert sorted(np.concatenate(indices)) == list(range(n))
    assert all(np.all(np.diff(rows) > 0) for rows in indices)
    for fraction, rows in zip(parts, indices, strict=True):
        assert abs(len(rows) - fraction * n) <= 1


@settings(deadline=None)
@given(fractions, molecules)
def test_a_scaffold_split_is_disjoint_complete_and_keeps_scaffolds_whole(parts, smiles):
    smiles = ["C1CCC2CC2C1", *smiles]
    indices = ScaffoldSplitter(parts).indices(of(smiles))
    assert sorted(np.concatenate(indices)) == list(range(len(smiles)))
    homes = {}
    for part, rows in enumerate(indices):
        for row in rows:
            if Chem.MolFromSmiles(smiles[row]) is not None:
                homes.setdefault(scaffold(smiles[row]), set()).add(part)
    assert all(len(parts) == 1 for parts in homes.values())
    assert len(indices[0]) <= parts[0] * len(smiles) + 1e-6


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_whole_numbers_of_rows_are_not_lost_to_rounding(splitter):
    smiles = [f"{ring}CCCCCCCCCC"[: len(ring) + i] for ring in RINGS[:5] for i in (0, 1)]
    sizes = [len(part) for part in splitter((0.6, 0.2, 0.2)).indices(of(smiles))]
    assert sizes == [6, 2, 2]
    # In floating point 0.7 + 0.2 is below 0.9, and 0.29 · 100 below 29.
    sizes = [len(part) for part in RandomSplitter((0.7, 0.2, 0.1)).indices(of(["C"] * 10))]
    assert sizes == [7, 2, 1]
    sizes = [len(part) for part in RandomSplitter((0.29, 0.7, 0.01)).indices(of(["C"] * 100))]
    assert sizes == [29, 70, 1]


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_a_split_is_the_same_every_time(splitter):
    dataset = of([f"{'C' * i}{ring}" for i in range(9) for ring in RINGS])
    for one, other in zip(splitter().indices(dataset), splitter().indices(dataset), strict=True):
        np.testing.assert_array_equal(one, other)


def test_seeds_give_different_splits():
    dataset = NumpyDataset(np.zeros(100))
    one, other = (RandomSplitter(seed=seed).indices(dataset)[0] for seed in (1, 2))
    assert (one != other).any()


def test_the_largest_scaffolds_go_to_train_and_of_equal_ones_the_later_first():
    groups = [("C1CC1", 1), ("c1ccccc1", 6), ("c1ccncc1", 1), ("C1CCC1", 2)]
    smiles = [ring + "C" * i for ring, n in groups for i in range(n)]
    train, valid, test = ScaffoldSplitter((0.8, 0.1, 0.1)).indices(of(smiles))
    assert train.tolist() == [*range(1, 7), 8, 9]
    assert valid.tolist() == [7]
    assert test.tolist() == [0]


def test_stereochemistry_and_isotopes_do_not_divide_a_scaffold():
    cis, trans, labelled = (
        "C1CC[C@H]2CCCC[C@@H]2C1",
        "C1CC[C@H]2CCCC[C@H]2C1",
        "C1CCC2CC[13CH2]CC2C1",
    )
    others = ["c1ccccc1", "c1ccncc1", "C1CCCCC1"]
    train, _, _ = ScaffoldSplitter((0.5, 0.25, 0.25)).indices(of([cis, trans, labelled, *others]))
    assert train.tolist() == [0, 1, 2]


def test_a_smiles_that_does_not_parse_is_a_group_of_its_own_and_logged(caplog):
    smiles = ["C1CC", "Cc1ccccc1", "bad", "c1ccccc1", "bad"]
    parts = ScaffoldSplitter((0.4, 0.4, 0.2)).indices(of(smiles))
    assert [part.tolist() for part in parts] == [[1, 3], [2, 4], [0]]
    assert "row 0 ('C1CC')" in caplog.text


def test_no_molecule_takes_long(caplog):
    chain, ring, peptide = "C" * 20_000, f"C1{'C' * 998}1", "NCC(=O)" * 200
    smiles = [chain, ring, peptide, "CCO", "c1ccccc1", "Cc1ccccc1"]
    started = time.process_time()
    parts = ScaffoldSplitter((0.5, 0.25, 0.25)).indices(of(smiles))
    assert time.process_time() - started < 2
    assert sorted(np.concatenate(parts)) == list(range(6))
    assert "2 × size" in caplog.text
    assert "row 1 ('C1CC" in caplog.text
    assert "999 atoms; the limit is max_atoms=500" in caplog.text
    assert any({2, 3} <= set(part) for part in parts)


def test_the_limit_of_atoms_can_be_set(caplog):
    smiles = ["c1ccccc1CCCC", "c1ccccc1", "CCCCCCCCCCCC", "C"]
    ScaffoldSplitter((0.5, 0.25, 0.25), max_atoms=10).indices(of(smiles))
    assert caplog.text == ""
    ScaffoldSplitter((0.5, 0.25, 0.25), max_atoms=np.int64(9)).indices(of(smiles))
    assert "row 0 ('c1ccccc1CCCC'): the molecule has 10 atoms" in caplog.text
    with pytest.raises(ParameterError, match="max_atoms"):
        ScaffoldSplitter(max_atoms=0)


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of the resident memory")
def test_splitting_keeps_no_molecules():
    code = """
import resource
from dc_core import NumpyDataset
from dc_pipeline import ScaffoldSplitter

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024

def smiles(n):
    return [f"{'C' * (i % 40)}c1ccc(CC{'N' * (i // 40 % 30)}C2CCCCC2)cc1" for i in range(n)]

ScaffoldSplitter().split(NumpyDataset(smiles(600)))
dataset = NumpyDataset(smiles(6_600))
before = peak()
ScaffoldSplitter().split(dataset)
print((peak() - before) / 6_000)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert float(done.stdout) < 2_000  # bytes a row; a molecule takes 42 000


def test_smiles_are_found_in_the_ids_where_X_is_features():
    smiles = ["c1ccccc1", "Cc1ccccc1", "C1CC1", "C1CCC1"]
    features = NumpyDataset(np.zeros((4, 8)), ids=smiles)
    for one, other in zip(
        ScaffoldSplitter((0.5, 0.25, 0.25)).indices(features),
        ScaffoldSplitter((0.5, 0.25, 0.25)).indices(of(smiles)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


def test_a_dataset_without_smiles_is_a_typed_error():
    with pytest.raises(DatasetError, match="give the dataset SMILES as ids"):
        ScaffoldSplitter().indices(NumpyDataset(np.zeros((3, 8))))


def test_a_single_scaffold_cannot_be_split_and_says_so():
    with pytest.raises(DatasetError, match=r"more rows than the 8.*RandomSplitter"):
        ScaffoldSplitter().indices(of(["C" * i for i in range(1, 11)]))


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_an_empty_dataset_is_a_typed_error(splitter):
    with pytest.raises(EmptyDataset, match="no row to split"):
        splitter().indices(NumpyDataset(np.zeros(0)))


@pytest.mark.parametrize("splitter", SPLITTERS)
@pytest.mark.parametrize(
    "parts", [(0.8, 0.1), (0.8, 0.1, 0.2), (1.1, -0.1, 0), (np.nan, 0, 1), "abc", None, 0.8]
)
def test_invalid_fractions_are_a_typed_error(splitter, parts):
    with pytest.raises(ParameterError, match="which add up to 1"):
        splitter(parts)


@pytest.mark.parametrize("seed", [-1, "0", 0.5, None])
def test_an_invalid_seed_is_a_typed_error(seed):
    with pytest.raises(ParameterError, match="seed="):
        RandomSplitter(seed=seed)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_options_may_be_numbers_of_numpy(splitter):
    dataset = of([f"{'C' * i}{ring}" for i in range(9) for ring in RINGS])
    given = splitter(np.array([0.8, 0.1, 0.1], np.float32))
    for one, other in zip(given.indices(dataset), splitter().indices(dataset), strict=True):
        np.testing.assert_array_equal(one, other)
    for one, other in zip(
        RandomSplitter(seed=np.int32(3)).indices(dataset),
        RandomSplitter(seed=3).indices(dataset),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("splitter", SPLITTERS)
def test_splitting_a_list_is_a_typed_error(splitter):
    with pytest.raises(DatasetError, match="NumpyDataset"):
        splitter().split(["CCO"])


def test_the_parts_are_rows_of_the_dataset(freesolv):
    dataset = CSVLoader(tasks="expt").load(freesolv).dataset
    split = ScaffoldSplitter().split(dataset)
    assert [len(part) for part in split] == [513, 64, 65]
    assert sorted(np.concatenate([part.X for part in split])) == sorted(dataset.X)
    seen = {scaffold(smiles) for smiles in split.train.X}
    assert seen.isdisjoint(scaffold(smiles) for smiles in split.test.X)
