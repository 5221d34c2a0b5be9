"""``Trainer``: one training of a model, step by step, and its state between steps.

The state holds everything that the next step depends on, besides the model's weights: the
optimizer's moments, the records of the epochs (schedules and early stopping are functions of them),
how far the present epoch has come, what callbacks asked for, the average of the weights, and the
best and the last weights if they differ from the model's. Random numbers are functions of the seed,
the epoch and the step.

A step is applied as a whole or not at all, so that training can end after any step, whatever ends
it, and is resumed as if it had not ended.

The trainer knows neither models nor callbacks: it yields each epoch, and the caller decides whether
to ask for another.
"""

from __future__ import annotations

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from itertools import pairwise
from typing import Any, Final, NamedTuple

import numpy as np

from dc_core.columns import Columns, take_rows
from dc_core.dataset import Dataset
from dc_core.errors import DatasetError, ParameterError, TrainingDiverged, TrainingStateError
from dc_core.interrupts import DeferredSignals, deferred_signals
from dc_core.metric import score_all
from dc_core.training import averaging, history, saved_options
from dc_core.training.batches import (
    LABELLED,
    Labels,
    labels_of,
    steps_per_epoch,
    training_batches,
    validation_batches,
)
from dc_core.training.config import TrainingConfig
from dc_core.training.control import Control
from dc_core.training.fingerprints import Fingerprints
from dc_core.training.history import Epoch, Partial, epochs_waited
from dc_core.training.monitoring import Monitor, Validation
from dc_core.training.schedules import Progress
from dc_core.training.seeds import step_seed
from dc_core.training.world import World

SKIPPED_IN_A_ROW: Final = 3
"""Training ends when so many steps in a row cannot be applied."""

_READ_EVERY: Final = 64
"""Losses on a device are read after so many steps: reading each would stall it."""

_PARTS: Final = (
    "history",
    "partial",
    "control",
    "data",
    "options",
    "optimizer",
    "average",
    "averaged",
    "best",
    "last",
)

logger = logging.getLogger(__name__)


class Evaluated(NamedTuple):
    """The loss on some rows: the sum of the labels' losses times their weights; and predictions."""

    loss: float
    predictions: np.ndarray | None


class Trainer(ABC):
    """Trains a model as ``config`` says; a backend's subclass holds the model and does the steps.

    Its weights are whatever the backend copies them as; the trainer keeps them and gives them back.

    :attr:`world` is the processes that train together. Each has a trainer of its own with the same
    weights and the same state, and takes its share of the rows of each step; so the state is that
    of training in one process, and the number of processes changes only the order of sums.
    """

    world: World = World()

    def __init__(self, config: TrainingConfig) -> None:
        self.config = config
        self.epochs: list[Epoch] = []
        self.control = Control(config.learning_rate)
        self._schedule = config.make_schedule()
        self._partial = Partial()
        self._unread: list[Any] = []
        self._data = Fingerprints()
        self._best: dict[str, Any] = {}
        self._last: dict[str, Any] = {}
        self._average: dict[str, Any] = {}
        self._averaged = 0

    # What a backend does.

    @abstractmethod
    def isolated(self) -> AbstractContextManager[object]:
        """Keep the program's random numbers as they are, whatever is drawn in the block."""

    @abstractmethod
    def training(self, epoch: int) -> AbstractContextManager[object]:
        """Have the model ready for the steps of that epoch, from 1, in the block."""

    @abstractmethod
    def evaluating(self) -> AbstractContextManager[object]:
        """Have the model ready for predictions, which record no gradients, in the block."""

    @abstractmethod
    def gradients(
        self, X: Columns, labels: Labels, weight: float, seed: int, before: Any = None
    ) -> Any:
        """Return what :meth:`apply` needs for a step on these rows, and change nothing.

        If the step has other rows too, ``before`` is what this method returned for them, and the
        gradients and losses are added.

        The loss is the sum of the labels' losses times their weights, divided by ``weight``, the
        sum of the weights, both over all ranks of :attr:`world`; so are the gradients. What is
        drawn depends on ``seed`` alone, which is below 2**64. Raises :class:`DatasetError` if the
        rows do not fit the model.
        """

    @abstractmethod
    def apply(self, gradients: Any, rate: float) -> Any:
        """Change the weights by a step with the learning rate ``rate``, and return its loss.

        The loss is a float, or a scalar on a device, which nothing waits for. If it or a gradient
        is not finite, nothing changes, and the loss is NaN.
        """

    def recovers(self) -> bool:
        """Return whether steps may be applied again by themselves: a loss scale falls, say.

        Training then goes on after any number of steps in a row that are not applied.
        """
        return False

    @abstractmethod
    def read(self, losses: Sequence[Any]) -> list[float]:
        """Return the values of losses that :meth:`apply` left on the device."""

    @abstractmethod
    def evaluated(self, X: Columns, labels: Labels, *, predict: bool) -> Evaluated:
        """Return the loss on the rows and, if asked for, predictions, within :meth:`evaluating`."""

    @abstractmethod
    def copied_weights(self, into: dict[str, Any]) -> dict[str, Any]:
        """Return a copy of all weights, in the memory of ``into``, an earlier copy, if it fits."""

    def exchanged_weights(self, weights: dict[str, Any]) -> dict[str, Any]:
        """Give the model the weights of a copy, and return a copy of those that it had.

        It may be in the memory of ``weights``, which is not used again.
        """
        own = self.copied_weights({})
        self.set_weights(weights)
        return own

    @abstractmethod
    def moved_weights(self, weights: dict[str, Any], share: Any) -> dict[str, Any]:
        """Return a copy of weights moved towards the model's by that share, in its own memory.

        What is not a floating-point number, such as a count, is the model's. ``share`` is a float,
        or a scalar on the device if :meth:`apply` returns those.
        """

    def share_if_applied(self, share: float, loss: Any) -> Any:
        """Return ``share``, and 0 if ``loss``, a scalar on the device, is NaN.

        Nothing waits for the device, so the result is a scalar there too.
        """
        return share * (loss == loss)

    @abstractmethod
    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Give the model the weights of a copy."""

    @abstractmethod
    def weights_to_arrays(self, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return a copy as arrays by name."""

    @abstractmethod
    def weights_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return a copy from its arrays; raises :class:`TrainingStateError` if they are others."""

    @abstractmethod
    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Return the optimizer's state as arrays by name."""

    @abstractmethod
    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the optimizer's state; raises :class:`TrainingStateError`, and changes nothing."""

    # What all have in common.

    def run(
        self,
        dataset: Dataset,
        validation: Validation,
        epochs: int,
        on_step: Callable[[int, int], None],
    ) -> Generator[Epoch, None, None]:
        """Train for at most ``epochs`` epochs, and yield the record of each when it ends.

        An epoch that has begun is ended first, and counts. ``on_step(step, steps)`` is called after
        each step. Between epochs the model has the last weights. Close the generator, or exhaust
        it, to end training: the model then has the weights of the best epoch, if ``validation``
        keeps them; or else their average, if the config asks for one, or the last ones.

        Whatever ends training, the steps that are done count. Ctrl-C and SIGTERM are taken between
        two steps, or when the caller asks for the next epoch; see
        :func:`dc_core.deferred_signals`. A step whose loss or gradient is not finite is not
        applied, and logged.

        Every rank of :attr:`world` calls this with the same arguments; if one closes the generator,
        training ends on all.

        Raises :class:`DatasetError` if the data do not fit the model or differ between ranks, and
        :class:`TrainingDiverged` if steps in a row cannot be applied.
        """
        data = self._data.with_those_of(dataset, validation.dataset)
        self._check_ranks(data)
        self._data = data
        rows = len(dataset)
        with deferred_signals() as signals:
            try:
                with signals.whole():
                    if self._last:
                        self.set_weights(self._last)
                        self._last = {}
                for _ in range(epochs):
                    if self._out_of_patience(validation):
                        break
                    if len(dataset) != rows:
                        raise DatasetError(
                            f"The dataset has {len(dataset)} rows; it had {rows} when training "
                            "began.",
                            hint="Train on a dataset that nothing changes, such as a copy.",
                        )
                    with self.isolated():
                        epoch = self._epoch(dataset, validation, on_step, signals)
                    ends = True
                    try:
                        yield epoch
                        ends = False
                    finally:
                        (ends,) = map(bool, self._sums((ends,), signals))
                    if ends:
                        break
            finally:
                with signals.whole():
                    self._keep_best(validation)

    @property
    def position(self) -> tuple[int, int]:
        """The number of epochs that have ended, and of steps of the next one that are done."""
        return len(self.epochs), self._partial.steps

    def step_loss(self) -> float:
        """Return the loss of the last step with labels in this epoch; NaN if it was not applied.

        NaN without such a step. Reading it waits for the device.
        """
        self._read_losses()
        return self._partial.losses[-1] if self._partial.losses else math.nan

    def check_data(self, dataset: Dataset, valid: Dataset | None = None) -> None:
        """Raise :class:`TrainingStateError` if training began with other data.

        ``valid`` has the rows to validate on, if any.
        """
        self._data.check(dataset, valid)
        steps = steps_per_epoch(len(dataset), self.config.batch_size)
        if self._partial.steps > steps:
            raise TrainingStateError(
                f"The training state is after step {self._partial.steps} of an epoch that has only "
                f"{steps}.",
                hint="Set batch_size as it was in training.",
            )

    def state(self) -> dict[str, np.ndarray]:
        """Return the state that resuming needs besides the model's weights, as named arrays."""
        self._read_losses()
        parts = {
            "history": history.to_arrays(self.epochs),
            "partial": self._partial.to_arrays(),
            "control": self.control.to_arrays(),
            "data": self._data.to_arrays(),
            "options": saved_options.to_arrays(self.config),
            "optimizer": self.optimizer_state(),
            "average": self.weights_to_arrays(self._average),
            "averaged": averaging.count_to_arrays(self._averaged),
            "best": self.weights_to_arrays(self._best),
            "last": self.weights_to_arrays(self._last),
        }
        return {
            f"{part}/{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the state that :meth:`state` returned; raising TrainingStateError changes nothing."""
        parts: dict[str, dict[str, np.ndarray]] = {part: {} for part in _PARTS}
        given: Any = state
        if not isinstance(given, Mapping):
            raise TrainingStateError(
                f"A training state is a mapping of names to arrays, not a {type(given).__name__}.",
                hint="Pass what get_training_state() returned.",
            )
        for path, array in given.items():
            part, _, name = path.partition("/") if isinstance(path, str) else (path, "", "")
            if part not in parts:
                raise TrainingStateError(
                    f"Training states have no part {part!r}.",
                    hint="The state is of another model, or of a newer version.",
                )
            if not isinstance(array, np.ndarray):
                raise TrainingStateError(
                    f"The training state {path!r} is a {type(array).__name__}, not an array.",
                    hint="Pass what get_training_state() returned.",
                )
            parts[part][name] = array
        epochs = history.from_arrays(parts["history"])
        partial = Partial.from_arrays(parts["partial"])
        control = Control.from_arrays(parts["control"])
        data = Fingerprints.from_arrays(parts["data"])
        saved_options.check_same(self.config, parts["options"])
        averaged = averaging.count_from_arrays(parts["averaged"])
        most = len(epochs) + 1 if self.config.average == "swa" else averaged
        if (averaged > 0) != bool(parts["average"]) or not averaged <= most:
            raise TrainingStateError(
                "The average of weights in the training state lacks a part, or has more weights "
                "than there were.",
                hint="The training state was damaged or edited.",
            )
        if data.rows is None and (epochs or partial.steps):
            raise TrainingStateError(
                "The training state does not say which data it is of.",
                hint="The training state is incomplete, or of another version.",
            )
        if parts["best"] and not epochs:
            raise TrainingStateError(
                "The training state has weights of a best epoch, and no epoch has ended.",
                hint="The training state was damaged or edited.",
            )
        average, best, last = (
            self.weights_from_arrays(parts[part]) if parts[part] else {}
            for part in ("average", "best", "last")
        )
        self.load_optimizer_state(parts["optimizer"])
        self.epochs, self._best, self._last = epochs, best, last
        self._average, self._averaged = average, averaged
        self._partial, self._unread, self.control = partial, [], control
        self._data = data

    def _epoch(
        self,
        dataset: Dataset,
        validation: Validation,
        on_step: Callable[[int, int], None],
        signals: DeferredSignals,
    ) -> Epoch:
        """Train on the rows that the present epoch has left, validate, and return the record."""
        number = len(self.epochs) + 1
        with self.training(number):
            self._steps(dataset, validation.monitor, on_step, signals)
        self._read_losses()
        partial = self._partial
        loss = partial.mean()
        if math.isnan(loss):
            if partial.losses and not self.recovers():
                raise self._diverged(number)
            if not partial.losses:
                raise DatasetError(
                    "No row of the dataset has a label with a weight.",
                    hint="Check y and w: a label of weight 0 counts as missing.",
                )
        # It has been added already if validation did not end before.
        if (
            self.config.average == "swa"
            and averaging.epochs_averaged(self.config, number) > self._averaged
        ):
            with signals.whole():
                self._add_to_average()
        with self._with_average(signals):
            valid_loss, metrics = self._validate(validation, signals)
            rate, skipped = self.control.rate, partial.skipped
            epoch = Epoch(number, loss, valid_loss, rate, skipped, metrics, tuple(partial.losses))
            epochs = [*self.epochs, epoch]
            with signals.whole():
                if validation.keeps_best and validation.monitor.is_best(epochs):
                    self._best = self.copied_weights(self._best)
                self.epochs, self._partial = epochs, Partial()
        return epoch

    def _add_to_average(self, loss: Any = 0.0) -> None:
        """Let the average of the weights take the present ones in.

        That of a step whose ``loss`` is NaN, which was not applied, stays as it is.
        """
        share = averaging.next_share(self.config, self._averaged)
        if not self._averaged:
            self._average = self.copied_weights(self._average)
        elif not isinstance(loss, float):
            self._average = self.moved_weights(self._average, self.share_if_applied(share, loss))
        elif not math.isnan(loss):
            self._average = self.moved_weights(self._average, share)
        self._averaged += 1

    @contextmanager
    def _with_average(self, signals: DeferredSignals) -> Iterator[None]:
        """Let the model have its averaged weights, if there are any, in the block."""
        if not self._averaged:
            yield
            return
        try:
            with signals.whole():
                self._last, self._average = self.exchanged_weights(self._average), {}
            yield
        finally:
            with signals.whole():
                if self._last:
                    self._average, self._last = self.exchanged_weights(self._last), {}

    def _steps(
        self,
        dataset: Dataset,
        monitor: Monitor,
        on_step: Callable[[int, int], None],
        signals: DeferredSignals,
    ) -> None:
        """Do the steps that are left of the present epoch."""
        config, partial, number = self.config, self._partial, len(self.epochs) + 1
        results = monitor.results(self.epochs)
        steps = steps_per_epoch(len(dataset), config.batch_size)

        def rate_at(step: int) -> float:
            at = Progress(
                epochs=number - 1 + (step + 0.5) / steps, total=config.epochs, steps=steps
            )
            factor = self._schedule.factor(at, results)
            rate = config.learning_rate * factor * self.control.factor
            if not 0 <= rate < math.inf:
                raise ParameterError(
                    f"The learning rate would be {rate!r}: {self._schedule.call_text()} returned "
                    f"the factor {factor!r}.",
                    hint="A schedule returns finite factors of at least 0.",
                )
            return rate

        batches = training_batches(
            dataset,
            config.batch_size,
            config.seed,
            number,
            first=partial.steps,
            rank=self.world.rank,
            world=self.world.size,
        )
        for whole, labels in batches:
            (weight,) = self._sums((float(labels.w.sum()),), signals)
            self.control.rate = rate_at(partial.steps)
            if weight > 0:
                seed = step_seed(config.seed, number, partial.steps, self.world.rank)
                gradients = self.step_gradients(whole, labels, weight, seed)
                with signals.whole():
                    loss = self.apply(gradients, self.control.rate)
                    self._note(loss, weight)
                    if config.average == "ema":
                        self._add_to_average(loss)
            else:
                partial.steps += 1
            on_step(partial.steps, steps)
            if len(self._unread) >= _READ_EVERY:
                self._read_losses()
            if partial.skipped_last >= SKIPPED_IN_A_ROW and not self.recovers():
                raise self._diverged(number)
        self._sums((), signals)

    def _sums(self, values: Sequence[float], signals: DeferredSignals) -> list[float]:
        """Return the sums of ``values`` over all ranks; call it between two steps.

        A signal to one of them is taken by all, and the rate's factor is that of rank 0.
        """
        if self.world.size == 1:
            signals.check()
            return list(values)
        every = self.world.gather((*values, signals.pending, self.control.factor))
        number = int(max(each[-2] for each in every))
        signals.check(number)
        if number:
            self.world.gather(())  # what ends a rank may not end others
        self.control.factor = every[0][-1]
        return [sum(each) for each in zip(*every, strict=True)][:-2]

    def _check_ranks(self, data: Fingerprints) -> None:
        """Raise :class:`DatasetError` unless all ranks have the same rows."""
        bits = [bit for array in data.to_arrays().values() for bit in array.tolist()]
        if self.world.size > 1 and len(set(self.world.gather(bits))) > 1:
            raise DatasetError(
                "The processes that train together have different data.",
                hint="Give each of them the whole dataset, in the same order: each step's rows are "
                "divided among them.",
            )

    def step_gradients(self, X: Columns, labels: Labels, weight: float, seed: int) -> Any:
        """Return the :meth:`gradients` of all rows of a step, computed in parts if need be."""
        if self.config.accumulate == 1:
            return self.gradients(X, labels, weight, seed)
        gradients = None
        for i, (part, own) in enumerate(self._parts(X, labels)):
            drawn = seed if i == 0 else step_seed(seed, i, 0)
            gradients = self.gradients(part, own, weight, drawn, gradients)
        return gradients

    def _parts(self, X: Columns, labels: Labels) -> list[tuple[Columns, Labels]]:
        """Return the rows of a step in parts, of which there are equally many on all ranks."""
        rows = len(labels.y)
        # A step with fewer rows has fewer parts, and no part has a single row unless all have.
        own = math.ceil(self.config.batch_size / self.world.size)
        size = math.ceil(own / self.config.accumulate)
        parts = math.ceil(rows / size)
        if size > 1:
            parts = max(1, min(parts, rows // 2))
        if self.world.size > 1:
            parts = int(min(fewest for (fewest,) in self.world.gather((parts,))))
        ends = [rows * i // parts for i in range(parts + 1)]
        slices = [slice(first, last) for first, last in pairwise(ends)]
        return [(take_rows(X, part), Labels(*(each[part] for each in labels))) for part in slices]

    def _note(self, loss: Any, weight: float) -> None:
        """Count a step with labels of that total weight."""
        partial = self._partial
        if isinstance(loss, float):
            partial.losses.append(loss)
            if math.isnan(loss):
                self._log_skipped(len(partial.losses) - 1)
        else:
            self._unread.append(loss)
        partial.weights.append(weight)
        partial.steps += 1

    def _read_losses(self) -> None:
        """Add the losses that are still on the device to the record of the epoch."""
        if self._unread:
            known = len(self._partial.losses)
            self._partial.losses += self.read(self._unread)
            self._unread = []
            self._log_skipped(known)

    def _log_skipped(self, first: int) -> None:
        """Log the steps, from the one with the loss number ``first`` on, that were not applied."""
        for i, loss in enumerate(self._partial.losses[first:], start=first + 1):
            if math.isnan(loss):
                logger.warning(
                    "epoch %d: the loss or the gradient of the batch number %d with labels is not "
                    "finite, and its step was not applied",
                    len(self.epochs) + 1,
                    i,
                )

    def _validate(
        self, validation: Validation, signals: DeferredSignals
    ) -> tuple[float, dict[str, float]]:
        """Return the validation loss, NaN without validation rows, and the values of metrics."""
        valid, world = validation.dataset, self.world
        if valid is None:
            return math.nan, {}
        total, weight = 0.0, 0.0
        predicted: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
        with self.evaluating():
            batches = validation_batches(
                valid, self.config.batch_size, rank=world.rank, world=world.size
            )
            for batch in batches:
                labels = labels_of(batch)
                loss, predictions = self.evaluated(
                    batch.X, labels, predict=bool(validation.metrics)
                )
                total += loss
                weight += float(labels.w.sum())
                if predictions is not None:
                    predicted.append((batch.y, batch.w, predictions))
                if world.size == 1:
                    signals.check()
            own, size = len(range(world.rank, len(valid), world.size)), self.config.batch_size
            if own % size == 0 and len(valid) > own * world.size:
                # Others have one batch more. Processes that share a model run it together.
                batch = valid.rows(np.arange(1), LABELLED)
                self.evaluated(batch.X, labels_of(batch), predict=False)
        total, weight = self._sums((total, weight), signals)
        if weight == 0:
            raise DatasetError(
                "No validation row has a label with a weight.",
                hint="Check y and w: a label of weight 0 counts as missing.",
            )
        if not math.isfinite(total / weight):
            raise TrainingDiverged(
                f"The validation loss is {total / weight} after epoch {len(self.epochs) + 1}.",
                hint=_REMEDY,
            )
        if not validation.metrics:
            return total / weight, {}
        parts = [list(part) for part in zip(*predicted, strict=True)] or [[], [], []]
        scored = validation.scored
        if scored is not None and scored is not valid:
            batches = validation_batches(
                scored, self.config.batch_size, ("w",), rank=world.rank, world=world.size
            )
            parts[1] = [batch.w for batch in batches]
        y, w, predictions = (world.gather_rows(part, len(valid.tasks)) for part in parts)
        return total / weight, score_all(validation.metrics, y, predictions, w, valid.tasks)

    def _out_of_patience(self, validation: Validation) -> bool:
        if self.config.patience is None:
            return False
        results = validation.monitor.results(self.epochs)
        return epochs_waited(results, self.config.min_delta) >= self.config.patience

    def _diverged(self, number: int) -> TrainingDiverged:
        count = self._partial.skipped_last
        return TrainingDiverged(
            f"The loss or the gradient was not finite in {count} step{'s' if count > 1 else ''} in "
            f"a row, up to step {self._partial.steps} of epoch {number}; none was applied.",
            hint=_REMEDY,
        )

    def _keep_best(self, validation: Validation) -> None:
        """Give the model its best or averaged weights, and keep the last ones for resuming."""
        kept = (self._best if validation.keeps_best else {}) or self._average
        if kept:
            self._last = self.copied_weights(self._last)
            self.set_weights(kept)


_REMEDY = (
    "Lower learning_rate, set gradient_clip=1.0, "
    "or look for infinite or very large values in X and y."
)
