"""The models that the fuzz changes: every supported estimator, chains of steps, networks."""

import runpy
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, clone

import dc_hub
from dc_core import Model, NumpyDataset, plugins, register_model
from dc_core.errors import DCError
from dc_sklearn import SklearnModel
from dc_sklearn.plugin import dc_wrap

ROWS = 6
"""How many rows are kept for each model, from all over its data."""

SMILES = ["CO", "CCO", "CCCO", "CCCCO", "C", "CC", "c1ccccc1", "Cc1ccccc1", "Oc1ccccc1", "CC(N)=O"]
ROUND_TRIP = Path(__file__).parents[2] / "packages/dc-sklearn/tests/test_round_trip.py"


@register_model("fuzz/Holder")
class Holder(Model):
    """An estimator that dc-sklearn has no wrapper for, so that it is stored as well."""

    backend = "sklearn"

    def __init__(self, estimator: Any) -> None:
        if not isinstance(estimator, BaseEstimator):
            raise TypeError(f"{estimator!r} is not an estimator.")
        self.estimator = estimator
        self._native = clone(estimator)

    @property
    def native(self) -> Any:
        return self._native


def _wanted(name: str, only: str) -> bool:
    """Tell whether ``name`` contains one of the words, which commas separate."""
    return any(word in name for word in only.split(","))


def held(estimator: Any) -> Model:
    """Return a model of the fitted ``estimator``."""
    try:
        return dc_wrap(estimator)
    except DCError:  # encoders of labels, which are not steps
        pass
    holder = Holder(estimator)
    holder._native = estimator
    return holder


def estimators(only: str) -> Iterator[tuple[str, Model, Any]]:
    """Yield a name, a fitted model and rows for it, for each class and option that is tested."""
    tested = runpy.run_path(str(ROUND_TRIP), run_name="round_trip")
    for name in filter(tested["is_estimator"], tested["estimators"].names()):
        if _wanted(name, only):
            estimator, x = tested["fitted"](name)
            yield name, held(estimator), x
    for words, (estimator, x, y) in tested["OPTIONS"].items():
        name = words.replace(" ", "-").replace(",", "")
        if _wanted(name, only):
            yield name, held(clone(estimator).fit(x, y)), x


def chains(only: str) -> Iterator[tuple[str, Model, Any]]:
    """Yield pipelines from SMILES to predictions, and networks."""
    if only and not any(_wanted(name, only) for name in ("chain", "Multitask")):
        return
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.linear_model import LogisticRegression

    from dc_pipeline import ECFP, NormalizationTransformer, Pipeline
    from dc_torch import MultitaskClassifier, MultitaskRegressor

    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(20, 5)), rng.normal(size=(20, 2))
    kinds = (y[:, :1] > 0).astype(float)
    options = {"epochs": 1, "batch_size": 8, "seed": 0}
    yield (
        "MultitaskRegressor",
        MultitaskRegressor(n_tasks=2, n_features=5, layer_sizes=(4, 3), **options).fit(
            NumpyDataset(X, y)
        ),
        X,
    )
    yield (
        "MultitaskClassifier",
        MultitaskClassifier(n_tasks=1, n_features=5, layer_sizes=(4,), **options).fit(
            NumpyDataset(X, kinds)
        ),
        X,
    )
    labels = np.arange(10.0)
    models = {
        "forest": SklearnModel(RandomForestRegressor(3, random_state=0)),
        "classes": SklearnModel(LogisticRegression()),
        "network": MultitaskRegressor(n_tasks=1, n_features=64, layer_sizes=(4,), **options),
    }
    for name, model in models.items():
        transformers = [] if name == "classes" else [NormalizationTransformer("y")]
        pipeline = Pipeline(model, featurizer=ECFP(size=64), transformers=transformers)
        pipeline.fit(NumpyDataset(SMILES, labels % 2 if name == "classes" else labels))
        yield f"chain-of-{name}", pipeline, np.array(SMILES)


def boosters(only: str) -> Iterator[tuple[str, Model, Any]]:
    """Yield a name, a fitted model and rows for it, for kinds of trees of XGBoost and LightGBM."""
    for library in ("xgboost", "lightgbm"):
        if only and not any(word in library or library in word for word in only.split(",")):
            continue
        tests = Path(__file__).parents[2] / f"packages/dc-{library}/tests"
        for words, make in runpy.run_path(str(tests / "examples.py"))["KINDS"].items():
            estimator, rows = make(0)
            if isinstance(rows, np.ndarray):
                yield (
                    f"{library}-{words.replace(' ', '-')}",
                    plugins.backend(library).wrap(estimator),
                    rows,
                )


def build(directory: Path, only: str = "") -> None:
    """Save each model that ``only`` names below ``directory``, its rows beside it."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for source in (estimators, chains, boosters):
            for name, model, rows in source(only):
                if _wanted(name, only):
                    try:
                        dc_hub.save(model, directory / name)
                        dc_hub.load(directory / name)
                    except (DCError, dc_hub.HubError) as error:
                        print(f"left out: {name}: {error}")
                        continue
                    if isinstance(rows, list):
                        if not all(isinstance(row, str) for row in rows):
                            print(f"left out: {name}: its rows are not an array")
                            continue
                        rows = np.array(rows)
                    few = rows[:: max(rows.shape[0] // ROWS, 1)][:ROWS]
                    dense = few.toarray() if sparse.issparse(few) else np.asarray(few)
                    np.savez(
                        directory / f"{name}.npz", rows=dense, sparse=bool(sparse.issparse(rows))
                    )
