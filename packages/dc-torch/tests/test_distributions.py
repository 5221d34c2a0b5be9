"""Models that predict more than a value: distributions, quantiles, scores."""

import numpy as np
import pytest
import torch
from scipy import stats
from torch import nn

from dc_core import NumpyDataset
from dc_core.errors import DatasetError, Unsupported
from dc_core.testing import ModelSuite
from dc_torch import MultitaskClassifier, MultitaskRegressor, TorchModel


def noisy_rows(n, seed):
    """Rows whose noise is 0.3 or 1.5, by the sign of the first feature; two tasks."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3)).astype(np.float32)
    std = np.where(X[:, :1] > 0, 1.5, 0.3)
    y = X @ [[1.0, -1.0], [2.0, 0.0], [0.0, 0.5]] + std * rng.normal(size=(n, 2))
    return NumpyDataset(X, y), std


OPTIONS = {
    "layer_sizes": (32,),
    "dropout": 0.0,
    "learning_rate": 0.02,
    "batch_size": 100,
    "schedule": "cosine",
}


@pytest.fixture(scope="module")
def trained():
    rows, _ = noisy_rows(1000, 0)
    return MultitaskRegressor(2, 3, loss="mean_variance", epochs=20, **OPTIONS).fit(rows)


def test_the_predicted_deviations_are_those_of_the_noise(trained):
    rows, std = noisy_rows(400, 1)
    found = trained.predict_distribution(rows)
    assert found.mean.shape == found.std.shape == (400, 2)
    for noise in (0.3, 1.5):
        chosen = found.std[(std[:, 0] == noise) & (np.abs(rows.X[:, 0]) > 0.5)]
        assert np.median(chosen) == pytest.approx(noise, rel=0.4)


def test_the_predicted_distributions_contain_the_labels_as_often_as_they_say(trained):
    rows, _ = noisy_rows(400, 2)
    mean, std = trained.predict_distribution(rows)
    covered = np.mean(np.abs(rows.y - mean) < stats.norm.ppf(0.9) * std)
    assert covered == pytest.approx(0.8, abs=0.06)


def test_the_loss_is_the_mean_negative_log_likelihood_of_the_labels(trained):
    rows, _ = noisy_rows(100, 3)
    model = MultitaskRegressor(2, 3, loss="mean_variance", epochs=1, **OPTIONS)
    model.set_weights(trained.get_weights())
    mean, std = model.predict_distribution(rows)
    expected = -stats.norm.logpdf(rows.y, mean, std).mean()
    model.fit(rows)
    assert model.history[0].loss == pytest.approx(expected, rel=1e-4)


class TestMeanVariance(ModelSuite):
    def data(self, seed):
        return noisy_rows(20, seed)[0]

    def blank(self):
        return MultitaskRegressor(2, 3, layer_sizes=(4,), epochs=2, loss="mean_variance")

    def make(self, seed):
        return self.blank().fit(self.data(seed))

    def dataset(self):
        return self.data(7)

    def global_state(self):
        return torch.random.get_rng_state().tolist(), torch.is_grad_enabled()


def test_quantiles_are_exceeded_as_often_as_they_say():
    levels = [0.1, 0.5, 0.9]
    model = MultitaskRegressor(
        2, 3, loss="quantile", loss_options={"quantiles": levels}, epochs=20, **OPTIONS
    ).fit(noisy_rows(1000, 0)[0])
    rows, _ = noisy_rows(400, 1)
    found = model.predict_quantiles(rows)
    assert found.shape == (400, 2, 3)
    assert (np.diff(found) >= 0).all()
    below = (rows.y[..., None] < found).mean(axis=(0, 1))
    np.testing.assert_allclose(below, levels, atol=0.06)
    np.testing.assert_array_equal(model.predict(rows), found[..., 1])


def test_ranking_learns_the_order_of_labels_of_any_scale():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(300, 3)).astype(np.float32)
    y = np.exp(3 * X @ [[1.0], [-2.0], [0.5]])
    model = MultitaskRegressor(1, 3, loss="pairwise_logistic", epochs=20, **OPTIONS)
    model.fit(NumpyDataset(X[:200], y[:200]))
    found = stats.spearmanr(model.predict(X[200:])[:, 0], y[200:, 0]).statistic
    assert found > 0.97


def test_a_focal_classifier_predicts_probabilities():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 3)).astype(np.float32)
    y = (X[:, :2] > 0).astype(float)
    model = MultitaskClassifier(2, 3, loss="focal", epochs=20, **OPTIONS).fit(NumpyDataset(X, y))
    found = model.predict(X)
    np.testing.assert_allclose(found.sum(-1), 1, rtol=1e-5)
    assert (found.argmax(-1) == y).mean() > 0.95


def test_losses_without_a_distribution_say_which_has_one():
    rows, _ = noisy_rows(5, 0)
    model = MultitaskRegressor(2, 3)
    with pytest.raises(Unsupported, match="mean_variance"):
        model.predict_distribution(rows)
    with pytest.raises(Unsupported, match="'quantile'"):
        model.predict_quantiles(rows)


def test_a_module_without_the_outputs_that_a_loss_needs_is_refused():
    rows, _ = noisy_rows(5, 0)
    model = TorchModel(nn.Linear(3, 2), loss="quantile")
    for use in (model.fit, model.predict, model.predict_quantiles):
        with pytest.raises(DatasetError, match=r"shape \(5, \d, 2\); .* \(rows, tasks, 3\)"):
            use(rows)


def test_a_module_of_ones_own_has_an_axis_of_outputs():
    class Net(nn.Linear):
        def forward(self, x):
            return super().forward(x).unflatten(-1, (2, 2))

    rows, _ = noisy_rows(20, 0)
    model = TorchModel(Net(3, 4), loss="mean_variance", epochs=1).fit(rows)
    assert model.predict(rows).shape == (20, 2)
