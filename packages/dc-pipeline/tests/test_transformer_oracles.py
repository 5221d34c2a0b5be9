"""Transformers give the numbers of scikit-learn's."""

import numpy as np
import pytest
from sklearn import impute, preprocessing
from sklearn.utils.class_weight import compute_class_weight

from dc_core import NumpyDataset
from dc_pipeline import (
    BalancingTransformer,
    CSVLoader,
    ImputationTransformer,
    MinMaxTransformer,
    NormalizationTransformer,
    PowerTransformer,
    QuantileTransformer,
)

PEERS = {
    "normalization": (NormalizationTransformer("X"), preprocessing.StandardScaler()),
    "minmax": (
        MinMaxTransformer("X", low=-2, high=5),
        preprocessing.MinMaxScaler(feature_range=(-2, 5)),
    ),
    "yeo-johnson": (PowerTransformer("X"), preprocessing.PowerTransformer()),
    "yeo-johnson-raw": (
        PowerTransformer("X", standardize=False),
        preprocessing.PowerTransformer(standardize=False),
    ),
    "normal": (
        QuantileTransformer("X", quantiles=100),
        preprocessing.QuantileTransformer(
            n_quantiles=100, output_distribution="normal", subsample=None
        ),
    ),
    "uniform": (
        QuantileTransformer("X", quantiles=100, distribution="uniform"),
        preprocessing.QuantileTransformer(n_quantiles=100, subsample=None),
    ),
}


def data(seed=0, n=400):
    rng = np.random.default_rng(seed)
    X = np.c_[
        rng.normal(3, 2, n),
        rng.lognormal(0, 1, n),
        -rng.exponential(2, n),
        rng.integers(0, 4, n),
        rng.beta(8, 2, n),
    ]
    X[rng.random(X.shape) < 0.1] = np.nan
    return np.c_[X, np.full(n, 7.0)]


@pytest.mark.parametrize("name", PEERS)
def test_features_become_those_of_scikit_learn(name):
    ours, theirs = PEERS[name]
    X, others = data(), data(1)
    transformer = ours.unfitted().fit(NumpyDataset(X))
    expected = theirs.fit(X)
    for rows in (X, others):
        found = transformer.transform(NumpyDataset(rows)).X
        np.testing.assert_allclose(found, expected.transform(rows), rtol=1e-7, atol=1e-7)


@pytest.mark.parametrize("name", PEERS)
def test_predictions_come_back_as_from_scikit_learn(name):
    ours, theirs = PEERS[name]
    parameters = {**ours.get_parameters(), "part": "y"}
    y = np.nan_to_num(data(), nan=1.5)
    transformer = type(ours)(**parameters).fit(NumpyDataset(np.zeros(len(y)), y))
    expected = theirs.fit(y)
    prediction = expected.transform(np.nan_to_num(data(2), nan=1.5))
    np.testing.assert_allclose(
        transformer.untransform(prediction),
        expected.inverse_transform(prediction),
        rtol=1e-7,
        atol=1e-12,
    )


def test_box_cox_gives_the_numbers_of_scikit_learn_on_measured_data(real):
    dataset = CSVLoader("smiles", tasks=["exp"]).load(real("Lipophilicity.csv")).dataset
    y = np.exp(dataset.y)
    transformer = PowerTransformer(method="box-cox").fit(NumpyDataset(np.zeros(len(y)), y))
    expected = preprocessing.PowerTransformer(method="box-cox").fit(y)
    np.testing.assert_allclose(transformer.lambdas, expected.lambdas_, rtol=1e-12)
    found = transformer.transform(NumpyDataset(np.zeros(len(y)), y)).y
    np.testing.assert_allclose(found, expected.transform(y), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
@pytest.mark.parametrize("indicator", [False, True])
def test_missing_features_are_filled_as_by_scikit_learn(strategy, indicator):
    X, others = np.round(data(), 1), np.round(data(1), 1)
    X = np.c_[X, np.arange(len(X)), np.full(len(X), np.nan)]
    others = np.c_[others, np.arange(len(X)), np.full(len(X), 2.5)]
    ours = ImputationTransformer(strategy, constant=3, indicator=indicator).fit(NumpyDataset(X))
    theirs = impute.SimpleImputer(
        strategy=strategy,
        fill_value=3 if strategy == "constant" else None,
        add_indicator=indicator,
        keep_empty_features=True,
    ).fit(X)
    for rows in (X, others):
        found = ours.transform(NumpyDataset(rows)).X
        np.testing.assert_allclose(found, theirs.transform(rows), rtol=1e-12)


def test_factors_are_the_balanced_class_weights_of_scikit_learn():
    y = np.random.default_rng(0).choice(3, 200, p=[0.7, 0.2, 0.1]).astype(float)
    factors = BalancingTransformer().fit(NumpyDataset(np.zeros(200), y)).factors
    expected = compute_class_weight("balanced", classes=np.arange(3), y=y.astype(int))
    np.testing.assert_allclose(factors, expected[None], rtol=1e-12)
