"""Small real datasets, and the one check that hostile weights have to pass."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_diabetes, load_iris

from dc_core.errors import StructureError, WeightsMismatch
from dc_sklearn import state


@pytest.fixture(scope="session")
def diabetes() -> tuple[np.ndarray, np.ndarray]:
    """120 rows of scikit-learn's diabetes data: X (120, 10), y (120,)."""
    x, y = load_diabetes(return_X_y=True)
    return x[:120], y[:120]


@pytest.fixture(scope="session")
def iris() -> tuple[np.ndarray, np.ndarray]:
    """scikit-learn's iris data: X (150, 4), y (150,) of three classes."""
    return load_iris(return_X_y=True)


@pytest.fixture
def refused() -> Callable[..., Exception]:
    """Check that weights are refused by a fitted and an unfitted estimator, which stay as they are.

    ``changes`` maps names to arrays that replace those of ``estimator``; None leaves one out.
    """

    def check(estimator: Any, changes: Mapping[str, np.ndarray | None]) -> Exception:
        before = state.export(estimator)
        assert changes.keys() <= before.keys(), changes.keys() - before.keys()
        given = {n: a for n, a in {**before, **changes}.items() if a is not None}
        state.restore(clone(estimator), before)
        blank = clone(estimator)
        with pytest.raises((StructureError, WeightsMismatch)) as caught:
            state.restore(blank, given)
        assert state.describe(blank) == {}
        with pytest.raises((StructureError, WeightsMismatch)):
            state.restore(estimator, given)
        after = state.export(estimator)
        assert all(
            np.array_equal(after[n], a, equal_nan=a.dtype.kind == "f") for n, a in before.items()
        )
        return caught.value

    return check
