"""Making a module without allocating or initialising the weights that it is about to be given.

The constructor runs on the meta device. That is right only where every tensor it makes ends up as a
weight: a buffer that is not persistent, a tensor in a plain attribute or a closure would stay
without values. So the tensors made are watched; where one survives that is no weight, where weights
overlap, or where the constructor needs values, it runs again for real, and every tensor it makes
is charged to the load's byte budget first: sizes come from a file. The program's random numbers are
untouched.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, Final, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode
from torch.utils._device import DeviceContext

from dc_core import Component, charge
from dc_core.errors import BudgetExceeded
from dc_torch.rng import isolated_rng, shared_isolation
from dc_torch.weights import memory_of, storage_of

T = TypeVar("T")

_FACTORIES: Final = frozenset(
    {
        torch.arange,
        torch.empty,
        torch.empty_strided,
        torch.eye,
        torch.full,
        torch.linspace,
        torch.logspace,
        torch.ones,
        torch.rand,
        torch.randint,
        torch.randn,
        torch.randperm,
        torch.zeros,
    }
)
"""The functions that make a tensor of a size given by numbers alone."""


def skeleton(build: Callable[[], T]) -> T:
    """Return ``build()`` with weights on the meta device, or for real where that is wrong."""
    with isolated_rng():
        made = _Watch()
        try:
            with shared_isolation(), made:
                built = build()
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            # Values were asked of a tensor that has none; if it is another error it comes again.
            return _build_for_real(build)
        weights = {id(tensor): tensor for m in _modules(built) for tensor in _weights(m)}
        if any(id(tensor) not in weights for tensor in made.survivors()):
            return _build_for_real(build)
        return _build_for_real(build) if _overlap(weights.values()) else built


def _build_for_real(build: Callable[[], T]) -> T:
    with _Charge():
        return build()


class _Charge(TorchFunctionMode):
    """Charges every tensor that a constructor makes to the load's byte budget beforehand.

    The size comes from making it on the meta device, which costs nothing.
    """

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _FACTORIES:
            try:
                planned = func(*args, **{**kwargs, "device": "meta"})
            except RuntimeError as error:
                raise BudgetExceeded(
                    f"No tensor of that size can be made: {str(error).splitlines()[0]}",
                    hint="Check the sizes among the constructor's arguments.",
                ) from error
            charge(planned.nbytes, f"A tensor of shape {tuple(planned.shape)}")
        return func(*args, **kwargs)


class _Watch(DeviceContext):
    """Makes tensors on the meta device, and remembers all of them without keeping any alive.

    It is what ``with torch.device("meta")`` is, extended: two modes would double the cost of every
    call.
    """

    def __init__(self) -> None:
        super().__init__(torch.device("meta"))
        self._made: list[weakref.ref[Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__module__", "") == "torch.nn.init":
            # There is nothing to initialise, and drawing for it costs more than all the rest.
            tensor = kwargs["tensor"] if "tensor" in kwargs else args[0]
            if tensor.is_meta:
                return tensor
        result = super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        for value in result if isinstance(result, list | tuple) else (result,):
            if isinstance(value, Tensor) and value.is_meta:
                self._made.append(weakref.ref(value))
        return result

    def survivors(self) -> Iterator[Tensor]:
        for reference in self._made:
            tensor = reference()
            if tensor is not None:
                yield tensor


def _overlap(weights: Iterable[Tensor]) -> bool:
    """Tell whether different weights are views of one memory, which an import would part."""
    held = [tensor for tensor in weights if tensor.is_meta and tensor.numel()]
    storages = set(map(storage_of, held))
    return len(storages) < len(held) and len(set(map(memory_of, held))) > len(storages)


def _modules(built: object) -> Iterator[nn.Module]:
    if isinstance(built, nn.Module):
        yield built
    elif isinstance(built, Component):
        yield from _modules(built.native)
        for child in built.children().values():
            yield from _modules(child)


def _weights(module: nn.Module) -> Iterator[Tensor]:
    """Yield what an import will give values to: the parameters and persistent buffers."""
    for value in module.state_dict(keep_vars=True).values():
        if isinstance(value, Tensor) and not is_lazy(value):
            yield value
