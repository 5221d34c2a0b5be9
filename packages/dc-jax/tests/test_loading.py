"""Datasets as JAX arrays: the batches of the dataset, in few shapes and without loss."""

import numpy as np
import pytest

from dc_core import NumpyDataset, Ragged
from dc_core.errors import DatasetError, ParameterError
from dc_jax import jax_batches

jax = pytest.importorskip("jax", reason="JAX is not installed")


def table(n=50):
    rng = np.random.default_rng(0)
    return NumpyDataset(rng.normal(size=(n, 3)), y=np.arange(float(n)))


def ragged(n=40):
    rows = [np.full(i % 5, i, np.uint8) for i in range(n)]
    xyz = [np.full((i % 5, 3), float(i)) for i in range(n)]
    return NumpyDataset({"atoms": Ragged.from_rows(rows, np.uint8), "xyz": Ragged.from_rows(xyz)})


@pytest.mark.parametrize(
    "options",
    [{}, {"shuffle": True, "seed": 3, "epoch": 2, "drop_last": True}, {"rank": 1, "world": 3}],
    ids=str,
)
def test_batches_are_those_of_the_dataset(options):
    expected = table().batches(8, **options)
    for batch, rows in zip(jax_batches(table(), 8, **options), expected, strict=True):
        assert isinstance(batch.X, jax.Array)
        np.testing.assert_array_equal(batch.X, rows.X.astype(np.float32))
        np.testing.assert_array_equal(batch.y, rows.y.astype(np.float32))
        np.testing.assert_array_equal(batch.w, rows.w.astype(np.float32))


def test_ragged_columns_are_values_and_offsets_in_few_shapes():
    shapes = set()
    for batch, rows in zip(jax_batches(ragged(), 7), ragged().batches(7), strict=True):
        for name, column in rows.X.items():
            values, offsets = batch.X[name]
            np.testing.assert_array_equal(offsets, column.offsets)
            np.testing.assert_array_equal(values[: offsets[-1]], column.values)
            assert not values[offsets[-1] :].any()
        shapes.add(batch.X["xyz"].values.shape)
    assert batch.X["atoms"].values.dtype == np.uint8
    assert shapes == {(16, 3), (32, 3)}


def test_a_batch_goes_through_a_compiled_function():
    @jax.jit
    def loss(weights, batch):
        error = batch.X @ weights - batch.y[:, 0]
        return (batch.w[:, 0] * error**2).sum() / batch.w.sum()

    X = np.random.default_rng(0).normal(size=(200, 3))
    data = NumpyDataset(X, np.where(np.arange(200) % 3, X @ [1.0, -2, 3], np.nan))
    weights = jax.numpy.zeros(3)
    for epoch in range(10):
        for batch in jax_batches(data, 20, shuffle=True, epoch=epoch):
            weights -= 0.1 * jax.grad(loss)(weights, batch)
    np.testing.assert_allclose(weights, [1, -2, 3], atol=1e-3)


def test_integers_that_32_bits_cannot_hold_are_refused():
    large = NumpyDataset(np.array([1, 1 << 40], np.uint64))
    with pytest.raises(DatasetError, match="jax_enable_x64"):
        next(jax_batches(large, 2))
    small = next(jax_batches(NumpyDataset(np.array([1, -7])), 2))
    assert small.X.tolist() == [1, -7]
    with jax.enable_x64(True):
        assert next(jax_batches(large, 2)).X.tolist() == [1, 1 << 40]


def test_text_is_a_typed_error():
    with pytest.raises(DatasetError, match="numbers only"):
        next(jax_batches(NumpyDataset(["CCO"]), 1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"seed": -1}, "seed=-1"),
        ({"rank": 2, "world": 2}, "rank 2"),
        ({"size": 3}, "batch_size"),
    ],
)
def test_impossible_options_are_a_typed_error(options, message):
    with pytest.raises(ParameterError, match=message):
        jax_batches(table(), **{"batch_size": 8, **options})
