"""A pipeline with any transformer predicts, once stored and loaded, the same bits."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, Ridge

import dc_hub
from dc_core import NumpyDataset
from dc_pipeline import (
    RMSE,
    BalancingTransformer,
    ClippingTransformer,
    ImputationTransformer,
    LogTransformer,
    MinMaxTransformer,
    NormalizationTransformer,
    Pipeline,
    PowerTransformer,
    QuantileTransformer,
)
from dc_pipeline.errors import LeakageError
from dc_sklearn import SklearnModel

TRANSFORMERS = {
    "normalization": NormalizationTransformer,
    "minmax": MinMaxTransformer,
    "clipping": lambda part: ClippingTransformer(part, quantiles=(0.05, 0.95)),
    "log": lambda part: LogTransformer(part, base=10),
    "yeo-johnson": PowerTransformer,
    "box-cox": lambda part: PowerTransformer(part, method="box-cox", standardize=False),
    "quantile": lambda part: QuantileTransformer(part, quantiles=20),
    "uniform": lambda part: QuantileTransformer(part, distribution="uniform"),
}


def same_after_publishing(pipeline: Pipeline, rows: NumpyDataset) -> Pipeline:
    with tempfile.TemporaryDirectory() as directory:
        dc_hub.save(pipeline, Path(directory) / "model")
        loaded = dc_hub.load(Path(directory) / "model")
        np.testing.assert_array_equal(loaded.predict(rows), pipeline.predict(rows))
        return loaded


@pytest.mark.parametrize("name", TRANSFORMERS)
@settings(deadline=None, max_examples=5)
@given(st.integers(0, 2**32 - 1))
def test_transformed_labels_and_features(name: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    rows = NumpyDataset(rng.lognormal(size=(40, 3)), rng.lognormal(size=(40, 2)))
    make = TRANSFORMERS[name]
    pipeline = Pipeline(SklearnModel(Ridge()), transformers=[make("X"), make("y")])
    pipeline.fit(rows[:30])
    loaded = same_after_publishing(pipeline, rows)
    with pytest.raises(LeakageError, match="30 of these 40"):
        loaded.evaluate(rows, [RMSE()])


@pytest.mark.parametrize("strategy", ["mean", "median", "most_frequent", "constant"])
def test_filled_features(strategy: str) -> None:
    rng = np.random.default_rng(0)
    X = rng.normal(size=(40, 3)).round(1)
    X[rng.random(X.shape) < 0.2] = np.nan
    rows = NumpyDataset(X, rng.normal(size=40))
    imputation = ImputationTransformer(strategy, indicator=True)
    pipeline = Pipeline(SklearnModel(Ridge()), transformers=[imputation]).fit(rows[:30])
    same_after_publishing(pipeline, rows)


def test_balanced_classes() -> None:
    rng = np.random.default_rng(0)
    rows = NumpyDataset(rng.normal(size=(40, 3)), np.where(rng.random(40) < 0.2, "yes", "no"))
    model = SklearnModel(LogisticRegression())
    balanced = Pipeline(model, transformers=[BalancingTransformer()]).fit(rows[:30])
    loaded = same_after_publishing(balanced, rows)
    plain = Pipeline(model.unfitted()).fit(rows[:30])
    assert loaded.predict(rows)[:, 0, 1].mean() > plain.predict(rows)[:, 0, 1].mean()


def test_a_pipeline_that_forgot_its_rows_is_published_without_them() -> None:
    rng = np.random.default_rng(0)
    rows = NumpyDataset(rng.normal(size=(40, 3)), rng.normal(size=40))
    pipeline = Pipeline(SklearnModel(Ridge())).fit(rows)
    pipeline.forget_rows()
    loaded = same_after_publishing(pipeline, rows)
    assert loaded.training_rows is None
    assert not any("training_rows" in name for name in loaded)
