"""Clusters and diversity: the libraries' own results, on real molecules, within stated limits."""

import csv

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rdkit import Chem, DataStructs
from rdkit.Chem.rdFingerprintGenerator import GetMorganGenerator
from rdkit.ML.Cluster import Butina
from rdkit.SimDivFilters.rdSimDivPickers import MaxMinPicker

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, ParameterError
from dc_pipeline import (
    ECFP,
    ButinaClusters,
    FingerprintSplitter,
    GroupSplitter,
    KFold,
    KMeansClusters,
    LeaveGroupOut,
    MaxMinSplitter,
    RandomSplitter,
    SphereClusters,
)

GROUPINGS = [ButinaClusters(), SphereClusters(), KMeansClusters(4)]
SPLITTERS = [*map(GroupSplitter, GROUPINGS), MaxMinSplitter(), FingerprintSplitter()]

bits = st.integers(2, 40).flatmap(
    lambda n: st.lists(
        st.lists(st.integers(0, 1), min_size=12, max_size=12).filter(any), min_size=n, max_size=n
    ).map(np.array)
)


@pytest.fixture(scope="module")
def smiles(freesolv):
    with freesolv.open(newline="") as file:
        return [row["smiles"] for row in csv.DictReader(file)]


@pytest.fixture(scope="module")
def vectors(smiles):
    generator = GetMorganGenerator(radius=2, fpSize=2048)
    return [generator.GetFingerprint(Chem.MolFromSmiles(s)) for s in smiles]


def same(one, other):
    """Whether two labellings group the rows alike."""
    return len(set(zip(one, other, strict=True))) == len(set(one)) == len(set(other))


def vectors_of(X):
    return [DataStructs.CreateFromBitString("".join("01"[bit] for bit in row)) for row in X]


def similarities(vectors):
    return np.array([DataStructs.BulkTanimotoSimilarity(v, vectors) for v in vectors])


def butina(vectors, similarity):
    """Return RDKit's clusters of each row."""
    distances = [1 - s for i in range(len(vectors)) for s in similarities(vectors)[i, :i]]
    found = Butina.ClusterData(distances, len(vectors), 1 - similarity, isDistData=True)
    labels = np.empty(len(vectors), int)
    for cluster, rows in enumerate(found):
        labels[list(rows)] = cluster
    return labels


@settings(deadline=None, max_examples=40)
@given(bits, st.sampled_from([0.25, 0.5, 0.75, 1.0]))
def test_butina_clusters_are_those_of_rdkit(X, similarity):
    groups = ButinaClusters(similarity).groups(NumpyDataset(X.astype(np.uint8)))
    assert same(groups, butina(vectors_of(X), similarity))


def test_butina_clusters_of_measured_molecules_are_those_of_rdkit(smiles, vectors):
    pairwise = similarities(vectors)
    distances = np.concatenate([1 - pairwise[i, :i] for i in range(len(vectors))]).tolist()
    found = Butina.ClusterData(distances, len(vectors), 0.6, isDistData=True)
    groups = ButinaClusters(0.4).groups(NumpyDataset(smiles))
    assert sorted(map(sorted, found)) == sorted(
        np.flatnonzero(groups == group).tolist() for group in np.unique(groups)
    )


@settings(deadline=None, max_examples=40)
@given(bits, st.sampled_from([0.3, 0.5, 0.8]))
def test_spheres_hold_what_is_similar_to_their_centre_and_centres_are_not_similar(X, similarity):
    groups = SphereClusters(similarity).groups(NumpyDataset(X.astype(np.float32)))
    pairwise = similarities(vectors_of(X))
    centres = []
    for row in range(len(X)):
        if all(pairwise[row, centre] < similarity for centre in centres):
            centres.append(row)
    nearest = pairwise[:, centres].argmax(axis=1)
    assert same(groups, nearest)


def test_spheres_of_measured_molecules_are_as_similar_as_stated(smiles, vectors):
    groups = SphereClusters(0.35).groups(NumpyDataset(smiles))
    pairwise = similarities(vectors)
    for group in np.unique(groups):
        rows = np.flatnonzero(groups == group)
        assert pairwise[np.ix_(rows, rows)].min(axis=1).max() >= 0.35 or len(rows) == 1


def test_k_means_finds_clusters_that_are_there():
    rng = np.random.default_rng(0)
    truth = rng.integers(0, 5, 3000)
    X = rng.normal(size=(5, 8))[truth] * 10 + rng.normal(size=(3000, 8))
    for given_ in (X, X.astype(np.float32)):
        groups = KMeansClusters(5).groups(NumpyDataset(given_))
        assert same(groups, truth)


def test_k_means_of_smiles_puts_similar_molecules_together(smiles, vectors):
    groups = KMeansClusters(8).groups(NumpyDataset(smiles))
    assert len(np.unique(groups)) == 8
    pairwise = similarities(vectors)
    same = groups[:, None] == groups
    np.fill_diagonal(same, False)
    assert pairwise[same].mean() > 1.3 * pairwise[~same].mean()


def test_maxmin_picks_are_those_of_rdkit(smiles, vectors):
    n = len(smiles)
    picks = list(MaxMinPicker().LazyBitVectorPick(vectors, n, 130, seed=7))
    train, valid, test = MaxMinSplitter((0.8, 0.1, 0.1), seed=7).indices(NumpyDataset(smiles))
    assert set(test) == set(picks[: len(test)])
    assert set(valid) == set(picks[len(test) : len(test) + len(valid)])
    assert len(train) == int(0.8 * n)


def test_a_maxmin_test_set_is_more_diverse_than_a_random_one(smiles, vectors):
    pairwise = similarities(vectors)
    test = MaxMinSplitter().indices(NumpyDataset(smiles))[2]
    random = np.random.default_rng(0).choice(len(smiles), len(test), replace=False)

    def diversity(rows):
        within = pairwise[np.ix_(rows, rows)].copy()
        np.fill_diagonal(within, 0)
        return within.max(axis=1).mean()

    assert diversity(test) < 0.7 * diversity(random)


def bisected(pairwise, rows, size):
    """The plain algorithm: the rows of a part of ``size`` and the others, as they are assigned."""
    if not 0 < size < len(rows):
        return (rows, []) if size else ([], rows)
    parts, sizes = ([rows[0]], []), (size, len(rows) - size)
    left = list(rows[1:])
    while left:
        part = 0 if len(parts[0]) / sizes[0] <= len(parts[1]) / sizes[1] else 1
        other = parts[1 - part]
        nearest = pairwise[np.ix_(left, other)].max(axis=1) if other else np.zeros(len(left))
        parts[part].append(left.pop(int(nearest.argmin())))
    return parts


@settings(deadline=None, max_examples=40)
@given(bits, st.sampled_from([(0.5, 0.5, 0), (0.8, 0.1, 0.1), (0.4, 0.4, 0.2)]))
def test_a_fingerprint_split_is_the_plain_algorithm_s(X, fractions):
    dataset = NumpyDataset(X.astype(np.uint8))
    sizes = [len(part) for part in RandomSplitter(fractions).indices(dataset)]
    pairwise = similarities(vectors_of(X))
    train, rest = bisected(pairwise, list(range(len(X))), sizes[0])
    test, valid = bisected(pairwise, rest, sizes[2])
    found = FingerprintSplitter(fractions).indices(dataset)
    assert [part.tolist() for part in found] == [sorted(part) for part in (train, valid, test)]


def test_a_fingerprint_split_separates_the_parts_more_than_chance(smiles, vectors):
    pairwise = similarities(vectors)
    train, valid, test = FingerprintSplitter().indices(NumpyDataset(smiles))
    assert [len(train), len(valid), len(test)] == [513, 64, 65]
    random = np.random.default_rng(0).permutation(len(smiles))
    for rows in (valid, test):
        chance = pairwise[np.ix_(random[:65], random[-513:])].max(axis=1).mean()
        assert pairwise[np.ix_(rows, train)].max(axis=1).mean() < 0.8 * chance


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_every_row_is_in_one_part_the_same_every_time_with_and_without_a_molecule(
    splitter, smiles, caplog
):
    dataset = NumpyDataset(["C1CC", *smiles[:80], "bad", *smiles[80:120]])
    indices = splitter.indices(dataset)
    assert sorted(np.concatenate(indices)) == list(range(122))
    assert len(indices[0])
    for one, other in zip(indices, splitter.indices(dataset), strict=True):
        np.testing.assert_array_equal(one, other)
    assert "row 81 ('bad')" in caplog.text


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_all_make_folds(splitter, smiles):
    dataset = NumpyDataset(smiles[:100])
    tested = [test for _, test in KFold(splitter, 3).indices(dataset)]
    assert sorted(np.concatenate(tested)) == list(range(100))


@pytest.mark.parametrize("grouping", GROUPINGS, ids=repr)
def test_each_cluster_is_left_out_once(grouping, smiles):
    dataset = NumpyDataset(smiles[:100])
    groups = grouping.groups(dataset)
    tested = [test for _, test in LeaveGroupOut(grouping).indices(dataset)]
    assert len(tested) == len(np.unique(groups))
    assert all(len(set(groups[test])) == 1 for test in tested)


@pytest.mark.parametrize("grouping", GROUPINGS, ids=repr)
def test_a_row_without_a_molecule_is_a_group_of_its_own(grouping, smiles):
    groups = grouping.groups(NumpyDataset(["bad", *smiles[:60], "bad"]))
    assert (groups == groups[0]).sum() == (groups == groups[-1]).sum() == 1


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
def test_bits_in_X_are_the_fingerprints(splitter, smiles):
    X = ECFP().featurize(smiles[:150]).values
    for one, other in zip(
        splitter.indices(NumpyDataset(X)), splitter.indices(NumpyDataset(smiles[:150])), strict=True
    ):
        np.testing.assert_array_equal(one, other)


def test_features_that_are_no_bits_are_left_for_the_smiles_in_ids(smiles):
    described = NumpyDataset(np.arange(100.0).reshape(50, 2), ids=smiles[:50])
    expected = ButinaClusters().groups(NumpyDataset(smiles[:50]))
    np.testing.assert_array_equal(ButinaClusters().groups(described), expected)


@pytest.mark.parametrize(
    "method",
    [
        ButinaClusters(max_rows=9),
        SphereClusters(max_rows=9),
        MaxMinSplitter(max_rows=9),
        FingerprintSplitter(max_rows=9),
    ],
    ids=repr,
)
def test_more_rows_than_the_limit_are_refused_with_a_way_out(method, smiles):
    run = method.indices if hasattr(method, "indices") else method.groups
    with pytest.raises(DatasetError, match=r"pairs of 10 rows.*max_rows=9.*KMeansClusters"):
        run(NumpyDataset(smiles[:10]))


def test_too_many_similar_pairs_are_refused(monkeypatch, smiles):
    monkeypatch.setattr("dc_pipeline.splitters.clusters._MAX_PAIRS", 100)
    with pytest.raises(DatasetError, match="higher similarity, or use SphereClusters"):
        ButinaClusters(0.01).groups(NumpyDataset(smiles[:100]))


def test_settings_that_cannot_be_used_are_a_typed_error():
    for bad in (0, 1.1, -1, "0.5", np.nan, None):
        for grouping in (ButinaClusters, SphereClusters):
            with pytest.raises(ParameterError, match="similarity="):
                grouping(bad)
    with pytest.raises(ParameterError, match="is not a featurizer"):
        ButinaClusters(featurizer="ecfp")
    with pytest.raises(ParameterError, match="k=1"):
        KMeansClusters(1)
    with pytest.raises(ParameterError, match="seed"):
        MaxMinSplitter(seed=2**31)
    with pytest.raises(DatasetError, match="3 rows cannot form 4 clusters"):
        KMeansClusters(4).groups(NumpyDataset(np.zeros((3, 2))))
    with pytest.raises(DatasetError, match="1 rows are NaN or infinite, such as those of row 1"):
        KMeansClusters(2).groups(NumpyDataset(np.array([[0.0], [np.nan], [1]])))


def test_a_hundred_thousand_rows_are_clustered_by_k_means_in_little_memory():
    rng = np.random.default_rng(0)
    dataset = NumpyDataset(rng.integers(0, 2, (100_000, 64), np.uint8))
    groups = KMeansClusters(10).groups(dataset)
    assert len(np.unique(groups)) == 10
