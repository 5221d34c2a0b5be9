"""The parameters of tuning: their domains, and putting them into an estimator by path."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import kstest

from dc_core import with_parameters
from dc_core.errors import ParameterError, UnknownParameter
from dc_pipeline import (
    ECFP,
    Choice,
    Integer,
    LogUniform,
    MACCSKeys,
    NormalizationTransformer,
    Pipeline,
    Uniform,
)


def drawn(domain, n=2000):
    rng = np.random.default_rng(0)
    return [domain.draw(rng) for _ in range(n)]


def test_uniform_numbers_are_uniform():
    assert kstest(np.array(drawn(Uniform(-3, 5))), "uniform", (-3, 8)).pvalue > 0.01


def test_log_uniform_numbers_have_uniform_logarithms():
    logs = np.log(drawn(LogUniform(1e-4, 10)))
    assert kstest(logs, "uniform", (np.log(1e-4), np.log(1e5))).pvalue > 0.01


def test_integers_are_uniform_and_both_ends_are_among_them():
    counts = np.bincount(drawn(Integer(2, 5)), minlength=6)
    assert counts[:2].sum() == 0
    assert (np.abs(counts[2:] - 500) < 5 * np.sqrt(500)).all()


def test_integers_by_logarithm_favor_small_ones_by_their_ratio():
    found = np.array(drawn(Integer(1, 1023, log=True)))
    assert found.min() == 1
    logs = np.log2(found + np.random.default_rng(1).uniform(-0.5, 0.5, len(found)))
    assert kstest(logs, "uniform", (-1, np.log2(1023.5) + 1)).pvalue > 0.01


bounds = st.floats(1e-6, 1e6)


@given(bounds, bounds, st.integers(0, 9))
def test_what_is_drawn_is_in_the_domain(low, high, seed):
    rng = np.random.default_rng(seed)
    low, high = sorted((low, high))
    for domain in (Uniform, LogUniform):
        if low < high:
            assert domain(low, high).contains(domain(low, high).draw(rng))
    first, last = int(low) + 1, int(high) + 2
    for log in (False, True):
        if first < last:
            assert Integer(first, last, log).contains(Integer(first, last, log).draw(rng))


def test_a_choice_gives_back_the_values_themselves():
    values = (True, 1, 1.0, "1", None, (1, 2), ECFP(radius=1), ECFP(radius=3))
    choice = Choice(*values)
    assert [choice.value(label) for label in choice.labels()] == list(values)
    assert {type(label) for label in choice.labels()} == {bool, int, float, str, type(None)}
    assert not choice.contains(2)
    assert not choice.contains([1, 2])


def test_domains_are_shown_as_the_calls_that_make_them():
    for domain in (
        Uniform(0.0, 1.0),
        LogUniform(0.1, 1.0),
        Integer(1, 3),
        Choice("a", None, (1, 2)),
    ):
        assert eval(repr(domain)) == domain


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: Uniform(1, 1), "less than high=1.0"),
        (lambda: Uniform(2, 1), "low=2.0 must be less"),
        (lambda: Uniform(0, np.inf), "high=inf must be a finite"),
        (lambda: Uniform("0", 1), "finite number"),
        (lambda: LogUniform(0, 1), "above 0"),
        (lambda: Integer(1, 2.5), "integer"),
        (lambda: Integer(0, 9, log=True), "at least 1"),
        (lambda: Integer(0, 2**60), "at most"),
        (lambda: Choice([1, 2, 3]), r"Choice\(1, 2, 3\)"),
        (lambda: Choice(), "at least two"),
        (lambda: Choice(1, 1), "values look the same"),
        (lambda: Choice((1, 2), "(1, 2)"), "look the same"),
        (lambda: Choice(0.0, float("nan")), "finite"),
    ],
)
def test_a_domain_that_cannot_be_is_refused(make, words):
    with pytest.raises(ParameterError, match=words):
        make()


def test_paths_lead_through_arguments_and_lists(ridge):
    pipeline = Pipeline(ridge(2.0), ECFP(size=64), [NormalizationTransformer("y")])
    changed = with_parameters(
        pipeline,
        {"model.alpha": 5.0, "featurizer.radius": 3, "transformers.0.part": "X"},
    )
    assert (changed.model.alpha, changed.featurizer.radius, changed.featurizer.size) == (5.0, 3, 64)
    assert changed.transformers[0].get_parameters()["part"] == "X"
    assert (pipeline.model.alpha, pipeline.featurizer.radius) == (2.0, 2)


def test_a_whole_part_can_be_replaced(ridge):
    pipeline = Pipeline(ridge(), ECFP())
    changed = with_parameters(pipeline, {"featurizer": MACCSKeys()})
    assert isinstance(changed.featurizer, MACCSKeys)
    assert changed.model is pipeline.model


def test_paths_lead_into_estimators_of_scikit_learn():
    dc_sklearn = pytest.importorskip("dc_sklearn")
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = dc_sklearn.SklearnModel(make_pipeline(StandardScaler(), Ridge()))
    changed = with_parameters(model, {"estimator.steps.1.1.alpha": 7.0})
    assert changed.estimator.steps[1][1].alpha == 7.0
    assert model.estimator.steps[1][1].alpha == 1.0


def test_paths_lead_to_the_options_of_a_network():
    dc_torch = pytest.importorskip("dc_torch")
    network = dc_torch.MultitaskRegressor(1, 4, layer_sizes=(8,), learning_rate=0.1, seed=3)
    changed = with_parameters(network, {"learning_rate": 0.2, "epochs": 7, "layer_sizes": (4, 4)})
    options = (changed.config.learning_rate, changed.config.epochs, changed.config.seed)
    assert options == (0.2, 7, 3)
    assert changed.get_parameters()["layer_sizes"] == (4, 4)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("model.alhpa", "Did you mean model.alpha"),
        ("mode.alpha", "Did you mean model"),
        ("transformers.1", "no '1'"),
        ("model.alpha.x", "of which no parameters are known"),
        ("", "no ''"),
    ],
)
def test_a_path_that_leads_nowhere_names_the_nearest(ridge, path, words):
    pipeline = Pipeline(ridge(), None, [NormalizationTransformer("y")])
    with pytest.raises(UnknownParameter, match=words):
        with_parameters(pipeline, {path: 1})


def test_an_option_that_a_network_does_not_have_is_an_unknown_parameter():
    dc_torch = pytest.importorskip("dc_torch")
    network = dc_torch.MultitaskRegressor(1, 4)
    with pytest.raises(UnknownParameter, match="learning_rate"):
        with_parameters(network, {"learning_rat": 1})


@pytest.mark.parametrize("paths", [("model", "model.alpha"), ("model.alpha", "model")])
def test_a_path_through_a_part_that_is_replaced_is_refused(ridge, paths):
    with pytest.raises(ParameterError, match="leads through"):
        with_parameters(Pipeline(ridge()), dict.fromkeys(paths, ridge(2.0)))
