"""Columns of X: dense, text or ragged; one, or several by name."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import dc_core
from dc_core import NumpyDataset, Ragged, concatenate_rows, dense_array, take_rows, to_columns
from dc_core.errors import DatasetError, ParameterError

rows_of_numbers = st.lists(st.lists(st.integers(-99, 99), max_size=5), max_size=12)


def ragged(rows):
    return Ragged.from_rows([np.array(row, np.int64) for row in rows], np.int64)


def lists(column):
    return [row.tolist() for row in column]


@given(rows_of_numbers)
def test_a_ragged_column_gives_back_the_rows_it_was_made_of(rows):
    column = ragged(rows)
    assert lists(column) == rows
    assert len(column) == len(rows)
    assert column.lengths.tolist() == [len(row) for row in rows]
    assert [row.tolist() for row in map(column.__getitem__, range(len(rows)))] == rows
    assert column.row_numbers.tolist() == [i for i, row in enumerate(rows) for _ in row]


@given(rows_of_numbers, st.data())
def test_ragged_rows_are_taken_like_those_of_a_list(rows, data):
    column = ragged(rows)
    key = data.draw(st.slices(len(rows)))
    assert lists(column[key]) == rows[key]
    places = data.draw(
        st.lists(st.integers(-len(rows), len(rows) - 1), max_size=9) if rows else st.just([])
    )
    assert lists(column[np.array(places, np.intp)]) == [rows[place] for place in places]
    mask = np.array(
        data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))), bool
    )
    assert lists(column[mask]) == [row for row, wanted in zip(rows, mask, strict=True) if wanted]


@given(st.lists(rows_of_numbers, min_size=1, max_size=4))
def test_concatenated_rows_are_those_of_all_parts_in_order(parts):
    whole = concatenate_rows([ragged(rows) for rows in parts])
    assert lists(whole) == [row for rows in parts for row in rows]
    named = concatenate_rows([{"a": ragged(rows), "n": np.arange(len(rows))} for rows in parts])
    assert lists(named["a"]) == lists(whole)
    assert named["n"].tolist() == [i for rows in parts for i in range(len(rows))]


@given(rows_of_numbers)
def test_padding_keeps_every_value_and_marks_the_rest(rows):
    values, given_ = ragged(rows).padded(fill=-1000)
    assert [v[g].tolist() for v, g in zip(values, given_, strict=True)] == rows
    assert (values[~given_] == -1000).all()


def test_a_slice_of_a_ragged_column_shares_its_memory():
    column = ragged([[1, 2], [], [3], [4, 5]])
    assert np.shares_memory(column[1:3].values, column.values)
    assert not np.shares_memory(column[[1, 2]].values, column.values)


def test_text_can_be_ragged():
    column = Ragged.from_rows([["C", "O"], [], ["N"]])
    assert lists(column[::-1]) == [["N"], [], ["C", "O"]]


@pytest.mark.parametrize(
    "offsets",
    [[0, 2], [1, 3], [0, 2, 1, 3], [0, 4], [], [[0, 3]], [0.0, 3.0], ["0", "3"], [0, -1, 3]],
)
def test_offsets_that_do_not_divide_the_values_are_refused(offsets):
    with pytest.raises(DatasetError, match="offsets"):
        Ragged(np.arange(3), offsets)


@pytest.mark.parametrize("rows", [[[1], [[2]]], [1, 2], [np.zeros((2, 3)), np.zeros((2, 4))]])
def test_rows_that_differ_in_more_than_length_are_refused(rows):
    with pytest.raises(DatasetError, match="differ in more than their length"):
        Ragged.from_rows(rows)


def test_a_row_longer_than_the_padding_is_refused():
    with pytest.raises(DatasetError, match="3 values, more than 2"):
        ragged([[1, 2, 3]]).padded(2)


@pytest.mark.parametrize(
    "columns",
    [
        {},
        {"a": 1},
        {"": [1]},
        {1: [1]},
        {"a/b": [1]},
        {"a": [1, 2], "b": [1]},
        {"a": [object()]},
        {str(i): [1] for i in range(10_001)},
    ],
    ids=str,
)
def test_columns_that_cannot_be_named_or_do_not_fit_are_refused(columns):
    with pytest.raises(DatasetError):
        to_columns("X", columns)


@pytest.fixture
def molecules():
    """Three molecules as atoms and a fingerprint."""
    return NumpyDataset(
        {"atoms": Ragged.from_rows([[6, 6, 8], [6], [7, 7]]), "bits": np.eye(3, dtype=np.uint8)},
        y=[1.0, 2.0, 3.0],
        ids=["CCO", "C", "N#N"],
    )


def test_a_dataset_has_named_columns(molecules):
    assert molecules.columns == ("atoms", "bits")
    assert len(molecules) == 3
    assert lists(molecules.X["atoms"]) == [[6, 6, 8], [6], [7, 7]]
    row = molecules[2]
    assert row.X["atoms"].tolist() == [7, 7]
    assert row.X["bits"].tolist() == [0, 0, 1]
    assert [row.X["atoms"].tolist() for row in molecules] == [[6, 6, 8], [6], [7, 7]]
    assert "{atoms: (3, …) int64, bits: (3, 3) uint8}" in repr(molecules)
    assert "atoms" in molecules._repr_html_()


def test_rows_of_named_columns_are_selected_together(molecules):
    for key in ([2, 0], np.array([True, False, True]), slice(1, 3)):
        part = molecules[key]
        expected = [lists(molecules.X["atoms"])[i] for i in np.arange(3)[key]]
        assert lists(part.X["atoms"]) == expected
        assert part.X["bits"].tolist() == np.eye(3)[key].tolist()
        assert part.y[:, 0].tolist() == (np.arange(3)[key] + 1).tolist()


def test_a_name_gives_the_dataset_of_that_column(molecules):
    assert molecules["bits"].X.tolist() == np.eye(3).tolist()
    assert molecules["bits"].ids.tolist() == molecules.ids.tolist()
    assert molecules[["atoms"]].columns == ("atoms",)
    for names in ("bonds", ["atoms", "bonds"], []):
        with pytest.raises(DatasetError, match="atoms, bits" if names else "selected|columns"):
            molecules.with_columns(names)
    with pytest.raises(DatasetError, match="one column without a name"):
        NumpyDataset([[1.0]])["a"]


def test_batches_hold_the_columns_of_their_rows(molecules):
    whole = concatenate_rows([b.X for b in molecules.batches(2, shuffle=True, seed=3)])
    order = np.random.default_rng([3, 0]).permutation(3)
    assert lists(whole["atoms"]) == [lists(molecules.X["atoms"])[i] for i in order]
    assert whole["bits"].tolist() == np.eye(3)[order].tolist()


def test_a_dataframe_has_lists_for_ragged_rows(molecules):
    frame = molecules.to_dataframe("pandas")
    assert frame["atoms"].tolist() == [[6, 6, 8], [6], [7, 7]]
    assert frame["bits1"].tolist() == [0, 1, 0]


@pytest.mark.parametrize("X", [{"a": [1.0]}, Ragged([1.0], [0, 1])], ids=["named", "ragged"])
def test_who_needs_one_array_says_so(X):
    with pytest.raises(DatasetError, match=r"A forest needs X as one array"):
        dense_array(NumpyDataset(X).X, "A forest")


@given(st.integers(0, 40), st.integers(1, 5), st.integers(1, 7), st.booleans(), st.booleans())
def test_ranks_share_the_rows_of_an_epoch(n, world, size, shuffle, drop_last):
    dataset = NumpyDataset(np.arange(n))
    shares = [
        [
            batch.X
            for batch in dataset.batches(
                size, shuffle=shuffle, seed=1, drop_last=drop_last, rank=rank, world=world
            )
        ]
        for rank in range(world)
    ]
    rows = [int(row) for share in shares for X in share for row in X]
    assert len(rows) == len(set(rows))
    if drop_last:
        assert len({len(share) for share in shares}) == 1
        assert all(len(X) == size for share in shares for X in share)
        assert len(rows) == world * (n // world // size) * size
    else:
        assert sorted(rows) == list(range(n))
        counts = [sum(map(len, share)) for share in shares]
        assert max(counts) - min(counts) <= 1


def test_one_process_of_one_gets_the_same_batches():
    dataset = NumpyDataset(np.arange(10))
    for one, all_ in zip(
        dataset.batches(3, shuffle=True, seed=5, rank=0, world=1),
        dataset.batches(3, shuffle=True, seed=5),
        strict=True,
    ):
        assert one.X.tolist() == all_.X.tolist()


@pytest.mark.parametrize(("rank", "world"), [(1, 1), (-1, 2), (0, 0)])
def test_a_rank_outside_its_world_is_refused_at_once(rank, world):
    with pytest.raises(ParameterError, match=r"rank|world"):
        NumpyDataset([1.0]).batches(1, rank=rank, world=world)


def test_taking_rows_of_named_columns_takes_them_of_each():
    columns = {"a": np.arange(4), "b": ragged([[1], [2, 3], [], [4]])}
    taken = take_rows(columns, [3, 1])
    assert taken["a"].tolist() == [3, 1]
    assert lists(taken["b"]) == [[4], [2, 3]]
    assert dc_core.row_count(taken) == 2


def test_parts_with_different_columns_are_not_concatenated():
    for parts in (
        [],
        [{"a": np.zeros(1)}, {"b": np.zeros(1)}],
        [np.zeros(1), ragged([[1]])],
        [np.zeros((1, 2)), np.zeros((1, 3))],
        [np.zeros(1), np.array(["text"], np.dtypes.StringDType())],
    ):
        with pytest.raises(DatasetError):
            concatenate_rows(parts)
