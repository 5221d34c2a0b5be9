from __future__ import annotations

import numpy as np
import pytest

from dc_core import NumpyDataset


def linear_rows(n, seed):
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 8)).astype(np.float32)
    slope = np.linspace(-1, 1, 8)[:, None]
    return NumpyDataset(X, X @ slope + 0.01 * rng.normal(size=(n, 1)))


@pytest.fixture
def rows():
    """Sixty rows of eight features, with a linear label and a little noise."""
    return linear_rows(60, seed=0)


@pytest.fixture
def more_rows():
    """Twenty other rows of the same kind."""
    return linear_rows(20, seed=1)
