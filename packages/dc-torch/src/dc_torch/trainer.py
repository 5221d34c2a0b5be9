"""``ModuleTrainer``: the training of a module, as torch does its steps.

Nothing is copied for a step but the module's buffers and extra state, which change before it is
known whether the step is applied.
"""

from __future__ import annotations

import math
import traceback
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, ClassVar, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dc_core import Columns, take_rows
from dc_core.errors import (
    OutOfDeviceMemory,
    ParameterError,
    StructureError,
    TrainingStateError,
)
from dc_core.training import Evaluated, Labels, Trainer, World
from dc_torch.batches import input_dtype, input_of
from dc_torch.compilation import begin_step, compiled
from dc_torch.distributed import own_part
from dc_torch.extra_state import ExtraStates
from dc_torch.extra_state import to_array as extra_state_array
from dc_torch.freezing import frozen, matching
from dc_torch.fused import OptimizerSteps
from dc_torch.inference import as_floats, evaluating, run
from dc_torch.optimizers import (
    load_optimizer_state,
    make_optimizer,
    move_state,
    optimizer_state,
)
from dc_torch.process_group import ProcessGroup
from dc_torch.rng import isolated_rng, seed_rng
from dc_torch.scaling import ARRAYS, LossScale
from dc_torch.sharding import Sharded
from dc_torch.stepping import Buffers, FiniteCheck
from dc_torch.training_config import TrainingConfig
from dc_torch.weights import numpy_dtype, to_array, to_tensor
from dc_torch.wrapped import named_tensors, unwrapped

_WEIGHTS: Final = 2
"""The request of rank 0 for the weights, and that for the training state."""

_STATE: Final = 3


class ModuleTrainer(Trainer):
    """Trains ``module`` as ``config`` says, on the config's device.

    Raises :class:`ParameterError` if the module has no parameter to train, or if a pattern of the
    config matches none of its names.
    """

    config: TrainingConfig
    is_lost: bool = False
    """Whether processes have died or stopped within a step, with their parts of the state."""
    spreads: ClassVar[bool] = False
    """Whether a trainer in this process has spread its weights, for as long as it trains."""

    def __init__(self, module: nn.Module, config: TrainingConfig) -> None:
        super().__init__(config)
        # Whatever is restored in a callback, to check a checkpoint say, is whole: a device may only
        # have room for a part of it.
        beside = ModuleTrainer.spreads
        self.device = torch.device("cpu") if beside else config.resolve_device()
        inner = unwrapped(module)  # by its names, so that a state fits however the module is run
        self._frozen = {name for pattern in config.freeze for name in matching(inner, pattern)}
        self._loss = config.loss_function()
        self._mixed = config.mixed_dtype(self.device)
        self._loss_scale = LossScale(self.device) if self._mixed is torch.float16 else None
        self._dtype = input_dtype(module, config)
        self._group: ProcessGroup | None = None
        self._parallel: nn.Module | None = None
        self._sharded: Sharded | None = None
        self._trained: tuple[bool, ...] = ()
        self._finite = FiniteCheck(self.device)
        # The device may have room for a part of a module that is sharded.
        self._hold(module.to("cpu" if config.is_sharded else self.device))

    def _hold(self, module: nn.Module) -> None:
        """Train ``module`` from now on, with a new optimizer."""
        self.module = module
        self._running = compiled(module, self.config.compile)
        inner = unwrapped(module)
        self._parameters = _trainable(inner, self._frozen)
        self._optimizer = make_optimizer(
            self.config.optimizer,
            self._parameters,
            self.config.learning_rate,
            self.config.optimizer_options,
            _factors(inner, self.config.learning_rate_factors),
            _factors(inner, self.config.weight_decay_factors),
        )
        self._extra = ExtraStates(module)
        self._buffers = Buffers(module)
        self._began = False
        # A fused optimizer decides on the device whether it applies a step. Whether extra states
        # are restored can only be decided here.
        fused = bool(self._optimizer.defaults.get("fused"))
        self._decides = self.device.type == "cuda" and fused and not self._extra.names
        self._optimizer_steps = OptimizerSteps(self._optimizer)

    @contextmanager
    def joined(self, group: ProcessGroup, *, keeps: bool = True) -> Iterator[None]:
        """Train with the processes of ``group`` in the block, if the others do so too.

        With ``keeps=False`` nobody needs the module of this process at the end.
        """
        self.world = self._group = group
        try:
            if self.config.is_sharded:
                with self._spread_over(group, keeps):
                    yield
            else:
                yield
        finally:
            self.world, self._group, self._parallel = World(), None, None

    @contextmanager
    def _spread_over(self, group: ProcessGroup, keeps: bool) -> Iterator[None]:
        """Let the processes of ``group`` have a part of the weights and moments each, in the block.

        The model keeps its own module, which gets the weights when somebody asks for them.
        """
        sharded = self._sharded = Sharded(self.module, self.device, keeps=keeps)
        self._move_to(sharded.module, sharded.spread)
        group.answers = {_WEIGHTS: sharded.gather, _STATE: super().state}
        ModuleTrainer.spreads = True
        try:
            try:
                yield
            except BaseException as error:
                if not sharded.at_work:
                    try:
                        self._collect(group, sharded)
                    except Exception as failure:  # noqa: BLE001 - the error itself is told
                        error.add_note(f"The weights cannot be gathered: {failure}")
                raise
            self._collect(group, sharded)
        finally:
            self._sharded, group.answers = None, {}
            ModuleTrainer.spreads = False
            if not sharded.is_collected:
                self.is_lost = True
                self._hold(sharded.own)

    def _collect(self, group: ProcessGroup, sharded: Sharded) -> None:
        """Give the model's own module the weights, and this trainer the state, at the end."""
        group.leave()
        group.share_buffers(sharded.module)
        sharded.gather()
        self._move_to(sharded.own, sharded.collected)
        sharded.is_collected = True

    def _move_to(self, module: nn.Module, convert: Callable[[str, Tensor], Tensor]) -> None:
        """Train ``module`` from now on, with the state as it is, whose tensors are converted."""
        optimizer, parameters = self._optimizer, self._parameters
        self._hold(module)
        move_state(optimizer, parameters, self._optimizer, self._parameters, convert)
        for kept in (self._average, self._best, self._last):
            for name in kept:  # in this order on all ranks
                if name not in self._extra.names:
                    kept[name] = convert(name, kept[name])

    def own_module(self) -> nn.Module:
        """Return the model's module, with the weights of the last step.

        If they are spread over processes, rank 0 gathers them when it is asked between two steps.
        """
        sharded, group = self._sharded, self._group
        if sharded is None or group is None:
            return self.module
        if sharded.is_changed and not sharded.at_work and group.rank == 0:
            group.ask(_WEIGHTS)
            sharded.gather()
        return sharded.own

    def state(self) -> dict[str, np.ndarray]:
        """Return the training state; if it is spread over processes, rank 0 gathers it."""
        if self._sharded is None or self._group is None:
            return super().state()
        self._group.ask(_STATE)
        with self._sharded.working():
            return super().state()

    def isolated(self) -> AbstractContextManager[object]:
        """Restore the program's generators at the end."""
        return isolated_rng()

    @contextmanager
    def training(self, epoch: int) -> Iterator[None]:
        """Have the module in training mode, with what is frozen in that epoch."""
        last = self.config.unfreeze_after
        names = self._frozen if last is None or epoch <= last else ()
        self.module.train()
        self._optimizer_steps.forget()
        try:
            with frozen(unwrapped(self.module), names):
                yield
        finally:
            self._drop_gradients()  # copies of weights may have their memory
            self.module.eval()

    def evaluating(self) -> AbstractContextManager[object]:
        """Have the module in evaluation mode, without gradients.

        What it draws then depends on the seed alone, so that training is resumed exactly.
        """
        seed_rng(self.config.seed)
        if self._group is not None:
            self._group.share_buffers(self.module)
        return evaluating(self.module) if self._sharded is None else self._sharded.evaluating()

    def gradients(
        self, X: Columns, labels: Labels, weight: float, seed: int, before: Tensor | None = None
    ) -> Tensor:
        """Return this rank's part of the loss, after adding to the gradients of the parameters.

        Raises :class:`OutOfDeviceMemory`, saying how many rows fit.
        """
        seed_rng(seed)
        try:
            with self._buffers.restored_on_error(keep=before is None):
                module, ranks = self._running, self.world.size
                if self._sharded is not None:
                    self._sharded.begin_step()
                elif self._group is not None:
                    module = self._parallel_in(self._group, X, labels, weight, seed)
                if before is None:
                    self._drop_gradients()
                    begin_step(self.config.compile)
                loss = self._backward(module, X, labels, weight, ranks)
                if self._group is not None and self._sharded is None:
                    loss = self._group.sum(loss)
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)  # they hold what takes the memory
            raise self._out_of_memory(X, labels, weight, str(error)) from None
        return loss if before is None else before + loss

    def _backward(
        self, module: nn.Module, X: Columns, labels: Labels, weight: float, factor: int = 1
    ) -> Tensor:
        """Return the loss, after adding its gradients times ``factor``."""
        output = as_floats(self._output(module, X))
        self._loss.check(output, labels.y, labels.given)
        y, w = self._targets(labels.y, labels.w / (weight / factor), output)
        if self._loss_scale is not None:
            scale = self._loss_scale.scale
            loss = self._loss.backward(output, y, w * scale) / scale
        else:
            loss = self._loss.backward(output, y, w)
        return loss if factor == 1 else loss / factor

    def _out_of_memory(
        self, X: Columns, labels: Labels, weight: float, reason: str
    ) -> OutOfDeviceMemory:
        """Return the error that says how many of the rows fit, by trying fewer and fewer."""
        rows = len(labels.y)
        fitting = rows // 2 if self._group is None else 0
        while fitting and not self._fits(X, labels, weight, fitting):
            fitting //= 2
        told, hint = "", "Set a smaller batch_size, or a larger accumulate."
        if fitting:
            parts = math.ceil(self.config.batch_size / fitting)
            told = f" {fitting} do."
            hint = (
                f"Set accumulate={parts}, which gives the same gradient and can be changed when "
                f"training is resumed, or batch_size={fitting}."
            )
        return OutOfDeviceMemory(
            f"{rows} rows at once do not fit in the memory of {self.device}.{told} ({reason})",
            hint=hint,
        )

    def _fits(self, X: Columns, labels: Labels, weight: float, rows: int) -> bool:
        """Return whether the gradients of so many rows can be computed; nothing is changed."""
        part = slice(0, rows)
        self._drop_gradients()
        if self.device.type == "cuda":
            torch.cuda.empty_cache()
        try:
            self._backward(
                self.module, take_rows(X, part), Labels(*(each[part] for each in labels)), weight
            )
        except torch.OutOfMemoryError as error:
            traceback.clear_frames(error.__traceback__)
            return False
        finally:
            self._buffers.restore()
            self._drop_gradients()
        return True

    def _drop_gradients(self) -> None:
        for parameter in self._parameters.values():
            parameter.grad = None

    def _parallel_in(
        self, group: ProcessGroup, X: Columns, labels: Labels, weight: float, seed: int
    ) -> nn.Module:
        """Return the module as it runs in ``group``, where each rank gets the mean gradient."""
        trained = tuple(parameter.requires_grad for parameter in self._parameters.values())
        if self._parallel is None or self._trained != trained:
            # Which parameters take part is known after one step alone.
            self._drop_gradients()
            self._backward(self.module, X, labels, weight)
            self._buffers.restore()
            seed_rng(seed)
            unused = any(p.grad is None for p in self._parameters.values() if p.requires_grad)
            unused = any(found for (found,) in group.gather((unused,)))
            parallel = group.parallel(self.module, unused=unused)
            self._parallel = compiled(parallel, self.config.compile)
            self._trained = trained
        return self._parallel

    def apply(self, gradients: Tensor, rate: float) -> float | Tensor:
        """Change the parameters if the loss and the gradients are finite; return the loss."""
        if not self._began:  # before anything is restored
            self._buffers.drop_constants()
            self._began = True
        for group in self._optimizer.param_groups:
            group["lr"] = rate * group["factor"]
        if self._sharded is None or self._group is None:
            return self._applied(gradients, self._gradients())
        loss = self._agreed(self._group, self._sharded, gradients)
        value = self._applied(loss, [own_part(each) for each in self._gradients()])
        self._sharded.at_work = False
        return value

    def _gradients(self) -> list[Tensor]:
        return [p.grad for p in self._parameters.values() if p.grad is not None]

    def _applied(self, loss: Tensor, found: list[Tensor]) -> float | Tensor:
        """Do a step with the gradients ``found``; clip them after the check only.

        Clipping makes infinite values finite.
        """
        if self._decides:
            faults = self._faults(found, loss)
            self._clip()
            self._step(len(found), faults)
            self._buffers.restore(faults)
            return torch.where(faults.bool(), math.nan, loss)
        if self._loss_scale is None:
            applies = math.isfinite(loss.item()) and self._finite.passes(found)
        else:
            applies = not self._faults(found, loss).item()
        if not applies:
            self._buffers.restore()
            return math.nan
        self._clip()
        self._step(len(found))
        return loss.item()

    def _faults(self, gradients: list[Tensor], loss: Tensor) -> Tensor:
        """Return 1 on the device if the loss or a gradient is not finite, and undo the scale."""
        scale = self._loss_scale
        faults = self._finite.faults(gradients, None if scale is None else scale.scale)
        faults.logical_or_(~torch.isfinite(loss))
        if scale is not None:
            scale.update(faults)
        return faults

    def recovers(self) -> bool:
        """Return whether a smaller loss scale may let the next steps be applied."""
        return self._loss_scale is not None and self._loss_scale.can_fall()

    def _agreed(self, group: ProcessGroup, sharded: Sharded, loss: Tensor) -> Tensor:
        """Return the loss of all ranks, NaN if a gradient is not finite on one of them.

        Parameters that no rank has used lose their gradient.
        """
        used = sharded.end_step(self._parameters)
        faults = self._finite.faults([own_part(each) for each in self._gradients()])
        told = torch.stack((loss.double(), faults.double()))
        total, faulty, *ranks = group.sum(torch.cat((told, told.new_tensor(used)))).unbind()
        unused = (torch.stack(ranks) == 0).tolist()
        for parameter, is_unused in zip(self._parameters.values(), unused, strict=True):
            if is_unused:
                parameter.grad = None
        return torch.where(faulty > 0, math.nan, total).to(loss.dtype)

    def read(self, losses: Sequence[Tensor]) -> list[float]:
        """Return the losses as numbers, read at once."""
        values: list[float] = torch.stack(list(losses)).tolist()
        return values

    def evaluated(self, X: Columns, labels: Labels, *, predict: bool) -> Evaluated:
        """Return the weighted sum of the losses of the labels and, if asked for, predictions."""
        output = self._output(self._running, X)
        self._loss.check(output, labels.y, labels.given)
        predictions = to_array(as_floats(self._loss.predictions(output))) if predict else None
        return Evaluated(float(self._weighted(output, labels)), predictions)

    @torch.no_grad()
    def copied_weights(self, into: dict[str, Any]) -> dict[str, Any]:
        """Return copies of the module's tensors, in the memory of ``into`` if that fits.

        With them are copies of the extra states of its submodules.
        """
        tensors, extra = named_tensors(self.module), self._extra.copied()
        if into.keys() != tensors.keys() | extra.keys():
            return {name: tensor.detach().clone() for name, tensor in tensors.items()} | extra
        for name, tensor in tensors.items():
            into[name].copy_(tensor)
        return into | extra

    @torch.no_grad()
    def moved_weights(self, weights: dict[str, Any], share: float | Tensor) -> dict[str, Any]:
        """Return ``weights``, moved towards the module's tensors by ``share``."""
        tensors = named_tensors(self.module)
        moving = [name for name, t in tensors.items() if t.is_floating_point() or t.is_complex()]
        averages, values = [weights[name] for name in moving], [tensors[name] for name in moving]
        if self._sharded is not None:  # one call takes no mixture of spread tensors and others
            averages, values = list(map(own_part, averages)), list(map(own_part, values))
        if isinstance(share, Tensor):
            for average, value in zip(averages, values, strict=True):
                average.lerp_(value, share.to(value.dtype))
        else:
            torch._foreach_lerp_(averages, values, share)
        for name in tensors.keys() - moving:
            weights[name].copy_(tensors[name])
        return weights | self._extra.copied()

    @torch.no_grad()
    def exchanged_weights(self, weights: dict[str, Any]) -> dict[str, Any]:
        """Give the module the values of ``weights``; return those that it had, in their place."""
        extra = self._extra.copied()
        for name, tensor in named_tensors(self.module).items():
            before = tensor.clone()  # one at a time, instead of a second copy of all
            tensor.copy_(weights[name])
            weights[name].copy_(before)
        self._extra.set(weights)
        if self._sharded is not None:
            self._sharded.is_changed = True
        return weights | extra

    @torch.no_grad()
    def set_weights(self, weights: Mapping[str, Any]) -> None:
        """Give the module's tensors, and its submodules' extra states, the values of copies."""
        for name, tensor in named_tensors(self.module).items():
            tensor.copy_(weights[name])
        self._extra.set(weights)
        if self._sharded is not None:
            self._sharded.is_changed = True

    def weights_to_arrays(self, weights: Mapping[str, Any]) -> dict[str, np.ndarray]:
        """Return the copies as arrays; raises :class:`NotSerializable` for an extra state."""
        extra = {name: weights[name] for name in self._extra.names if name in weights}
        tensors = {name: tensor for name, tensor in weights.items() if name not in extra}
        return self._arrays((name, to_array(tensor)) for name, tensor in tensors.items()) | {
            name: extra_state_array(state, name, to_array) for name, state in extra.items()
        }

    def weights_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        """Return the copies that the arrays are of."""
        tensors = named_tensors(self.module)
        forms = {name: (tuple(t.shape), numpy_dtype(t.dtype)) for name, t in tensors.items()}
        rest = {name: array for name, array in arrays.items() if name not in self._extra.names}
        if len(rest) + len(self._extra.names) != len(arrays) or forms != {
            name: (array.shape, array.dtype) for name, array in rest.items()
        }:
            raise TrainingStateError(
                "The weights in the training state differ from the module's in name, shape or "
                "dtype.",
                hint="The state is of another model.",
            )
        return {
            name: to_tensor(arrays[name]).to(t.device, copy=True) for name, t in tensors.items()
        } | self._extra_from_arrays(arrays)

    def _extra_from_arrays(self, arrays: Mapping[str, np.ndarray]) -> dict[str, Any]:
        try:
            return self._extra.from_arrays(arrays, to_tensor)
        except StructureError as error:
            raise TrainingStateError(error.args[0], hint=error.hint) from error

    def optimizer_state(self) -> dict[str, np.ndarray]:
        """Return the optimizer's state as arrays named ``<parameter>/<quantity>``.

        With them is the loss scale, if there is one.
        """
        state = self._arrays(optimizer_state(self._optimizer, self._parameters))
        return state if self._loss_scale is None else state | self._loss_scale.to_arrays()

    def _arrays(self, found: Iterator[tuple[str, np.ndarray]]) -> dict[str, np.ndarray]:
        """Return the arrays; of spread ones, only rank 0 keeps what all ranks gather together."""
        if self._sharded is None or self.world.rank == 0:
            return dict(found)
        for _ in found:
            pass
        return {}

    def load_optimizer_state(self, state: Mapping[str, np.ndarray]) -> None:
        """Set the optimizer's state."""
        scale = self._loss_scale
        if scale is not None:
            known = {name: array for name, array in state.items() if name in ARRAYS}
            scale = LossScale.from_arrays(known, self.device)
            state = {name: array for name, array in state.items() if name not in known}
        load_optimizer_state(self._optimizer, self._parameters, state)
        self._loss_scale = scale

    def _step(self, count: int, faults: Tensor | None = None) -> None:
        try:
            self._optimizer_steps.step(count, faults)
        except (AssertionError, LookupError, RuntimeError, TypeError, ValueError) as error:
            if isinstance(error, torch.OutOfMemoryError):
                raise OutOfDeviceMemory(
                    f"What the optimizer {self.config.optimizer!r} keeps does not fit in the "
                    f"memory of {self.device}. ({error})",
                    hint="Use one that keeps less, such as 'sgd', or freeze parameters.",
                ) from error
            raise ParameterError(
                f"The optimizer {self.config.optimizer!r} fails: {type(error).__name__}: {error}",
                hint="Use other optimizer_options, or another optimizer: few take the gradients of "
                "sparse embeddings.",
            ) from error

    def _clip(self) -> None:
        if self.config.gradient_clip_value is not None:
            nn.utils.clip_grad_value_(self._parameters.values(), self.config.gradient_clip_value)
        if self.config.gradient_clip is not None:
            nn.utils.clip_grad_norm_(self._parameters.values(), self.config.gradient_clip)

    def _precision(self) -> AbstractContextManager[Any]:
        return torch.autocast(self.device.type, self._mixed) if self._mixed else nullcontext()

    def _output(self, module: nn.Module, X: Columns) -> Tensor:
        """Return the output in the precision of training, which is also that of its validation."""
        with self._precision():
            return self._loss.with_tasks(run(module, input_of(X, self._dtype, self.device)))

    def _weighted(self, output: Tensor, labels: Labels) -> Tensor:
        """Return the weighted sum of the losses of the labels."""
        output = as_floats(output)
        return self._loss.weighted_sum(output, *self._targets(labels.y, labels.w, output))

    def _targets(self, y: np.ndarray, w: np.ndarray, output: Tensor) -> tuple[Tensor, Tensor]:
        """Return labels and weights on the device, in the dtype of the output."""
        dtype = numpy_dtype(output.dtype)  # converted by NumPy, of which a call costs less
        return (
            to_tensor(y.astype(dtype)).to(self.device),
            to_tensor(w.astype(dtype)).to(self.device),
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
