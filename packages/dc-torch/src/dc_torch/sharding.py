"""Spread a module over the processes that train it together: PyTorch's ``fully_shard`` (FSDP2).

Each process holds a part of every parameter, and has the others' parts of a layer only while that
layer runs. Lightning Fabric's strategies add nothing to ``fully_shard`` here: what they do besides
is to start processes and to store checkpoints, with pickle.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from functools import partial
from typing import Any, Final

import torch
from torch import Tensor, distributed, nn

from dc_core.errors import ParameterError
from dc_torch.distributed import is_sharded, spread_like, whole
from dc_torch.extra_state import ExtraStates
from dc_torch.inference import evaluating
from dc_torch.wrapped import named_tensors, unwrapped

_SMALLEST: Final = 1 << 16
"""Layers with fewer numbers are gathered with others, because each gathering takes a message."""

_NOT_CALLED: Final = (
    nn.ModuleDict,
    nn.ModuleList,
    nn.ParameterDict,
    nn.ParameterList,
    nn.Sequential,
)
"""Containers, whose members are called instead or have no members that are."""


class Sharded:
    """A module that is spread over processes, and what knows how to gather it.

    ``own`` is the module that is trained, ``module`` the copy that is spread. Every process makes
    one, and gets the values of rank 0. With ``keeps=False`` no copy is made, and what is gathered
    is for other processes alone. Without a hint to the contrary, all processes call a method
    together.

    Raises :class:`ParameterError` if the module cannot be spread.
    """

    def __init__(self, module: nn.Module, device: torch.device, *, keeps: bool) -> None:
        self.own = module.cpu()
        with torch.no_grad():
            for tensor in named_tensors(module).values():
                distributed.broadcast(tensor, 0)
        inner = unwrapped(module)
        self.module = shard(deepcopy(inner) if keeps else inner, device)
        self.is_changed = False
        """Whether ``own`` lacks the weights of the last step."""
        self.is_collected = False
        """Whether ``own`` was given its weights, and the state its own tensors, at the end."""
        self.at_work = False
        """Whether this process is within a step, where it cannot answer others."""
        self._device = device
        self._keeps = keeps
        self._parameters = dict(self.module.named_parameters())
        self._watched: set[str] = set()
        self._used: set[str] = set()
        self._watches = True
        for path, part in self.module.named_modules():
            if hasattr(part, "reshard"):
                part.register_forward_pre_hook(partial(self._watch, path))

    def spread(self, name: str, tensor: Tensor) -> Tensor:
        """Return a tensor of the state, which every process has, as this process keeps it.

        It is spread if it has the form of the parameter of that name. Nothing is sent.
        """
        like = self._parameters.get(name)
        if like is not None and is_sharded(like) and like.shape == tensor.shape:
            return spread_like(tensor, like)
        return tensor.to(self._device, copy=True)

    def collected(self, name: str, tensor: Tensor) -> Tensor:
        """Return all of a tensor of the state; nothing of it if it is for other processes."""
        full = whole(tensor)
        return full.cpu() if self._keeps else full.new_empty(0)

    @torch.no_grad()
    def gather(self) -> None:
        """Give ``own`` the weights, one by one."""
        own = named_tensors(self.own)
        with self.working():
            for name, tensor in named_tensors(self.module).items():
                full = whole(tensor)
                if self._keeps:
                    own[name].copy_(full)
            if self._keeps:
                ExtraStates(self.own).set(ExtraStates(self.module).copied())
        self.is_changed = False

    def begin_step(self) -> None:
        """Note that a part of a step begins; whoever applies it sets ``at_work``."""
        self.at_work = self.is_changed = True
        trained = sum(p.requires_grad for p in self._parameters.values())
        self._watches = len(self._watched) < trained

    def end_step(self, parameters: Mapping[str, nn.Parameter]) -> list[bool]:
        """Tell which parameters have a gradient in this process.

        Those that are not spread get the mean gradient of all processes.
        """
        used = [
            name in self._used if is_sharded(p) else p.grad is not None
            for name, p in parameters.items()
        ]
        self._used.clear()
        for parameter in parameters.values():
            if not is_sharded(parameter) and parameter.requires_grad:
                if parameter.grad is None:
                    parameter.grad = torch.zeros_like(parameter)
                distributed.all_reduce(parameter.grad)
                parameter.grad /= distributed.get_world_size()
        return used

    def _watch(self, path: str, part: nn.Module, _: object) -> None:
        """Note from now on when parameters that have just been gathered get a gradient."""
        if self._watches:
            for name, parameter in part.named_parameters(path):
                gathered = not is_sharded(parameter) and parameter.requires_grad
                if gathered and name not in self._watched:
                    self._watched.add(name)
                    parameter.register_hook(partial(self._note, name))  # type: ignore[no-untyped-call]

    def _note(self, name: str, _: object) -> None:
        self._used.add(name)

    @contextmanager
    def working(self) -> Iterator[None]:
        """Be ``at_work`` in the block, and for good if it raises. Nothing is sent."""
        self.at_work = True
        yield
        self.at_work = False

    @contextmanager
    def evaluating(self) -> Iterator[None]:
        """Have the module in evaluation mode, without gradients, in the block."""
        # What inference mode gathers could not be used in training.
        with self.working(), evaluating(self.module, torch.no_grad):
            yield
            spread_again: Any = self.module
            spread_again.reshard()


def shard(module: nn.Module, device: torch.device) -> nn.Module:
    """Spread the parameters of ``module`` over all processes, and return it.

    Every process has to call it, with equal values. Large members of a ``Sequential`` or a
    ``ModuleList`` are gathered one by one when they run, the rest together. Parameters without axes
    are not spread.

    Raises :class:`ParameterError` if parameters that are gathered together have several dtypes.
    """
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    if device.type == "cuda":
        torch.cuda.set_device(device)
    mesh = init_device_mesh(device.type, (distributed.get_world_size(),))
    single = {p for p in module.parameters() if p.dim() == 0}
    for parameter in single:
        parameter.data = parameter.data.to(device)
    gathered: set[int] = set()
    for part in (*_layers(module), module):
        own = [p for p in part.parameters() if id(p) not in gathered and p not in single]
        dtypes = {p.dtype for p in own if p.requires_grad}
        if len(dtypes) > 1:
            raise ParameterError(
                f"strategy='fsdp' needs parameters of one dtype, and the {type(part).__name__} has "
                f"{', '.join(sorted(map(str, dtypes)))}.",
                hint="Convert the module to one dtype, or use strategy='ddp'.",
            )
        fully_shard(part, mesh=mesh, ignored_params=single)
        gathered |= {id(p) for p in part.parameters()}
    sharded: Any = module
    # A parameter that others use has a gradient of 0 where it is not used.
    sharded.set_reduce_scatter_unused_params(True)
    return module


def _layers(module: nn.Module) -> Iterator[nn.Module]:
    """Yield the layers that are gathered on their own, inner ones first.

    A layer that shares a parameter with others is gathered with them.
    """
    names: dict[int, list[str]] = {}
    for name, parameter in module.named_parameters(remove_duplicate=False):
        names.setdefault(id(parameter), []).append(name)
    paths = {part: path for path, part in module.named_modules()}
    for part in reversed(list(module.modules())):
        members = list(part) if isinstance(part, nn.Sequential | nn.ModuleList) else []
        for member in members:
            own = list(member.parameters())
            inside = f"{paths[member]}."
            if (
                not isinstance(member, _NOT_CALLED)
                and sum(p.numel() for p in own) >= _SMALLEST
                and all(name.startswith(inside) for p in own for name in names[id(p)])
            ):
                yield member
