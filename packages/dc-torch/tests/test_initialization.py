"""Initial weights of the multitask networks: their distributions, and that seeds determine them."""

import math

import numpy as np
import pytest

from dc_core import construct
from dc_core.errors import ParameterError
from dc_torch import MultitaskClassifier, MultitaskRegressor
from dc_torch.initialization import INITIALIZATIONS


def layers(cls=MultitaskRegressor, **options):
    model = cls(2, 400, layer_sizes=(300, 200), **options)
    weights = list(model.get_weights().values())
    return weights[::2], weights[1::2]


def test_torch_draws_the_weights_by_default():
    for first, second in zip(layers()[0], layers(init="torch")[0], strict=True):
        np.testing.assert_array_equal(first, second)


def test_deepchem_weights_are_truncated_normal_and_biases_are_1():
    # The standard deviation of a normal distribution that is truncated at two deviations.
    density = math.exp(-2) * 2 / math.sqrt(2 * math.pi)
    ratio = math.sqrt(1 - 2 * density / math.erf(math.sqrt(2)))
    weights, biases = layers(init="deepchem")
    for weight in weights[:2]:
        assert np.abs(weight).max() <= 0.04
        error = 4 / math.sqrt(2 * weight.size)
        assert weight.std() == pytest.approx(0.02 * ratio, rel=error)
        assert abs(weight.mean()) < 4 * 0.02 / math.sqrt(weight.size)
    assert all((bias == 1).all() for bias in biases)


def test_a_deepchem_classifier_has_a_xavier_output_layer():
    weights, biases = layers(MultitaskClassifier, init="deepchem")
    bound = math.sqrt(6 / (200 + 4))
    assert 0.95 * bound < np.abs(weights[-1]).max() <= bound
    assert [float(bias.mean()) for bias in biases] == [1, 1, 0]


DEVIATIONS = {
    "xavier_uniform": lambda n, m: math.sqrt(2 / (n + m)),
    "xavier_normal": lambda n, m: math.sqrt(2 / (n + m)),
    "kaiming_uniform": lambda n, m: math.sqrt(2 / n),
    "kaiming_normal": lambda n, m: math.sqrt(2 / n),
}


@pytest.mark.parametrize("init", DEVIATIONS)
def test_standard_deviations_are_the_published_ones_and_biases_are_0(init):
    weights, biases = layers(init=init)
    for weight in weights[:2]:
        outputs, inputs = weight.shape
        expected = DEVIATIONS[init](inputs, outputs)
        assert weight.std() == pytest.approx(expected, rel=4 / math.sqrt(2 * weight.size))
    assert not any(bias.any() for bias in biases)


def test_orthogonal_weights_have_orthonormal_rows():
    for weight in layers(init="orthogonal")[0]:
        np.testing.assert_allclose(weight @ weight.T, np.eye(len(weight)), atol=1e-5)


@pytest.mark.parametrize("init", INITIALIZATIONS)
def test_the_seed_determines_the_weights(init):
    first, again, other = (layers(init=init, seed=seed)[0][0] for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_an_unknown_initialisation_lists_the_known_ones():
    with pytest.raises(ParameterError, match=r"init='he'.*'kaiming_normal'"):
        layers(init="he")


def test_a_model_made_from_the_parameters_has_the_same_weights():
    model = MultitaskRegressor(1, 4, layer_sizes=(3,), init="orthogonal")
    other = construct(MultitaskRegressor, model.get_parameters())
    for name, weight in model.items():
        assert np.array_equal(other[name], weight)
