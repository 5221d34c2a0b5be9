"""A module's parameters and buffers as named arrays, and back.

A weight's native name is its key in the module's ``state_dict``; prefixes of wrappers such as that
of ``torch.compile`` are left out. Within a layer, parameters come
first and persistent buffers second, in the order of their registration. A tied weight (the same
memory under several names) appears once, under its first name; the others are aliases, and
``load_state_dict(..., strict=False)`` takes a file without them. Non-persistent buffers are made by
the constructor and are not weights.

Weights that are spread over processes (``fully_shard``) are read and set as a whole, by all
processes together. Quantized, sparse and lazy tensors are refused by name. The extra state of a
module is one array, which comes last in its layer; see :mod:`dc_torch.extra_state`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Hashable, Iterator, Mapping
from functools import cache
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from dc_core import (
    WeightInfo,
    check_weights,
    dtype_from_name,
    dtype_name,
    number_by_layer,
    uninterrupted,
)
from dc_core.errors import NotSerializable, ParameterError, StructureError
from dc_torch.distributed import is_sharded, own_part, spread_like, whole
from dc_torch.extra_state import KEY as EXTRA_STATE
from dc_torch.extra_state import from_array, has_extra_state, set_states
from dc_torch.extra_state import to_array as extra_state_array
from dc_torch.wrapped import named_modules, unwrapped

_PLAIN: Final = frozenset({Tensor, nn.Parameter})
"""Types that are known to be plain tensors."""

_STATE_METHODS: Final = frozenset({"state_dict", "_save_to_state_dict", "get_extra_state"})
"""The methods that make a state dict."""

_PLAIN_STATE: Final = (
    nn.Module.state_dict,
    nn.Module._save_to_state_dict,
    nn.Module.get_extra_state,
)
"""These methods, as torch defines them."""

_SHARED: Final = frozenset(
    map(
        np.dtype,
        ("?", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "f2", "f4", "f8", "c8", "c16"),
    )
)
"""The dtypes that NumPy and torch share; others are converted by their raw bits."""

_ALIGNMENT: Final = 64
"""The alignment of torch's own memory on a CPU, in bytes."""

IMPORTS: Final = "_dc_imports"
"""The attribute of a module that counts how often its weights were set."""


class Place(NamedTuple):
    """Where a tensor is registered: an attribute of a module, and a key in the state dict."""

    owner: nn.Module
    attribute: str
    native: str
    tensor: Tensor


def describe_weights(module: nn.Module) -> dict[str, WeightInfo]:
    """Describe every weight of ``module`` by its relative canonical name, allocating nothing.

    Works on the meta device too. Raises :class:`NotSerializable`, naming the weight, if one cannot
    be stored.
    """
    table = {name: _info(places) for name, places in locate(module).items()}
    for name, extra in _extras(module).items():
        array = extra.to_array()
        table[name] = WeightInfo(extra.native, array.shape, array.dtype, any_form=True)
    return table


def export_weights(
    module: nn.Module, names: Collection[str] | None = None, *, copy: bool = True
) -> dict[str, np.ndarray]:
    """Return the weights in ``names``, or all, exact in shape and dtype, as C-ordered arrays.

    With ``copy=False`` arrays share memory with contiguous tensors on the CPU. Weights on the meta
    device have no values: without ``names`` they are left out, and by name they raise
    :class:`NotSerializable`.
    """
    table = locate(module)
    if names is None:
        wanted = [name for name, (first, *_) in table.items() if not first.tensor.is_meta]
    else:
        asked = set(names)
        wanted = [name for name in table if name in asked]
    for name in wanted:
        if table[name][0].tensor.is_meta:
            raise NotSerializable(
                f"The weight {table[name][0].native!r} is on the meta device and has no value.",
                hint="Set or load the weights of the module first.",
            )
    arrays = {name: to_array(table[name][0].tensor, copy=copy) for name in wanted}
    extras = _extras(module)
    return arrays | {n: extras[n].to_array() for n in extras if names is None or n in asked}


def import_weights(
    module: nn.Module,
    weights: Mapping[str, np.ndarray],
    allow_missing: Collection[str] = (),
    *,
    copy: bool = True,
) -> None:
    """Set the weights of ``module``, all or nothing; tied weights stay tied.

    Values are written into the module's own tensors, so that optimizers keep working. With
    ``copy=False`` tensors on the CPU use the memory of the arrays instead, if it is writable and
    aligned like torch's own. Tensors on the meta device are replaced by tensors of the same class
    and ``requires_grad``.

    Raises :class:`WeightsMismatch` if names, shapes or dtypes differ, and :class:`StructureError`
    if weights that share memory are given different values, or a module refuses its extra state.
    """
    table, extras = locate(module), _extras(module)
    check_weights(describe_weights(module), weights, allow_missing)
    states = {
        extra.native: (extra.owner, from_array(weights[name], extra.native, to_tensor))
        for name, extra in extras.items()
        if name in weights
    }
    weights = {name: array for name, array in weights.items() if name in table}
    sharing = Counter(storage_of(places[0].tensor) for places in table.values())
    overlapping = {}
    for name, array in weights.items():
        tensor = table[name][0].tensor
        if not tensor.is_meta and tensor.numel() and sharing[storage_of(tensor)] > 1:
            overlapping[name] = (tensor, to_tensor(array))
    with uninterrupted(), torch.no_grad():
        set_states(states)
        _write_overlapping(overlapping)
        for name, array in weights.items():
            if name not in overlapping:
                _write(table[name], array, copy=copy)
    vars(unwrapped(module))[IMPORTS] = times_imported(module) + 1


def times_imported(module: nn.Module) -> int:
    """Return how often :func:`import_weights` has given ``module`` its weights."""
    count: int = vars(unwrapped(module)).get(IMPORTS, 0)
    return count


class Extra(NamedTuple):
    """A module with an extra state, and the key of that in the state dict."""

    owner: nn.Module
    native: str

    def to_array(self) -> np.ndarray:
        """Return the extra state; raises :class:`NotSerializable` if it cannot be stored."""
        return extra_state_array(self.owner.get_extra_state(), self.native, to_array)


def _extras(module: nn.Module) -> dict[str, Extra]:
    """Return the modules with an extra state, by the canonical name of it.

    Raises :class:`NotSerializable`, naming it, if a module could not be given its own.
    """
    found = []
    for path, _, owner in named_modules(module):
        if has_extra_state(owner):
            native = f"{path}.{EXTRA_STATE}" if path else EXTRA_STATE
            if type(owner).set_extra_state is nn.Module.set_extra_state:
                raise NotSerializable(
                    f"The entry {native!r} cannot be set: the {type(owner).__name__} has no "
                    "set_extra_state().",
                    hint="Define it, as the counterpart of get_extra_state().",
                )
            found.append(Extra(owner, native))
    if not found:
        return {}
    tensors = [places[0].native for places in locate(module).values()]
    # It comes last in its layer, so the numbers of the others stay the same.
    numbered = number_by_layer([*tensors, *(extra.native for extra in found)])
    return {numbered[extra.native]: extra for extra in found}


def locate(module: nn.Module) -> dict[str, tuple[Place, ...]]:
    """Return the places where each tensor is registered: the first one, then its aliases.

    Raises :class:`NotSerializable`, naming the weight, if one cannot be stored.
    """
    places = list(_places(module))
    for place in places:
        _check_storable(place)
    tied: dict[Hashable, list[Place]] = {}
    # Where no memory is shared, which is the rule, its layout need not be looked at.
    separate = len({storage_of(place.tensor) for place in places}) == len(places)
    for place in places:
        key = place.native if separate else memory_of(place.tensor)
        tied.setdefault(key, []).append(place)
    numbered = number_by_layer(places[0].native for places in tied.values())
    return {numbered[places[0].native]: tuple(places) for places in tied.values()}


def to_array(tensor: Tensor, *, copy: bool = True) -> np.ndarray:
    """Return ``tensor`` as a C-ordered array of the same shape and dtype, bfloat16 included."""
    plain = whole(tensor.detach())
    on_cpu = plain.cpu().resolve_conj().resolve_neg().contiguous()
    if copy and on_cpu.data_ptr() == plain.data_ptr():
        on_cpu = on_cpu.clone()
    dtype = numpy_dtype(tensor.dtype)
    if dtype in _SHARED:
        return on_cpu.numpy()
    bits: torch.dtype = getattr(torch, f"uint{8 * dtype.itemsize}")
    array: np.ndarray = on_cpu.view(bits).numpy().view(dtype)
    return array


def to_tensor(array: np.ndarray) -> Tensor:
    """Return ``array`` as a tensor on the CPU; they share memory if torch can write to it."""
    flags = array.flags
    if not (flags.carray and array.dtype.isnative):  # contiguous, aligned and writable
        array = np.array(array, array.dtype.newbyteorder("="), order="C")
    if array.dtype in _SHARED:
        return torch.from_numpy(array)
    dtype: torch.dtype = getattr(torch, dtype_name(array.dtype))
    return torch.from_numpy(array.view(f"u{dtype.itemsize}")).view(dtype)


def aligned(tensor: Tensor) -> Tensor:
    """Return ``tensor``, or a copy of it if its memory is not aligned like torch's own.

    Rounding in matrix products depends on the alignment: equal weights at other addresses would
    change the last bits of predictions.
    """
    return tensor.clone() if tensor.data_ptr() % _ALIGNMENT else tensor


@cache
def numpy_dtype(dtype: torch.dtype) -> np.dtype[Any]:
    """Return the NumPy dtype of the same name; raises :class:`ParameterError` if there is none."""
    return dtype_from_name(str(dtype).removeprefix("torch."))


def plain_places(module: nn.Module) -> list[Place] | None:
    """Return the places of all parameters and persistent buffers, in the order of the state dict.

    None if a submodule changes what its state dict holds, by a hook or in its class: then only the
    state dict itself, which takes several times as long, says what is stored.
    """
    places = []
    for path, _, owner in named_modules(module):
        cls = type(owner)
        if (
            (cls.state_dict, cls._save_to_state_dict, cls.get_extra_state) != _PLAIN_STATE
            or owner._state_dict_hooks
            or owner._state_dict_pre_hooks
            or not _STATE_METHODS.isdisjoint(vars(owner))
        ):
            return None
        prefix = f"{path}." if path else ""
        for attribute, parameter in owner._parameters.items():
            if parameter is not None:
                places.append(Place(owner, attribute, prefix + attribute, parameter))
        for attribute, buffer in owner._buffers.items():
            if buffer is not None and attribute not in owner._non_persistent_buffers_set:
                places.append(Place(owner, attribute, prefix + attribute, buffer))
    return places


def _places(module: nn.Module) -> Iterator[Place]:
    """Yield every parameter and persistent buffer, in the order of the state dict.

    The state dict decides what is stored. Where hooks can add and remove entries, it is compared
    with the registered tensors.
    """
    plain = plain_places(module)
    if plain is not None:
        yield from plain
        return
    state = module.state_dict(keep_vars=True)
    for path, full_path, owner in named_modules(module):
        prefix = f"{path}." if path else ""
        full = f"{full_path}." if full_path else ""
        # named_parameters() and named_buffers() of one module take five times as long.
        for attribute, parameter in owner._parameters.items():
            if parameter is None:
                continue
            if state.pop(f"{full}{attribute}", None) is not parameter:
                raise NotSerializable(
                    f"The parameter '{prefix}{attribute}' is not in the module's state dict.",
                    hint="Remove the hook that changes state_dict() before storing the module.",
                )
            yield Place(owner, attribute, prefix + attribute, parameter)
        for attribute, buffer in owner._buffers.items():
            if buffer is not None and state.pop(f"{full}{attribute}", None) is buffer:
                yield Place(owner, attribute, prefix + attribute, buffer)
        if has_extra_state(owner):
            state.pop(f"{full}{EXTRA_STATE}", None)
    if state:
        raise NotSerializable(
            f"The state dict entry {next(iter(state))!r} is neither a parameter nor a buffer.",
            hint="Keep such state in a tensor registered with register_buffer().",
        )


def _check_storable(place: Place) -> None:
    tensor = place.tensor
    if is_lazy(tensor):
        what, hint = "has no shape yet", "Run the module on one batch first."
    elif is_sharded(tensor) and tensor.is_meta:
        what, hint = "is on the meta device", "Call module.to_empty(device=...) first."
    elif type(tensor) not in _PLAIN and not (is_sharded(tensor) or type(tensor.detach()) is Tensor):
        what = f"is a {type(tensor.detach()).__name__}"
        hint = "Convert it to a plain tensor first."
    elif tensor.layout is not torch.strided:
        what, hint = f"has the layout {tensor.layout}", "Make it dense with to_dense()."
    elif tensor.is_quantized:
        what, hint = "is quantized", "Store the module from before its quantization."
    else:
        try:
            numpy_dtype(tensor.dtype)
        except ParameterError as error:
            raise NotSerializable(f"The entry {place.native!r}: {error}") from error
        return
    raise NotSerializable(f"The entry {place.native!r} {what}, so it cannot be stored.", hint=hint)


def _info(places: tuple[Place, ...]) -> WeightInfo:
    first, *others = places
    shape, dtype = tuple(first.tensor.shape), numpy_dtype(first.tensor.dtype)
    return WeightInfo(first.native, shape, dtype, tuple(place.native for place in others))


def storage_of(tensor: Tensor) -> int:
    """Return an id of the memory that ``tensor`` is a view of, on the meta device too."""
    # The address of the storage object: data_ptr() is 0 on the meta device.
    address: int = own_part(tensor).untyped_storage()._cdata
    return address


def memory_of(tensor: Tensor) -> Hashable:
    """Return a key that is equal for tensors that are the same weight, on the meta device too."""
    if tensor.numel() == 0:
        return id(tensor)
    layout = (tensor.storage_offset(), tuple(tensor.shape), tensor.stride(), tensor.dtype)
    return (storage_of(tensor), *layout)


def _write(places: tuple[Place, ...], array: np.ndarray, *, copy: bool) -> None:
    tensor, value = places[0].tensor, to_tensor(array) if copy else aligned(to_tensor(array))
    if is_sharded(tensor):
        tensor.copy_(spread_like(value, tensor))
        return
    if tensor.is_meta or _is_expanded(tensor):
        own = value.clone() if copy else value
        _replace(places, own if tensor.is_meta else own.to(tensor.device))
    elif copy or tensor.device.type != "cpu" or not tensor.is_contiguous():
        tensor.copy_(value)
    else:
        for place in places:
            place.tensor.data = value


def _is_expanded(tensor: Tensor) -> bool:
    """Return whether elements of ``tensor`` share memory with each other."""
    return any(
        step == 0 < size - 1 for size, step in zip(tensor.shape, tensor.stride(), strict=True)
    )


def _replace(places: tuple[Place, ...], value: Tensor) -> None:
    """Replace tensors whose memory cannot be written by ``value``."""
    done = set()
    for place in places:
        old = place.tensor
        if id(old) in done:
            continue
        done.add(id(old))
        new = value.as_subclass(type(old)).requires_grad_(old.requires_grad)
        vars(new).update(vars(old))
        try:
            # The object stays the same, for optimizers and lists that refer to it.
            torch.utils.swap_tensors(old, new)  # type: ignore[no-untyped-call]
        except RuntimeError:
            # Torch refuses if weak references exist. Recurrent layers hold some, and renew them
            # when the attribute is set.
            for other in places:
                if other.tensor is old:
                    setattr(other.owner, other.attribute, new)


def _write_overlapping(pairs: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    """Write weights that are views of the same memory, or restore all of them and raise."""
    before = {name: tensor.clone() for name, (tensor, _) in pairs.items()}
    for tensor, value in pairs.values():
        tensor.copy_(value)
    for name, (tensor, value) in pairs.items():
        if to_array(tensor).tobytes() != to_array(value).tobytes():
            for other, (written, _) in pairs.items():
                written.copy_(before[other])
            raise StructureError(
                f"The weight {name!r} shares memory with another one, and their values differ.",
                hint="Give equal values where the weights overlap.",
            )
