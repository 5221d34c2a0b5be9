"""DataFrames and Series are rows, in whichever library they are; text has no fixed width."""

import tracemalloc

import numpy as np
import pytest

from dc_core import Failure, FailureReport, NumpyDataset
from dc_core.errors import DatasetError, ParameterError

pd = pytest.importorskip("pandas")
pl = pytest.importorskip("polars")
pa = pytest.importorskip("pyarrow")
FRAMES = [pd.DataFrame, pl.DataFrame, pa.table]
COLUMNS = {"smiles": ["CCO", None, "C"], "a": [1.0, None, 3.0], "b": [1, 2, 3]}


@pytest.fixture(params=FRAMES, ids=["pandas", "polars", "arrow"])
def frame(request):
    return request.param(COLUMNS)


def test_one_long_text_does_not_widen_the_others():
    smiles = ["C"] * 50_000 + ["C" * 100_000]
    tracemalloc.start()
    dataset = NumpyDataset(smiles, ids=smiles).select(np.arange(50_001))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20
    assert dataset.X.dtype == np.dtypes.StringDType()
    assert NumpyDataset(np.array(["CCO"])).X.dtype == np.dtypes.StringDType()
    assert NumpyDataset(np.array(["CCO"], object)).X.dtype == np.dtypes.StringDType()


def test_columns_become_the_parts_that_they_are_named_for(frame):
    dataset = NumpyDataset.from_dataframe(frame, X="smiles", y=["a", "b"])
    assert dataset.X.tolist() == ["CCO", "", "C"]
    assert dataset.tasks == ("a", "b")
    np.testing.assert_array_equal(dataset.y, [[1, 1], [np.nan, 2], [3, 3]])
    assert dataset.w.tolist() == [[1, 1], [0, 1], [1, 1]]


def test_a_series_is_a_column_and_its_name_the_task(frame):
    dataset = NumpyDataset(frame["smiles"], frame["b"])
    assert dataset.X.tolist() == ["CCO", "", "C"]
    if not isinstance(frame, pa.Table):
        assert dataset.tasks == ("b",)


def test_numbers_are_X_and_several_columns_with_text_are_an_error_that_says_to_choose(frame):
    numbers = NumpyDataset.from_dataframe(frame, X=["a", "b"])
    assert numbers.X.shape == (3, 2)
    with pytest.raises(DatasetError, match=r"3 columns.*'smiles'.*Choose one column"):
        NumpyDataset(frame)


def test_columns_that_do_not_exist_and_other_values_are_a_typed_error(frame):
    with pytest.raises(DatasetError, match="no column 'SMILES'"):
        NumpyDataset.from_dataframe(frame, X="SMILES")
    with pytest.raises(DatasetError, match="not a DataFrame"):
        NumpyDataset.from_dataframe([1, 2])
    with pytest.raises(DatasetError, match=r"lazy.*collect"):
        NumpyDataset(pl.LazyFrame({"a": [1]}))
    with pytest.raises(DatasetError, match="values of type"):
        NumpyDataset(pd.Series(pd.to_datetime(["2020-01-01"])))


def test_columns_are_read_by_position_whatever_their_names_are():
    X = np.arange(12.0).reshape(3, 4)
    pairs = pd.MultiIndex.from_product([["a", "b"], ["c", "d"]])
    for names in (None, pairs, ["a", 1, None, ("b", "c")]):
        dataset = NumpyDataset(pd.DataFrame(X, columns=names), pd.DataFrame(X[:, :2]))
        np.testing.assert_array_equal(dataset.X, X)
        np.testing.assert_array_equal(dataset.y, X[:, :2])
        assert dataset.tasks == ("task0", "task1")


def test_columns_may_be_named_by_anything_that_pandas_takes():
    X = np.arange(12.0).reshape(3, 4)
    dataset = NumpyDataset.from_dataframe(pd.DataFrame(X), X=[0, 1], y=3, w=2)
    np.testing.assert_array_equal(dataset.X, X[:, :2])
    assert dataset.y.tolist() == X[:, 3:].tolist()
    assert dataset.tasks == ("3",)
    pairs = pd.MultiIndex.from_product([["a", "b"], ["c", "d"]])
    frame = pd.DataFrame(X, columns=pairs)
    dataset = NumpyDataset.from_dataframe(frame, X=("a", "d"), y=[("b", "c")])
    assert dataset.X.tolist() == X[:, 1:2].tolist()
    assert dataset.y.tolist() == X[:, 2:3].tolist()
    with pytest.raises(DatasetError, match=r"no column 7 to take as y.*It has: 0, 1, 2, 3"):
        NumpyDataset.from_dataframe(pd.DataFrame(X), y=7)


def test_columns_of_the_same_name_are_a_typed_error():
    twice = pd.DataFrame(np.eye(2), columns=["a", "a"])
    for frame in (twice, pa.table([[1], [2]], names=["a", "a"])):
        for read in (NumpyDataset, NumpyDataset.from_dataframe):
            with pytest.raises(DatasetError, match=r"'a' 2 times.*a name of its own"):
                read(frame)


@pytest.mark.parametrize("missing", ["", None])
def test_measurements_as_text_are_not_classes(frame, missing):
    measured = {"x": [1, 2, 3, 4, 5], "logS": ["-1.0", ">5", "≤ 3e-2", "ND", missing]}
    made = type(frame).from_pydict if isinstance(frame, pa.Table) else type(frame)
    for y in ("logS", ["logS", "x"]):
        with pytest.raises(DatasetError, match=r"numbers or bounds as text.*floats.*classes="):
            NumpyDataset.from_dataframe(made(measured), X="x", y=y)
    with pytest.raises(DatasetError, match="numbers or bounds"):
        NumpyDataset([1, 2], y=["1,5", "2,25"])
    names = ["ND", "≤ 3e-2", ">5", "-1.0"]
    dataset = NumpyDataset.from_dataframe(
        made(measured), X="x", y=["logS", "x"], classes={"logS": names}
    )
    assert dataset.classes == {"logS": tuple(names)}
    np.testing.assert_array_equal(dataset.y[:, 0], [3, 2, 1, 0, np.nan])
    assert NumpyDataset([0] * 3, y=["low", "high", "1"]).classes == {"task0": ("1", "high", "low")}


def test_the_classes_of_some_of_several_tasks_may_be_named():
    frame = pd.DataFrame({"x": [1, 2], "a": ["p", "q"], "b": ["r", "s"], "n": [0.5, 1.5]})
    dataset = NumpyDataset.from_dataframe(
        frame, X="x", y=["a", "b", "n"], classes={"a": ["q", "p"], "b": ["s", "r"]}
    )
    assert dataset.classes == {"a": ("q", "p"), "b": ("s", "r")}
    assert dataset.y.tolist() == [[1, 1, 0.5], [0, 0, 1.5]]


@pytest.mark.parametrize("backend", ["pandas", "polars", "pyarrow"])
def test_a_dataset_goes_to_a_dataframe_and_back(backend):
    dataset = NumpyDataset(
        ["CCO", "C"], [[1.0, 2.0], [np.nan, 3.0]], ids=["x", "y"], tasks=["a", "b"]
    )
    frame = dataset.to_dataframe(backend)
    back = NumpyDataset.from_dataframe(frame, "X", ["a", "b"], ["w_a", "w_b"], "id")
    assert back.X.tolist() == dataset.X.tolist()
    assert back.ids.tolist() == ["x", "y"]
    np.testing.assert_array_equal(back.y, dataset.y)
    np.testing.assert_array_equal(back.w, dataset.w)


def test_an_unknown_dataframe_backend_is_a_typed_error():
    with pytest.raises(ParameterError, match="no DataFrame backend 'excel'"):
        NumpyDataset([1]).to_dataframe("excel")


def test_text_labels_are_classes_that_predictions_are_mapped_back_to():
    dataset = NumpyDataset([0, 1, 2], ["inactive", "active", None])
    assert dataset.classes == {"task0": ("active", "inactive")}
    np.testing.assert_array_equal(dataset.y, [[1], [0], [np.nan]])
    probabilities = np.array([[[0.1, 0.9]], [[0.8, 0.2]], [[np.nan, np.nan]]])
    assert dataset.class_names(probabilities).tolist() == [["inactive"], ["active"], [""]]
    assert dataset.class_names(dataset.y).tolist() == [["inactive"], ["active"], [""]]
    assert dataset[:1].classes == dataset.classes
    other = NumpyDataset([0], ["inactive"], classes=dataset.classes)
    assert other.y.tolist() == [[1]]
    with pytest.raises(DatasetError, match="'unknown' is not one of the classes"):
        NumpyDataset([0], ["unknown"], classes=dataset.classes)
    with pytest.raises(DatasetError, match="not named classes"):
        NumpyDataset([0], [1.0]).class_names(np.zeros((1, 1, 2)))


def test_rows_are_chosen_by_number_slice_mask_and_list():
    dataset = NumpyDataset([10, 11, 12], [0.0, 1.0, 2.0])
    assert (dataset[1].X, dataset[-1].X, dataset[np.int64(0)].X) == (11, 12, 10)
    assert dataset[:2].X.tolist() == [10, 11]
    assert np.shares_memory(dataset[:2].X, dataset.X)
    assert dataset[[2, 0]].X.tolist() == dataset[dataset.y[:, 0] != 1][::-1].X.tolist() == [12, 10]
    assert dataset[pd.Series([True, False, True])].X.tolist() == [10, 12]
    for key in (3, "X", 1.5):
        with pytest.raises(DatasetError):
            dataset[key]


def test_only_the_parts_asked_for_are_gathered():
    (batch,) = NumpyDataset([1, 2], [1.0, 2.0]).batches(5, parts=("X", "y"))
    assert (batch.w, batch.ids) == (None, None)
    assert batch.y.tolist() == [[1], [2]]
    with pytest.raises(ParameterError, match="X, y, w and ids"):
        NumpyDataset([1]).batches(1, parts=("Z",))


def test_a_report_is_a_sequence_and_a_table_and_what_it_shows_is_escaped():
    bad = Failure(3, "<script>" + "C" * 500, "label", "no number", "expt")
    report = FailureReport((bad, bad))
    assert [failure.row for failure in report] == [3, 3]
    assert report[0] is bad
    assert len(report[1:]) == 1
    assert list(report.to_dataframe("pandas")["task"]) == ["expt", "expt"]
    assert "<script>" not in report._repr_html_()
    assert len(str(report)) < 400
    html = NumpyDataset([1], [1.0], tasks=["<b>"])._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html


def test_missing_labels_in_lists_are_nan():
    assert NumpyDataset([0, 1], [1.0, None]).w.tolist() == [[1], [0]]
