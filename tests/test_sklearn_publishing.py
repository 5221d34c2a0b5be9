"""What publishes, loads: every estimator of scikit-learn through a hub into a new process."""

from __future__ import annotations

import json
import pickle
import runpy
import subprocess
import sys
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.cluster import KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest, RandomForestRegressor
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.neighbors import NearestNeighbors
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import all_estimators

import dc_hub
from dc_core import Model, NumpyDataset, plugins
from dc_core.errors import DCError, NotSerializable, ParameterError
from dc_pipeline import NormalizationTransformer, Pipeline
from dc_sklearn import (
    SklearnModel,
    SklearnTransformer,
    SklearnUnsupervisedLearner,
    estimators,
)

HERE = Path(__file__).parent
CASES = runpy.run_path(
    str(HERE.parent / "packages" / "dc-sklearn" / "tests" / "test_round_trip.py"), run_name="cases"
)
METHODS = runpy.run_path(str(HERE / "sklearn_methods.py"), run_name="methods")

pytestmark = CASES["pytestmark"]


def fits() -> dict[str, tuple[Any, tuple[Any, ...]]]:
    """Return every estimator of the table, fitted to dense rows and to sparse ones if it can be."""
    found = {}
    for name in filter(CASES["is_estimator"], estimators.names()):
        estimator, (X, *rest) = CASES["data"](name)
        found[name] = (estimator.fit(*deepcopy((X, *rest))), (X[:40], *(y[:40] for y in rest)))
        if not isinstance(X, np.ndarray) or X.ndim != 2:
            continue
        rows = sparse.csr_matrix(X)
        try:
            estimator = clone(estimator).fit(*deepcopy((rows, *rest)))
        except (TypeError, UserWarning, ValueError):
            continue  # it takes dense rows only
        found[f"{name}.sparse"] = (estimator, (rows[:40], *(y[:40] for y in rest)))
    return found


@pytest.mark.slow
def test_every_estimator_that_publishes_loads_in_a_new_process_bit_for_bit(tmp_path: Path) -> None:
    wrap = plugins.backend("sklearn").wrap
    expected = {}
    for name, (estimator, arguments) in fits().items():
        model = wrap(estimator)
        dc_hub.publish(model, name.lower(), hub=tmp_path / "hub")
        expected[name.lower()] = (arguments, METHODS["said"](model.native, arguments))
    assert sum(name.endswith(".sparse") for name in expected) > 80
    (tmp_path / "expected.pickle").write_bytes(pickle.dumps(expected))
    done = subprocess.run(
        [sys.executable, str(HERE / "sklearn_methods.py"), str(tmp_path)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    differing = json.loads(done.stdout)
    assert differing.keys() == expected.keys()
    assert {name: methods for name, methods in differing.items() if methods} == {}


REFUSED = sorted({name for name, _ in all_estimators()} - set(estimators.names()))


@pytest.mark.parametrize("name", REFUSED)
def test_every_other_estimator_is_refused_at_publishing_by_name_and_with_a_reason(
    name: str, tmp_path: Path
) -> None:
    cls = dict(all_estimators())[name]
    estimator = cls()
    with pytest.raises((NotSerializable, ParameterError), match=name) as caught:
        dc_hub.publish(estimator, "refused", hub=tmp_path, unfitted=True)
    assert "cannot be stored: it" in str(caught.value)
    assert "not a class of scikit-learn" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


X = np.random.default_rng(0).normal(size=(60, 5))
DATASET = NumpyDataset(X, X[:, 0] + X[:, 1])


@pytest.mark.parametrize(
    "model",
    [
        SklearnTransformer(StandardScaler()),
        SklearnTransformer(make_pipeline(StandardScaler(), PCA(2))),
    ],
)
def test_a_published_transformer_transforms_alike(model: Any, tmp_path: Path) -> None:
    model = model.unfitted().fit(DATASET)
    model.to_pretrained("model", hub=tmp_path)
    for cls in (Model, SklearnTransformer):
        loaded = cls.from_pretrained("model", hub=tmp_path)
        assert type(loaded) is SklearnTransformer
        assert np.array_equal(loaded.transform(DATASET).X, model.transform(DATASET).X)


@pytest.mark.parametrize(
    "estimator", [KMeans(3, n_init=1), IsolationForest(n_estimators=3), NearestNeighbors()]
)
def test_a_published_unsupervised_learner_embeds_alike(estimator: Any, tmp_path: Path) -> None:
    model = SklearnUnsupervisedLearner(estimator).fit(DATASET)
    model.to_pretrained("model", hub=tmp_path, golden=X[:3])
    loaded = Model.from_pretrained("model", hub=tmp_path)
    assert type(loaded) is SklearnUnsupervisedLearner
    assert np.array_equal(loaded.embed(X), model.embed(X))
    assert dc_hub.check_golden("model", hub=tmp_path).passed


def test_transformers_of_scikit_learn_are_steps_of_a_pipeline(tmp_path: Path) -> None:
    pipeline = Pipeline(
        SklearnModel(RandomForestRegressor(5, random_state=0)),
        transformers=[
            SklearnTransformer(SelectKBest(f_regression, k=3)),
            SklearnTransformer(StandardScaler()),
            NormalizationTransformer("y"),
        ],
    ).fit(DATASET)
    expected = pipeline.predict(X)
    assert expected.shape == (60, 1)
    pipeline.to_pretrained("pipeline", hub=tmp_path)
    loaded = Pipeline.from_pretrained("pipeline", hub=tmp_path)
    assert np.array_equal(loaded.predict(X), expected)
    assert np.array_equal(pipeline.unfitted().fit(DATASET).predict(X), expected)


def test_an_estimator_comes_back_in_the_class_that_fits_it(tmp_path: Path) -> None:
    dc_hub.publish(StandardScaler().fit(X), "scaler", hub=tmp_path)
    loaded = Model.from_pretrained("scaler", hub=tmp_path)
    assert type(loaded) is SklearnTransformer
    with pytest.raises(DCError):
        SklearnModel.from_pretrained("scaler", hub=tmp_path)
