"""SklearnTransformer and SklearnUnsupervisedLearner: estimators that predict no labels."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.cluster import DBSCAN, KMeans
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
from sklearn.feature_selection import SelectKBest, f_regression
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.manifold import TSNE
from sklearn.mixture import GaussianMixture
from sklearn.model_selection import GridSearchCV, KFold
from sklearn.neighbors import LocalOutlierFactor, NearestNeighbors
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import Normalizer, OneHotEncoder, PolynomialFeatures, StandardScaler
from sklearn.svm import OneClassSVM

from dc_core import Model, NumpyDataset, Transformer, UnsupervisedLearner, plugins
from dc_core.errors import (
    BackendNotInstalled,
    DatasetError,
    EmptyDataset,
    NotFitted,
    ParameterError,
    Unsupported,
)
from dc_sklearn import SklearnModel, SklearnTransformer, SklearnUnsupervisedLearner

Data = tuple[np.ndarray, np.ndarray]

TRANSFORMERS = {
    "scaler": StandardScaler(),
    "projection": PCA(3, random_state=0),
    "selector": SelectKBest(f_regression, k=4),
    "sparse output": OneHotEncoder(),
    "pipeline": make_pipeline(StandardScaler(), PCA(2, random_state=0)),
    "learns nothing": Normalizer(),
}
EMBEDDINGS = {
    "distances to centres": (KMeans(3, n_init=1, random_state=0), "transform"),
    "responsibilities": (GaussianMixture(2, random_state=0), "predict_proba"),
    "outlier score": (IsolationForest(n_estimators=3, random_state=0), "decision_function"),
    "kernel score": (OneClassSVM(), "decision_function"),
    "local density": (LocalOutlierFactor(novelty=True), "decision_function"),
    "distances to neighbours": (NearestNeighbors(n_neighbors=3), "kneighbors"),
    "components": (PCA(2), "transform"),
}


@pytest.fixture
def dataset(diabetes: Data) -> NumpyDataset:
    return NumpyDataset(*diabetes, ids=[f"row{i}" for i in range(120)], tasks=["progression"])


def test_running_out_of_memory_is_a_typed_error(dataset: NumpyDataset) -> None:
    transformer = SklearnTransformer(PolynomialFeatures(20)).fit(dataset)
    with pytest.raises(DatasetError, match="Unable to allocate") as caught:
        transformer.transform(NumpyDataset(np.zeros((10**6, 10))))
    assert "fewer rows" in str(caught.value)


class _WithoutPandas:
    def find_spec(self, name: str, *_: Any) -> None:
        if name.partition(".")[0] == "pandas":
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def test_a_container_whose_package_is_missing_is_a_typed_error(
    dataset: NumpyDataset, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("pandas")
    pipeline = make_pipeline(StandardScaler(), PCA(2)).set_output(transform="pandas")
    transformer = SklearnTransformer(pipeline).fit(dataset)
    for name in [name for name in sys.modules if name.partition(".")[0] == "pandas"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [_WithoutPandas(), *sys.meta_path])
    with pytest.raises(BackendNotInstalled, match="pandas") as caught:
        transformer.transform(dataset)
    assert "set_output" in str(caught.value)


@pytest.mark.parametrize("estimator", TRANSFORMERS.values(), ids=TRANSFORMERS.keys())
def test_a_transformer_maps_X_and_leaves_the_rest(estimator: Any, dataset: NumpyDataset) -> None:
    transformer = SklearnTransformer(estimator)
    assert isinstance(transformer, Transformer)
    assert isinstance(transformer, Model)
    made = transformer.fit(dataset).transform(dataset)
    expected = clone(estimator).fit_transform(dataset.X, dataset.y[:, 0])
    expected = expected.toarray() if hasattr(expected, "toarray") else expected
    assert np.array_equal(made.X, expected)
    for part in ("y", "w", "ids", "tasks"):
        assert np.array_equal(getattr(made, part), getattr(dataset, part))


def test_names_of_classes_pass_through_a_transformer(iris: Data) -> None:
    given = NumpyDataset(iris[0], np.array(["a", "b", "c"])[iris[1]])
    assert SklearnTransformer(PCA(2)).fit(given).transform(given).classes == given.classes


@pytest.mark.parametrize("estimator", TRANSFORMERS.values(), ids=TRANSFORMERS.keys())
def test_weights_move_to_a_new_transformer(estimator: Any, dataset: NumpyDataset) -> None:
    transformer = SklearnTransformer(estimator).fit(dataset)
    other = SklearnTransformer(estimator)
    other.set_weights(transformer.get_weights())
    assert np.array_equal(other.transform(dataset).X, transformer.transform(dataset).X)


@pytest.mark.parametrize(("estimator", "method"), EMBEDDINGS.values(), ids=EMBEDDINGS.keys())
def test_an_embedding_has_one_row_per_row(
    estimator: Any, method: str, dataset: NumpyDataset
) -> None:
    learner = SklearnUnsupervisedLearner(estimator).fit(dataset)
    assert isinstance(learner, UnsupervisedLearner)
    expected = getattr(clone(estimator).fit(dataset.X), method)(dataset.X)
    expected = expected[0] if method == "kneighbors" else expected
    assert np.array_equal(learner.embed(dataset), expected.reshape(120, -1))
    assert np.array_equal(learner.embed(dataset.X), learner.embed(dataset))
    other = learner.unfitted()
    assert not other.is_fitted
    other.set_weights(learner.get_weights())
    assert np.array_equal(other.embed(dataset), learner.embed(dataset))


def test_labels_are_cluster_numbers_or_outlier_flags(dataset: NumpyDataset) -> None:
    clusters = SklearnUnsupervisedLearner(KMeans(3, n_init=1, random_state=0)).fit(dataset)
    assert set(clusters.labels(dataset)) == {0, 1, 2}
    outliers = SklearnUnsupervisedLearner(IsolationForest(n_estimators=3, random_state=0)).fit(
        dataset
    )
    assert set(outliers.labels(dataset.X)) <= {-1, 1}
    search = SklearnUnsupervisedLearner(NearestNeighbors()).fit(dataset)
    with pytest.raises(Unsupported, match=r"NearestNeighbors .*embed"):
        search.labels(dataset)


def test_labels_reach_a_transformer_only_if_none_is_missing(dataset: NumpyDataset) -> None:
    y = dataset.y.copy()
    y[0] = np.nan
    for given in (NumpyDataset(dataset.X, y), NumpyDataset(dataset.X)):
        with pytest.raises(DatasetError, match="SelectKBest cannot learn"):
            SklearnTransformer(SelectKBest(f_regression, k=4)).fit(given)
        assert SklearnTransformer(StandardScaler()).fit(given).is_fitted


@pytest.mark.parametrize(
    ("estimator", "kind"),
    [
        (Ridge(), SklearnModel),
        (make_pipeline(StandardScaler(), Ridge()), SklearnModel),
        (StandardScaler(), SklearnTransformer),
        (OneHotEncoder(), SklearnTransformer),
        (make_pipeline(StandardScaler(), PCA(2)), SklearnTransformer),
        (KMeans(3), SklearnUnsupervisedLearner),
        (make_pipeline(StandardScaler(), KMeans(3)), SklearnUnsupervisedLearner),
        (GaussianMixture(), SklearnUnsupervisedLearner),
        (IsolationForest(), SklearnUnsupervisedLearner),
        (NearestNeighbors(), SklearnUnsupervisedLearner),
    ],
)
def test_the_backend_wraps_an_estimator_by_what_it_does(estimator: Any, kind: type) -> None:
    assert type(plugins.backend("sklearn").wrap(estimator)) is kind


@pytest.mark.parametrize("estimator", [DBSCAN(eps=0.1), TSNE(perplexity=5, max_iter=250)], ids=repr)
def test_what_was_found_in_the_training_rows_is_in_native(
    estimator: Any, dataset: NumpyDataset
) -> None:
    learner = SklearnUnsupervisedLearner(estimator).fit(dataset)
    found = {n: a for n, a in vars(learner.native).items() if n in ("labels_", "embedding_")}
    assert found
    for use in (learner.embed, learner.labels):
        with pytest.raises(Unsupported, match=type(estimator).__name__):
            use(dataset)
    other = learner.unfitted()
    other.set_weights(learner.get_weights())
    assert all(np.array_equal(vars(other.native)[n], a) for n, a in found.items())


def test_a_class_needs_an_estimator_of_its_own_role() -> None:
    for cls in (SklearnTransformer, SklearnUnsupervisedLearner):
        for given in (KFold(), PCA, None, Ridge()):
            with pytest.raises(ParameterError, match=f"{cls.__name__} needs"):
                cls(given)


TEXTS = np.array(["a cat sat", "a dog sat", "one cat", "two dogs"] * 5)
TEXT_LABELS = np.array([0, 1, 0, 1] * 5)


def test_a_vectorizer_takes_one_text_per_row() -> None:
    dataset = NumpyDataset(TEXTS, TEXT_LABELS)
    made = SklearnTransformer(TfidfVectorizer()).fit(dataset).transform(dataset)
    assert np.array_equal(made.X, TfidfVectorizer().fit_transform(TEXTS).toarray())
    with pytest.raises(DatasetError, match="reads text"):
        SklearnTransformer(TfidfVectorizer()).fit(NumpyDataset(np.eye(3)))


@pytest.mark.parametrize(
    "estimator",
    [
        make_pipeline(CountVectorizer(), LogisticRegression()),
        make_pipeline(FeatureUnion([("a", TfidfVectorizer())]), LogisticRegression()),
        GridSearchCV(make_pipeline(TfidfVectorizer(), LogisticRegression()), {}, cv=2),
    ],
    ids=["pipeline", "union", "search"],
)
def test_a_model_of_text_predicts_from_text(estimator: Any) -> None:
    dataset = NumpyDataset(TEXTS, TEXT_LABELS)
    model = SklearnModel(estimator).fit(dataset)
    assert np.array_equal(model.predict(dataset)[:, 0].argmax(axis=1), TEXT_LABELS)
    other = model.unfitted()
    other.set_weights(model.get_weights())
    assert np.array_equal(other.predict(TEXTS), model.predict(TEXTS))


def test_using_an_unfitted_model_or_no_rows_is_a_typed_error(dataset: NumpyDataset) -> None:
    empty = dataset.select([])
    scaler = SklearnTransformer(StandardScaler())
    clusters = SklearnUnsupervisedLearner(KMeans(2, n_init=1))
    for use in (scaler.transform, clusters.embed, clusters.labels):
        with pytest.raises(NotFitted, match="fit"):
            use(dataset)
    for fit in (scaler.fit, clusters.fit):
        with pytest.raises(EmptyDataset):
            fit(empty)
    scaler.fit(dataset)
    clusters.fit(dataset)
    for use in (scaler.transform, clusters.embed, clusters.labels):
        with pytest.raises(EmptyDataset, match="no row to"):
            use(empty)
        with pytest.raises(DatasetError, match="10 features"):
            use(NumpyDataset(np.zeros((2, 3))))
