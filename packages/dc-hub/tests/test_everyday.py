"""What a user does every day, from publishing to another process."""

import subprocess
import sys
import textwrap

import dc_core
import numpy as np
import pytest
from dc_hub import from_pretrained, load, load_weights, publish, save
from dc_hub.errors import AlreadyExists, ClassMismatch, UnknownClass


def test_a_published_model_comes_back_with_equal_predictions(hub, linear, dataset):
    published = publish(linear, "solubility", hub=hub)
    back = from_pretrained("solubility", hub=hub)
    assert type(back) is type(linear)
    assert back.get_parameters() == linear.get_parameters()
    np.testing.assert_array_equal(back.predict(dataset), linear.predict(dataset))
    assert hub.resolve("solubility") == published


def test_a_whole_chain_comes_back_and_predicts_from_strings_alone(hub, chain):
    publish(chain, "lab/chain", hub=hub)
    back = from_pretrained("lab/chain", hub=hub)
    np.testing.assert_array_equal(back.predict(["CCO", "N"]), chain.predict(["CCO", "N"]))
    np.testing.assert_array_equal(back.weights, np.arange(3.0))


def test_models_have_their_own_two_methods(tmp_path, chain, models):
    where = chain.to_pretrained(tmp_path / "model").path
    back = models["Chain"].from_pretrained(where)
    assert list(back) == list(chain)
    chain.to_pretrained("by-name")
    assert list(dc_core.Model.from_pretrained("by-name@main")) == list(chain)


def test_saving_a_loaded_model_gives_the_same_revision(tmp_path, chain):
    first = save(chain, tmp_path / "first")
    second = save(load(tmp_path / "first"), tmp_path / "second")
    assert first.revision == second.revision
    for file in first.path.iterdir():
        assert file.read_bytes() == (second.path / file.name).read_bytes()
