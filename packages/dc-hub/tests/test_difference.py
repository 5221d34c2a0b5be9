"""What differs between two stored models."""

import numpy as np
import pytest

from dc_hub import diff, publish
from dc_hub.inspecting.difference import _BLOCK as BLOCK


def test_equal_models_do_not_differ(hub, chain):
    publish(chain, "a", hub=hub)
    publish(chain, "b", hub=hub, tag="v1")
    assert diff("a", "b@v1", hub=hub).identical


def test_arguments_metadata_and_weights_that_differ_are_named(hub, models, dataset):
    publish(models["Linear"](1.0).fit(dataset), "a", hub=hub, metadata={"task": "x"})
    model = models["Linear"](2.0).fit(dataset)
    model.intercept = model.intercept.astype(np.float32)
    publish(model, "b", hub=hub)
    found = diff("a", "b", hub=hub)
    assert [(c.where, c.before, c.after) for c in found.record] == [
        ("metadata.task", "x", None),
        ("params.alpha", 1.0, 2.0),
    ]
    coefficients, intercept = found.weights
    assert coefficients.where == "linear/coefficients/0"
    assert (coefficients.differing, coefficients.size) == (8, 8)
    assert (intercept.before, intercept.after) == ("float64 [2]", "float32 [2]")


def test_numbers_of_different_types_differ(hub, models, dataset):
    for name, value in (("a", 1), ("b", 1.0), ("c", True)):
        publish(models["Linear"](value).fit(dataset), name, hub=hub)
    for after in "bc":
        (change,) = diff("a", after, hub=hub).record
        assert change.where == "params.alpha"


def test_one_changed_bit_of_a_weight_is_a_difference(hub, linear):
    publish(linear, "a", hub=hub)
    linear.intercept = np.nextafter(linear.intercept, np.inf)
    publish(linear, "b", hub=hub)
    (change,) = diff("a", "b", hub=hub).weights
    assert change.where == "linear/intercept/0"


def test_values_that_differ_are_counted_by_their_bits(hub, linear):
    linear.intercept = np.array([np.nan, 0.0])
    publish(linear, "a", hub=hub)
    linear.intercept = np.array([np.nan, -0.0])
    publish(linear, "b", hub=hub)
    (change,) = diff("a", "b", hub=hub).weights
    assert (change.differing, change.size) == (1, 2)


def test_the_distance_of_weights_is_that_of_numpy(hub, linear):
    before, after = np.array([3.0, 4.0]), np.array([3.0, 4.0 + 1e-3])
    linear.intercept = before
    publish(linear, "a", hub=hub)
    linear.intercept = after
    publish(linear, "b", hub=hub)
    (change,) = diff("a", "b", hub=hub).weights
    assert change.largest == pytest.approx(1e-3)
    assert change.norm_before == 5.0
    assert change.norm_after == pytest.approx(np.linalg.norm(after))
    assert change.norm_of_difference == pytest.approx(1e-3)


def test_weights_are_compared_by_blocks_to_the_last_value(hub, linear):
    linear.intercept = np.zeros(2)
    linear.coefficients = np.zeros((3 * BLOCK + 5, 2))
    publish(linear, "a", hub=hub)
    linear.coefficients = np.zeros((3 * BLOCK + 5, 2))
    linear.coefficients[-1, -1] = 2.0
    linear.coefficients[0, 0] = 1.0
    publish(linear, "b", hub=hub)
    (change,) = diff("a", "b", hub=hub).weights
    assert (change.differing, change.largest) == (2, 2.0)
    assert change.norm_of_difference == pytest.approx(5**0.5)


def test_weights_of_one_side_only_are_named(hub, linear, models):
    publish(linear, "a", hub=hub)
    publish(models["Letters"](), "b", hub=hub)
    assert [(c.where, c.after) for c in diff("a", "b", hub=hub).weights] == [
        ("linear/coefficients/0", None),
        ("linear/intercept/0", None),
    ]
