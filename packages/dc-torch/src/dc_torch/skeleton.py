"""Build a module without allocating or initialising the weights that it will be given.

The constructor runs on the meta device. That works only if every tensor it makes becomes a weight:
a non-persistent buffer, or a tensor in a plain attribute or a closure, would have no values. So all
tensors are watched. If one survives that is not a weight, if weights overlap, or if the constructor
needs values, the constructor runs again on real devices. Because sizes come from a file, tensors on
real devices are charged to the load's byte budget before they are made. The program's random
numbers do not change.
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
from dc_torch.extra_state import KEY as EXTRA_STATE
from dc_torch.rng import isolated_rng, shared_isolation
from dc_torch.weights import memory_of, plain_places, storage_of

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

_ENLARGING: Final = frozenset(
    {
        torch.clone,
        torch.tile,
        torch.repeat_interleave,
        Tensor.clone,
        Tensor.contiguous,
        Tensor.new_empty,
        Tensor.new_full,
        Tensor.new_ones,
        Tensor.new_zeros,
        Tensor.repeat,
        Tensor.repeat_interleave,
        Tensor.tile,
    }
)
"""The functions that make a larger tensor of a small one."""

_MAKES_NONE: Final = frozenset(
    {
        torch.device,
        Tensor.dim,
        Tensor.size,
        *(vars(torch._C.TensorBase)[name].__get__ for name in ("grad_fn", "shape", "is_meta")),
    }
)
"""Frequent calls that make no tensor: most of those of a constructor."""


def skeleton(build: Callable[[], T]) -> T:
    """Return ``build()`` with weights on the meta device, or real ones if that would be wrong."""
    with isolated_rng():
        made = _Watch()
        try:
            with shared_isolation(), made:
                built = build()
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError):
            # The constructor may have needed values. Any other error is raised again.
            return _build_for_real(build)
        weights = {id(tensor): tensor for m in _modules(built) for tensor in _weights(m)}
        if any(id(tensor) not in weights for tensor in made.survivors()):
            return _build_for_real(build)
        return _build_for_real(build) if _overlap(weights.values()) else built


def _build_for_real(build: Callable[[], T]) -> T:
    with _Charge():
        return build()


class _Allocations:
    """Charges the tensors that a constructor makes to the load's byte budget beforehand.

    The legacy constructor ``torch.Tensor(n)`` cannot be intercepted, but it touches no memory: such
    a tensor is charged before it is first written.
    """

    def __init__(self) -> None:
        self._charged: set[int] = set()

    def before(
        self, func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
    ) -> bool:
        """Charge what the call is about to allocate or to write, and tell whether it allocates."""
        if func in _FACTORIES or func in _ENLARGING:
            _charge_result(func, args, kwargs)
            return True
        written = args[0] if args and _writes(func) else None
        if isinstance(written, Tensor) and not written.is_meta:
            memory = storage_of(written)
            if memory not in self._charged:
                charge(written.nbytes, f"A tensor of shape {tuple(written.shape)}")
                self._charged.add(memory)
        return False

    def after(self, result: Tensor) -> None:
        """Remember what :meth:`before` has charged."""
        self._charged.add(storage_of(result))


class _Charge(TorchFunctionMode):
    """Charges every tensor that is made while it is active."""

    def __init__(self) -> None:
        super().__init__()
        self._allocations = _Allocations()

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        allocates = self._allocations.before(func, args, kwargs)
        result = func(*args, **kwargs)
        if allocates:
            self._allocations.after(result)
        return result


class _Watch(DeviceContext):
    """Makes tensors on the meta device, and remembers all of them without keeping any alive.

    It is what ``with torch.device("meta")`` is, extended: two modes would double the cost of every
    call. Tensors that a constructor makes elsewhere, by naming a device, are charged.
    """

    def __init__(self) -> None:
        super().__init__(torch.device("meta"))
        self._allocations = _Allocations()
        self._made: list[weakref.ref[Tensor]] = []

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if func in _MAKES_NONE:
            return func(*args, **kwargs)
        if getattr(func, "__module__", "") == "torch.nn.init":
            # There is nothing to initialise, and drawing numbers would take most of the time.
            tensor = kwargs["tensor"] if "tensor" in kwargs else args[0]
            if tensor.is_meta:
                return tensor
        allocates = not _is_on_meta(func, args, kwargs) and self._allocations.before(
            func, args, kwargs
        )
        result = super().__torch_function__(func, types, args, kwargs)  # type: ignore[no-untyped-call]
        if allocates:
            self._allocations.after(result)
        for value in result if isinstance(result, (list, tuple)) else (result,):
            if isinstance(value, Tensor) and value.is_meta:
                self._made.append(weakref.ref(value))
        return result

    def survivors(self) -> Iterator[Tensor]:
        for reference in self._made:
            tensor = reference()
            if tensor is not None:
                yield tensor


def _is_on_meta(func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> bool:
    """Return whether a call under :class:`_Watch` makes or writes only tensors without values."""
    if func in _FACTORIES:
        device = kwargs.get("device")
        return device is None or torch.device(device).type == "meta"
    return bool(args) and isinstance(args[0], Tensor) and args[0].is_meta


def _writes(func: Callable[..., Any]) -> bool:
    """Return whether ``func`` writes into its first argument: torch ends such names with ``_``."""
    name: str = getattr(func, "__name__", "")
    return name.endswith("_") and not name.endswith("__")


def _charge_result(
    func: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> None:
    """Charge what ``func`` would allocate: its size is known from making it on the meta device.

    Raises :class:`BudgetExceeded` if there is not so much, or if no tensor can be so large.
    """
    planned: dict[str, Any] = {**kwargs}
    if func in _FACTORIES or "device" in kwargs:
        planned["device"] = "meta"
    on_meta = [arg.to("meta") if isinstance(arg, Tensor) else arg for arg in args]
    try:
        result = func(*on_meta, **planned)
    except RuntimeError as error:
        if isinstance(error, NotImplementedError):
            return  # the sizes depend on values, which a file does not name
        raise BudgetExceeded(
            f"No tensor of that size can be made: {str(error).splitlines()[0]}",
            hint="Check the sizes among the constructor's arguments.",
        ) from error
    charge(result.nbytes, f"A tensor of shape {tuple(result.shape)}")


def _overlap(weights: Iterable[Tensor]) -> bool:
    """Return whether different weights are views of one memory, which an import would part."""
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
    plain = plain_places(module)
    if plain is not None:
        yield from (place.tensor for place in plain if not is_lazy(place.tensor))
        return
    for key, value in module.state_dict(keep_vars=True).items():
        is_extra = key.rpartition(".")[2] == EXTRA_STATE
        if isinstance(value, Tensor) and not is_extra and not is_lazy(value):
            yield value
