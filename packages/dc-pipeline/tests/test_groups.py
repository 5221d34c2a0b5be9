"""Groups, strata, times and folds: never divided, in proportion, in order, each tested once."""

import datetime
import time

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.model_selection import GroupKFold, StratifiedKFold, TimeSeriesSplit

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, ParameterError
from dc_pipeline import (
    Grouping,
    Groups,
    GroupSplitter,
    IndexSplitter,
    KFold,
    LeaveGroupOut,
    RandomSplitter,
    Scaffolds,
    ScaffoldSplitter,
    StratifiedSplitter,
    TimeSplitter,
    scaffold_smiles,
)

ORDERS = ["random", "balanced", "largest"]

fractions = st.tuples(st.integers(1, 20), st.integers(0, 20), st.integers(0, 20)).map(
    lambda parts: tuple(part / sum(parts) for part in parts)
)
labels = st.lists(st.integers(0, 9), min_size=1, max_size=80)


def rows(n, y=None):
    return NumpyDataset(np.arange(n), y)


def parts_of(splitter, dataset):
    """Return the part of each row, after checking that every row is in one."""
    indices = splitter.indices(dataset)
    assert sorted(np.concatenate(indices)) == list(range(len(dataset)))
    parts = np.empty(len(dataset), int)
    for part, members in enumerate(indices):
        parts[members] = part
    return parts


def divided(splitter, dataset, fractions):
    parts = splitter.divide(dataset, fractions)
    assert parts.shape == (len(dataset),)
    return parts


@pytest.mark.parametrize("order", ORDERS)
@settings(deadline=None)
@given(fractions, labels, st.integers(0, 2**32))
def test_groups_are_never_divided_and_every_row_is_in_one_part(order, fractions, labels, seed):
    splitter = GroupSplitter(labels, fractions, order=order, seed=seed)
    parts = divided(splitter, rows(len(labels)), fractions)
    assert set(parts) <= {0, 1, 2}
    homes = {(label, part) for label, part in zip(labels, parts, strict=True)}
    assert len(homes) == len(set(labels))


@pytest.mark.parametrize("order", ["random", "balanced"])
@settings(deadline=None)
@given(fractions, labels)
def test_no_part_exceeds_its_fraction_by_more_than_a_group(order, fractions, labels):
    splitter = GroupSplitter(labels, order=order)
    sizes = np.bincount(divided(splitter, rows(len(labels)), fractions), minlength=3)
    largest = np.bincount(labels).max()
    assert np.all(sizes <= np.ceil(np.array(fractions) * len(labels)) + largest)


@settings(deadline=None)
@given(labels, st.randoms())
def test_balanced_groups_give_parts_of_the_same_sizes_in_any_order_of_the_rows(labels, random):
    shuffled = list(labels)
    random.shuffle(shuffled)
    one, other = (
        np.bincount(
            GroupSplitter(given, order="balanced").divide(rows(len(given)), (0.6, 0.2, 0.2))
        )
        for given in (labels, shuffled)
    )
    assert one.tolist() == other.tolist()


def test_seeds_give_different_groups_to_test_and_equal_seeds_the_same():
    labels = np.repeat(np.arange(30), 4)
    splits = [GroupSplitter(labels, seed=seed).divide(rows(120), (0.5, 0.5)) for seed in (1, 1, 2)]
    assert (splits[0] == splits[1]).all()
    assert (splits[0] != splits[2]).any()


@pytest.mark.parametrize(
    "given",
    [
        ["a", "b", "a", "c"],
        np.array([3.5, 1, 3.5, 2]),
        pd.Series(["a", "b", "a", "c"]),
        pl.Series(["a", "b", "a", "c"]),
        [datetime.date(2020, 1, day) for day in (1, 2, 1, 3)],
    ],
    ids=["list", "array", "pandas", "polars", "dates"],
)
def test_labels_of_groups_are_numbers_text_or_dates_from_anywhere(given):
    assert Groups(given).groups(rows(4)).tolist() == [0, 1, 0, 2]


def test_labels_may_be_the_ids_a_column_or_a_task():
    X = {"plate": np.array(["u", "v", "v"]), "wide": np.zeros((3, 2))}
    dataset = NumpyDataset(X, [[1.0], [2], [1]], ids=["p", "p", "q"], tasks=["batch"])
    assert Groups("plate").groups(dataset).tolist() == [0, 1, 1]
    with pytest.raises(DatasetError, match="'wide' does not hold one value per row"):
        Groups("wide").groups(dataset)
    assert Groups("ids").groups(dataset).tolist() == [0, 0, 1]
    assert Groups("batch").groups(dataset).tolist() == [0, 1, 0]
    with pytest.raises(DatasetError, match=r"no 'year'.*plate.*batch"):
        Groups("year").groups(dataset)


def test_labels_that_do_not_fit_are_a_typed_error():
    with pytest.raises(DatasetError, match="has 3 values; the dataset has 4 rows"):
        GroupSplitter([1, 2, 3]).indices(rows(4))
    with pytest.raises(DatasetError, match="missing for 1 rows, such as row 1"):
        GroupSplitter([1.0, np.nan, 2.0]).indices(rows(3))
    with pytest.raises(ParameterError, match="one number, text or date per row"):
        Groups(np.zeros((3, 2)))
    with pytest.raises(ParameterError, match="labels cannot be used"):
        Groups([[1], [2, 3]])
    with pytest.raises(ParameterError, match=r"Call it: Scaffolds\(\)"):
        GroupSplitter(Scaffolds)
    with pytest.raises(ParameterError, match="order='any'"):
        GroupSplitter([1], order="any")


def test_a_grouping_of_the_wrong_shape_is_a_typed_error():
    class Bad(Grouping):
        def groups(self, dataset):
            return np.zeros((len(dataset), 2), int)

    with pytest.raises(DatasetError, match=r"Bad gave int64 of shape \(3, 2\)"):
        GroupSplitter(Bad()).indices(rows(3))


def test_a_grouping_may_number_its_groups_in_any_way():
    class Backwards(Grouping):
        def groups(self, dataset):
            return np.array([7, -2, 7, 40])

    found = list(LeaveGroupOut(Backwards()).indices(rows(4)))
    assert [test.tolist() for _, test in found] == [[0, 2], [1], [3]]


def test_generic_scaffolds_ignore_elements_bonds_and_what_is_double_bonded_to_a_ring():
    smiles = ["c1ccncc1", "C1CCCCC1", "O=C1CCCCC1", "c1ccccc1C", "C1CCCC1", "CCO"]
    assert Scaffolds(generic=True).groups(NumpyDataset(smiles)).tolist() == [0, 0, 0, 0, 1, 2]
    assert Scaffolds().groups(NumpyDataset(smiles)).tolist() == [0, 1, 2, 3, 4, 5]


def test_smiles_are_found_in_a_column_of_that_name():
    X = {"size": np.arange(3), "smiles": ["c1ccccc1", "C1CC1", "c1ccccc1C"]}
    assert Scaffolds().groups(NumpyDataset(X)).tolist() == [0, 1, 0]


def test_a_scaffold_that_cannot_be_generic_is_a_group_of_its_own_and_logged(caplog):
    cage = "C1CCS123(CCC2)CCC3"  # six bonds in rings, which carbon cannot have
    groups = Scaffolds(generic=True).groups(NumpyDataset([cage, "C1CC1", cage, "CC1CC1"]))
    assert groups.tolist() == [0, 1, 2, 1]
    assert "2 × feature" in caplog.text


def test_stored_scaffolds_give_the_scaffold_split():
    smiles = ["c1ccccc1" + "C" * i for i in range(6)] + ["C1CC1", "CCO", "CCN", "C1CCC1"]
    stored = scaffold_smiles(smiles).scaffolds
    assert stored[6:] == ["C1CC1", "", "", "C1CCC1"]
    known = GroupSplitter(Groups(stored), order="largest")
    for one, other in zip(
        known.indices(rows(10)),
        ScaffoldSplitter().indices(NumpyDataset(smiles)),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)


@settings(deadline=None)
@given(fractions, st.lists(st.sampled_from([0.0, 1, 2, np.nan]), min_size=1, max_size=60))
def test_no_part_has_a_whole_row_more_or_less_of_a_class_than_its_share(fractions, y):
    parts = divided(StratifiedSplitter(), rows(len(y), y), fractions)
    for value in {str(label) for label in y}:
        of_class = np.array([str(label) == value for label in y])
        counts = np.bincount(parts[of_class], minlength=3)
        assert np.all(abs(counts - of_class.sum() * np.array(fractions)) < 1)
    assert np.all(abs(np.bincount(parts, minlength=3) - len(y) * np.array(fractions)) < 2)


@settings(deadline=None)
@given(fractions, st.integers(20, 200), st.integers(0, 2**32))
def test_every_part_has_its_share_of_every_range_of_a_regression(fractions, n, seed):
    y = np.random.default_rng(seed).lognormal(size=n)
    parts = divided(StratifiedSplitter(bins=5, seed=seed), rows(n, y), fractions)
    edges = np.quantile(y, [0.2, 0.4, 0.6, 0.8])
    for stratum in range(5):
        members = parts[np.searchsorted(edges, y) == stratum]
        share = len(members) * np.array(fractions)
        assert np.all(abs(np.bincount(members, minlength=3) - share) < 1)


def test_labels_of_weight_0_are_stratified_as_missing():
    y = np.tile([0.0, 1.0], 50)
    w = np.ones(100)
    w[:20] = 0
    dataset = NumpyDataset(np.zeros(100), y, w)
    parts = StratifiedSplitter().divide(dataset, (0.5, 0.5))
    assert np.bincount(parts[:20]).tolist() == [10, 10]
    assert np.bincount(parts[20:][y[20:] == 1]).tolist() == [20, 20]


def test_a_dataset_without_labels_cannot_be_stratified():
    with pytest.raises(DatasetError, match="no labels to stratify by"):
        StratifiedSplitter().indices(rows(10))


def test_folds_of_strata_are_as_even_as_those_of_scikit_learn():
    y = np.random.default_rng(0).choice(3, 103, p=[0.7, 0.2, 0.1]).astype(float)
    ours = [test for _, test in KFold(StratifiedSplitter(), 5).indices(rows(103, y))]
    theirs = [test for _, test in StratifiedKFold(5).split(y, y)]

    def spread(folds):
        return max(np.ptp([(y[test] == c).sum() for test in folds]) for c in range(3))

    assert spread(ours) == spread(theirs) == 1
    assert np.ptp([len(test) for test in ours]) <= 1


def test_rare_labels_of_many_tasks_are_in_proportion(tox21):
    y, w = tox21.y, tox21.w
    parts = StratifiedSplitter().divide(tox21, (0.8, 0.1, 0.1))
    random = RandomSplitter().divide(tox21, (0.8, 0.1, 0.1))

    def worst(parts):
        """The largest error of a label's share, in rows, and of a part's size."""
        errors = [0.0]
        for t in range(12):
            for label in (0, 1):
                of_label = (w[:, t] > 0) & (y[:, t] == label)
                counts = np.bincount(parts[of_label], minlength=3)
                errors.append(abs(counts - of_label.sum() * np.array((0.8, 0.1, 0.1))).max())
        return max(errors)

    assert worst(parts) < 4
    assert worst(random) > 10
    assert abs(np.bincount(parts) - len(y) * np.array((0.8, 0.1, 0.1))).max() < 2


@settings(deadline=None)
@given(fractions, st.lists(st.integers(0, 30), min_size=1, max_size=60), st.randoms())
def test_later_parts_have_later_times_in_any_order_of_the_rows(fractions, times, random):
    splitter = TimeSplitter(times, fractions)
    parts = divided(splitter, rows(len(times)), fractions)
    for part in range(2):
        before, after = (np.array(times)[parts <= part], np.array(times)[parts > part])
        assert not len(before) or not len(after) or before.max() < after.min()
    order = list(range(len(times)))
    random.shuffle(order)
    shuffled = TimeSplitter([times[i] for i in order]).divide(rows(len(times)), fractions)
    np.testing.assert_array_equal(shuffled, parts[order])


def test_different_times_give_parts_of_the_sizes_asked_for():
    times = np.random.default_rng(0).permutation(100)
    sizes = [len(part) for part in TimeSplitter(times, (0.7, 0.2, 0.1)).indices(rows(100))]
    assert sizes == [70, 20, 10]


@pytest.mark.parametrize(
    "times",
    [
        ["2019-01-01", "2021-06-30T12:00", "2020-12-31"],
        ["2019", "2021", "2020"],
        np.array(["2019-01", "2021-06", "2020-12"], "datetime64[M]"),
        [datetime.date(2019, 1, 1), datetime.date(2021, 6, 30), datetime.date(2020, 12, 31)],
        pd.Series(pd.to_datetime(["2019-01-01", "2021-06-30", "2020-12-31"], utc=True)),
        pl.Series(
            [datetime.date(2019, 1, 1), datetime.date(2021, 6, 30), datetime.date(2020, 1, 1)]
        ),
        [2019, 2021, 2020],
    ],
    ids=["text", "years", "array", "dates", "pandas", "polars", "numbers"],
)
def test_times_are_dates_numbers_or_text(times):
    train, valid, test = TimeSplitter(times, (0.34, 0.33, 0.33)).indices(rows(3))
    assert (train.tolist(), valid.tolist(), test.tolist()) == ([0], [2], [1])


@pytest.mark.parametrize("bad", [["2019", "soon"], ["2019", ""], [2019.0, np.nan]])
def test_times_that_are_missing_or_no_dates_are_a_typed_error(bad):
    with pytest.raises(DatasetError, match=r"not an ISO 8601 date|missing for 1 rows"):
        TimeSplitter(bad).indices(rows(2))


def test_given_rows_are_the_parts_and_one_part_may_take_the_rest():
    splitter = IndexSplitter(None, [4, 1], np.array([0]))
    assert [part.tolist() for part in splitter.indices(rows(6))] == [[2, 3, 5], [1, 4], [0]]
    splitter = IndexSplitter([0, 1], test=[2])
    assert [part.tolist() for part in splitter.indices(rows(3))] == [[0, 1], [], [2]]


def test_given_rows_that_overlap_are_left_over_or_do_not_exist_are_a_typed_error():
    with pytest.raises(ParameterError, match="Row 2 is given 2 times"):
        IndexSplitter([0, 1, 2], [2])
    with pytest.raises(ParameterError, match="Two parts are None"):
        IndexSplitter(None, None, [1])
    with pytest.raises(ParameterError, match="Give row numbers"):
        IndexSplitter([0, -1])
    with pytest.raises(ParameterError, match="Give row numbers"):
        IndexSplitter([0.5])
    with pytest.raises(DatasetError, match="2 rows are in no part, such as row 1"):
        IndexSplitter([0], [2]).indices(rows(4))
    with pytest.raises(DatasetError, match="no row 4: the dataset has 4 rows"):
        IndexSplitter(None, [4]).indices(rows(4))
    with pytest.raises(EmptyDataset):
        IndexSplitter().indices(rows(0))


SPLITTERS = [
    RandomSplitter(),
    StratifiedSplitter(),
    GroupSplitter("ids"),
    GroupSplitter("ids", order="balanced"),
    GroupSplitter("ids", order="largest"),
]


@pytest.mark.parametrize("splitter", SPLITTERS, ids=repr)
@settings(deadline=None, max_examples=30)
@given(st.integers(2, 6), st.integers(12, 60))
def test_every_row_is_tested_once_and_trained_on_in_all_other_folds(splitter, k, n):
    dataset = NumpyDataset(np.zeros(n), np.arange(n) % 3, ids=[str(i % 11) for i in range(n)])
    folds = list(KFold(splitter, k).indices(dataset))
    assert len(folds) == k
    assert sorted(np.concatenate([test for _, test in folds])) == list(range(n))
    for train, test in folds:
        assert sorted(np.concatenate([train, test])) == list(range(n))
    if not isinstance(splitter, GroupSplitter):
        assert np.ptp([len(test) for _, test in folds]) <= 2


def test_folds_of_groups_are_as_even_as_those_of_scikit_learn():
    labels = np.random.default_rng(1).zipf(1.6, 300) % 25
    ours = [len(test) for _, test in KFold(labels, 5).indices(rows(300))]
    theirs = [len(test) for _, test in GroupKFold(5).split(labels, groups=labels)]
    assert sorted(ours) == sorted(theirs)


def test_a_fold_of_times_is_tested_by_models_of_earlier_times_only():
    folds = list(KFold(TimeSplitter(np.arange(12)), 3).indices(rows(12)))
    theirs = list(TimeSeriesSplit(3).split(np.zeros(12)))
    for (train, test), (train_, test_) in zip(folds, theirs, strict=True):
        assert (train.tolist(), test.tolist()) == (train_.tolist(), test_.tolist())


def test_each_group_is_left_out_once_and_small_ones_are_only_trained_on():
    labels = [1, 2, 2, 3, 3, 3]
    found = list(LeaveGroupOut(labels, minimum=2).indices(rows(6)))
    assert [(a.tolist(), b.tolist()) for a, b in found] == [
        ([0, 3, 4, 5], [1, 2]),
        ([0, 1, 2], [3, 4, 5]),
    ]
    with pytest.raises(DatasetError, match="There are 1 groups"):
        list(LeaveGroupOut([1, 1]).indices(rows(2)))
    with pytest.raises(DatasetError, match="0 have 4 rows"):
        list(LeaveGroupOut(labels, minimum=4).indices(rows(6)))


def test_folds_are_rows_of_the_dataset():
    dataset = NumpyDataset(np.arange(10), np.arange(10.0))
    for train, test in KFold(RandomSplitter(), 5).split(dataset):
        assert len(train) == 8
        assert set(train.X) | set(test.X) == set(range(10))
        np.testing.assert_array_equal(test.y[:, 0], test.X)


def test_folds_that_cannot_be_made_are_a_typed_error():
    with pytest.raises(DatasetError, match=r"1 of 3 folds have no rows.*smaller k"):
        KFold(["a", "b", "a"], 3).split(rows(3))
    with pytest.raises(ParameterError, match=r"IndexSplitter makes no folds.*LeaveGroupOut"):
        KFold(IndexSplitter())
    with pytest.raises(ParameterError, match="k=1"):
        KFold(RandomSplitter(), 1)
    with pytest.raises(EmptyDataset):
        KFold(RandomSplitter()).split(rows(0))
    with pytest.raises(DatasetError, match="NumpyDataset"):
        KFold(RandomSplitter()).split(["CCO"])


@pytest.mark.parametrize(
    "splitter",
    [
        RandomSplitter(),
        GroupSplitter("group"),
        GroupSplitter("group", order="largest"),
        TimeSplitter("time"),
        StratifiedSplitter(),
    ],
    ids=repr,
)
def test_a_million_rows_take_seconds(splitter):
    rng = np.random.default_rng(0)
    n = 1_000_000
    y = np.c_[rng.integers(0, 300_000, n), rng.integers(0, 4000, n)]
    dataset = NumpyDataset(np.zeros(n, np.uint8), y, tasks=["group", "time"])
    if isinstance(splitter, StratifiedSplitter):
        dataset = NumpyDataset(dataset.X, rng.normal(size=n))
    started = time.process_time()
    sizes = [len(part) for part in splitter.indices(dataset)]
    assert time.process_time() - started < 20
    assert abs(np.array(sizes) / n - (0.8, 0.1, 0.1)).max() < 0.001


def test_splitters_show_how_they_were_made():
    assert repr(GroupSplitter(Scaffolds(generic=True))) == (
        "GroupSplitter(grouping=Scaffolds(generic=True))"
    )
    assert repr(KFold(RandomSplitter(), 3)) == "KFold(splitter=RandomSplitter(), k=3)"
