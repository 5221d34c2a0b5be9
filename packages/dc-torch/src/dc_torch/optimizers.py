"""Optimizers, by name or the user's own, and their state as named arrays."""

from __future__ import annotations

import inspect
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from copy import copy
from types import MappingProxyType
from typing import Any, Final, TypeAlias

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from dc_core import guess, registry
from dc_core.errors import ParameterError, TrainingStateError
from dc_torch.distributed import is_sharded
from dc_torch.weights import to_array, to_tensor

OPTIMIZERS: Final[Mapping[str, type[Optimizer]]] = {
    "adadelta": torch.optim.Adadelta,
    "adagrad": torch.optim.Adagrad,
    "adam": torch.optim.Adam,
    "adamax": torch.optim.Adamax,
    "adamw": torch.optim.AdamW,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "sgd": torch.optim.SGD,
}
"""The optimizers that a config can name; registered classes have names of their own."""

OptimizerChoice: TypeAlias = str | type[Optimizer]
"""An optimizer's name, or its class if it has none."""

_FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
_FORMS = ("differentiable", "foreach", "fused")
_SECOND_MOMENTS: Final = frozenset(
    {"acc_delta", "exp_avg_sq", "exp_inf", "max_exp_avg_sq", "square_avg", "sum"}
)
"""What torch's optimizers keep of squares and absolute values of gradients."""

_OURS: Final = frozenset({"factor", "lr", "params"})
"""What the trainer sets in a group of parameters."""


def named_optimizer(optimizer: Any) -> OptimizerChoice:
    """Return the name of ``optimizer``, which is a name or a class; the class if it has no name.

    A class of your own has one if it is registered with
    ``@dc_core.register_component("mylab/MyOptimizer")``.

    Raises :class:`ParameterError` for what is no optimizer that can be stepped without a closure,
    and :class:`UnknownClass` for a registered name that is not known.
    """
    if isinstance(optimizer, Optimizer):
        raise ParameterError(
            f"optimizer={type(optimizer).__name__}(...) is an object.",
            hint="Give the class, or a name, and its arguments as optimizer_options: the trainer "
            "makes it for the parameters that are trained.",
        )
    cls = _class_of(optimizer)
    if cls is None or not issubclass(cls, Optimizer):
        raise ParameterError(
            f"optimizer={optimizer!r} is not known.",
            hint=f"{guess(optimizer, OPTIMIZERS)}Use one of {', '.join(map(repr, OPTIMIZERS))}, or "
            "a subclass of torch.optim.Optimizer.",
        )
    closure = inspect.signature(cls.step).parameters.get("closure")
    if closure is not None and closure.default is closure.empty:
        raise ParameterError(
            f"{cls.__name__} computes losses itself, by a closure, which training has none of.",
            hint="Use an optimizer whose step() needs no closure.",
        )
    names = (name for name, known in OPTIMIZERS.items() if known is cls)
    return next(names, None) or registry.components.name_of(cls) or cls


def _class_of(optimizer: Any) -> type[Any] | None:
    if isinstance(optimizer, type):
        return optimizer
    if not isinstance(optimizer, str):
        return None
    if "/" in optimizer:
        return registry.components.lookup(optimizer)
    return OPTIMIZERS.get(optimizer)


def make_optimizer(
    optimizer: OptimizerChoice,
    parameters: Mapping[str, nn.Parameter],
    learning_rate: float,
    options: Mapping[str, Any],
    factors: Mapping[str, float],
    decays: Mapping[str, float] = MappingProxyType({}),
) -> Optimizer:
    """Return the ``optimizer``, fused if torch has a fused implementation.

    Parameters of one learning rate and weight decay are one group, whose ``factor`` is that in
    ``factors``, or 1, and whose weight decay is the optimizer's times that in ``decays``, or 1.

    Raises :class:`ParameterError` for options that it does not have.
    """
    cls = _class_of(optimizer)
    if cls is None:
        raise ParameterError(f"optimizer={optimizer!r} is not known.")
    fused: dict[str, Any] = {}
    plain = all(
        p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters.values()
    )
    # The first momentum is not damped, so that it is not one step from 0; see _begin_momentum.
    damped = cls is torch.optim.SGD and bool(options.get("dampening"))
    # Torch has no fused SGD of tensors that are spread over processes.
    spread = cls is torch.optim.SGD and any(map(is_sharded, parameters.values()))
    fits = plain and not damped and not spread
    if cls in _FUSED and fits and options.keys().isdisjoint(_FORMS):
        fused["fused"] = True
    groups: dict[tuple[float, float], list[nn.Parameter]] = {}
    for path, parameter in parameters.items():
        key = factors.get(path, 1.0), decays.get(path, 1.0)
        groups.setdefault(key, []).append(parameter)
    make: Callable[..., Optimizer] = cls
    try:
        made = make(
            [{"params": group, "factor": factor} for (factor, _), group in groups.items()],
            lr=learning_rate,
            **fused,
            **options,
        )
    except (ParameterError, RuntimeError, TypeError, ValueError) as error:
        shown = f"torch.optim.{cls.__name__}" if cls in OPTIMIZERS.values() else cls.__name__
        raise ParameterError(
            f"The optimizer {optimizer!r} cannot be made with {dict(options)}: {error}",
            hint=f"{_guess_option(cls, options)}optimizer_options are arguments of {shown}; the "
            "trainer gives it the parameters and lr.",
        ) from error
    if decays and not made.defaults.get("weight_decay"):
        raise ParameterError(
            f"weight_decay_factors need an optimizer with weight decay; {optimizer!r} has none.",
            hint="Use 'adamw', or 'sgd' with optimizer_options={'weight_decay': 1e-4}.",
        )
    for (_, decay), group in zip(groups, made.param_groups, strict=True):
        if decay != 1:
            group["weight_decay"] *= decay
    if type(made) is torch.optim.SGD and made.defaults["fused"]:
        _begin_momentum(made)
    return made


def _guess_option(cls: type[Any], options: Mapping[str, Any]) -> str:
    known = list(inspect.signature(cls).parameters)
    return "".join(guess(name, known) for name in options if name not in known)


def _begin_momentum(optimizer: Optimizer) -> None:
    """Give each parameter a momentum of 0, which changes no step.

    The fused SGD makes them in its first step, for the parameters that have a gradient then; it
    fails when others get one later, and leaves them undefined if that step is not applied.
    """
    for group in optimizer.param_groups:
        if group["momentum"] != 0:
            for parameter in group["params"]:
                optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(
                    parameter, memory_format=torch.preserve_format
                )


def optimizer_state(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]
) -> Iterator[tuple[str, np.ndarray]]:
    """Yield the optimizer's state as arrays named ``<parameter>/<quantity>``.

    Numbers that an optimizer of your own changes in its groups of parameters are
    ``groups/<i>/<quantity>``.

    Raises :class:`TrainingStateError` for state that is neither a tensor nor a number.
    """
    for name, parameter in parameters.items():
        for quantity, value in optimizer.state.get(parameter, {}).items():
            if value is not None:
                yield f"{name}/{quantity}", _array(optimizer, quantity, value)
    for i, group in enumerate(optimizer.param_groups):
        for quantity, value in _numbers(optimizer, group).items():
            if isinstance(value, torch.Tensor) or value != optimizer.defaults.get(quantity):
                yield f"groups/{i}/{quantity}", _array(optimizer, quantity, value)


def move_state(
    source: Optimizer,
    parameters: Mapping[str, nn.Parameter],
    target: Optimizer,
    moved: Mapping[str, nn.Parameter],
    convert: Callable[[str, torch.Tensor], torch.Tensor],
) -> None:
    """Give ``target``, made for the parameters ``moved``, the state of ``source``, which loses it.

    ``convert`` makes a tensor of ``target`` of one that ``source`` keeps for the named parameter.
    """
    for name, parameter in parameters.items():
        for quantity, value in source.state.pop(parameter, {}).items():
            kept = value
            if isinstance(value, torch.Tensor):
                if value.dim() == 0 and (quantity == "step" or parameter.dim()):
                    # Where torch keeps numbers that are not of the parameter's form.
                    kept = value.to(moved[name].device if target.defaults.get("fused") else "cpu")
                else:
                    kept = convert(name, value)
            target.state[moved[name]][quantity] = kept
    for before, group in zip(source.param_groups, target.param_groups, strict=True):
        group.update(_numbers(source, before))


def load_optimizer_state(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], state: Mapping[str, np.ndarray]
) -> None:
    """Set the state of ``optimizer`` to what :func:`optimizer_state` returned.

    Raises :class:`TrainingStateError` if names or shapes are not those of ``parameters``, if the
    quantities are not those that the optimizer keeps, or if one of torch's has a value that it
    never keeps: one that is not finite, or a negative second moment.
    """
    found: dict[str, dict[str, np.ndarray]] = {}
    groups: list[dict[str, Any]] = [{} for _ in optimizer.param_groups]
    places = {f"groups/{i}": i for i in range(len(groups))}
    for path, array in state.items():
        name, _, quantity = path.rpartition("/")
        if name in parameters:
            found.setdefault(name, {})[quantity] = array
        elif name in places and quantity in (
            group := _numbers(optimizer, optimizer.param_groups[places[name]])
        ):
            groups[places[name]][quantity] = _like(group[quantity], array, path)
        else:
            raise TrainingStateError(
                f"The state {path!r} is that of a parameter that this model does not train.",
                hint="The state is of another model.",
            )
    kept = _Quantities(optimizer)
    values = {name: kept.values(name, parameters[name], found[name]) for name in found}
    for name, quantities in values.items():
        optimizer.state[parameters[name]] = quantities
    for group, changed in zip(optimizer.param_groups, groups, strict=True):
        group.update(changed)


class _Quantities:
    """What an optimizer keeps for a parameter, known by one step of a copy."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._known: dict[Any, dict[str, Any]] = {}

    def values(
        self, name: str, parameter: nn.Parameter, arrays: Mapping[str, np.ndarray]
    ) -> dict[str, Any]:
        """Return the state of ``parameter`` that ``arrays`` are."""
        # Torch's optimizers keep scalars and tensors of the parameter's shape: one value will do.
        own = _is_own(self._optimizer)
        shape = tuple(parameter.shape) if own else (1,)
        key = shape, parameter.dtype, parameter.device
        if key not in self._known:
            self._known[key] = self._after_a_step(parameter.detach().new_zeros(shape))
        kept = self._known[key]
        if arrays.keys() != kept.keys():
            raise TrainingStateError(
                f"The state of the parameter {name!r} has {', '.join(sorted(arrays))}; "
                f"{type(self._optimizer).__name__} keeps {', '.join(sorted(kept)) or 'nothing'}.",
                hint="The state is incomplete, or of a model with another optimizer.",
            )
        whole = tuple(parameter.shape)
        values = {
            quantity: _like(
                kept[quantity],
                array,
                f"{name}/{quantity}",
                whole if _shape(kept[quantity]) == shape else None,
            )
            for quantity, array in arrays.items()
        }
        for quantity, value in values.items():
            if not own and not _is_possible(quantity, value):
                raise TrainingStateError(
                    f"The state '{name}/{quantity}' has a value that "
                    f"{type(self._optimizer).__name__} never keeps.",
                    hint="The training state was damaged or edited.",
                )
        return values

    def _after_a_step(self, values: torch.Tensor) -> dict[str, Any]:
        probe = nn.Parameter(values)
        probe.grad = torch.zeros_like(values)
        trial = copy(self._optimizer)
        trial.state = defaultdict(dict)
        trial.param_groups = [{**self._optimizer.param_groups[0], "params": [probe]}]
        trial.step()
        return {name: value for name, value in trial.state[probe].items() if value is not None}


def _is_possible(quantity: str, value: torch.Tensor) -> bool:
    """Return whether an optimizer of torch can keep that value of a quantity.

    Counts of steps are integers and products of momenta at most 1. Second moments are not negative,
    and can overflow; everything else is finite, because no step is applied that is not.
    """
    if quantity in _SECOND_MOMENTS:
        return bool((value >= 0).all())
    if not bool(torch.isfinite(value).all()):
        return False
    if quantity == "step":
        return bool(((value >= 0) & (value == value.floor())).all())
    return quantity != "mu_product" or bool(((value >= 0) & (value <= 1)).all())


def _is_own(optimizer: Optimizer) -> bool:
    """Return whether ``optimizer`` is not one of torch's that have a name."""
    return type(optimizer) not in OPTIMIZERS.values()


def _numbers(optimizer: Optimizer, group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the numbers and tensors in a group of parameters that a step may change.

    Torch's optimizers change none: theirs are options.
    """
    if not _is_own(optimizer):
        return {}
    return {
        name: value
        for name, value in group.items()
        if name not in _OURS and isinstance(value, bool | int | float | torch.Tensor)
    }


def _array(optimizer: Optimizer, quantity: str, value: Any) -> np.ndarray:
    if isinstance(value, torch.Tensor):
        return to_array(value)
    if isinstance(value, bool | int | float):
        return np.array(value)
    raise TrainingStateError(
        f"{type(optimizer).__name__} keeps {quantity!r} as a {type(value).__name__}, which cannot "
        "be stored.",
        hint="Keep tensors and numbers in the optimizer's state.",
    )


def _like(kept: Any, array: np.ndarray, path: str, shape: tuple[int, ...] | None = None) -> Any:
    """Return ``array`` as what ``kept`` is: a tensor of its form, or a number.

    ``shape`` is that of the tensor, if not the same.
    """
    expected = _shape(kept) if shape is None else shape
    if array.shape != expected:
        raise TrainingStateError(
            f"The state {path!r} has shape {array.shape}; this model's has {expected}.",
            hint="The state is of another model.",
        )
    try:
        tensor = to_tensor(array)
    except ParameterError as error:
        raise TrainingStateError(f"The state {path!r}: {error.args[0]}") from error
    number = not isinstance(kept, torch.Tensor)
    if tensor.is_complex() if number else _kind(tensor) != _kind(kept):
        raise TrainingStateError(
            f"The state {path!r} has dtype {array.dtype}; this model's has "
            f"{type(kept).__name__ if number else kept.dtype}.",
            hint="The state is of another model.",
        )
    if number:
        return tensor.item()
    return tensor.to(kept.device, kept.dtype, copy=True)


def _kind(tensor: torch.Tensor) -> tuple[bool, bool, bool]:
    return tensor.is_floating_point(), tensor.is_complex(), tensor.dtype is torch.bool


def _shape(kept: Any) -> tuple[int, ...]:
    return tuple(kept.shape) if isinstance(kept, torch.Tensor) else ()
