"""``Trainer``: one training of a module, epoch by epoch, and its state between epochs.

The state holds everything that the next epoch depends on, besides the module's weights: the
optimizer's moments, the random-number generators, the records of the epochs (schedules and early
stopping are functions of them), and the best and the last weights if they differ from the module's.

The trainer knows neither models nor callbacks: it yields each epoch, and the caller decides whether
to ask for another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Generator, Mapping
from contextlib import AbstractContextManager, nullcontext
from copy import deepcopy
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dc_core import Dataset
from dc_core.errors import DatasetError, ParameterError, TrainingStateError
from dc_torch import history
from dc_torch.batches import (
    LABELLED,
    input_dtype,
    input_of,
    labels_of,
    steps_per_epoch,
    training_batches,
)
from dc_torch.errors import TrainingDiverged
from dc_torch.freezing import frozen, matching
from dc_torch.history import Epoch
from dc_torch.inference import evaluating, outputs, run
from dc_torch.optimizers import load_optimizer_state, make_optimizer, optimizer_state
from dc_torch.rng import get_rng_state, isolated_rng, seed_rng, set_rng_state
from dc_torch.training_config import TrainingConfig
from dc_torch.weights import numpy_dtype, to_array, to_tensor


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
        self._best: dict[str, Tensor] = {}
        self._last: dict[str, Tensor] = {}
        with isolated_rng():
            seed_rng(config.seed)
            self._rng = get_rng_state()

    def run(
        self,
        dataset: Dataset,
        valid: Dataset | None,
        epochs: int,
        on_step: Callable[[int, int], None],
    ) -> Generator[Epoch, None, None]:
        """Train for at most ``epochs`` epochs, and yield the record of each when it ends.

        ``on_step(step, steps)`` is called after each step. Between epochs the module has the last
        weights. Close the generator, or exhaust it, to end training: with ``valid`` the module then
        has the weights of the best epoch.

        An epoch that does not end, whatever the reason, leaves no trace: the weights and the
        training state are those from before it.

        Raises :class:`DatasetError` if the data do not fit the module, and
        :class:`TrainingDiverged`.
        """
        before: dict[str, Tensor] = {}
        try:
            _restore(self.module, self._last)
            self._last = {}
            for _ in range(epochs):
                if self._out_of_patience():
                    break
                before = _snapshot(self.module, before)
                moments = deepcopy(self._optimizer.state_dict()["state"])
                finished = len(self.epochs)
                try:
                    with isolated_rng():
                        epoch = self._epoch(dataset, valid, on_step)
                finally:
                    if len(self.epochs) == finished:
                        _restore(self.module, before)
                        groups = self._optimizer.state_dict()["param_groups"]
                        self._optimizer.load_state_dict({"state": moments, "param_groups": groups})
                yield epoch
        finally:
            self._keep_best()

    def state(self) -> dict[str, np.ndarray]:
        """Return the state that resuming needs besides the module's weights, as named arrays."""
        parts = {
            "history": history.to_arrays(self.epochs),
            "optimizer": optimizer_state(self._optimizer, self._parameters),
            "rng": self._rng,
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
            part: {} for part in ("history", "optimizer", "rng", "best", "last")
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
        best, last = (_snapshot_from(self.module, parts[part]) for part in ("best", "last"))
        with isolated_rng():
            set_rng_state(parts["rng"])
        load_optimizer_state(self._optimizer, self._parameters, parts["optimizer"])
        self.epochs, self._best, self._last, self._rng = epochs, best, last, parts["rng"]

    def _epoch(
        self, dataset: Dataset, valid: Dataset | None, on_step: Callable[[int, int], None]
    ) -> Epoch:
        """Train on all rows once, validate, and return the record."""
        number = len(self.epochs) + 1
        set_rng_state(self._rng)
        self.module.train()
        with frozen(self.module, self._frozen if self._freezes(number) else ()):
            losses, weights = self._steps(dataset, number, on_step)
        if not any(weights):
            raise DatasetError(
                "No row of the dataset has a label with a weight.",
                hint="Check y and w: a label of weight 0 counts as missing.",
            )
        loss = float(np.average(losses, weights=weights))
        valid_loss = math.nan if valid is None else self._validate(valid)
        epoch = Epoch(number, loss, valid_loss, self._rate, tuple(losses))
        if valid is not None and not any(e.valid_loss <= valid_loss for e in self.epochs):
            self._best = _snapshot(self.module, self._best)
        # Assigned together, so that an interruption cannot come between them.
        rng = get_rng_state()
        self.epochs, self._rng = [*self.epochs, epoch], rng
        return epoch

    def _steps(
        self, dataset: Dataset, number: int, on_step: Callable[[int, int], None]
    ) -> tuple[list[float], list[float]]:
        """Return the loss of each step, and the total weight of its labels."""
        config, on_cpu = self.config, self.device.type == "cpu"
        dtype = input_dtype(self.module, config)
        monitored = [epoch.monitored for epoch in self.epochs]
        steps = steps_per_epoch(len(dataset), config.batch_size)
        losses: list[Tensor] = []
        weights: list[float] = []
        batches = training_batches(dataset, config.batch_size, config.seed, number)
        for step, batch in enumerate(batches):
            labels = labels_of(batch)
            weight = float(labels.w.sum())
            if weight > 0:
                progress = (number - 1 + (step + 0.5) / steps) / config.epochs
                self._set_learning_rate(self._schedule.factor(progress, monitored))
                X = input_of(batch.X, dtype, self.device)
                with self._precision():
                    output = self._loss.with_tasks(run(self.module, X))
                self._loss.check(output, labels.y, labels.given)
                loss = self._weighted(output, labels.y, labels.w) / weight
                # On a GPU this is checked after the epoch: reading each loss would stall it.
                if on_cpu and not math.isfinite(loss.item()):
                    raise _diverged(number, step)
                self._update(loss)
                losses.append(loss.detach())
                weights.append(weight)
            on_step(step + 1, steps)
        values: list[float] = torch.stack(losses).tolist() if losses else []
        for step, value in enumerate(values):
            if not math.isfinite(value):
                raise _diverged(number, step)
        return values, weights

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16) if self._mixed else nullcontext()

    def _update(self, loss: Tensor) -> None:
        self._optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.config.gradient_clip)
        self._optimizer.step()

    def _weighted(self, output: Tensor, y: np.ndarray, w: np.ndarray) -> Tensor:
        """Return the weighted sum of the losses of the labels."""
        output = output if output.dtype == torch.float64 else output.float()
        target = to_tensor(y).to(self.device, output.dtype)
        weight = to_tensor(w).to(self.device, output.dtype)
        return (self._loss.elementwise(output, target) * weight).sum()

    def _validate(self, valid: Dataset) -> float:
        total, weight = 0.0, 0.0
        with evaluating(self.module):
            for batch, output in outputs(self.module, self.config, self.device, valid, LABELLED):
                labels = labels_of(batch)
                self._loss.check(output, labels.y, labels.given)
                total += float(self._weighted(output, labels.y, labels.w))
                weight += float(labels.w.sum())
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


def _diverged(number: int, step: int) -> TrainingDiverged:
    return TrainingDiverged(
        f"The loss is not finite at step {step + 1} of epoch {number}.", hint=_REMEDY
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
