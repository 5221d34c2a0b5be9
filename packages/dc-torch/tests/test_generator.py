"""SequenceGenerator: the probabilities are those of the samples, and the tokens those of a form."""

from collections import Counter
from itertools import pairwise, product

import numpy as np
import pytest
import torch

from dc_core import NumpyDataset, Ragged
from dc_core.errors import DatasetError, EmptyDataset, ParameterError, Unsupported
from dc_core.testing import ModelSuite
from dc_torch import Callback, SequenceGenerator
from dc_torch.errors import TorchError

START, END = 2, 3


def sequences(*rows):
    return NumpyDataset(Ragged.from_rows([[START, *row, END] for row in rows], np.uint16))


def alternating(n, seed):
    """Rows such as 4 5 4 5, of two to nine tokens."""
    rng = np.random.default_rng(seed)
    return sequences(*([4 + i % 2 for i in range(rng.integers(2, 10))] for _ in range(n)))


def generator(**options):
    settings = {
        "embedding_size": 4,
        "hidden_size": 8,
        "max_length": 12,
        "epochs": 3,
        "batch_size": 16,
        **options,
    }
    return SequenceGenerator(6, **settings)


def flat(dataset):
    return dataset.X.values.tolist(), dataset.X.offsets.tolist()


class Likelihoods(SequenceGenerator):
    """A generator whose predictions are its likelihoods, to which the laws of a model apply."""

    def predict(self, dataset):
        return self.log_likelihood(dataset)[:, None]

    def predict_distribution(self, dataset):
        raise Unsupported("Likelihoods have no distribution.")


class TestLaws(ModelSuite):
    def blank(self):
        return Likelihoods(
            6, embedding_size=3, hidden_size=4, n_layers=2, dropout=0.1, max_length=12, epochs=2
        )

    def make(self, seed):
        return self.blank().fit(alternating(20, seed))

    def dataset(self):
        rows = alternating(9, 7)
        return NumpyDataset(rows.X, np.zeros(9))

    def global_state(self):
        return torch.random.get_rng_state().tolist(), torch.is_grad_enabled()


def test_likelihoods_of_all_sequences_add_up_to_the_share_of_samples_that_end():
    model = generator(max_length=5, epochs=6).fit(sequences([4, 5], [5], [0, 1, 4]))
    tokens = [token for token in range(6) if token not in (START, END)]
    every = [row for length in range(5) for row in product(tokens, repeat=length)]
    total = np.exp(model.log_likelihood(sequences(*every))).sum()
    n = 5000
    ended = sum(row[-1] == END for row in model.sample(n, seed=0).X)
    assert 0.1 < total < 0.9
    assert abs(ended - n * total) < 4 * np.sqrt(n * total * (1 - total))


def test_samples_are_as_frequent_as_they_are_likely():
    model = generator(max_length=6, epochs=6).fit(sequences([4], [5], [4, 5]))
    n = 10_000
    counts = Counter(tuple(row.tolist()) for row in model.sample(n, seed=1).X)
    ended = [row for row in counts if row[-1] == END]
    expected = n * np.exp(model.log_likelihood(sequences(*(row[1:-1] for row in ended))))
    deviations = (np.array([counts[row] for row in ended]) - expected) / np.sqrt(expected)
    deviations = deviations[expected > 50]
    freedom = len(deviations)
    assert freedom > 5
    assert (deviations**2).sum() < freedom + 4 * np.sqrt(2 * freedom)  # χ², mean and deviation


def test_a_trained_generator_writes_what_it_was_trained_on():
    rows = alternating(200, 0)
    model = generator(epochs=40, learning_rate=0.02).fit(rows, valid=alternating(50, 1))
    assert model.history[-1].valid_loss < 0.7 * model.history[0].valid_loss
    written = [row.tolist() for row in model.sample(200, seed=0).X]
    good = [row[1:-1] == [4 + i % 2 for i in range(len(row) - 2)] for row in written]
    assert np.mean(good) > 0.9


def test_equal_seeds_give_equal_samples_and_other_seeds_others():
    model = generator().fit(alternating(20, 0))
    assert flat(model.sample(30, seed=5)) == flat(model.sample(30, seed=5))
    assert flat(model.sample(30, seed=5)) != flat(model.sample(30, seed=6))


def test_samples_begin_with_the_start_and_end_once():
    model = generator().fit(alternating(20, 0))
    for row in model.sample(100, seed=0).X:
        assert row[0] == START
        assert START not in row[1:]
        assert END not in row[1:-1]
        assert len(row) <= 13
        assert row[-1] == END or len(row) == 13


def test_samples_can_be_trained_on_and_have_likelihoods():
    model = generator(epochs=20, learning_rate=0.02).fit(alternating(100, 0))
    samples = model.sample(20, seed=0)
    whole = samples.select([row[-1] == END for row in samples.X])
    assert np.isfinite(model.log_likelihood(whole)).all()
    model.fit(whole, epochs=1)


def test_top_1_writes_the_most_probable_token_everywhere():
    model = generator(epochs=20, learning_rate=0.02).fit(alternating(100, 0))
    rows = {tuple(row.tolist()) for row in model.sample(20, seed=0, top_k=1).X}
    assert len(rows) == 1
    (row,) = rows
    with torch.inference_mode():
        state = None
        for token, following in pairwise(row):
            logits, state = model.module.step(torch.tensor([token]), state)
            logits[0, START] = -np.inf
            assert int(logits.argmax()) == following


def test_a_low_temperature_approaches_the_most_probable_token():
    model = generator(epochs=20, learning_rate=0.02).fit(alternating(100, 0))
    cold, top = model.sample(20, 0, temperature=1e-6), model.sample(20, 0, top_k=1)
    assert flat(cold) == flat(top)
    warm = model.sample(200, 0, temperature=2.0)
    assert len({tuple(row) for row in warm.X}) > 50


def test_likelihoods_do_not_depend_on_the_other_rows_of_the_batch():
    model = generator().fit(alternating(20, 0))
    rows = alternating(30, 3)
    alone = np.concatenate([model.log_likelihood(rows[i : i + 1]) for i in range(30)])
    np.testing.assert_allclose(model.log_likelihood(rows), alone, rtol=1e-5)


def test_sampling_leaves_random_numbers_modes_and_gradients_alone():
    model = generator().fit(alternating(20, 0))
    model.module.train()
    before = torch.random.get_rng_state()
    model.sample(10, seed=0)
    assert torch.equal(before, torch.random.get_rng_state())
    assert model.module.training
    assert torch.is_grad_enabled()


def test_training_is_resumed_exactly():
    rows = alternating(40, 0)
    whole = generator(epochs=4, dropout=0.2).fit(rows)
    first = generator(epochs=4, dropout=0.2).fit(rows, epochs=2)
    second = generator(epochs=4, dropout=0.2)
    second.set_weights(first.get_weights())
    second.set_training_state(first.get_training_state())
    second.fit(rows, resume=True)
    assert flat(whole.sample(20, 0)) == flat(second.sample(20, 0))
    assert all(np.array_equal(whole[name], second[name]) for name in whole)


def test_callbacks_are_given_the_generator():
    class Noting(Callback):
        def on_epoch_end(self, model, epoch):
            self.model = model

    noting = Noting()
    model = generator().fit(alternating(20, 0), callbacks=[noting])
    assert noting.model is model


@pytest.mark.parametrize(
    "X",
    [
        np.zeros((3, 4)),
        Ragged.from_rows([[2, 4.5, 3]]),
        Ragged.from_rows([[2, 6, 3]]),
        Ragged.from_rows([[2, -1, 3]]),
        Ragged.from_rows([[4, 5, 3]]),
        Ragged.from_rows([[2, 4, 5]]),
        Ragged.from_rows([[2, 3, 3]]),
        Ragged.from_rows([[2, 2, 3]]),
        Ragged.from_rows([[2, 4, 3], [2]]),
        Ragged(np.zeros(0, np.int64), [0, 0]),
    ],
    ids=range(10),
)
def test_rows_of_another_form_are_refused(X):
    with pytest.raises(DatasetError):
        generator().fit(NumpyDataset(X))


def test_what_exceeds_the_length_is_not_learned_and_has_no_likelihood():
    cut = Ragged.from_rows([[START, *[4, 5] * 6]], np.uint16)
    long = sequences([4, 5] * 6), sequences([*[4, 5] * 6, 5, 5])
    first, second = (generator().fit(rows) for rows in long)
    assert all(np.array_equal(first[name], second[name]) for name in first)
    assert first.sample(1, seed=0, top_k=1).X.dtype == cut.dtype
    with pytest.raises(DatasetError, match="13 tokens"):
        first.log_likelihood(long[0])


def test_empty_datasets_raise_empty_dataset():
    empty = alternating(3, 0)[:0]
    with pytest.raises(EmptyDataset):
        generator().fit(empty)
    with pytest.raises(EmptyDataset):
        generator().fit(alternating(3, 0)).log_likelihood(empty)
    assert len(generator().fit(alternating(3, 0)).sample(0, seed=0)) == 0


@pytest.mark.parametrize(
    "options",
    [
        {"start": 6},
        {"start": 3},
        {"hidden_size": 0},
        {"hidden_size": 10**9},
        {"n_layers": 1000},
        {"dropout": 1.0},
        {"max_length": 0},
        {"loss": "mse"},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used_are_refused(options):
    with pytest.raises(ParameterError):
        generator(**options)


@pytest.mark.parametrize(
    "options", [{"temperature": 0}, {"temperature": "hot"}, {"top_k": 0}, {"seed": -1}], ids=str
)
def test_options_of_sampling_that_cannot_be_used_are_refused(options):
    with pytest.raises(ParameterError):
        generator().sample(3, **{"seed": 0, **options})


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_weights_that_are_not_finite_are_a_typed_error(value):
    model = generator()
    damaged = np.full_like(model["sequence_generator/output/1"], value)
    model["sequence_generator/output/1"] = damaged
    with pytest.raises(TorchError, match="finite"):
        model.sample(3, seed=0)


def test_likelihoods_are_the_same_whatever_the_numbers_of_start_and_end():
    """Token 0 also fills places after the end, where nothing may count."""
    swapped = {0: START, 1: END, START: 0, END: 1}
    plain = generator()
    other = generator(start=0, end=1)
    order = [swapped.get(token, token) for token in range(6)]
    with torch.no_grad():
        for name, tensor in other.module.state_dict().items():
            given = plain.module.state_dict()[name]
            tensor.copy_(given[order] if name.startswith(("embedding", "output")) else given)
    rows = [[4, 5, 4], [5]]
    framed = NumpyDataset(Ragged.from_rows([[0, *row, 1] for row in rows], np.uint16))
    np.testing.assert_allclose(
        other.log_likelihood(framed), plain.log_likelihood(sequences(*rows)), rtol=1e-6
    )


@pytest.mark.parametrize("temperature", [1e-5, 5e-324])
def test_the_lowest_temperatures_give_the_most_probable_token(temperature):
    found = generator()
    assert flat(found.sample(3, 0, temperature=temperature)) == flat(found.sample(3, 0, top_k=1))
