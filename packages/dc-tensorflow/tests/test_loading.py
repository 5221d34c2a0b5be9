"""Datasets as tf.data: the batches of the dataset, as Keras takes them."""

import numpy as np
import pytest

from dc_core import NumpyDataset, Ragged
from dc_core.errors import DatasetError, ParameterError
from dc_tensorflow import to_tf_data

tf = pytest.importorskip("tensorflow", reason="TensorFlow is not installed")


def table(n=50):
    rng = np.random.default_rng(0)
    return NumpyDataset(rng.normal(size=(n, 3)), y=np.arange(float(n)))


@pytest.mark.parametrize("options", [{}, {"shuffle": True, "seed": 3, "drop_last": True}])
def test_batches_are_those_of_the_dataset(options):
    data = to_tf_data(table(), 8, **options)
    assert len(data) == len(list(table().batches(8, **options)))
    for epoch in range(2):  # each iteration is the next epoch
        expected = table().batches(8, epoch=epoch, **options)
        for (X, y, w), rows in zip(data, expected, strict=True):
            np.testing.assert_array_equal(X, rows.X.astype(np.float32))
            np.testing.assert_array_equal(y, rows.y.astype(np.float32))
            np.testing.assert_array_equal(w, rows.w.astype(np.float32))


def test_it_goes_on_at_any_epoch():
    whole = to_tf_data(table(), 16, shuffle=True)
    epochs = [[y.numpy().tolist() for _, y, _ in whole] for _ in range(3)]
    resumed = to_tf_data(table(), 16, shuffle=True, epoch=2)
    assert [y.numpy().tolist() for _, y, _ in resumed] == epochs[2]
    assert epochs[0] != epochs[1]


def test_processes_share_the_rows():
    found = []
    for rank in range(3):
        for _, y, _ in to_tf_data(table(), 4, shuffle=True, rank=rank, world=3):
            found += y.numpy()[:, 0].tolist()
    assert sorted(found) == list(range(50))


def test_named_columns_are_ragged_dense_or_text():
    X = {
        "atoms": Ragged.from_rows([[1, 2], [], [3]], np.uint8),
        "xyz": Ragged.from_rows([np.ones((2, 3)), np.ones((0, 3)), np.ones((1, 3))]),
        "smiles": ["CO", "", "é"],
        "charge": np.array([-1, 0, 1]),
    }
    (_, rest) = to_tf_data(NumpyDataset(X), 1, drop_last=True).skip(1)
    ((found, y, _),) = to_tf_data(NumpyDataset(X), 3)
    assert found["atoms"].to_list() == [[1, 2], [], [3]]
    assert found["atoms"].dtype == tf.uint8
    assert found["xyz"].shape == (3, None, 3)
    assert found["xyz"].dtype == tf.float32
    assert [text.decode() for text in found["smiles"].numpy()] == ["CO", "", "é"]
    assert found["charge"].numpy().tolist() == [-1, 0, 1]
    assert y.shape == (3, 0)
    assert rest[0]["atoms"].to_list() == [[3]]


def test_a_missing_label_is_zero_and_weighs_nothing():
    dataset = NumpyDataset(np.zeros((2, 1)), y=[[1.0, np.nan], [np.nan, 2]])
    ((_, y, w),) = to_tf_data(dataset, 2)
    assert y.numpy().tolist() == [[1, 0], [0, 2]]
    assert w.numpy().tolist() == [[1, 0], [0, 1]]


def test_keras_trains_on_it():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3))
    data = to_tf_data(NumpyDataset(X, X @ [1.0, -2, 3]), 20, shuffle=True)
    tf.keras.utils.set_random_seed(0)
    model = tf.keras.Sequential([tf.keras.layers.Dense(1)])
    model.compile(tf.keras.optimizers.SGD(0.1), "mse")
    model.fit(data, epochs=10, shuffle=False, verbose=0)
    np.testing.assert_allclose(model.layers[0].kernel[:, 0], [1, -2, 3], atol=1e-3)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, "at least 1"),
        ({"seed": -1}, "seed=-1"),
        ({"epoch": -1}, "epoch=-1"),
        ({"rank": 2, "world": 2}, "rank 2"),
        ({"size": 3}, "batch_size"),
    ],
)
def test_impossible_options_are_a_typed_error(options, message):
    with pytest.raises(ParameterError, match=message):
        to_tf_data(table(), **{"batch_size": 8, **options})


def test_only_datasets_are_converted():
    with pytest.raises(DatasetError):
        to_tf_data(np.zeros((3, 2)), 1)
