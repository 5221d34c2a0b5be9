"""Optimizers by name, and their state as named arrays."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from copy import copy
from typing import Any, Final

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from dc_core.errors import ParameterError, TrainingStateError
from dc_torch.weights import to_array, to_tensor

OPTIMIZERS: Final[Mapping[str, type[Optimizer]]] = {
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "sgd": torch.optim.SGD,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
}
"""The optimizers that a config can name."""

_FUSED = (torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD)
_FORMS = ("differentiable", "foreach", "fused")


def make_optimizer(
    name: str,
    parameters: Mapping[str, nn.Parameter],
    learning_rate: float,
    options: Mapping[str, Any],
    factors: Mapping[str, float],
) -> Optimizer:
    """Return the optimizer ``name``, fused if torch has a fused implementation.

    Parameters of one learning rate are one group, whose ``factor`` is that in ``factors``, or 1.

    Raises :class:`ParameterError` for options that it does not have.
    """
    cls = OPTIMIZERS[name]
    fused: dict[str, Any] = {}
    plain = all(
        p.is_floating_point() and p.device.type in ("cpu", "cuda") for p in parameters.values()
    )
    if cls in _FUSED and plain and options.keys().isdisjoint(_FORMS):
        fused["fused"] = True
    groups: dict[float, list[nn.Parameter]] = {}
    for path, parameter in parameters.items():
        groups.setdefault(factors.get(path, 1.0), []).append(parameter)
    make: Callable[..., Optimizer] = cls
    try:
        return make(
            [{"params": group, "factor": factor} for factor, group in groups.items()],
            lr=learning_rate,
            **fused,
            **options,
        )
    except (RuntimeError, TypeError, ValueError) as error:
        raise ParameterError(
            f"The optimizer {name!r} cannot be made with {dict(options)}: {error}",
            hint=f"optimizer_options are arguments of torch.optim.{cls.__name__}.",
        ) from error


def optimizer_state(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter]
) -> dict[str, np.ndarray]:
    """Return the optimizer's state as arrays named ``<parameter>/<quantity>``."""
    return {
        f"{name}/{quantity}": to_array(value)
        for name, parameter in parameters.items()
        for quantity, value in optimizer.state.get(parameter, {}).items()
        if value is not None
    }


def load_optimizer_state(
    optimizer: Optimizer, parameters: Mapping[str, nn.Parameter], state: Mapping[str, np.ndarray]
) -> None:
    """Set the state of ``optimizer`` to what :func:`optimizer_state` returned.

    Raises :class:`TrainingStateError` if names or shapes are not those of ``parameters``, or if the
    quantities are not those that the optimizer keeps.
    """
    ordered = [p for group in optimizer.param_groups for p in group["params"]]
    places = {id(parameter): i for i, parameter in enumerate(ordered)}
    index = {name: places[id(parameter)] for name, parameter in parameters.items()}
    moments: dict[int, dict[str, torch.Tensor]] = {}
    for path, array in state.items():
        name, _, quantity = path.rpartition("/")
        if name not in index:
            raise TrainingStateError(
                f"The state {path!r} is that of a parameter that this model does not train.",
                hint="The state is of another model.",
            )
        shape = tuple(parameters[name].shape)
        if array.shape not in (shape, ()):
            raise TrainingStateError(
                f"The state {path!r} has shape {array.shape}; its parameter has {shape}.",
                hint="The state is of another model.",
            )
        moments.setdefault(index[name], {})[quantity] = to_tensor(array).clone()
    kept = _quantities(optimizer) if moments else set()
    for name, i in index.items():
        if i in moments and moments[i].keys() != kept:
            raise TrainingStateError(
                f"The state of the parameter {name!r} has {', '.join(sorted(moments[i]))}; "
                f"{type(optimizer).__name__} keeps {', '.join(sorted(kept)) or 'nothing'}.",
                hint="The state is incomplete, or of a model with another optimizer.",
            )
    optimizer.load_state_dict(
        {"state": moments, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def _quantities(optimizer: Optimizer) -> set[str]:
    """Return the names of what ``optimizer`` keeps for a parameter, by one step of a copy."""
    probe = nn.Parameter(torch.zeros(1))
    probe.grad = torch.zeros(1)
    trial = copy(optimizer)
    trial.state = defaultdict(dict)
    trial.param_groups = [{**optimizer.param_groups[0], "params": [probe]}]
    trial.step()
    return {name for name, value in trial.state[probe].items() if value is not None}
