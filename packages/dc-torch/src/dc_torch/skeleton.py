"""Making a module without allocating or initialising the weights that it is about to be given.

The constructor runs on the meta device. That is right only where every tensor it makes ends up as a
weight: a buffer that is not persistent, a tensor in a plain attribute or a closure would stay
without values. So the tensors made are watched; where one survives that is no weight, where weights
overlap, or where the constructor needs values, it runs again for real. The program's random
numbers are untouched.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.overrides import TorchFunctionMode

from dc_core import Component
from dc_torch.rng import isolated_rng
from dc_torch.weights import memory_of, storage_of

T = TypeVar("T")


def skeleton(build: Callable[[], T]) -> T:
    """Return ``build()`` with weights on the meta device, or for real where that is wrong."""
    with isolated_rng():
        made = _Watch()
        try:
            with torch.device("meta"), made:
                built = build()
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            # Values were asked of a tensor that has none; if it is another error it comes again.
            return build()
        weights = {id(tensor): tensor for m in _modules(built) for tensor in _weights(m)}
        if any(id(tensor) not in weights for tensor in made.survivors()):
            return build()
        return build() if _overlap(weights.values()) else built


class _Watch(TorchFunctionMode):
    """Remembers every meta tensor made while it is active, without keeping any alive."""

    def __init__(self) -> None:
        super().__init__()
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
        result = func(*args, **kwargs)
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
    return len(set(map(memory_of, held))) > len(set(map(storage_of, held)))


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
