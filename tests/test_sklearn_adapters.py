"""Networks and pipelines as estimators of scikit-learn, by dc_sklearn.as_sklearn."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_iris
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.utils.estimator_checks import parametrize_with_checks

from dc_pipeline import ECFP, NormalizationTransformer, Pipeline
from dc_sklearn import SklearnModel, as_sklearn
from dc_torch import MultitaskClassifier, MultitaskRegressor

NETWORK = MultitaskRegressor(1, 1, layer_sizes=(8,), dropout=0.0, epochs=60, learning_rate=0.05)


def expected_failures(estimator: Any) -> dict[str, str]:
    return {
        "check_estimators_overwrite_params": "the pickle of a network differs from time to time",
        "check_sample_weight_equivalence_on_dense_data": "float32 sums of other batches differ",
    }


@parametrize_with_checks([as_sklearn(NETWORK)], expected_failed_checks=expected_failures)
@pytest.mark.filterwarnings("ignore")
def test_a_network_passes_the_checks_of_scikit_learn(estimator: Any, check: Any) -> None:
    check(estimator)


def test_a_search_tunes_a_network() -> None:
    x, y = load_diabetes(return_X_y=True)
    network = as_sklearn(MultitaskRegressor(1, 10, layer_sizes=(4,), epochs=3))
    space = {"model__layer_sizes": [(4,), (16,)], "model__learning_rate": [1e-2, 1e-1]}
    search = GridSearchCV(network, space, cv=2).fit(x[:80], y[:80])
    best = search.best_estimator_.model_.get_parameters()
    assert best["layer_sizes"] == search.best_params_["model__layer_sizes"]
    assert search.predict(x).shape == (442,)


def test_a_network_learns_classes_that_have_names() -> None:
    x, kinds = load_iris(return_X_y=True)
    network = as_sklearn(
        MultitaskClassifier(1, 4, layer_sizes=(16,), dropout=0.0, epochs=30, learning_rate=0.05)
    )
    names = np.array(["a", "b", "c"])[kinds]
    assert cross_val_score(network, x, names, cv=3).mean() > 0.85


def test_a_pipeline_of_molecules_is_cross_validated() -> None:
    smiles = np.array(["C" * n + "O" for n in range(1, 25)])
    pipeline = Pipeline(
        SklearnModel(Ridge()),
        featurizer=ECFP(size=64),
        transformers=[NormalizationTransformer("y")],
    )
    estimator = as_sklearn(pipeline)
    lengths = np.array([len(text) for text in smiles], float)
    assert cross_val_score(estimator, smiles, lengths, cv=3).shape == (3,)
    search = GridSearchCV(estimator, {"model__model__estimator__alpha": [0.1, 10.0]}, cv=3)
    assert search.fit(smiles, lengths).best_estimator_.predict(smiles).shape == (24,)
