"""Search trees are restored as they were built, and invalid ones never reach native code."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import clone
from sklearn.neighbors import BallTree, KDTree, KNeighborsRegressor, NearestNeighbors

from dc_core.errors import NotSerializable, StructureError, WeightsMismatch
from dc_sklearn import search_trees, state

Refused = Callable[..., Exception]

ROWS = np.random.default_rng(0).normal(size=(200, 2))
METRICS = {
    "kd_tree": {"euclidean": {}, "manhattan": {}, "chebyshev": {}, "minkowski": {"p": 3}},
    "ball_tree": {
        "euclidean": {},
        "haversine": {},
        "hamming": {},
        "minkowski": {"p": 3, "w": np.array([1.0, 2.0])},
        "seuclidean": {"V": np.array([1.0, 2.0])},
        "mahalanobis": {"VI": np.array([[2.0, 0.5], [0.5, 1.0]])},
    },
}
CASES = [(m, name, params) for m, metrics in METRICS.items() for name, params in metrics.items()]


def search(method: str = "kd_tree", **params: Any) -> NearestNeighbors:
    return NearestNeighbors(n_neighbors=1, algorithm=method, **params).fit(ROWS)


@pytest.mark.parametrize(("method", "metric", "params"), CASES)
@pytest.mark.parametrize("rows", [1, 2, 3, 31, 200])
@pytest.mark.parametrize("leaf_size", [1, 7, 30])
def test_a_search_tree_is_restored_as_it_was_built(
    method: str, metric: str, params: dict[str, Any], rows: int, leaf_size: int
) -> None:
    power = {"p": params["p"]} if "p" in params else {}
    others = {name: value for name, value in params.items() if name != "p"}
    model = NearestNeighbors(
        n_neighbors=1,
        algorithm=method,
        metric=metric,
        metric_params=others or None,
        leaf_size=leaf_size,
        **power,
    ).fit(ROWS[:rows])
    blank = clone(model)
    state.restore(blank, state.export(model))
    built, made = model._tree.__getstate__(), blank._tree.__getstate__()
    assert type(blank._tree) is type(model._tree)
    for a, b in zip(built[:4], made[:4], strict=True):
        assert a.dtype == b.dtype
        assert a.tobytes() == b.tobytes()
    assert built[4:7] == made[4:7]
    for query in (model.kneighbors, model.radius_neighbors):
        found = getattr(blank, query.__name__)(ROWS)
        for a, b in zip(query(ROWS), found, strict=True):
            assert [*map(np.ndarray.tobytes, a)] == [*map(np.ndarray.tobytes, b)]


@pytest.mark.parametrize("rows", [1, 2, 3, 4, 5, 63, 64, 65, 1000])
@pytest.mark.parametrize("leaf_size", [1, 2, 3, 30])
def test_node_ranges_equal_those_of_scikit_learn(rows: int, leaf_size: int) -> None:
    for tree in (KDTree, BallTree):
        nodes = tree(np.random.default_rng(1).normal(size=(rows, 3)), leaf_size).__getstate__()[2]
        made = search_trees.ranges(rows, leaf_size)
        assert made.dtype == nodes.dtype
        for name in ("idx_start", "idx_end", "is_leaf"):
            assert np.array_equal(made[name], nodes[name])


def test_rows_of_float32_and_of_integers_are_restored() -> None:
    for rows in (ROWS.astype(np.float32), np.round(9 * ROWS).astype(np.int64)):
        model = KNeighborsRegressor(algorithm="kd_tree").fit(rows, np.arange(200.0))
        blank = clone(model)
        state.restore(blank, state.export(model))
        assert blank._fit_X.dtype == rows.dtype
        assert blank.predict(rows).tobytes() == model.predict(rows).tobytes()


@pytest.mark.parametrize("method", METRICS)
def test_trees_that_contradict_their_rows_are_refused(method: str, refused: Refused) -> None:
    model = search(method)
    weights = state.export(model)
    order, radius, bounds = (weights[f"_tree/{part}/0"] for part in ("order", "radius", "bounds"))
    for at, value in ((0, 200), (0, -1), (0, order[1]), (5, 2**62), (5, -(2**62))):
        changed = order.copy()
        changed[at] = value
        assert "names a row" in str(refused(model, {"_tree/order/0": changed}))
    refused(model, {"_tree/order/0": order[:-1]})
    refused(model, {"_tree/order/0": order.astype(np.int32)})
    for value in (np.nan, np.inf, -np.inf, -1.0):
        changed = radius.copy()
        changed[2] = value
        refused(model, {"_tree/radius/0": changed})
    for value in (np.nan, np.inf, -np.inf):
        changed = bounds.copy()
        changed[0, 2, 1] = value
        refused(model, {"_tree/bounds/0": changed})
    refused(model, {"_tree/radius/0": np.append(radius, 1.0)})
    for wrong in (bounds[:, :-1], bounds[:, :, :1], np.vstack((bounds, bounds)), bounds[:0]):
        refused(model, {"_tree/bounds/0": wrong})
    for part in ("order", "radius", "bounds"):
        refused(model, {f"_tree/{part}/0": None})


def test_a_node_with_swapped_bounds_is_refused(refused: Refused) -> None:
    model = search()
    bounds = state.export(model)["_tree/bounds/0"]
    refused(model, {"_tree/bounds/0": bounds[::-1].copy()})


def test_a_tree_of_another_leaf_size_or_method_is_refused() -> None:
    weights = state.export(search(leaf_size=5))
    for blank in (NearestNeighbors(leaf_size=50), NearestNeighbors(leaf_size=2)):
        with pytest.raises(StructureError, match="radii of shape"):
            state.restore(blank, weights)
    ball = {
        **weights,
        **{n: a for n, a in state.export(search("ball_tree")).items() if "_fit_" in n},
    }
    with pytest.raises((StructureError, WeightsMismatch)):
        state.restore(NearestNeighbors(leaf_size=5), ball)
    brute = state.export(search("brute"))
    mixed = {n: a for n, a in weights.items() if n.startswith("_tree")}
    mixed |= {n: a for n, a in brute.items() if not n.startswith("_tree")}
    with pytest.raises(StructureError, match="_tree does not fit"):
        state.restore(NearestNeighbors(leaf_size=5), mixed)


def test_a_tree_not_built_by_fit_is_refused_at_save() -> None:
    model = search()
    model.leaf_size = 5
    with pytest.raises(NotSerializable, match="_tree"):
        state.export(model)
    model = search()
    model._tree = KDTree(ROWS, leaf_size=30, sample_weight=np.ones(200))
    with pytest.raises(NotSerializable, match="_tree"):
        state.export(model)


@settings(max_examples=150, deadline=None)
@given(data=st.data())
def test_an_edited_tree_is_refused_or_searches_within_its_rows(data: Any) -> None:
    model = search(data.draw(st.sampled_from([*METRICS])), leaf_size=data.draw(st.integers(1, 40)))
    weights = state.export(model)
    name = data.draw(st.sampled_from([n for n in weights if n.startswith(("_tree", "_fit_X"))]))
    array = weights[name].copy()
    numbers = st.integers(-(2**63), 2**63 - 1) if array.dtype.kind == "i" else st.floats()
    array.flat[data.draw(st.integers(0, array.size - 1))] = data.draw(numbers)
    blank = clone(model)
    try:
        state.restore(blank, {**weights, name: array})
    except StructureError:
        return
    _, found = blank.kneighbors(ROWS)
    assert ((found >= 0) & (found < 200)).all()
