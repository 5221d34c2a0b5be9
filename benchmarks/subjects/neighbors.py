"""Loading a nearest-neighbour model with its search tree."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Fit a large and a small model and store each in every way."""
    import joblib
    import numpy as np
    from sklearn.neighbors import KNeighborsRegressor

    import dc_hub
    from dc_sklearn import SklearnModel

    rows = {"large": 10_000 if quick else 100_000, "small": 100}

    def write() -> None:
        rng = np.random.default_rng(0)
        for name, n in rows.items():
            X = rng.normal(size=(n, 16))
            model = KNeighborsRegressor(algorithm="kd_tree").fit(X, X[:, 0])
            joblib.dump(model, folder / f"{name}.joblib")
            dc_hub.publish(SklearnModel(model), name, hub=folder / "hub")
        np.save(folder / "queries.npy", rng.normal(size=(100, 16)))
        # What has just changed is hashed again at the next load: let it settle first.
        time.sleep(3)
        _load_hub(folder)("large")

    return write


def load_hub(folder: Path, *, queries: bool = False) -> Callable[[], Any]:
    """``SklearnModel.from_pretrained``: verified, validated, rebuilt."""
    return _warm(folder, _load_hub(folder), queries)


def load_joblib(folder: Path, *, queries: bool = False) -> Callable[[], Any]:
    """``joblib.load``, which runs whatever the file says."""
    import joblib

    return _warm(folder, lambda name: joblib.load(folder / f"{name}.joblib"), queries)


def build(folder: Path) -> Callable[[], Any]:
    """Build the tree again from the rows, which is what loading did before it was stored."""
    import joblib
    from sklearn.neighbors import KDTree

    models = {name: joblib.load(folder / f"{name}.joblib") for name in ("small", "large")}
    return _warm(folder, lambda name: KDTree(models[name]._fit_X, models[name].leaf_size), False)


def _load_hub(folder: Path) -> Callable[[str], Any]:
    from dc_sklearn import SklearnModel

    os.environ["DEEPCHEM_CACHE"] = str(folder / "cache")
    return lambda name: SklearnModel.from_pretrained(name, hub=folder / "hub").native


def _warm(folder: Path, load: Callable[[str], Any], queries: bool) -> Callable[[], Any]:
    """Load the small model; return the action on the large one."""
    import numpy as np

    rows = np.load(folder / "queries.npy")

    def act(name: str) -> Any:
        model = load(name)
        return model.predict(rows) if queries else model

    act("small")
    return lambda: act("large")


SUBJECTS = (
    Subject(
        title="Loading a search tree of 100 000 rows",
        note="16 features, k-d tree. dc-hub maps the arrays and validates them before native code "
        "sees them; joblib trusts the file. *Queried*: 100 rows are then predicted.",
        prepare=prepare,
        unit="ms",
        versions=("scikit-learn", "joblib"),
        ways=(
            Way("dc-hub from_pretrained", load_hub),
            Way("joblib", load_joblib),
            Way("the tree built again", build),
            Way("dc-hub from_pretrained, queried", load_hub, {"queries": True}),
            Way("joblib, queried", load_joblib, {"queries": True}),
        ),
        targets=(
            Target("cpu", "dc-hub from_pretrained", "joblib", at_most=1.5),
            Target("cpu", "dc-hub from_pretrained, queried", "joblib, queried", at_most=1.5),
        ),
    ),
)
