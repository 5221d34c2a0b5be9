"""The laws that all transformers of y and X keep."""

import pickle
import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from dc_core import Dataset, MappedDataset, NumpyDataset
from dc_core.errors import DatasetError, EmptyDataset, NotFitted, ParameterError, StructureError
from dc_pipeline import (
    BalancingTransformer,
    ClippingTransformer,
    DiskDataset,
    ImputationTransformer,
    LogTransformer,
    MinMaxTransformer,
    NormalizationTransformer,
    PowerTransformer,
    QuantileTransformer,
)

ELEMENTWISE = {
    "normalization": NormalizationTransformer,
    "minmax": lambda part="y", **o: MinMaxTransformer(part, low=-1, high=3, **o),
    "clipping": lambda part="y", **o: ClippingTransformer(part, limits=(0.5, 4), **o),
    "clipped-quantiles": lambda part="y", **o: ClippingTransformer(part, quantiles=(0, 0.9), **o),
    "log": LogTransformer,
    "log10": lambda part="y", **o: LogTransformer(part, base=10, offset=2, **o),
    "log1p": lambda part="y", **o: LogTransformer(part, base=2, offset=1, **o),
    "yeo-johnson": PowerTransformer,
    "box-cox": lambda part="y", **o: PowerTransformer(part, method="box-cox", **o),
    "raw-power": lambda part="y", **o: PowerTransformer(part, standardize=False, **o),
    "quantile": QuantileTransformer,
    "uniform": lambda part="y", **o: QuantileTransformer(part, distribution="uniform", **o),
}
INVERTIBLE = [name for name in ELEMENTWISE if not name.startswith("clip")]
SMOOTH = [name for name in INVERTIBLE if name not in ("quantile", "uniform")]

positive = arrays(
    np.float64,
    st.tuples(st.integers(1, 20), st.integers(1, 3)),
    elements=st.floats(0.01, 100) | st.just(np.nan),
)


def skewed(n=200, tasks=2, seed=0):
    return np.random.default_rng(seed).lognormal(0.3, 0.6, (n, tasks))


def labelled(y, w=None):
    return NumpyDataset(np.zeros((len(y), 1)), y, w)


@pytest.fixture(params=ELEMENTWISE)
def make(request):
    return ELEMENTWISE[request.param]


@settings(deadline=None, max_examples=25)
@given(positive, st.sampled_from(INVERTIBLE))
def test_there_and_back_gives_the_labels(y, name):
    spread = np.logspace(-2, 2, 8)[:, None].repeat(y.shape[1], axis=1)
    dataset = labelled(np.vstack([y, spread]))
    transformer = ELEMENTWISE[name]().fit(dataset)
    back = transformer.untransform(transformer.transform(dataset).y)
    np.testing.assert_allclose(back, dataset.y, rtol=1e-6, atol=1e-6)


@settings(deadline=None, max_examples=25)
@given(positive, st.sampled_from(sorted(ELEMENTWISE)))
def test_order_is_kept_and_missing_labels_stay_missing(y, name):
    mapped = ELEMENTWISE[name]().fit(labelled(y)).transform(labelled(y)).y
    np.testing.assert_array_equal(np.isnan(mapped), np.isnan(y))
    for raw, column in zip(y.T, mapped.T, strict=True):
        sorted_column = column[np.argsort(raw)]
        known = sorted_column[~np.isnan(sorted_column)]
        assert (np.diff(known) >= -1e-9).all()


def test_nothing_is_computed_before_a_batch_is_read(make, tmp_path):
    y = skewed(5000)
    dataset = DiskDataset.create(tmp_path / "d", NumpyDataset(np.zeros((5000, 3)), y))
    transformed = make().fit(dataset).transform(dataset)
    assert isinstance(transformed, MappedDataset)
    assert transformed.dataset is dataset
    whole = make().fit(labelled(y)).transform(labelled(y)).y
    np.testing.assert_array_equal(transformed.rows(np.array([7, 3]), ("y",)).y, whole[[7, 3]])
    assert transformed.rows(np.array([7, 3]), ("X",)).y is None


def test_a_transformed_dataset_is_not_changed_by_another_fit(make):
    dataset = labelled(skewed())
    transformer = make().fit(dataset)
    transformed = transformer.transform(dataset)
    before = transformed.y
    transformer.fit(labelled(10 * skewed(seed=1)))
    np.testing.assert_array_equal(transformed.y, before)


def test_a_transformed_dataset_can_be_pickled(make):
    transformed = make("X").fit(features()).transform(features())
    again = pickle.loads(pickle.dumps(transformed))
    np.testing.assert_array_equal(again.X, transformed.X)


def features(dtype=np.float64):
    return NumpyDataset((1 + 3 * skewed()).astype(dtype), np.ones(200))


def test_a_named_column_is_transformed_as_it_would_be_alone(make):
    X = features().X
    named = NumpyDataset({"a": X, "b": np.arange(len(X))}, np.ones(len(X)))
    transformed = make("X", column="a").fit(named).transform(named)
    expected = make("X").fit(features()).transform(features()).X
    np.testing.assert_array_equal(transformed.X["a"], expected)
    np.testing.assert_array_equal(transformed.X["b"], named.X["b"])
    np.testing.assert_array_equal(transformed.with_columns("a").X, expected)


def test_the_values_of_rows_of_any_shape_are_mapped_by_the_column(make):
    flat = features().X
    cube = NumpyDataset(np.stack([flat, 2 * flat], axis=1))
    transformed = make("X").fit(cube).transform(cube).X
    alone = NumpyDataset(2 * flat)
    expected = make("X").fit(alone).transform(alone).X
    np.testing.assert_allclose(transformed[:, 1], expected, rtol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.int64, np.uint8])
def test_floats_keep_their_dtype_and_integers_become_float32(make, dtype):
    dataset = features(dtype)
    transformed = make("X").fit(dataset).transform(dataset).X
    assert transformed.dtype == np.float32
    exact = NumpyDataset(dataset.X.astype(np.float64))
    expected = make("X").fit(exact).transform(exact).X
    np.testing.assert_allclose(transformed, expected, rtol=1e-6, atol=1e-6)


def test_labels_of_weight_0_do_not_count(make):
    y = skewed()
    some = np.vstack([y, [[1000.0, -1000.0]]])
    w = np.vstack([np.ones_like(y), [[0, 0]]])
    with_others, without = make().fit(labelled(some, w)), make().fit(labelled(y))
    for name, array in without.export_weights().items():
        np.testing.assert_allclose(with_others.export_weights()[name], array, rtol=1e-12)
    with_others.transform(labelled(some, w)).y  # noqa: B018  # it raises nothing


def test_a_constant_column_comes_back(make):
    y = np.full((50, 1), 3.0)
    transformer = make().fit(labelled(y))
    mapped = transformer.transform(labelled(y)).y
    assert np.isfinite(mapped).all()
    np.testing.assert_allclose(transformer.untransform(mapped), y, rtol=1e-12)


def test_a_task_without_labels_has_finite_statistics(make):
    y = np.c_[skewed(tasks=1), np.full(200, np.nan)]
    transformer = make().fit(labelled(y))
    assert np.isnan(transformer.transform(labelled(y)).y[:, 1]).all()
    assert np.isfinite(transformer.untransform(np.full((1, 2), 0.5))).all()


def test_predictions_of_X_transformers_are_not_changed(make):
    transformer = make("X").fit(features())
    prediction = np.ones((3, 5))
    assert transformer.untransform(prediction) is prediction
    assert transformer.untransform_deviation(prediction, prediction) is prediction


def test_probabilities_are_a_typed_error(make):
    transformer = make().fit(labelled(skewed()))
    probabilities = np.full((4, 2, 2), 0.5)
    with pytest.raises(DatasetError, match="Classification needs no transformed y"):
        transformer.untransform(probabilities)
    with pytest.raises(DatasetError, match="Classification needs no transformed y"):
        transformer.untransform_deviation(probabilities, probabilities)


@pytest.mark.parametrize("name", ELEMENTWISE)
def test_a_small_deviation_is_mapped_as_random_draws_are(name):
    transformer = ELEMENTWISE[name]().fit(labelled(skewed(20_000, 1)))
    mean, std = np.array([[0.4]]), np.array([[0.02]])
    if name == "uniform":
        mean = np.array([[0.6]])
    draws = np.random.default_rng(1).normal(mean[0, 0], std[0, 0], (100_000, 1))
    expected = transformer.untransform(draws).std()
    error = 5 * expected / np.sqrt(2 * len(draws))  # five standard errors
    curvature = 3 * std[0, 0] ** 2 * expected  # what the first order leaves out
    slack = 0.03 * expected if name in ("quantile", "uniform") else 0  # steps between quantiles
    found = transformer.untransform_deviation(mean, std)[0, 0]
    assert abs(found - expected) < error + curvature + slack


@pytest.mark.parametrize("name", SMOOTH)
def test_a_deviation_is_multiplied_by_the_slope_of_the_inverse(name):
    transformer = ELEMENTWISE[name]().fit(labelled(skewed()))
    prediction = transformer.transform(labelled(np.linspace(0.5, 4, 60).reshape(30, 2))).y
    step = 1e-5
    upper, lower = (transformer.untransform(prediction + s) for s in (step, -step))
    slope = (upper - lower) / (2 * step)
    found = transformer.untransform_deviation(prediction, np.full((30, 2), 0.1))
    np.testing.assert_allclose(found, 0.1 * slope, rtol=1e-6)


def test_the_deviation_of_a_quantile_is_half_the_width_of_what_it_spans():
    transformer = QuantileTransformer().fit(labelled(skewed()))
    prediction, std = np.zeros((1, 2)), np.full((1, 2), 0.7)
    lower, upper = (transformer.untransform(s * std) for s in (-1, 1))
    np.testing.assert_array_equal(
        transformer.untransform_deviation(prediction, std), (upper - lower) / 2
    )


def test_use_before_fit_is_a_typed_error(make):
    transformer = make()
    if not transformer.fitted:
        pytest.skip("it learns nothing")
    ones = np.ones((1, 1))
    for use in (
        lambda: transformer.transform(labelled(ones)),
        lambda: transformer.untransform(ones),
        lambda: transformer.untransform_deviation(ones, ones),
    ):
        with pytest.raises(NotFitted, match=r"fit\(train\) first"):
            use()


@pytest.mark.parametrize("value", [np.inf, -np.inf])
def test_infinite_values_are_a_typed_error_and_change_nothing(make, value):
    transformer = make()
    if getattr(transformer, "limits", None):
        pytest.skip("it clips them")
    with pytest.raises(DatasetError):
        transformer.fit(labelled([1.0, value]))
    assert transformer.export_weights() == {}


def test_other_columns_are_a_typed_error(make):
    transformer = make().fit(labelled(skewed(tasks=2)))
    if not transformer.fitted:
        pytest.skip("it maps any column")
    with pytest.raises(DatasetError, match=r"rows of shape \(2,\); these have \(1,\)"):
        transformer.transform(labelled(skewed(tasks=1)))
    with pytest.raises(DatasetError, match="Classification needs"):
        transformer.untransform(np.ones((1, 2, 3)))


def test_what_cannot_be_transformed_is_a_typed_error(make):
    with pytest.raises(DatasetError, match="classes"):
        make().fit(NumpyDataset(np.zeros((2, 1)), ["a", "b"]))
    with pytest.raises(DatasetError, match="Featurize it first"):
        make("X").fit(NumpyDataset(["CCO"]))
    with pytest.raises(DatasetError, match=r"which column of X it maps.*one of: a, b"):
        make("X").fit(NumpyDataset({"a": [1.0], "b": [2.0]}))
    with pytest.raises(DatasetError, match="no column 'c'"):
        make("X", column="c").fit(NumpyDataset({"a": [1.0], "b": [2.0]}))
    with pytest.raises(EmptyDataset):
        make().fit(NumpyDataset(np.zeros((3, 1))))
    with pytest.raises(ParameterError, match="part='w' cannot"):
        make("w")
    with pytest.raises(ParameterError, match="not the name of a column of X"):
        make("y", column="a")


def test_a_dataset_without_labels_stays_as_it_is(make):
    unlabelled = NumpyDataset(np.zeros((5, 2)))
    assert make().fit(labelled(skewed())).transform(unlabelled) is unlabelled


DAMAGED = [
    ("normalization", {"mean": np.zeros(1), "scale": np.zeros((0, 2**31))}),
    ("normalization", {"mean": np.zeros(1), "scale": np.ones((1, 1))}),
    ("normalization", {"mean": np.zeros(1), "scale": np.ones(1, np.int64)}),
    ("normalization", {"mean": np.zeros(1), "scale": np.zeros(1)}),
    ("normalization", {"mean": np.full(1, np.nan), "scale": np.ones(1)}),
    ("minmax", {"minimum": np.ones(1), "maximum": np.zeros(1)}),
    ("minmax", {"minimum": np.zeros(1), "maximum": np.full(1, np.inf)}),
    ("clipping", {"low": np.ones(1), "high": np.zeros(1)}),
    ("clipping", {"low": np.full(1, np.nan), "high": np.zeros(1)}),
    ("box-cox", {"lambdas": np.full(1, np.nan), "mean": np.zeros(1), "scale": np.ones(1)}),
    ("yeo-johnson", {"lambdas": np.zeros(1), "mean": np.zeros(1), "scale": -np.ones(1)}),
    ("yeo-johnson", {"lambdas": np.zeros(2), "mean": np.zeros(1), "scale": np.ones(1)}),
    ("quantile", {"references": np.zeros(())}),
    ("quantile", {"references": np.zeros((0, 1))}),
    ("quantile", {"references": np.zeros((1001, 1))}),
    ("quantile", {"references": np.array([[1.0], [0.0]])}),
    ("quantile", {"references": np.array([[0.0], [np.inf]])}),
    ("quantile", {"references": np.zeros((3, 1), np.int64)}),
]


@pytest.mark.parametrize(("name", "arrays"), DAMAGED, ids=repr)
def test_stored_statistics_that_cannot_have_been_learned_are_a_typed_error(name, arrays):
    transformer = ELEMENTWISE[name]()
    transformer.import_weights({f"{key}/0": array for key, array in arrays.items()})
    ones = np.ones((3, 1))
    for use in (
        lambda: transformer.transform(labelled(ones)),
        lambda: transformer.untransform(ones),
        lambda: transformer.untransform_deviation(ones, ones),
    ):
        with pytest.raises(StructureError, match="publish it again"):
            use()


class Endless(Dataset):
    """Features that are made when they are read, more than fit in memory."""

    tasks = ()

    def __init__(self, n, width):
        self.n, self.width = n, width

    def __len__(self):
        return self.n

    def rows(self, indices, parts=("X",)):
        X = np.add.outer(indices % 1009 + 1.0, np.arange(self.width))
        return NumpyDataset(X).rows(np.arange(len(indices)), parts)

    def select(self, indices):
        return MappedRows(self, np.asarray(indices))


class MappedRows(Endless):
    def __init__(self, source, numbers):
        super().__init__(len(numbers), source.width)
        self.source, self.numbers = source, numbers

    def rows(self, indices, parts=("X",)):
        return self.source.rows(self.numbers[indices], parts)


@pytest.mark.parametrize("name", [*ELEMENTWISE, "imputation"])
def test_fitting_takes_memory_that_does_not_grow_with_the_rows(name):
    options = {"sample": 500} if name in ("clipped-quantiles", "quantile", "uniform") else {}
    options = {"sample": 500} if "power" in name or name in ("box-cox", "yeo-johnson") else options
    dataset = Endless(300_000, 8)  # 19 MB
    transformer = (
        ImputationTransformer(sample=500)
        if name == "imputation"
        else ELEMENTWISE[name]("X", **options)
    )
    tracemalloc.start()
    transformer.fit(dataset)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 8e6


def test_a_sample_is_in_memory_once():
    dataset = NumpyDataset(np.ones((20_000, 100), np.float32))
    transformer = ImputationTransformer()
    tracemalloc.start()
    transformer.fit(dataset)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * 20_000 * 100 * 8


def test_statistics_of_a_sample_depend_on_the_seed_alone():
    dataset = labelled(skewed(5000))
    first, again, other = (
        QuantileTransformer(sample=100, seed=seed).fit(dataset).references for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_quantiles_of_a_sample_are_within_their_standard_error():
    y = skewed(50_000, 1)
    levels = np.linspace(0.1, 0.9, 9)
    sampled = QuantileTransformer(quantiles=11, sample=2000).fit(labelled(y)).references[1:-1, 0]
    found = (y < sampled).mean(axis=0)
    assert (np.abs(found - levels) < 5 * np.sqrt(levels * (1 - levels) / 2000)).all()


@pytest.mark.parametrize("X", [[[-1e308], [1.5e308], [0.0]], [[1e-310], [2e-310], [3e-310]]])
def test_values_for_which_scipy_finds_no_exponent_are_a_typed_error(X):
    transformer = PowerTransformer("X")
    with pytest.raises(DatasetError, match="too large"):
        transformer.fit(NumpyDataset(X))
    assert transformer.lambdas is None


@pytest.mark.parametrize("name", ["log", "box-cox"])
@pytest.mark.parametrize("value", [0.0, -1.0])
def test_values_outside_the_domain_are_a_typed_error_unless_their_weight_is_0(name, value):
    make = ELEMENTWISE[name]
    with pytest.raises(DatasetError, match=r"cannot map.*PowerTransformer maps any"):
        make().fit(labelled([1.0, value]))
    transformer = make().fit(labelled([1.0, 2.0, 5.0]))
    with pytest.raises(DatasetError, match="cannot map"):
        transformer.transform(labelled([1.0, value])).y  # noqa: B018
    ignored = transformer.transform(labelled([1.0, value], [1, 0])).y
    assert np.isnan(ignored[1, 0])
    assert np.isfinite(ignored[0, 0])


REFUSED = [
    (MinMaxTransformer, {"low": 1, "high": 1}, "not a range"),
    (MinMaxTransformer, {"low": "a"}, "not a range"),
    (ClippingTransformer, {}, "either limits or quantiles"),
    (ClippingTransformer, {"limits": (1, 0)}, "ascending"),
    (ClippingTransformer, {"limits": 3}, "two numbers"),
    (ClippingTransformer, {"quantiles": (0.1, 1.5)}, "from 0 to 1"),
    (ClippingTransformer, {"quantiles": (None, 0.5)}, "from 0 to 1"),
    (LogTransformer, {"base": 1}, "not the base"),
    (LogTransformer, {"offset": np.nan}, "must be a number"),
    (PowerTransformer, {"method": "cube"}, "no method 'cube'"),
    (PowerTransformer, {"sample": 0}, "sample=0"),
    (QuantileTransformer, {"quantiles": 1}, "quantiles=1"),
    (QuantileTransformer, {"distribution": "cauchy"}, "no distribution"),
    (ImputationTransformer, {"strategy": "mode"}, "no strategy"),
    (ImputationTransformer, {"constant": np.inf}, "must be a number"),
    (ImputationTransformer, {"column": 3}, "not the name"),
]


@pytest.mark.parametrize(("kind", "options", "message"), REFUSED, ids=repr)
def test_options_that_cannot_be_used_are_a_typed_error(kind, options, message):
    with pytest.raises(ParameterError, match=message):
        kind(**options)


def test_transformers_say_what_they_were_made_with():
    assert repr(BalancingTransformer()) == "BalancingTransformer()"
    assert repr(LogTransformer("X", base=10)) == "LogTransformer(part='X', base=10)"
