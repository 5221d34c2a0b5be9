"""``Trainer``: one training of a module, step by step, and its state between steps.

The state holds everything that the next step depends on, besides the module's weights: the
optimizer's moments, the records of the epochs (schedules and early stopping are functions of them),
how far the present epoch has come, and the best and the last weights if they differ from the
module's. Random numbers are functions of the seed, the epoch and the step.

A step is applied as a whole or not at all, so that training can end after any step, whatever ends
it, and is resumed as if it had not ended. Nothing is copied for that but the module's buffers.

The trainer knows neither models nor callbacks: it yields each epoch, and the caller decides whether
to ask for another.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dc_core import Dataset, DeferredSignals, deferred_signals, uninterrupted
from dc_core.errors import DatasetError, ParameterError, TrainingStateError
from dc_torch import history
from dc_torch.batches import (
    LABELLED,
    Labels,
    fingerprint,
    input_dtype,
    input_of,
    labels_of,
    steps_per_epoch,
    training_batches,
)
from dc_torch.errors import TrainingDiverged
from dc_torch.freezing import frozen, matching
from dc_torch.history import Epoch, Partial
from dc_torch.inference import evaluating, outputs, run
from dc_torch.optimizers import load_optimizer_state, make_optimizer, optimizer_state
from dc_torch.rng import isolated_rng, seed_step
from dc_torch.stepping import Buffers, FiniteCheck
from dc_torch.training_config import TrainingConfig
from dc_torch.weights import numpy_dtype, to_array, to_tensor

SKIPPED_IN_A_ROW: Final = 3
"""Training ends when so many steps in a row cannot be applied."""

_READ_EVERY: Final = 64
"""On a GPU, losses are read after so many steps: reading each would stall it."""

logger = logging.getLogger(__name__)


class Trainer:
    """Trains ``module`` as ``config`` says, on the config's device.

    Raises :class:`ParameterError` if the module has no parameter to train, or if a pattern of the
    config matches none of its names.
    """

    def __init__(self, module: nn.Module, config: TrainingConfig) -> None:
        self.config = config
        self.device = config.resolve_device()
        self.module = module.to(self.device)
        self.epochs: list[Epoch] = []
        self._frozen = {name for pattern in config.freeze for name in matching(module, pattern)}
        self._parameters = _trainable(module, self._frozen)
        self._optimizer = make_optimizer(
            config.optimizer,
            self._parameters,
            config.learning_rate,
            config.optimizer_options,
            _factors(module, config.learning_rate_factors),
        )
        self._rate = config.learning_rate
        self._schedule = config.make_schedule()
        self._loss = config.loss_function()
        self._mixed = config.is_mixed(self.device)
        self._buffers = Buffers(module)
        self._began = False
        self._finite = FiniteCheck(self.device)
        # A fused optimizer decides on the device whether it applies a step.
        self._decides = self.device.type == "cuda" and bool(self._optimizer.defaults.get("fused"))
        self._partial = Partial()
        self._unread: list[Tensor] = []
        self._data: np.ndarray | None = None
        self._best: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}

    def run(
        self,
        dataset: Dataset,
        valid: Dataset | None,
        epochs: int,
        on_step: Callable[[int, int], None],
    ) -> Generator[Epoch, None, None]:
        """Train for at most ``epochs`` epochs, and yield the record of each when it ends.

        An epoch that has begun is ended first, and counts. ``on_step(step, steps)`` is called after
        each step. Between epochs the module has the last weights. Close the generator, or exhaust
        it, to end training: with ``valid`` the module then has the weights of the best epoch.

        Whatever ends training, the steps that are done count. Ctrl-C and SIGTERM are taken between
        two steps; see :func:`dc_core.deferred_signals`. A step whose loss or gradient is not finite
        is not applied, and logged.

        Raises :class:`DatasetError` if the data do not fit the module, and
        :class:`TrainingDiverged` if steps in a row cannot be applied.
        """
        if self._data is None:
            self._data = fingerprint(dataset)
        try:
            with uninterrupted():
                _restore(self.module, self._last)
                self._last = {}
            for _ in range(epochs):
                if self._out_of_patience():
                    break
                with isolated_rng(), deferred_signals() as signals:
                    epoch = self._epoch(dataset, valid, on_step, signals)
                yield epoch
        finally:
            with uninterrupted():
                self._keep_best()

    def check_data(self, dataset: Dataset) -> None:
        """Raise :class:`TrainingStateError` unless training began with ``dataset``."""
        if self._data is not None and not np.array_equal(self._data, fingerprint(dataset)):
            raise TrainingStateError(
                "Training began with other data: their number, tasks or rows differ.",
                hint="Resume with the same rows in the same order, or call fit() without resume to "
                "train on with others.",
            )

    def state(self) -> dict[str, np.ndarray]:
        """Return the state that resuming needs besides the module's weights, as named arrays."""
        self._read_losses()
        parts = {
            "history": history.to_arrays(self.epochs),
            "partial": self._partial.to_arrays(),
            "data": {} if self._data is None else {"rows": self._data.copy()},
            "optimizer": optimizer_state(self._optimizer, self._parameters),
            "best": {name: to_array(tensor) for name, tensor in self._best.items()},
            "last": {name: to_array(tensor) for name, tensor in self._last.items()},
        }
        return {
            f"{part}/{name}": array
            for part, arrays in parts.items()
            for name, array in arrays.items()
        }

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the state that :meth:`state` returned; raising TrainingStateError changes nothing."""
        parts: dict[str, dict[str, np.ndarray]] = {
            part: {} for part in ("history", "partial", "data", "optimizer", "best", "last")
        }
        for path, array in state.items():
            part, _, name = path.partition("/")
            if part not in parts:
                raise TrainingStateError(
                    f"Training states of dc-torch have no part {part!r}.",
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
        data = parts["data"].pop("rows", None)
        if parts["data"] or (
            data is not None and not (data.shape == (32,) and data.dtype == np.uint8)
        ):
            raise TrainingStateError("The digest of the training rows is not one.")
        best, last = (_snapshot_from(self.module, parts[part]) for part in ("best", "last"))
        load_optimizer_state(self._optimizer, self._parameters, parts["optimizer"])
        self.epochs, self._best, self._last = epochs, best, last
        self._partial, self._unread = partial, []
        self._data = None if data is None else data.copy()

    def _epoch(
        self,
        dataset: Dataset,
        valid: Dataset | None,
        on_step: Callable[[int, int], None],
        signals: DeferredSignals,
    ) -> Epoch:
        """Train on the rows that the present epoch has left, validate, and return the record."""
        number = len(self.epochs) + 1
        self.module.train()
        with frozen(self.module, self._frozen if self._freezes(number) else ()):
            self._steps(dataset, number, on_step, signals)
        self._read_losses()
        partial = self._partial
        loss = partial.mean()
        if math.isnan(loss):
            if partial.losses:
                raise self._diverged(number)
            raise DatasetError(
                "No row of the dataset has a label with a weight.",
                hint="Check y and w: a label of weight 0 counts as missing.",
            )
        valid_loss = math.nan if valid is None else self._validate(valid, signals)
        epoch = Epoch(number, loss, valid_loss, self._rate, partial.skipped, tuple(partial.losses))
        with signals.whole():
            if valid is not None and not any(e.valid_loss <= valid_loss for e in self.epochs):
                self._best = _snapshot(self.module, self._best)
            self.epochs, self._partial = [*self.epochs, epoch], Partial()
        return epoch

    def _steps(
        self,
        dataset: Dataset,
        number: int,
        on_step: Callable[[int, int], None],
        signals: DeferredSignals,
    ) -> None:
        """Do the steps that are left of the epoch ``number``."""
        config, partial = self.config, self._partial
        dtype = input_dtype(self.module, config)
        monitored = [epoch.monitored for epoch in self.epochs]
        steps = steps_per_epoch(len(dataset), config.batch_size)

        def set_rate(step: int) -> None:
            progress = (number - 1 + (step + 0.5) / steps) / config.epochs
            self._set_learning_rate(self._schedule.factor(progress, monitored))

        if partial.steps:
            set_rate(partial.steps - 1)  # the epoch's, if all its steps are done
        batches = training_batches(
            dataset, config.batch_size, config.seed, number, first=partial.steps
        )
        for batch in batches:
            labels = labels_of(batch)
            weight = float(labels.w.sum())
            set_rate(partial.steps)
            if weight > 0:
                seed_step(config.seed, number, partial.steps)
                with self._buffers.restored_on_error():
                    X = input_of(batch.X, dtype, self.device)
                    loss = self._gradients(X, labels, weight)
                    with signals.whole():
                        self._apply(loss, weight)
            else:
                partial.steps += 1
            on_step(partial.steps, steps)
            if len(self._unread) >= _READ_EVERY:
                self._read_losses()
            if partial.skipped_last >= SKIPPED_IN_A_ROW:
                raise self._diverged(number)
            signals.check()

    def _gradients(self, X: Any, labels: Labels, weight: float) -> Tensor:
        """Return the loss of a batch, after computing the gradients of the parameters."""
        with self._precision():
            output = self._loss.with_tasks(run(self.module, X))
        self._loss.check(output, labels.y, labels.given)
        loss = self._weighted(output, labels.y, labels.w) / weight
        for parameter in self._parameters.values():
            parameter.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.config.gradient_clip)
        return loss.detach()

    def _apply(self, loss: Tensor, weight: float) -> None:
        """Change the parameters if the loss and the gradients are finite, and note the step."""
        partial = self._partial
        faults = self._finite.faults(
            [p.grad for p in self._parameters.values() if p.grad is not None]
        )
        if self._decides:
            faults.logical_or_(~torch.isfinite(loss))
            self._optimizer.found_inf = faults  # type: ignore[attr-defined]
            self._optimizer.step()
            self._buffers.restore(faults)
            self._unread.append(torch.where(faults.bool(), math.nan, loss))
        elif math.isfinite(value := loss.item()) and not faults.item():
            self._optimizer.step()
            partial.losses.append(value)
        else:
            self._buffers.restore()
            partial.losses.append(math.nan)
            self._log_skipped(len(partial.losses) - 1, value)
        partial.weights.append(weight)
        partial.steps += 1
        if not self._began:
            self._buffers.drop_constants()
            self._began = True

    def _read_losses(self) -> None:
        """Add the losses that are still on the device to the record of the epoch."""
        if self._unread:
            known = len(self._partial.losses)
            self._partial.losses += torch.stack(self._unread).tolist()
            self._unread = []
            for i, value in enumerate(self._partial.losses[known:], start=known):
                if math.isnan(value):
                    self._log_skipped(i, value)

    def _log_skipped(self, place: int, loss: float) -> None:
        logger.warning(
            "epoch %d: the loss or the gradient of the batch number %d with labels is not finite "
            "(loss %g), and its step was not applied",
            len(self.epochs) + 1,
            place + 1,
            loss,
        )

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self._mixed else nullcontext()

    def _weighted(self, output: Tensor, y: np.ndarray, w: np.ndarray) -> Tensor:
        """Return the weighted sum of the losses of the labels."""
        output = output if output.dtype == torch.float64 else output.float()
        target = to_tensor(y).to(self.device, output.dtype)
        weight = to_tensor(w).to(self.device, output.dtype)
        return (self._loss.elementwise(output, target) * weight).sum()

    def _validate(self, valid: Dataset, signals: DeferredSignals) -> float:
        total, weight = 0.0, 0.0
        with evaluating(self.module):
            for batch, output in outputs(self.module, self.config, self.device, valid, LABELLED):
                labels = labels_of(batch)
                self._loss.check(output, labels.y, labels.given)
                total += float(self._weighted(output, labels.y, labels.w))
                weight += float(labels.w.sum())
                signals.check()
        if weight == 0:
            raise DatasetError("No validation row has a label with a weight.")
        if not math.isfinite(total):
            raise TrainingDiverged(
                f"The validation loss is {total} after epoch {len(self.epochs) + 1}.", hint=_REMEDY
            )
        return total / weight

    def _set_learning_rate(self, factor: float) -> None:
        self._rate = self.config.learning_rate * factor
        for group in self._optimizer.param_groups:
            group["lr"] = self._rate * group["factor"]

    def _freezes(self, number: int) -> bool:
        """Tell whether the frozen parameters are frozen in that epoch."""
        last = self.config.unfreeze_after
        return last is None or number <= last

    def _out_of_patience(self) -> bool:
        losses = [epoch.valid_loss for epoch in self.epochs]
        if self.config.patience is None or not losses or all(map(math.isnan, losses)):
            return False
        return len(losses) - 1 - int(np.nanargmin(losses)) >= self.config.patience

    def _diverged(self, number: int) -> TrainingDiverged:
        count = self._partial.skipped_last
        return TrainingDiverged(
            f"The loss or the gradient was not finite in {count} step{'s' if count > 1 else ''} in "
            f"a row, up to step {self._partial.steps} of epoch {number}; none was applied.",
            hint=_REMEDY,
        )

    def _keep_best(self) -> None:
        """Give the module its best weights, and keep the last ones for resuming."""
        self.module.eval()
        if self._best:
            self._last = _snapshot(self.module, self._last)
            _restore(self.module, self._best)


_REMEDY = (
    "Lower learning_rate, set gradient_clip=1.0, "
    "or look for infinite or very large values in X and y."
)


def _trainable(module: nn.Module, frozen_names: Collection[str]) -> dict[str, nn.Parameter]:
    parameters = {name: p for name, p in module.named_parameters() if p.requires_grad}
    held = {
        id(p) for name, p in module.named_parameters(remove_duplicate=False) if name in frozen_names
    }
    if parameters and held.issuperset(map(id, parameters.values())):
        raise ParameterError(
            "All parameters are frozen: there is none to train.",
            hint="freeze takes patterns such as 'layers.0.*'; leave out the last layer.",
        )
    if not parameters:
        raise ParameterError(
            "The module has no parameter to train.",
            hint="Set requires_grad on those that are to be trained.",
        )
    for name, parameter in parameters.items():
        if is_lazy(parameter):
            raise ParameterError(
                f"The parameter {name!r} has no shape yet.",
                hint="Run the module on one batch first.",
            )
    return parameters


def _factors(module: nn.Module, factors: Mapping[str, float]) -> dict[str, float]:
    """Return the factor of each parameter that has a name which matches, by its first name.

    Of several patterns that match, the first counts.
    """
    first = {id(parameter): name for name, parameter in module.named_parameters()}
    named = dict(module.named_parameters(remove_duplicate=False))
    found: dict[str, float] = {}
    for pattern, factor in factors.items():
        for name in matching(module, pattern):
            if name in named:
                found.setdefault(first[id(named[name])], factor)
    return found


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of ``module``, non-persistent ones included."""
    return {**dict(module.named_parameters()), **dict(module.named_buffers())}


@torch.no_grad()
def _snapshot(module: nn.Module, into: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of the module's tensors, in the memory of ``into`` if that fits."""
    tensors = named_tensors(module)
    if into.keys() != tensors.keys():
        return {name: tensor.detach().clone() for name, tensor in tensors.items()}
    for name, tensor in tensors.items():
        into[name].copy_(tensor)
    return into


@torch.no_grad()
def _restore(module: nn.Module, snapshot: Mapping[str, Tensor]) -> None:
    if snapshot:
        for name, tensor in named_tensors(module).items():
            tensor.copy_(snapshot[name])


def _snapshot_from(module: nn.Module, arrays: Mapping[str, np.ndarray]) -> dict[str, Tensor]:
    if not arrays:
        return {}
    tensors = named_tensors(module)
    forms = {name: (tuple(t.shape), numpy_dtype(t.dtype)) for name, t in tensors.items()}
    if forms != {name: (array.shape, array.dtype) for name, array in arrays.items()}:
        raise TrainingStateError(
            "The weights in the training state differ from the module's in name, shape or dtype.",
            hint="The state is of another model.",
        )
    return {name: to_tensor(arrays[name]).to(t.device, copy=True) for name, t in tensors.items()}
