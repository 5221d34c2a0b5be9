"""Trainers that train together: here a linear model in NumPy, and one thread for each rank."""

from __future__ import annotations

import math
import signal
import threading
from contextlib import nullcontext

import numpy as np
import pytest

from dc_core import Metric, NumpyDataset
from dc_core.errors import DatasetError
from dc_core.interrupts import deferred_signals
from dc_core.testing.process import apart
from dc_core.training import (
    Evaluated,
    Trainer,
    TrainingConfig,
    Validation,
    World,
    step_seed,
    training_batches,
)


class Threads(World):
    """The world of one of several threads, which share what they say in a list."""

    def __init__(self, rank, size, said, barrier):
        self.rank, self.size = rank, size
        self._said, self._barrier = said, barrier

    def gather(self, values):
        self._said[self.rank] = tuple(map(float, values))
        self._barrier.wait()
        every = list(self._said)
        self._barrier.wait()
        return every


class Linear(Trainer):
    """Least squares by gradient descent; notes the seeds of its steps."""

    def __init__(self, config, world=None, features=3):
        super().__init__(config)
        self.world = world or World()
        self.weights = np.zeros((features, 2))
        self.seeds = []

    def isolated(self):
        return nullcontext()

    def training(self, epoch):
        return nullcontext()

    def evaluating(self):
        return nullcontext()

    def gradients(self, X, labels, weight, seed, before=None):
        self.seeds.append(seed)
        with np.errstate(invalid="ignore"):
            wrong = X @ self.weights - labels.y
            loss, slope = (labels.w * wrong**2).sum(), 2 * X.T @ (labels.w * wrong)
        every = self.world.gather([loss, *slope.flat])
        loss, *gradient = np.sum(every, axis=0) / weight
        total, slopes = (0.0, 0.0) if before is None else before
        return total + float(loss), slopes + np.reshape(gradient, self.weights.shape)

    def apply(self, gradients, rate):
        loss, gradient = gradients
        if not np.isfinite(gradient).all():
            return math.nan
        self.weights -= rate * gradient
        return loss

    def read(self, losses):
        return list(losses)

    def evaluated(self, X, labels, *, predict):
        predictions = X @ self.weights
        loss = float((labels.w * (predictions - labels.y) ** 2).sum())
        return Evaluated(loss, predictions if predict else None)

    def copied_weights(self, into):
        return {"weights": self.weights.copy()}

    def moved_weights(self, weights, share):
        return {"weights": weights["weights"] + share * (self.weights - weights["weights"])}

    def set_weights(self, weights):
        self.weights[:] = weights["weights"]

    def weights_to_arrays(self, weights):
        return dict(weights)

    def weights_from_arrays(self, arrays):
        return dict(arrays)

    def optimizer_state(self):
        return {}

    def load_optimizer_state(self, state):
        pass


def dataset(n, seed=0):
    """Return rows with two tasks: in the second few have a label, and weights differ widely."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 3))
    y = X @ np.array([[1.0, -2], [0.5, 0], [0, 3]]) + 0.1 * rng.normal(size=(n, 2))
    y[rng.random((n, 2)) < [0.1, 0.8]] = np.nan
    return NumpyDataset(X, y, 10.0 ** rng.integers(-2, 3, size=(n, 2)))


def config(**options):
    return TrainingConfig(**{"learning_rate": 0.05, "batch_size": 7, "epochs": 4, **options})


def together(size, run):
    """Return what ``run(world)`` returns on each of ``size`` threads, or the error it raises."""
    said, barrier, results = [()] * size, threading.Barrier(size, timeout=20), [None] * size

    def one(rank):
        try:
            results[rank] = run(Threads(rank, size, said, barrier))
        except DatasetError as error:
            results[rank] = error

    threads = [threading.Thread(target=one, args=(rank,)) for rank in range(size)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def trained(world=None, rows=None, valid=None, metrics=(), stop_after=None, **options):
    trainer, rows = Linear(config(**options), world), rows or dataset(33)
    validation = Validation.of(trainer.config, rows, valid, metrics)
    running = trainer.run(rows, validation, trainer.config.epochs, lambda *_: None)
    for epoch in running:
        if epoch.number == stop_after and trainer.world.rank == 0:
            running.close()
    return trainer


class Bias(Metric):
    greater_is_better = False

    def compute(self, y, prediction, w):
        return abs(float(np.average(prediction - y, weights=w)))


@pytest.mark.parametrize("size", [2, 3, 11])
def test_all_ranks_compute_metrics_on_the_rows_of_all(size):
    options = {"valid": dataset(10, seed=1), "metrics": [Bias()], "monitor": "bias/task1"}
    alone, *ranks = trained(**options), *together(size, lambda world: trained(world, **options))
    for trainer in ranks:
        for found, known in zip(trainer.epochs, alone.epochs, strict=True):
            assert found.metrics == pytest.approx(known.metrics, rel=1e-9)
        np.testing.assert_allclose(trainer.weights, alone.weights, rtol=1e-9)


@pytest.mark.parametrize("counts", [(2, 0, 1), (0, 0, 3)])
@pytest.mark.parametrize("depth", [(), (3,)])
def test_rows_are_gathered_from_ranks_with_any_number_of_them(counts, depth):
    def gathered(world):
        own = np.full((counts[world.rank], 2, *depth), float(world.rank))
        return world.gather_rows([own] if len(own) else [], width=2)

    for rows in together(3, gathered):
        assert np.array_equal(
            rows[(slice(None), 0, *[0] * len(depth))], np.repeat(range(3), counts)
        )


@pytest.mark.parametrize("size", [2, 3, 9])
def test_the_number_of_ranks_changes_only_the_order_of_sums(size):
    alone = trained(valid=dataset(10, seed=1))
    for trainer in together(size, lambda world: trained(world, valid=dataset(10, seed=1))):
        np.testing.assert_allclose(trainer.weights, alone.weights, rtol=1e-12)
        for found, known in zip(trainer.epochs, alone.epochs, strict=True):
            np.testing.assert_allclose(found.steps, known.steps, rtol=1e-12)
            assert found.valid_loss == pytest.approx(known.valid_loss, rel=1e-12)


@pytest.mark.parametrize("size", [2, 3])
def test_ranks_divide_their_rows_in_equally_many_parts(size):
    alone = trained()
    for trainer in together(size, lambda world: trained(world, accumulate=3)):
        np.testing.assert_allclose(trainer.weights, alone.weights, rtol=1e-12)


def test_all_ranks_end_when_one_closes_the_training():
    trainers = together(2, lambda world: trained(world, stop_after=2))
    assert [len(trainer.epochs) for trainer in trainers] == [2, 2]


def test_all_ranks_follow_a_learning_rate_that_the_first_has_changed():
    def halved(world):
        trainer = Linear(config(), world)

        def on_step(step, steps):
            if step == 2 and trainer.world.rank == 0:
                trainer.control.factor /= 2

        rows = dataset(33)
        list(trainer.run(rows, Validation.of(trainer.config, rows, None, ()), 4, on_step))
        return trainer

    alone, *ranks = halved(World()), *together(2, halved)
    assert alone.control.factor == 1 / 16
    for trainer in ranks:
        assert trainer.control.factor == 1 / 16
        np.testing.assert_allclose(trainer.weights, alone.weights, rtol=1e-12)


def test_all_ranks_run_out_of_patience_in_the_same_epoch():
    options = {"valid": dataset(9, seed=1), "patience": 2, "learning_rate": 0.4, "epochs": 60}
    alone, *ranks = trained(**options), *together(3, lambda world: trained(world, **options))
    assert len(alone.epochs) < 60
    assert {len(trainer.epochs) for trainer in ranks} == {len(alone.epochs)}


def test_a_step_that_is_not_finite_on_one_rank_is_applied_on_none():
    X, y = np.ones((8, 3)), np.ones((8, 2))
    X[3] = np.inf
    rows, options = NumpyDataset(X, y), {"batch_size": 4, "epochs": 1}
    trainers = together(2, lambda world: trained(world, rows, **options))
    assert [trainer.epochs[0].skipped for trainer in trainers] == [1, 1]
    assert np.array_equal(trainers[0].weights, trainers[1].weights)


def test_ranks_with_different_data_are_a_typed_error():
    errors = together(2, lambda world: trained(world, dataset(33, seed=world.rank)))
    assert [type(error) for error in errors] == [DatasetError, DatasetError]


def test_each_rank_draws_its_own_numbers_and_the_first_those_of_one_process():
    alone = trained()
    first, second = together(2, trained)
    assert first.seeds == alone.seeds
    assert not set(first.seeds) & set(second.seeds)
    assert step_seed(5, 2, 3) == step_seed(5, 2, 3, rank=0)


@pytest.mark.parametrize(("rows", "size", "world"), [(33, 8, 2), (33, 8, 3), (17, 4, 7), (1, 4, 2)])
def test_the_shares_of_the_ranks_are_the_rows_of_each_batch(rows, size, world):
    data = NumpyDataset(np.arange(rows), np.arange(rows))
    whole = list(training_batches(data, size, 3, 1))
    shares = [list(training_batches(data, size, 3, 1, rank=r, world=world)) for r in range(world)]
    for i, (_, labels) in enumerate(whole):
        given = [share[i][1].y[share[i][1].w > 0] for share in shares]
        assert sorted(np.concatenate(given)) == sorted(labels.y[:, 0])


def test_a_rank_never_gets_fewer_than_two_rows_of_a_batch_that_has_as_many():
    data = NumpyDataset(np.arange(11), np.arange(11))
    batches = [b for r in range(4) for b in training_batches(data, 4, 0, 1, rank=r, world=4)]
    assert {len(X) for X, _ in batches} == {2}


def test_a_signal_of_another_process_is_taken_as_ones_own():
    with deferred_signals() as signals:
        signals.check(0)
        with pytest.raises(KeyboardInterrupt):
            apart(lambda: signals.check(signal.SIGINT))
