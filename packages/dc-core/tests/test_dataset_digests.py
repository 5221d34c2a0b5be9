"""The digest of a dataset is that of its rows, whatever holds them."""

import numpy as np
import pytest

from dc_core import NumpyDataset, Ragged, dataset_digest

X = np.arange(6.0).reshape(3, 2)


def test_equal_rows_have_equal_digests_whatever_the_order_of_their_bytes():
    swapped = NumpyDataset(X.astype(">f8"), np.arange(3.0))
    assert dataset_digest(swapped) == dataset_digest(NumpyDataset(X, np.arange(3.0)))


def test_equal_texts_have_equal_digests_whatever_their_dtype():
    texts = ["CC", "", "é"]
    digests = {dataset_digest(NumpyDataset(np.array(texts, kind))) for kind in (object, "U2", "U9")}
    assert len(digests) == 1


def ragged(*rows):
    return NumpyDataset(Ragged.from_rows([np.array(row, np.int64) for row in rows], np.int64))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NumpyDataset(X), NumpyDataset(X.astype(np.float32))),
        (NumpyDataset(X), NumpyDataset(X.reshape(3, 2, 1))),
        (NumpyDataset(X), NumpyDataset(X[::-1])),
        (NumpyDataset(X), NumpyDataset(X, ids=["a", "b", "c"])),
        (NumpyDataset(X, X, tasks=["a", "b"]), NumpyDataset(X, X, tasks=["b", "a"])),
        (NumpyDataset(["ab", "c"]), NumpyDataset(["a", "bc"])),
        (NumpyDataset({"a": X}), NumpyDataset({"b": X})),
        (ragged([1, 2], [3]), ragged([1], [2, 3])),
    ],
)
def test_datasets_that_differ_have_different_digests(one, other):
    assert dataset_digest(one) != dataset_digest(other)
