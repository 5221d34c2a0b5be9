"""Datasets: rows that fit together, batches that a seed decides, and no objects."""

import pickle

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, ParameterError

sizes = st.integers(1, 40)
seeds = st.integers(0, 2**70)


def numbered(n):
    return NumpyDataset(np.arange(n), np.arange(n, dtype=float))


def order(dataset, size, **options):
    return [int(x) for batch in dataset.batches(size, **options) for x in batch.X]


@given(n=st.integers(0, 100), size=sizes)
def test_batches_hold_every_row_once_and_in_order(n, size):
    dataset = numbered(n)
    assert order(dataset, size) == list(range(n))
    lengths = [len(batch.X) for batch in dataset.batches(size)]
    assert all(length == size for length in lengths[:-1])


@given(n=st.integers(0, 100), size=sizes, seed=seeds, epoch=st.integers(0, 2**40))
def test_shuffling_is_a_permutation_that_seed_and_epoch_decide(n, size, seed, epoch):
    dataset = numbered(n)
    shuffled = order(dataset, size, shuffle=True, seed=seed, epoch=epoch)
    assert sorted(shuffled) == list(range(n))
    assert shuffled == order(dataset, 1, shuffle=True, seed=seed, epoch=epoch)


def test_seeds_and_epochs_give_different_orders():
    orders = {
        tuple(order(numbered(50), 7, shuffle=True, seed=seed, epoch=epoch))
        for seed in range(5)
        for epoch in range(5)
    }
    assert len(orders) == 25


def test_a_shuffle_is_the_same_on_every_machine_and_in_every_release():
    # PCG64 seeded with [seed, epoch]: NumPy promises its stream (NEP 19).
    assert order(numbered(8), 3, shuffle=True, seed=1, epoch=2) == list(
        np.random.Generator(np.random.PCG64([1, 2])).permutation(8)
    )


def test_shuffling_reaches_across_batches():
    first = next(iter(numbered(1000).batches(10, shuffle=True)))
    assert max(first.X) > 100


@given(n=st.integers(0, 60), size=sizes)
def test_dropping_the_last_leaves_only_whole_batches(n, size):
    batches = list(numbered(n).batches(size, drop_last=True))
    assert [len(batch.X) for batch in batches] == [size] * (n // size)


@pytest.mark.parametrize("size", [0, -1, 2.0, "2", True, None])
def test_a_batch_size_below_one_is_refused_at_once(size):
    with pytest.raises(ParameterError, match="batch size"):
        numbered(3).batches(size)


@pytest.mark.parametrize("options", [{"seed": -1}, {"epoch": -1}, {"seed": 0.5}, {"epoch": "1"}])
def test_a_seed_that_is_no_count_is_refused_at_once(options):
    with pytest.raises(ParameterError, match="at least 0"):
        numbered(3).batches(2, shuffle=True, **options)


def test_iteration_gives_one_row_at_a_time():
    rows = list(NumpyDataset([[1, 2], [3, 4]], [5.0, 6.0], ids=["a", "b"]))
    assert [row.ids for row in rows] == ["a", "b"]
    assert [row.X.tolist() for row in rows] == [[1, 2], [3, 4]]
    assert [row.y.tolist() for row in rows] == [[5.0], [6.0]]


def test_a_missing_label_has_weight_0_whatever_was_given():
    y = [[1.0, np.nan], [np.nan, 2.0]]
    assert NumpyDataset([0, 1], y).w.tolist() == [[1, 0], [0, 1]]
    assert NumpyDataset([0, 1], y, w=[3, 4]).w.tolist() == [[3, 0], [0, 4]]
    assert NumpyDataset([0, 1], y, w=np.full((2, 2), 5.0)).w.tolist() == [[5, 0], [0, 5]]


def test_the_given_weights_are_not_written_to():
    w = np.ones((2, 1))
    NumpyDataset([0, 1], [1.0, np.nan], w)
    assert w.tolist() == [[1], [1]]


def test_arrays_of_the_right_form_are_kept_and_not_copied():
    X, y, w = np.zeros((3, 2), np.float32), np.zeros((3, 1), np.float32), np.ones((3, 1))
    dataset = NumpyDataset(X, y, w)
    assert dataset.X is X
    assert dataset.y is y
    assert dataset.w is w


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.int64, np.float16, np.complex64, bool])
def test_features_keep_their_dtype(dtype):
    assert NumpyDataset(np.zeros((2, 2), dtype)).X.dtype == dtype


def test_large_integers_are_exact():
    big = [2**31, 2**31 + 1, 2**62 + 1]
    assert NumpyDataset(big).select([2, 0]).X.tolist() == [2**62 + 1, 2**31]


def test_strings_are_features_too():
    dataset = NumpyDataset(["CCO", "c1ccccc1"], [0, 1])
    assert dataset.X.tolist() == ["CCO", "c1ccccc1"]
    assert dataset.y.dtype == np.float64


@pytest.mark.parametrize(
    ("parts", "what"),
    [
        ({"X": [object()]}, "X has dtype object"),
        ({"X": np.array([b"CCO"])}, "X has dtype"),
        ({"X": np.array(["2020-01-01"], "datetime64[D]")}, "X has dtype"),
        ({"X": np.zeros(1, [("a", object)])}, "X has dtype"),
        ({"X": [[1, 2], [3]]}, "X is ragged"),
        ({"X": 3.0}, "X is a single value"),
        ({"X": [0], "w": ["high"], "y": [1.0]}, "w is text"),
        ({"X": [0], "y": [1j]}, "y has dtype"),
        ({"X": [0], "y": [[[1.0]]]}, "y has shape"),
        ({"X": [0, 1], "y": [1.0]}, "y has shape"),
        ({"X": [0, 1], "y": [1.0, 2.0], "w": [1.0]}, "w has shape"),
        ({"X": [0], "y": [[1.0, 2.0, 3.0]], "w": [[1.0, 2.0]]}, "w has shape"),
        ({"X": [0], "y": [1.0], "w": [-1.0]}, "not negative"),
        ({"X": [0], "y": [1.0], "w": [np.nan]}, "finite"),
        ({"X": [0], "y": [1.0], "w": [np.inf]}, "finite"),
        ({"X": [0], "ids": ["a", "b"]}, "ids has shape"),
        ({"X": [0], "ids": [object()]}, "ids has dtype"),
        ({"X": ["CCO", 1]}, "X mixes text"),
        ({"X": ["C\ud800"]}, "X holds text that is not Unicode"),
        ({"X": [0], "y": ["1.5"]}, "numbers or bounds as text"),
        ({"X": [0], "y": [[1.0, 2.0]], "tasks": ["a"]}, "y has 2 columns"),
        ({"X": [0], "y": [[1.0, 2.0]], "tasks": ["a", "a"]}, "y has 2 columns"),
        ({"X": [0], "tasks": ["a"]}, "y has 0 columns"),
    ],
)
def test_parts_that_do_not_fit_are_a_typed_error(parts, what):
    with pytest.raises(DatasetError, match=what):
        NumpyDataset(**parts)


def test_an_unlabelled_dataset_has_no_tasks():
    dataset = NumpyDataset(np.zeros((3, 2)))
    assert (dataset.tasks, dataset.y.shape, dataset.w.shape) == ((), (3, 0), (3, 0))
    assert dataset.ids.tolist() == ["0", "1", "2"]


def test_a_dataset_may_have_no_rows():
    dataset = NumpyDataset(np.zeros((0, 4)), np.zeros((0, 2)), tasks=["a", "b"])
    assert (len(dataset), dataset.tasks, dataset.w.shape) == (0, ("a", "b"), (0, 2))
    assert list(dataset.batches(3)) == list(dataset) == []
    assert dataset.select([]).X.shape == (0, 4)


@given(mask=st.lists(st.booleans(), min_size=1, max_size=30))
def test_a_mask_selects_what_its_indices_select(mask):
    dataset = numbered(len(mask))
    by_mask = dataset.select(np.array(mask))
    by_index = dataset.select(np.flatnonzero(mask))
    assert by_mask.X.tolist() == by_index.X.tolist() == [i for i, on in enumerate(mask) if on]
    assert by_mask.ids.tolist() == by_index.ids.tolist()


def test_selection_keeps_order_repeats_and_tasks():
    dataset = NumpyDataset([10, 11, 12], [[0.0, 1.0]] * 3, tasks=["a", "b"], ids=["x", "y", "z"])
    chosen = dataset.select([2, 0, 2])
    assert chosen.X.tolist() == [12, 10, 12]
    assert chosen.ids.tolist() == ["z", "x", "z"]
    assert chosen.tasks == ("a", "b")


@pytest.mark.parametrize("indices", [1, [3], [-4], [True, False], [0.0], ["a"], [[0, 1]]])
def test_an_invalid_selection_is_a_typed_error(indices):
    with pytest.raises(DatasetError):
        numbered(3).select(indices)


def test_a_selection_is_a_copy():
    dataset = numbered(3)
    dataset.select([0, 1]).y[:] = 9
    assert dataset.y.ravel().tolist() == [0, 1, 2]


def test_a_dataset_pickles_across_processes():
    dataset = NumpyDataset([[1.0], [2.0]], [0.0, np.nan], ids=["a", "b"], tasks=["t"])
    twin = pickle.loads(pickle.dumps(dataset))
    assert twin.X.tolist() == [[1.0], [2.0]]
    assert (twin.w.tolist(), twin.ids.tolist(), twin.tasks) == ([[1], [0]], ["a", "b"], ("t",))


def test_text_of_the_right_dtype_is_kept_without_a_copy():
    text = NumpyDataset(["a", "b"]).X
    dataset = NumpyDataset(text, ids=text)
    assert dataset.X is text
    assert dataset.ids is text


def test_a_dataframe_shows_predictions_beside_the_rows():
    dataset = NumpyDataset(["CCO", "C"], [1.0, 2.0], ids=["a", "b"], tasks=["y"])
    frame = dataset.to_dataframe("polars", prediction=np.array([[0.5], [np.nan]]))
    assert frame.columns == ["id", "X", "y", "w_y", "predicted_y"]
    assert frame["id"].to_list() == ["a", "b"]
    np.testing.assert_array_equal(frame["predicted_y"].to_numpy(), [0.5, np.nan])
    unlabelled = NumpyDataset(["CCO", "C"])
    frame = unlabelled.to_dataframe("polars", prediction=np.array([[1.0, 2.0], [3.0, 4.0]]))
    assert frame.columns == ["id", "X", "predicted_0", "predicted_1"]


def test_a_dataframe_names_the_classes_of_probabilities():
    dataset = NumpyDataset(["CCO", "C"], ["active", "inactive"], tasks=["y"])
    frame = dataset.to_dataframe("polars", prediction=np.full((2, 1, 3), 1 / 3))
    assert frame.columns[4:] == ["p_y_active", "p_y_inactive", "p_y_2"]


@pytest.mark.parametrize("shape", [(2,), (3, 1), (2, 2), (2, 1, 2, 1)])
def test_a_prediction_of_another_shape_is_a_typed_error(shape):
    dataset = NumpyDataset(["CCO", "C"], [1.0, 2.0])
    with pytest.raises(DatasetError, match=r"model\.predict\(dataset\)"):
        dataset.to_dataframe("polars", prediction=np.zeros(shape))
