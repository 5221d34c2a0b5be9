"""NormalizationTransformer: weighted statistics of the known values, and the inverse."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, ParameterError
from dc_pipeline import NormalizationTransformer
from dc_pipeline.transformers.normalization import mean_and_scale
from dc_pipeline.transformers.values import Values

labels = arrays(
    np.float64,
    st.tuples(st.integers(1, 20), st.integers(1, 3)),
    elements=st.floats(-1e6, 1e6) | st.just(np.nan),
)


def of(y, w=None, X=None):
    return NumpyDataset(np.zeros((len(y), 2)) if X is None else X, y, w)


@settings(deadline=None)
@given(labels)
def test_there_and_back_gives_the_labels(y):
    dataset = of(y)
    normalization = NormalizationTransformer().fit(dataset)
    back = normalization.untransform(normalization.transform(dataset).y)
    np.testing.assert_allclose(back, y, rtol=1e-9, atol=1e-9)


@settings(deadline=None)
@given(labels)
def test_normalized_columns_have_mean_0_and_deviation_1_or_one_value(y):
    normalized = NormalizationTransformer().fit(of(y)).transform(of(y)).y
    np.testing.assert_array_equal(np.isnan(normalized), np.isnan(y))
    for raw, column in zip(y.T, normalized.T, strict=True):
        raw, column = raw[~np.isnan(raw)], column[~np.isnan(column)]
        if len(np.unique(raw)) < 2:
            np.testing.assert_array_equal(column, 0)
        elif np.std(raw) > max(1e-6 * np.abs(raw).max(), 1e-150):  # its square is a float64
            assert abs(column.mean()) < 1e-6
            assert abs(column.std() - 1) < 1e-6


def test_a_weight_of_two_counts_a_row_twice():
    weighted = NormalizationTransformer().fit(of([1.0, 2.0, 4.0], [1, 2, 1]))
    repeated = NormalizationTransformer().fit(of([1.0, 2.0, 2.0, 4.0]))
    np.testing.assert_allclose(weighted.mean, repeated.mean)
    np.testing.assert_allclose(weighted.scale, repeated.scale)


@pytest.mark.parametrize("ignored", [100.0, np.inf])
def test_rows_of_weight_zero_and_missing_labels_do_not_count(ignored):
    some = NormalizationTransformer().fit(of([1.0, 3.0, ignored, np.nan], [1, 1, 0, 1]))
    assert (some.mean, some.scale) == (2.0, 1.0)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e9 / 3, -7e-12])
def test_a_constant_column_becomes_zeros(value):
    dataset = of(np.full(1001, value))
    normalization = NormalizationTransformer().fit(dataset)
    assert normalization.scale == 1
    np.testing.assert_array_equal(normalization.transform(dataset).y, 0)
    np.testing.assert_array_equal(normalization.untransform(np.zeros((2, 1))), value)


def test_a_task_without_any_label_is_left_alone():
    normalization = NormalizationTransformer().fit(of([[1.0, np.nan], [3.0, np.nan]]))
    np.testing.assert_array_equal(normalization.mean, [2, 0])
    np.testing.assert_array_equal(normalization.scale, [1, 1])


def test_X_is_normalized_and_predictions_are_not():
    X = np.array([[1, 5], [3, 5]], np.uint8)
    normalization = NormalizationTransformer("X").fit(of([1.0, 2.0], X=X))
    transformed = normalization.transform(of([1.0, 2.0], X=X))
    np.testing.assert_array_equal(transformed.X, [[-1, 0], [1, 0]])
    np.testing.assert_array_equal(transformed.y, [[1], [2]])
    prediction = np.ones((4, 7))
    assert normalization.untransform(prediction) is prediction


def test_X_of_any_rank_is_normalized_by_the_row():
    X = np.random.default_rng(0).normal(3, 2, (50, 4, 5)).astype(np.float32)
    transformed = (
        NormalizationTransformer("X").fit(of(np.zeros(50), X=X)).transform(of(np.zeros(50), X=X))
    )
    assert transformed.X.dtype == np.float32
    np.testing.assert_allclose(transformed.X.mean(axis=0), 0, atol=1e-6)
    np.testing.assert_allclose(transformed.X.std(axis=0), 1, atol=1e-6)


def test_the_other_parts_of_the_dataset_are_kept():
    dataset = NumpyDataset(np.ones((2, 3)), [1.0, 2.0], [0.5, 2], ["a", "b"], ["expt"])
    transformed = NormalizationTransformer().fit(dataset).transform(dataset)
    assert transformed.tasks == ("expt",)
    assert transformed.ids.tolist() == ["a", "b"]
    assert transformed.w.tolist() == [[0.5], [2]]
    np.testing.assert_array_equal(transformed.X, dataset.X)
    assert dataset.y.tolist() == [[1], [2]]


def test_a_dataset_without_labels_is_unchanged():
    normalization = NormalizationTransformer().fit(of([1.0, 2.0]))
    assert normalization.transform(NumpyDataset(np.zeros((5, 2)))).y.shape == (5, 0)


def test_statistics_are_weights_that_another_can_import():
    fitted = NormalizationTransformer().fit(of([1.0, 4.0]))
    weights = fitted.export_weights()
    assert sorted(weights) == ["mean/0", "scale/0"]
    other = NormalizationTransformer()
    other.import_weights(weights)
    prediction = np.array([[0.5], [-2.0]])
    np.testing.assert_array_equal(other.untransform(prediction), fitted.untransform(prediction))


def test_use_before_fit_is_a_typed_error():
    for use in (lambda n: n.transform(of([1.0])), lambda n: n.untransform(np.ones((1, 1)))):
        with pytest.raises(NotFitted, match=r"fit\(train\) first"):
            use(NormalizationTransformer())


@pytest.mark.parametrize(
    ("part", "dataset"),
    [("y", NumpyDataset(np.zeros((3, 2)))), ("X", NumpyDataset(np.zeros((0, 2))))],
)
def test_nothing_to_learn_from_is_a_typed_error(part, dataset):
    with pytest.raises(EmptyDataset):
        NormalizationTransformer(part).fit(dataset)


@pytest.mark.parametrize("value", [np.inf, -np.inf, 1e300])
def test_infinite_and_excessive_values_are_a_typed_error(value):
    normalization = NormalizationTransformer()
    with pytest.raises(DatasetError, match="infinite or too large"):
        normalization.fit(of([0.0, value]))
    assert normalization.export_weights() == {}


def test_other_columns_and_probabilities_are_a_typed_error():
    normalization = NormalizationTransformer().fit(of(np.array([[1.0, 2.0], [3.0, 5.0]])))
    with pytest.raises(DatasetError, match=r"\(2,\); these have \(1,\)"):
        normalization.transform(of([1.0]))
    with pytest.raises(DatasetError, match="Classification needs no transformed y"):
        normalization.untransform(np.ones((1, 2, 3)))


def test_strings_and_unknown_parts_are_a_typed_error():
    with pytest.raises(DatasetError, match="Featurize it first"):
        NormalizationTransformer("X").fit(NumpyDataset(np.array(["CCO"])))
    with pytest.raises(ParameterError, match="part='w' cannot"):
        NormalizationTransformer("w")


@settings(deadline=None)
@given(
    arrays(
        np.float32,
        st.tuples(st.integers(1, 40), st.integers(1, 3)),
        elements=st.floats(-1e3, 1e3, width=32),
    ),
    st.integers(1, 50),
)
def test_blocks_of_any_size_give_the_statistics_of_all_rows(X, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("dc_pipeline.transformers.values.BLOCK", size)
        mean, scale = mean_and_scale(Values(NumpyDataset(X), "X", None, "This"))
    exact = X.astype(np.float64)
    np.testing.assert_allclose(mean, exact.mean(axis=0), rtol=1e-12, atol=1e-12)
    deviation = exact.std(axis=0)
    expected = np.where(np.ptp(exact, axis=0) == 0, 1, deviation)
    np.testing.assert_allclose(scale, expected, rtol=1e-9)


def test_statistics_of_float32_are_as_accurate_as_in_float64():
    X = np.random.default_rng(0).normal(1e4, 1e-1, (200_000, 3)).astype(np.float32)
    normalization = NormalizationTransformer("X").fit(NumpyDataset(X))
    exact = X.astype(np.longdouble)
    np.testing.assert_allclose(normalization.mean, exact.mean(axis=0).astype(float), rtol=1e-14)
    np.testing.assert_allclose(normalization.scale, exact.std(axis=0).astype(float), rtol=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.uint8])
def test_the_extra_memory_does_not_grow_with_the_number_of_rows(dtype):
    dataset = NumpyDataset(np.ones((40_000, 512), dtype))
    transformer = NormalizationTransformer("X")
    dataset.y, dataset.w, dataset.ids  # noqa: B018
    tracemalloc.start()
    transformer.fit(dataset)
    fitting = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    result = transformer.transform(dataset).X
    transforming = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert fitting < 20e6  # a copy in float64 would take 164 MB
    assert transforming < result.nbytes + 20e6


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.uint32])
def test_integers_become_float32(dtype):
    X = np.array([[0, 1], [1, 1], [0, 0], [1, 0]], dtype)
    transformed = NormalizationTransformer("X").fit(NumpyDataset(X)).transform(NumpyDataset(X))
    assert transformed.X.dtype == np.float32
    assert transformed.X.tolist() == [[-1, 1], [1, 1], [-1, -1], [1, -1]]


def test_missing_features_do_not_count_and_stay_missing():
    X = np.array([[1, np.nan], [3, 5], [np.nan, 9]], np.float32)
    transformed = NormalizationTransformer("X").fit(NumpyDataset(X)).transform(NumpyDataset(X))
    np.testing.assert_array_equal(transformed.X, [[-1, np.nan], [1, -1], [np.nan, 1]])


def test_the_names_of_classes_are_kept_and_classes_are_not_normalized():
    dataset = NumpyDataset(np.array([[1.0], [3.0]]), ["active", "inactive"], tasks="activity")
    transformed = NormalizationTransformer("X").fit(dataset).transform(dataset)
    assert transformed.classes == {"activity": ("active", "inactive")}
    with pytest.raises(DatasetError, match=r"labels of 'activity' are classes.*Leave"):
        NormalizationTransformer("y").fit(dataset)
