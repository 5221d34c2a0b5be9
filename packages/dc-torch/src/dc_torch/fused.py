"""``OptimizerSteps``: the steps of an optimizer, those of a fused Adam by its kernel alone.

For each step torch collects the parameters and what is kept for them, looks for hooks and opens a
record of the profiler; a small network takes several times as long for that as for the arithmetic.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.optim import Adam, AdamW, Optimizer
from torch.optim import optimizer as hooks


class _Tensors(NamedTuple):
    """Parameters of one group, device and dtype, and what is kept for each."""

    group: dict[str, Any]
    kernel: Callable[..., None]
    parameters: list[Tensor]
    averages: list[Tensor]
    squares: list[Tensor]
    largest: list[Tensor]
    steps: list[Tensor]


class OptimizerSteps:
    """Does the steps of ``optimizer``, with the result of its ``step()`` to the last bit."""

    def __init__(self, optimizer: Optimizer) -> None:
        self._optimizer = optimizer
        self._known: list[_Tensors] = []

    def forget(self) -> None:
        """Look the parameters and their state up anew; call it if others are trained."""
        self._known = []

    def step(self, count: int, found_inf: Tensor | None = None) -> None:
        """Do a step, in which ``count`` parameters have gradients.

        It changes nothing if ``found_inf`` is 1 on their device; only fused optimizers take that.
        """
        gradients = [[parameter.grad for parameter in each.parameters] for each in self._known]
        found = [gradient is not None for own in gradients for gradient in own]
        if count and len(found) == count and all(found):
            with torch.no_grad():
                for each, own in zip(self._known, gradients, strict=True):
                    _step(each, own, found_inf)
            return
        if found_inf is not None:
            self._optimizer.found_inf = found_inf  # type: ignore[attr-defined]
        self._optimizer.step()
        self._known = _known(self._optimizer)


def _step(tensors: _Tensors, gradients: Any, found_inf: Tensor | None) -> None:
    group = tensors.group
    beta1, beta2 = group["betas"]
    torch._foreach_add_(tensors.steps, 1)
    tensors.kernel(
        tensors.parameters,
        gradients,
        tensors.averages,
        tensors.squares,
        tensors.largest,
        tensors.steps,
        lr=group["lr"],
        beta1=beta1,
        beta2=beta2,
        weight_decay=group["weight_decay"],
        eps=group["eps"],
        amsgrad=group["amsgrad"],
        maximize=group["maximize"],
        grad_scale=None,
        found_inf=found_inf,
    )
    if found_inf is not None:
        torch._foreach_sub_(tensors.steps, [found_inf] * len(tensors.steps))


def _known(optimizer: Optimizer) -> list[_Tensors]:
    """Return the parameters that had gradients in the last step; none if torch has to do it all."""
    if (
        type(optimizer) not in (Adam, AdamW)
        or hooks._global_optimizer_pre_hooks
        or hooks._global_optimizer_post_hooks
    ):
        return []
    found: dict[tuple[int, torch.device, torch.dtype], _Tensors] = {}
    for i, group in enumerate(optimizer.param_groups):
        numbers = (*group["betas"], group["eps"], group["weight_decay"])
        if not group["fused"] or group["capturable"] or any(map(torch.is_tensor, numbers)):
            return []
        decoupled = group.get("decoupled_weight_decay", type(optimizer) is AdamW)
        kernel = torch._fused_adamw_ if decoupled else torch._fused_adam_
        for parameter in group["params"]:
            if parameter.grad is None:
                continue
            if type(parameter) is not nn.Parameter:  # sharded, say
                return []
            key = i, parameter.device, parameter.dtype
            tensors = found.setdefault(key, _Tensors(group, kernel, [], [], [], [], []))
            state = optimizer.state[parameter]
            tensors.parameters.append(parameter)
            tensors.averages.append(state["exp_avg"])
            tensors.squares.append(state["exp_avg_sq"])
            if group["amsgrad"]:
                tensors.largest.append(state["max_exp_avg_sq"])
            tensors.steps.append(state["step"])
    return list(found.values())
