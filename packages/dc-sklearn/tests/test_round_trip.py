"""Every class of the closed table is restored from named arrays to the last bit."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import numpy as np
import pytest
from scipy import sparse, stats
from sklearn.base import clone, is_classifier
from sklearn.compose import ColumnTransformer
from sklearn.datasets import load_diabetes, load_iris
from sklearn.decomposition import PCA, IncrementalPCA
from sklearn.ensemble import (
    BaggingClassifier,
    BaggingRegressor,
    ExtraTreesRegressor,
    GradientBoostingClassifier,
    GradientBoostingRegressor,
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    IsolationForest,
    RandomForestClassifier,
    RandomForestRegressor,
    StackingClassifier,
    StackingRegressor,
)
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import RBF, WhiteKernel
from sklearn.impute import SimpleImputer
from sklearn.linear_model import (
    Lasso,
    LinearRegression,
    LogisticRegression,
    Ridge,
    RidgeClassifier,
    SGDRegressor,
)
from sklearn.mixture import BayesianGaussianMixture
from sklearn.neighbors import KNeighborsClassifier, KNeighborsRegressor
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import (
    MinMaxScaler,
    OneHotEncoder,
    QuantileTransformer,
    StandardScaler,
)
from sklearn.svm import SVC, SVR, NuSVR, OneClassSVM
from sklearn.tree import DecisionTreeClassifier

from dc_core.errors import StructureError
from dc_sklearn import estimators, state, values

X, Y = (part[:80] for part in load_diabetes(return_X_y=True))
IRIS, KIND = load_iris(return_X_y=True)
BOTH = np.column_stack((Y, Y**2))
SOME = np.where(np.arange(len(KIND)) % 3, KIND, -1)
TEXT = np.array(["the cat sat on the mat", "a dog and a cat", "ὄρνις, the bird"] * 4, dtype=object)
DRAWN = {"alpha": stats.loguniform(0.1, 10), "solver": ["svd", "cholesky"]}
SMALL = {"max_iter": 20, "n_estimators": 6, "random_state": 0}
FITS: Mapping[str, tuple[Any, ...]] = {
    # Parameters and arguments of fit, for classes that the defaults and the usual data do not suit.
    "AdditiveChi2Sampler": ({}, IRIS),
    "BernoulliNB": ({}, IRIS > 2, KIND),
    "CCA": ({"n_components": 1}, X, Y),
    "BernoulliRBM": ({"n_components": 3, "random_state": 0}, IRIS / 8),
    "CalibratedClassifierCV": ({"estimator": LogisticRegression()}, IRIS, KIND),
    "CategoricalNB": ({}, np.round(IRIS), KIND),
    "ClassifierChain": ({"estimator": LogisticRegression()}, IRIS, np.c_[KIND > 1, KIND > 0]),
    "ColumnTransformer": (
        {
            "transformers": [
                ("scaled", StandardScaler(), [0, 1]),
                ("rotated", PCA(2), [2, 3, 4]),
                ("kept", "passthrough", [6]),
            ],
            "remainder": MinMaxScaler(),
        },
        X,
    ),
    "CountVectorizer": ({}, TEXT),
    "DictVectorizer": ({}, [{"a": 1, "b": "x"}, {"a": 2.0, "ζ": 3}]),
    "DictionaryLearning": ({"n_components": 3, "max_iter": 5}, X),
    "EllipticEnvelope": ({"random_state": 0}, IRIS),
    "FixedThresholdClassifier": ({"estimator": LogisticRegression()}, IRIS, KIND > 0),
    "FeatureHasher": ({"n_features": 16}, [{"a": 1, "b": 2}, {"a": 2.0, "c": 3}]),
    "FeatureUnion": ({"transformer_list": [("a", StandardScaler()), ("b", PCA(2))]}, X),
    "GaussianProcessClassifier": ({}, IRIS, KIND),
    "GaussianRandomProjection": ({"n_components": 4}, X),
    "IsotonicRegression": ({"out_of_bounds": "clip"}, X[:, 2], Y),
    "GraphicalLassoCV": ({"alphas": [0.01, 0.1]}, IRIS),
    "GridSearchCV": ({"estimator": Ridge(), "param_grid": {"alpha": [1, 0.5, 2]}}, X, Y),
    "HalvingGridSearchCV": ({"estimator": Ridge(), "param_grid": {"alpha": [1, 0.5, 2]}}, X, Y),
    "HalvingRandomSearchCV": (
        {"estimator": Ridge(), "param_distributions": DRAWN, "random_state": 0},
        X,
        Y,
    ),
    "HashingVectorizer": ({"n_features": 32}, TEXT),
    "IterativeImputer": ({"max_iter": 2, "random_state": 0}, np.where(X > 0.08, np.nan, X)),
    "KBinsDiscretizer": ({"quantile_method": "averaged_inverted_cdf"}, X),
    "KernelCenterer": ({}, X @ X.T),
    "LabelBinarizer": ({}, KIND),
    "LabelEncoder": ({}, KIND),
    "LabelPropagation": ({}, IRIS, SOME),
    "LabelSpreading": ({"kernel": "knn"}, IRIS, SOME),
    "LatentDirichletAllocation": ({"n_components": 2, "random_state": 0}, np.round(IRIS)),
    "LocalOutlierFactor": ({"novelty": True}, X),
    "MiniBatchDictionaryLearning": ({"n_components": 3, "max_iter": 5, "random_state": 0}, X),
    "MiniBatchNMF": ({"n_components": 3, "random_state": 0}, IRIS),
    "MultiLabelBinarizer": ({}, [("a", "ζ"), ("b",), ()]),
    "MultiOutputClassifier": ({"estimator": LogisticRegression()}, IRIS, np.c_[KIND, KIND > 0]),
    "MultiOutputRegressor": ({"estimator": Ridge()}, X, BOTH),
    "NeighborhoodComponentsAnalysis": ({"max_iter": 3, "random_state": 0}, IRIS, KIND),
    "MultiTaskElasticNet": ({}, X, BOTH),
    "MultiTaskElasticNetCV": ({}, X, BOTH),
    "MultiTaskLasso": ({}, X, BOTH),
    "MultiTaskLassoCV": ({}, X, BOTH),
    "NMF": ({"n_components": 3, "max_iter": 2000}, IRIS),
    "Nystroem": ({"n_components": 20}, X),
    "OneVsOneClassifier": ({"estimator": LogisticRegression()}, IRIS, KIND),
    "OneVsRestClassifier": ({"estimator": LogisticRegression()}, IRIS, KIND),
    "OrthogonalMatchingPursuitCV": ({"cv": 3}, *load_diabetes(return_X_y=True)),
    "OutputCodeClassifier": ({"estimator": LogisticRegression(), "random_state": 0}, IRIS, KIND),
    "PLSCanonical": ({"n_components": 1}, X, Y),
    "PLSSVD": ({"n_components": 1}, X, Y),
    "PatchExtractor": ({"patch_size": (2, 2)}, IRIS[:48].reshape(12, 4, 4)),
    "PolynomialCountSketch": ({"n_components": 8, "coef0": 1, "random_state": 0}, X),
    "Pipeline": ({"steps": [("a", StandardScaler()), ("b", "passthrough"), ("c", Ridge())]}, X, Y),
    "QuantileTransformer": ({"n_quantiles": 20}, X),
    "RFE": ({"estimator": LinearRegression()}, X, Y),
    "RFECV": ({"estimator": LinearRegression()}, X, Y),
    "RadiusNeighborsRegressor": ({"radius": 5.0}, X, Y),
    "RandomizedSearchCV": (
        {"estimator": Ridge(), "param_distributions": DRAWN, "n_iter": 3, "random_state": 0},
        X,
        Y,
    ),
    "RegressorChain": ({"estimator": Ridge()}, X, BOTH),
    "SelectFromModel": ({"estimator": Lasso(0.1)}, X, Y),
    "SelfTrainingClassifier": ({"estimator": LogisticRegression()}, IRIS, SOME),
    "SequentialFeatureSelector": ({"estimator": Ridge(), "n_features_to_select": 2}, X, Y),
    "SkewedChi2Sampler": ({}, IRIS),
    "SparseCoder": ({"dictionary": X[:4] / np.linalg.norm(X[:4], axis=1)[:, None]}, X),
    "SpectralBiclustering": ({"n_clusters": (3, 2), "random_state": 0}, IRIS),
    "SpectralCoclustering": ({"n_clusters": 2, "random_state": 0}, IRIS),
    "SparseRandomProjection": ({"n_components": 4}, X),
    "StackingClassifier": ({"estimators": [("a", LogisticRegression()), ("b", SVC())]}, IRIS, KIND),
    "StackingRegressor": ({"estimators": [("a", Ridge()), ("b", SVR())]}, X, Y),
    "TSNE": ({"max_iter": 250, "random_state": 0}, X),
    "TargetEncoder": ({"random_state": 0}, np.round(IRIS), KIND),
    "TfidfTransformer": ({}, np.round(IRIS)),
    "TfidfVectorizer": ({}, TEXT),
    "TransformedTargetRegressor": (
        {"regressor": Ridge(), "transformer": QuantileTransformer(n_quantiles=20)},
        X,
        Y,
    ),
    "TunedThresholdClassifierCV": (
        {"estimator": LogisticRegression(), "store_cv_results": True},
        IRIS,
        KIND > 0,
    ),
    "VotingClassifier": ({"estimators": [("a", LogisticRegression()), ("b", SVC())]}, IRIS, KIND),
    "VotingRegressor": ({"estimators": [("a", Ridge()), ("b", "drop"), ("c", SVR())]}, X, Y),
}
OUTPUTS = (
    *("predict", "predict_proba", "decision_function", "score_samples"),
    *("transform", "kneighbors", "mahalanobis"),
)

pytestmark = [
    # A few iterations suffice here, and some classes of the table are deprecated.
    pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning"),
    pytest.mark.filterwarnings("ignore::FutureWarning"),
    pytest.mark.filterwarnings("ignore:Bins whose width:UserWarning"),
    pytest.mark.filterwarnings("ignore:No features were selected:UserWarning"),
    pytest.mark.filterwarnings("ignore:y residual is constant:UserWarning"),
]


def data(name: str) -> tuple[Any, tuple[Any, ...]]:
    """Return an estimator of the class ``name``, not fitted, and what its ``fit`` takes."""
    cls = estimators.estimator_class(f"sklearn/{name}")
    if name in FITS:
        params, *given = FITS[name]
        return cls(**params), tuple(given)
    estimator = cls()
    estimator.set_params(**{n: v for n, v in SMALL.items() if n in estimator.get_params()})
    classifies = is_classifier(estimator) or name.endswith("NB")
    return estimator, (IRIS, KIND) if classifies else (X, Y)


def fitted(name: str) -> tuple[Any, np.ndarray]:
    """Return an estimator of the class ``name``, fitted to real data, and the rows."""
    estimator, given = data(name)
    return estimator.fit(*given), given[0]


def outputs(estimator: Any, x: Any) -> dict[str, Any]:
    """Return the outputs of every method of ``estimator`` for the first rows of ``x``.

    Those of an estimator without a method for new rows are what ``fit`` has found.
    """
    asked = OUTPUTS if not sparse.issparse(x) else set(OUTPUTS) - {"score_samples"}
    said = {m: getattr(estimator, m)(x[:40]) for m in asked if hasattr(estimator, m)}
    said = said or {m: a for m, a in vars(estimator).items() if m.endswith("_")}
    return {m: s.toarray() if sparse.issparse(s) else s for m, s in said.items()}


def same(a: Any, b: Any) -> bool:
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(same, a, b))
    if not isinstance(a, np.ndarray | np.generic):
        return type(a) is type(b) and bool(a == b)
    if a.dtype.kind == "O":
        return same(a.tolist(), b.tolist())
    return a.dtype == b.dtype and a.shape == b.shape and a.tobytes() == b.tobytes()


def check_round_trip(estimator: Any, *inputs: Any) -> None:
    stored = state.export(estimator)
    blank = clone(estimator)
    assert state.describe(blank) == {}
    state.restore(blank, stored)
    for x in inputs:
        expected, found = outputs(estimator, x), outputs(blank, x)
        assert expected
        assert expected.keys() == found.keys()
        assert [m for m in expected if not same(expected[m], found[m])] == []
    again = state.export(blank)
    assert list(again) == list(stored)
    assert all(same(again[n], stored[n]) for n in stored)
    natives = [info.native for info in state.describe(estimator).values()]
    assert len(set(natives)) == len(natives)


def is_estimator(name: str) -> bool:
    """Tell whether the class learns: kernels do not, and a frozen estimator has learnt already."""
    learns = hasattr(estimators.estimator_class(f"sklearn/{name}"), "fit")
    return learns and name != "FrozenEstimator"


@pytest.mark.parametrize("name", [*filter(is_estimator, estimators.names())])
def test_every_class_of_the_table_is_restored_bit_for_bit(name: str) -> None:
    check_round_trip(*fitted(name))


NAMED = np.array(["setosa", "versicolor", "ἴρις"])


def other_data(x: np.ndarray, y: Any = None, *rest: Any) -> dict[str, tuple[Any, ...]]:
    """Return what ``fit`` takes in other dtypes, with other labels and with two outputs."""
    if not isinstance(x, np.ndarray) or x.dtype == object:
        return {"some": (x[:6],)}
    found = {"float32": (x.astype(np.float32), y, *rest)}
    whole = np.round(np.abs(10 * x)).astype(int)
    if x.dtype.kind == "f":
        found["integers"] = (whole, y, *rest)
        found["Booleans"] = (x > np.median(x), y, *rest)
        found["float16"] = (x.astype(np.float16), y, *rest)
    if y is None or y.ndim != 1:
        return found
    found["two outputs"] = (x, np.c_[y, y > np.median(y)])
    found["integers, two outputs"] = (whole, found["two outputs"][1])
    found["float16, two outputs"] = (x.astype(np.float16), found["two outputs"][1])
    if y.dtype.kind == "f":
        found["integer values"] = (x, np.round(y).astype(int))
        return found
    found["names"] = (x, NAMED[y.astype(int) % 3])
    found["two classes"] = (x, (y > 0).astype(int))
    found["flags"] = (x, y > 0)
    found["float labels"] = (x, y.astype(float))
    return found


@pytest.mark.filterwarnings("ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@pytest.mark.parametrize("name", [*filter(is_estimator, estimators.names())])
def test_every_class_fitted_to_other_data_is_restored_bit_for_bit(name: str) -> None:
    estimator, usual = data(name)
    for kind, given in other_data(*usual).items():
        try:
            fitted = clone(estimator).fit(*(part for part in deepcopy(given) if part is not None))
        except (ArithmeticError, NotImplementedError, TypeError, ValueError):
            continue  # scikit-learn rejects such data
        blank = clone(estimator)
        state.restore(blank, state.export(fitted))
        expected, found = outputs(fitted, given[0]), outputs(blank, given[0])
        assert [m for m in expected if not same(expected[m], found[m])] == [], kind


OPTIONS: Mapping[str, tuple[Any, Any, Any]] = {
    "ridge of two classes": (RidgeClassifier(), IRIS, KIND > 0),
    "one component of many": (IncrementalPCA(n_components=1), X, None),
    "mixture of one covariance": (BayesianGaussianMixture(covariance_type="tied"), X, None),
    "bag of kernels on some features": (
        BaggingClassifier(SVC(), n_estimators=2, max_features=0.5, random_state=0),
        IRIS,
        KIND,
    ),
    "bag of boosted classifiers": (
        BaggingClassifier(GradientBoostingClassifier(n_estimators=2), n_estimators=2),
        IRIS,
        KIND,
    ),
    "binary exponential boosting": (
        GradientBoostingClassifier(n_estimators=2, loss="exponential"),
        IRIS,
        KIND > 0,
    ),
    "binary histogram boosting": (HistGradientBoostingClassifier(max_iter=3), IRIS, KIND > 0),
    "boosting from zero, best first": (
        GradientBoostingRegressor(n_estimators=2, init="zero", max_leaf_nodes=4),
        X,
        Y,
    ),
    "boosting of a quantile": (
        GradientBoostingRegressor(n_estimators=2, loss="quantile", alpha=0.8),
        X,
        Y,
    ),
    "forest of two classifications": (
        RandomForestClassifier(n_estimators=3, random_state=0),
        IRIS,
        np.c_[KIND, KIND > 0],
    ),
    "forest of two tasks, best first": (
        RandomForestRegressor(n_estimators=3, max_leaf_nodes=8, random_state=0),
        X,
        BOTH,
    ),
    "forest with extra randomness": (ExtraTreesRegressor(n_estimators=3, random_state=0), X, BOTH),
    "columns that no transformer takes": (
        ColumnTransformer([("a", StandardScaler(), [0]), ("b", PCA(2), [])], remainder="drop"),
        X,
        None,
    ),
    "Gaussian process of a sum of kernels": (
        GaussianProcessRegressor(RBF(np.ones(10)) + WhiteKernel(), normalize_y=True),
        X,
        Y,
    ),
    "imputer with indicator": (
        SimpleImputer(add_indicator=True),
        np.where(X > 0.1, np.nan, X),
        None,
    ),
    "isolation forest on some features": (
        IsolationForest(n_estimators=3, max_features=4, random_state=0),
        X,
        Y,
    ),
    "kernel of one class": (OneClassSVM(), X, None),
    "kernel of one class, sparse rows": (OneClassSVM(), sparse.csr_matrix(X), None),
    "kernel regression of sparse rows": (SVR(), sparse.csr_matrix(X), Y),
    "kernel regression of sparse rows by nu": (NuSVR(), sparse.csr_matrix(X), Y),
    "bag of kernel regressions of sparse rows": (
        BaggingRegressor(SVR(), n_estimators=2, random_state=0),
        sparse.csr_matrix(X),
        Y,
    ),
    "Gaussian process of the default kernel": (GaussianProcessRegressor(), X, Y),
    "kernel that was computed": (SVC(kernel="precomputed"), IRIS @ IRIS.T, KIND),
    "kernel of sparse rows": (SVC(), sparse.csr_matrix(IRIS), KIND),
    "linear model without intercept": (LinearRegression(fit_intercept=False), X, Y),
    "linear model of two tasks": (LinearRegression(), X, BOTH),
    "neighbors by a general metric": (KNeighborsClassifier(metric="minkowski", p=3), IRIS, KIND),
    "neighbors in a ball tree": (
        KNeighborsRegressor(algorithm="ball_tree", metric="manhattan"),
        X,
        Y,
    ),
    "neighbors of sparse rows": (KNeighborsRegressor(), sparse.csr_matrix(X), Y),
    "one-hot encoder of unknowns": (OneHotEncoder(handle_unknown="ignore"), np.round(IRIS), None),
    "components of sparse rows, whose rows are reversed": (PCA(4), sparse.csr_matrix(X), None),
    "early stopping by a score": (
        HistGradientBoostingRegressor(max_iter=3, early_stopping=True, scoring="r2"),
        X,
        Y,
    ),
    "mixture of tied covariances": (
        BayesianGaussianMixture(n_components=2, covariance_type="tied", random_state=0),
        X,
        None,
    ),
    "network trained by L-BFGS": (MLPRegressor(solver="lbfgs", max_iter=20, random_state=0), X, Y),
    "pipeline with a forest": (
        make_pipeline(StandardScaler(), RandomForestRegressor(n_estimators=3, random_state=0)),
        X,
        Y,
    ),
    "scaler with an output container": (StandardScaler().set_output(transform="default"), X, None),
    "scaler without mean and scale": (StandardScaler(with_mean=False, with_std=False), X, None),
    "stack with the default final classifier": (
        StackingClassifier([("a", LogisticRegression())]),
        IRIS,
        KIND,
    ),
    "stack with the default final regressor": (
        StackingRegressor([("a", Ridge()), ("b", "drop")], passthrough=True),
        X,
        Y,
    ),
    "tree of two classifications": (
        DecisionTreeClassifier(max_depth=3),
        IRIS,
        np.c_[KIND, KIND > 0],
    ),
}


@pytest.mark.parametrize(("estimator", "x", "y"), OPTIONS.values(), ids=OPTIONS.keys())
def test_other_parameters_are_restored_bit_for_bit(estimator: Any, x: Any, y: Any) -> None:
    check_round_trip(clone(estimator).fit(x, y), x)


PASSING: Mapping[str, Any] = {
    "union": FeatureUnion([("a", "passthrough"), ("b", PCA(2)), ("c", "drop")]),
    "union that only passes": FeatureUnion([("a", "passthrough")]),
    "union in a pipeline": make_pipeline(FeatureUnion([("a", "passthrough")]), PCA(2)),
    "union of columns": ColumnTransformer(
        [("a", FeatureUnion([("b", "passthrough"), ("c", PCA(2))]), [0, 1, 2])],
        remainder="passthrough",
    ),
    "columns": ColumnTransformer(
        [("a", StandardScaler(), [0]), ("b", "drop", [1]), ("c", "passthrough", slice(2, 4))],
        remainder="passthrough",
    ),
}


@pytest.mark.parametrize("rows", [X, sparse.csr_matrix(X)], ids=["dense", "sparse"])
@pytest.mark.parametrize("given", PASSING.values(), ids=PASSING.keys())
def test_columns_that_are_passed_through_are_restored(given: Any, rows: Any) -> None:
    given = clone(given).set_params(
        **{n: False for n in given.get_params() if n.endswith("__with_mean")}
    )
    fitted = clone(given).fit(rows)
    blank = clone(given)
    state.restore(blank, state.export(fitted))
    expected, found = outputs(fitted, rows), outputs(blank, rows)
    assert expected
    assert all(same(expected[m], found[m]) for m in expected)
    assert list(blank.get_feature_names_out()) == list(fitted.get_feature_names_out())


CONTINUED: Mapping[str, Any] = {
    "boosted trees": GradientBoostingRegressor(
        n_estimators=3, subsample=0.5, max_features=0.5, random_state=0
    ),
    "boosted trees of the global generator": GradientBoostingRegressor(
        n_estimators=3, subsample=0.5
    ),
    "boosted histograms": HistGradientBoostingRegressor(
        max_iter=3, max_features=0.5, random_state=0
    ),
    "boosted histograms, stopped by a score": HistGradientBoostingRegressor(
        max_iter=3, early_stopping=True, scoring="r2", random_state=0
    ),
    "bag": BaggingRegressor(n_estimators=3, random_state=0),
    "forest": RandomForestRegressor(n_estimators=3, random_state=0),
    "isolation forest": IsolationForest(n_estimators=3, random_state=0),
    "linear model by coordinates": Lasso(max_iter=20),
    "linear model by gradients": SGDRegressor(max_iter=5, random_state=0),
    "network": MLPRegressor(max_iter=5, random_state=0),
    "network by L-BFGS": MLPRegressor(max_iter=5, solver="lbfgs", random_state=0),
    "network, stopped early": MLPRegressor(max_iter=20, early_stopping=True, random_state=0),
}


@pytest.mark.parametrize("estimator", CONTINUED.values(), ids=CONTINUED.keys())
def test_a_warm_start_continues_as_if_the_estimator_had_never_been_stored(estimator: Any) -> None:
    fitted = clone(estimator).set_params(warm_start=True)
    np.random.seed(1)  # noqa: NPY002
    fitted.fit(X, Y)
    blank = clone(fitted)
    state.restore(blank, state.export(fitted))
    for going_on in (fitted, blank):
        more = {
            n: 2 * v for n, v in going_on.get_params().items() if n in SMALL and n != "random_state"
        }
        np.random.seed(2)  # noqa: NPY002
        going_on.set_params(**more).fit(X, Y)
    expected, found = outputs(fitted, X), outputs(blank, X)
    assert expected
    assert all(same(expected[m], found[m]) for m in expected)


@pytest.mark.parametrize("solver", ["adam", "sgd"])
@pytest.mark.parametrize(("cls", "x", "y"), [(MLPRegressor, X, Y), (MLPClassifier, IRIS, KIND)])
def test_partial_fit_of_a_restored_network_begins_with_a_new_optimizer(
    cls: type, x: np.ndarray, y: np.ndarray, solver: str
) -> None:
    network = cls(solver=solver, random_state=0).fit(x, y)
    restored, restarted = clone(network), deepcopy(network)
    state.restore(restored, state.export(network))
    del restarted._optimizer
    for going_on in (network, restored, restarted):
        going_on.partial_fit(x, y)
    assert all(map(same, restored.coefs_, restarted.coefs_))
    assert not any(map(same, restored.coefs_, network.coefs_))


def test_a_network_with_poisson_loss_is_restored() -> None:
    check_round_trip(MLPRegressor(loss="poisson", max_iter=5, random_state=0).fit(X, Y), X)


def test_predictions_on_float32_keep_their_dtype() -> None:
    x, y = X.astype(np.float32), Y.astype(np.float32)
    for estimator in (LinearRegression(fit_intercept=False), LinearRegression(), Ridge()):
        check_round_trip(estimator.fit(x, y), x, X)


@pytest.mark.parametrize("kind", [str, object])
def test_labels_that_are_strings_are_restored(kind: type) -> None:
    labels = np.array(["setosa", "versicolor", "ἴρις"]).astype(kind)[KIND]
    for estimator in (
        LogisticRegression(),
        SVC(),
        RandomForestClassifier(n_estimators=3, random_state=0),
    ):
        estimator.fit(IRIS, labels)
        blank = clone(estimator)
        state.restore(blank, state.export(estimator))
        assert blank.classes_.dtype == estimator.classes_.dtype
        assert blank.predict(IRIS).tolist() == estimator.predict(IRIS).tolist()


def test_categories_that_are_strings_are_restored() -> None:
    rows = np.array([["C", "sp3"], ["N", "sp2"], ["C", "sp"]], dtype=object)
    encoder = OneHotEncoder(sparse_output=False).fit(rows)
    blank = clone(encoder)
    state.restore(blank, state.export(encoder))
    assert np.array_equal(encoder.transform(rows), blank.transform(rows))


def test_categorical_features_of_histogram_boosting_are_restored() -> None:
    x = IRIS.copy()
    x[:, 1] = np.round(x[:, 1])
    model = HistGradientBoostingClassifier(
        max_iter=3, categorical_features=[1], min_samples_leaf=2
    ).fit(x, KIND)
    unknown = x.copy()
    unknown[:, 1] += 7
    unknown[::3, 2] = np.nan
    check_round_trip(model, x, unknown)


def test_missing_values_go_to_the_same_leaves_of_a_restored_forest() -> None:
    x = np.where(X > 0.05, np.nan, X)
    check_round_trip(RandomForestRegressor(n_estimators=4, random_state=0).fit(x, Y), x)


def test_the_seeds_of_a_forest_are_restored() -> None:
    forest = RandomForestRegressor(n_estimators=4, random_state=7).fit(X, Y)
    blank = clone(forest)
    state.restore(blank, state.export(forest))
    assert [t.get_params() for t in blank.estimators_] == [
        t.get_params() for t in forest.estimators_
    ]


@pytest.mark.parametrize("bounds", ["free", (0.0, 1.0), (2.0, 1.0), (1.0, np.inf), (1.0, 2.0, 3.0)])
def test_invalid_bounds_of_the_default_kernel_are_refused(bounds: Any) -> None:
    model = GaussianProcessRegressor().fit(X, Y)
    stored = state.export(model)
    names = [n for n in stored if n.startswith("kernel_/k1__constant_value_bounds")]
    assert names
    changed = {n: a for n, a in stored.items() if n not in names}
    encoded = values.encode("kernel_/k1__constant_value_bounds", bounds)
    changed |= {name: slot.read(copy=True) for name, slot in encoded}
    with pytest.raises(StructureError, match="bounds"):
        state.restore(GaussianProcessRegressor(), changed)


def test_generator_states_out_of_range_are_refused(refused: Any) -> None:
    boosted = GradientBoostingRegressor(n_estimators=2, random_state=0).fit(X, Y)
    for position in ([625, 0], [-1, 0], [0, 2], [0]):
        refused(boosted, {"_rng/position/0": np.array(position)})
    refused(boosted, {"_rng/key/0": np.zeros(623, np.uint32)})
    refused(boosted, {"_rng/gauss/0": np.array(np.nan)})
    histogram = HistGradientBoostingRegressor(max_iter=2, random_state=0).fit(X, Y)
    for numbers in ([0, 0, 0, 2, 0, 0], [0, 0, 0, 1, 2, 0], [0, 0, 0, 1, 0, 2**32], [1]):
        refused(histogram, {"_feature_subsample_rng/pcg64/0": np.array(numbers, np.uint64)})
    refused(histogram, {"_random_seed/0": np.uint64(2**32).reshape(())})


def test_names_are_paths_and_native_names_have_dots() -> None:
    model = make_pipeline(StandardScaler(), Ridge()).fit(X, Y)
    table = state.describe(model)
    assert table["standardscaler/mean_/0"].native == "standardscaler.mean_"
    assert table["ridge/coef_/0"].shape == (10,)


_UNSAFE = ("pickle.find_class", "exec", "compile", "os.system", "subprocess.Popen")
_seen: list[str] | None = None


def _watch(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None and event in _UNSAFE:
        _seen.append(event)


def test_storing_and_restoring_runs_no_pickle_and_no_code() -> None:
    global _seen
    models = [fitted(name)[0] for name in ("RandomForestRegressor", "SVC", "Pipeline")]
    blanks = [clone(model) for model in models]
    sys.addaudithook(_watch)
    _seen = []
    try:
        for model, blank in zip(models, blanks, strict=True):
            state.restore(blank, state.export(model))
        assert _seen == []
    finally:
        _seen = None
