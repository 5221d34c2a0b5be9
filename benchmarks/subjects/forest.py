"""Saving and loading a random forest of 500 trees."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from measure import Way
from subject import Subject, Target


def prepare(folder: Path, *, quick: bool) -> Callable[[], Any]:
    """Fit a large and a small forest and store each in every format."""
    import joblib
    import skops.io
    from sklearn.datasets import make_regression
    from sklearn.ensemble import RandomForestRegressor

    import dc_hub
    from dc_sklearn import SklearnModel

    # 632 rows make trees of some 800 nodes: about 63 % of the rows are in a bootstrap sample.
    X, y = make_regression(n_samples=632, n_features=20, noise=1.0, random_state=0)
    trees = {"large": 50 if quick else 500, "small": 2}

    def write() -> None:
        for name, count in trees.items():
            forest = RandomForestRegressor(count, random_state=0, n_jobs=2).fit(X, y)
            joblib.dump(forest, folder / f"{name}.joblib")
            skops.io.dump(forest, folder / f"{name}.skops")
            dc_hub.publish(SklearnModel(forest), name, hub=folder / "hub")
        # What has just changed is hashed again at the next load: let it settle first.
        time.sleep(3)
        load_hub(folder)()

    return write


def save_hub(folder: Path) -> Callable[[], Any]:
    """Publish to an empty hub."""
    import dc_hub
    from dc_sklearn import SklearnModel

    hub = _clean(folder)
    models = {name: SklearnModel(forest) for name, forest in _forests(folder).items()}
    return _warm(lambda name, model: dc_hub.publish(model, name, hub=hub), models)


def save_joblib(folder: Path) -> Callable[[], Any]:
    """``joblib.dump``."""
    import joblib

    saved = _clean(folder)
    return _warm(lambda name, forest: joblib.dump(forest, saved / name), _forests(folder))


def save_and_load_joblib(folder: Path) -> Callable[[], Any]:
    """``joblib.dump`` and ``joblib.load``: known to load, as what dc-hub publishes is."""
    import joblib

    saved = _clean(folder)

    def action(name: str, forest: Any) -> Any:
        joblib.dump(forest, saved / name)
        return joblib.load(saved / name)

    return _warm(action, _forests(folder))


def save_skops(folder: Path) -> Callable[[], Any]:
    """``skops.io.dump``."""
    import skops.io

    saved = _clean(folder)
    return _warm(lambda name, forest: skops.io.dump(forest, saved / name), _forests(folder))


def to_arrays(folder: Path) -> Callable[[], Any]:
    """Only convert the trees to named arrays."""
    from dc_core import plugins

    return _warm(lambda name, forest: plugins.claim(forest).export_weights(), _forests(folder))


def load_hub(folder: Path) -> Callable[[], Any]:
    """``SklearnModel.from_pretrained``: verified, validated, rebuilt."""
    from dc_sklearn import SklearnModel

    os.environ["DEEPCHEM_CACHE"] = str(folder / "cache")
    return _warm(lambda name, _: SklearnModel.from_pretrained(name, hub=folder / "hub"))


def load_joblib(folder: Path) -> Callable[[], Any]:
    """``joblib.load``, which executes what the file says."""
    import joblib

    return _warm(lambda name, _: joblib.load(folder / f"{name}.joblib"))


def load_skops(folder: Path) -> Callable[[], Any]:
    """``skops.io.load``, trusting the types that the file names."""
    import skops.io

    def load(name: str, _: Any) -> Any:
        path = folder / f"{name}.skops"
        return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))

    return _warm(load)


def from_arrays(folder: Path) -> Callable[[], Any]:
    """Only validate named arrays and rebuild the trees from them."""
    from sklearn.base import clone

    from dc_core import plugins

    forests = _forests(folder)
    arrays = {name: plugins.claim(forest).export_weights() for name, forest in forests.items()}

    def load(name: str, forest: Any) -> Any:
        empty = clone(forest)
        plugins.claim(empty).import_weights(arrays[name], copy=False)
        return empty

    return _warm(load, forests)


def _warm(
    action: Callable[[str, Any], Any], models: dict[str, Any] | None = None
) -> Callable[[], Any]:
    """Run the action on the small model; return the action on the large one."""
    models = models or {}
    action("small", models.get("small"))
    return lambda: action("large", models.get("large"))


def _forests(folder: Path) -> dict[str, Any]:
    import joblib

    return {name: joblib.load(folder / f"{name}.joblib") for name in ("small", "large")}


def _clean(folder: Path) -> Path:
    saved = folder / "saved"
    shutil.rmtree(saved, ignore_errors=True)
    saved.mkdir()
    return saved


SUBJECTS = (
    Subject(
        title="Saving a random forest of 500 trees",
        note="399 000 nodes. dc-hub restores the forest from what it is about to write, so that it "
        "is known to load; that is compared with joblib's dump and load. It hashes and fsyncs what "
        "it writes; the others do neither.",
        prepare=prepare,
        unit="ms",
        versions=("scikit-learn", "joblib", "skops"),
        ways=(
            Way("dc-hub publish", save_hub),
            Way("the arrays alone", to_arrays),
            Way("joblib, dumped and loaded", save_and_load_joblib),
            Way("joblib", save_joblib),
            Way("skops", save_skops),
        ),
        targets=(
            Target("cpu", "dc-hub publish", "joblib", at_most=1.0),
            Target("cpu", "dc-hub publish", "joblib, dumped and loaded"),
            Target("cpu", "dc-hub publish", "skops"),
        ),
    ),
    Subject(
        title="Loading a random forest of 500 trees",
        note="The same forest. dc-hub validates every tree before native code sees it; skops "
        "audits the types that the file names; joblib trusts the file.",
        prepare=prepare,
        unit="ms",
        versions=("scikit-learn", "joblib", "skops"),
        ways=(
            Way("dc-hub from_pretrained", load_hub),
            Way("the arrays alone", from_arrays),
            Way("joblib", load_joblib),
            Way("skops", load_skops),
        ),
        targets=(
            Target("cpu", "dc-hub from_pretrained", "joblib", at_most=1.0),
            Target("cpu", "dc-hub from_pretrained", "skops"),
        ),
    ),
)
