"""The laws of a trainer: training is exact to the step, whatever interrupts it."""

from __future__ import annotations

import signal
import threading
from abc import abstractmethod
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import numpy as np

from dc_core.columns import dense_array
from dc_core.dataset import Dataset, NumpyDataset
from dc_core.errors import TrainingDiverged, TrainingStateError
from dc_core.testing.bits import difference
from dc_core.testing.process import apart
from dc_core.testing.suite import LawBroken, Suite, law
from dc_core.training.callbacks import Callback
from dc_core.training.trainable import Trainable
from dc_core.training.trained import TrainedEstimator

_EPOCHS = 3
_STEPS = 3


class TrainerSuite(Suite):
    """Every law of a :class:`TrainedEstimator` and its trainer; a subclass writes three methods.

    Required are ``make``, ``dataset`` and ``valid``; ``without_noise`` is optional.
    """

    @abstractmethod
    def make(self, **options: Any) -> TrainedEstimator:
        """Return a new model with these options of its config; equal options give equal models.

        If models of this kind draw random numbers in training, this one does.
        """

    @abstractmethod
    def dataset(self) -> Dataset:
        """Return at least 9 rows to learn from: X is one dense column of floats, y are numbers."""

    @abstractmethod
    def valid(self) -> Dataset:
        """Return other rows of the same kind, to validate on."""

    def without_noise(self, **options: Any) -> TrainedEstimator:
        """Optional: return a model that draws nothing, and whose rows do not affect each other."""
        return self.make(**options)

    @law(since="0.1")
    def test_equal_models_are_trained_equally(self) -> None:
        """Two models with the same options and rows have the same losses and weights."""
        self._expect_same(self._trained(), self._trained(), "Trained twice")

    @law(since="0.1")
    def test_an_interruption_after_any_step_loses_nothing(self) -> None:
        """Training that is interrupted after a step, and resumed, ends like one that is not."""
        whole = self._trained()
        for done in range(1, _EPOCHS * _STEPS + 1):
            model = self._interrupted(done)
            model.fit(self.dataset(), valid=self.valid(), resume=True)
            self._expect_same(whole, model, f"Interrupted after step {done} and resumed")

    @law(since="0.1")
    def test_training_is_resumed_from_weights_and_state(self) -> None:
        """A new model that is given the weights and the training state trains on as the first."""
        whole = self._trained()
        for done in (1, _STEPS, _STEPS + 2):
            first, second = self._interrupted(done), self._made()
            second.set_weights(first.get_weights())
            second.set_training_state(first.get_training_state())
            second.fit(self.dataset(), valid=self.valid(), resume=True)
            self._expect_same(whole, second, f"Given the state after step {done}")

    @law(since="0.1")
    def test_a_step_that_is_not_finite_is_not_applied(self) -> None:
        """A step with an infinite value in X changes no weight, and is counted."""
        spoiled, changed = self._spoiled(1), []
        model = self._made()
        before = [model.get_weights()]

        def on_step(model: Trainable) -> None:
            weights = model.get_weights()
            if np.isnan(model.step_loss()):
                changed.append(difference(before[-1], weights))
            before.append(weights)

        model.fit(spoiled, callbacks=[_AfterSteps(on_step)])
        counted = [epoch.skipped for epoch in model.history]
        if counted != [1] * _EPOCHS:
            raise LawBroken(
                f"There is one such step an epoch; {counted} were counted.",
                hint="Trainer.apply returns NaN if the loss or a gradient is not finite.",
            )
        if any(changed):
            raise LawBroken(
                f"After such a step, {next(filter(None, changed))}.",
                hint="Trainer.apply changes nothing then, statistics of layers included.",
            )

    @law(since="0.1")
    def test_training_ends_after_steps_in_a_row_that_are_not_finite(self) -> None:
        """If no step can be applied, training raises TrainingDiverged and changes no weight."""
        model = self._made()
        before = model.get_weights()
        self._refuses(
            TrainingDiverged, lambda: model.fit(self._spoiled(len(self.dataset()))), "infinite X"
        )
        self._expect_none(difference(before, model.get_weights()), "After infinite X")

    @law(since="0.1")
    def test_training_ends_when_patience_runs_out(self) -> None:
        """Training ends ``patience`` epochs after the last improvement by more than min_delta."""
        model = self.make(epochs=8, patience=2, min_delta=1e9)
        model.fit(self.dataset(), valid=self.valid())
        if len(model.history) != 3:
            raise LawBroken(
                f"With patience=2 it ended after {len(model.history)} epochs instead of 3.",
                hint="Let dc_core.training.Trainer.run end it.",
            )

    @law(since="0.1")
    def test_the_model_ends_with_the_weights_of_its_best_epoch(self) -> None:
        """After training with validation rows, the weights are those of the lowest loss."""
        valid = self.valid()
        reversed_labels = NumpyDataset(valid.X, -valid.y, valid.w)  # training soon makes it worse
        weights = []

        class Noting(Callback):
            def on_epoch_end(self, model: Trainable, epoch: Any) -> None:
                weights.append(model.get_weights())

        model = self._made()
        model.fit(self.dataset(), valid=reversed_labels, callbacks=[Noting()])
        best = int(np.argmin([epoch.valid_loss for epoch in model.history]))
        self._expect_none(
            difference(weights[best], model.get_weights()), f"Epoch {best + 1} being the best"
        )

    @law(since="0.1")
    def test_training_is_not_resumed_with_other_rows(self) -> None:
        """Resuming with other rows raises TrainingStateError."""
        model = self._interrupted(2)
        rows = self.dataset()
        others = rows.select(np.arange(len(rows))[::-1])
        self._refuses(TrainingStateError, lambda: model.fit(others, resume=True), "other rows")

    @law(since="0.1")
    def test_validation_does_not_affect_training(self) -> None:
        """The losses of the steps are the same with validation rows and without."""
        first, second = self._made(), self._made()
        first.fit(self.dataset())
        second.fit(self.dataset(), valid=self.valid())
        if [epoch.steps for epoch in first.history] != [epoch.steps for epoch in second.history]:
            raise LawBroken(
                "With validation rows, the training losses are different.",
                hint="Trainer.evaluated changes neither weights nor random numbers.",
            )

    @law(since="0.1")
    def test_a_missing_label_counts_for_nothing(self) -> None:
        """The value of a label with weight 0 does not matter."""
        rows = self.dataset()
        y, w = rows.y.copy(), rows.w.copy()
        w[::2] = 0
        y[::2] = 1e6
        first, second = self._made(), self._made()
        first.fit(NumpyDataset(rows.X, rows.y, w))
        second.fit(NumpyDataset(rows.X, y, w))
        self._expect_none(
            difference(first.get_weights(), second.get_weights()), "With other missing labels"
        )

    @law(since="0.1")
    def test_the_parts_of_a_step_have_the_gradient_of_all_its_rows(self) -> None:
        """Training with ``accumulate`` equals training without it, up to rounding."""
        rows = self.dataset()
        w = rows.w.copy()
        w[::3] *= 10
        rows = NumpyDataset(rows.X, rows.y, w)
        size = -(-len(rows) // _STEPS)
        whole, parts = (
            self.without_noise(epochs=2, batch_size=size, accumulate=n).fit(rows) for n in (1, 3)
        )
        losses = [[loss for epoch in m.history for loss in epoch.steps] for m in (whole, parts)]
        if not np.allclose(losses[0], losses[1], rtol=1e-3):
            raise LawBroken(
                f"The losses are {losses[1]} with accumulate and {losses[0]} without.",
                hint="Trainer.gradients divides by the weight that it is given, and adds to "
                "`before`.",
            )

    @law(since="0.1")
    def test_training_ends_with_the_averaged_weights(self) -> None:
        """With ``average="swa"`` the weights are the mean of those at the ends of epochs."""
        weights = []

        class Noting(Callback):
            def on_epoch_end(self, model: Trainable, epoch: Any) -> None:
                weights.append(model.get_weights())

        model = self._made(average="swa", average_start=0.0)
        model.fit(self.dataset(), callbacks=[Noting()])
        for name, found in model.get_weights().items():
            if not np.issubdtype(found.dtype, np.floating):
                continue
            mean = np.mean([each[name] for each in weights], axis=0)
            if not np.allclose(found, mean, rtol=1e-3, atol=1e-5):
                raise LawBroken(
                    f"The weight {name!r} is not the mean over the epochs.",
                    hint="Trainer.moved_weights returns weights + share * (model's - weights).",
                )

    @law(since="0.1")
    def test_a_step_that_is_not_applied_leaves_the_average(self) -> None:
        """With ``average="ema"``, the average after such a step is that before it."""
        averages: list[dict[str, np.ndarray]] = []

        def on_step(model: Trainable) -> None:
            state = model.get_training_state().items()
            now = {name: array for name, array in state if name.startswith("average/")}
            if averages and np.isnan(model.step_loss()):
                self._expect_none(
                    difference(averages[-1], now), "After such a step, of the average"
                )
            averages.append(now)

        model = self._made(average="ema", average_decay=0.5)
        model.fit(self._spoiled(1), callbacks=[_AfterSteps(on_step)])

    def _made(self, **options: Any) -> TrainedEstimator:
        size = -(-len(self.dataset()) // _STEPS)
        return self.make(**{"epochs": _EPOCHS, "batch_size": size, **options})

    def _trained(self) -> TrainedEstimator:
        return self._made().fit(self.dataset(), valid=self.valid())

    def _interrupted(self, done: int) -> TrainedEstimator:
        """Return a model whose training was interrupted after so many steps."""
        model, counted = self._made(), iter(range(1, done + 1))

        def on_step(model: Trainable) -> None:
            if next(counted, None) == done:
                _interrupt()

        def fit() -> None:
            model.fit(self.dataset(), valid=self.valid(), callbacks=[_AfterSteps(on_step)])

        with suppress(KeyboardInterrupt):
            apart(fit)
            raise LawBroken(
                f"Ctrl-C after step {done} did not end training.",
                hint="Take signals between steps, as dc_core.training.Trainer.run does.",
            )
        return model

    def _spoiled(self, rows: int) -> NumpyDataset:
        """Return the dataset with infinite values in the first rows."""
        given = self.dataset()
        X = np.array(dense_array(given.X, "the suite"))
        X[:rows] = np.inf
        return NumpyDataset(X, given.y, given.w)

    def _expect_same(self, first: TrainedEstimator, second: TrainedEstimator, when: str) -> None:
        for part, one, other in (
            ("weights", first.get_weights(), second.get_weights()),
            ("training state", first.get_training_state(), second.get_training_state()),
        ):
            self._expect_none(difference(one, other), f"{when}, of the {part}")

    def _expect_none(self, differs: str | None, when: str) -> None:
        if differs:
            raise LawBroken(
                f"{when}, {differs}.",
                hint="What a step does depends on the weights, the training state, the rows and "
                "the seed of the step alone.",
            )

    def _refuses(self, error: type[Exception], attempt: Callable[[], object], what: str) -> None:
        with suppress(error):
            attempt()
            raise LawBroken(f"Given {what}, it raised nothing.", hint=f"Raise {error.__name__}.")


class _AfterSteps(Callback):
    """Calls a function with the model after each step."""

    def __init__(self, call: Callable[[Trainable], None]) -> None:
        self._call = call

    def on_step(self, model: Trainable, step: int, steps: int) -> None:
        self._call(model)


def _interrupt() -> None:
    """Press Ctrl-C; threads other than the main one get an exception instead."""
    if threading.current_thread() is threading.main_thread():
        signal.raise_signal(signal.SIGINT)
    else:
        raise KeyboardInterrupt
