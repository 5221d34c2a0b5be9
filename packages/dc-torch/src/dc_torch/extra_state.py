"""The extra state of modules (``get_extra_state``) as one array each, and back.

A tensor is stored as it is. Anything else (None, bools, numbers, text, and lists, tuples and
dictionaries of these and of tensors) is stored as JSON in UTF-8: a one-dimensional array of uint8;
so a tensor of that form is stored as JSON too. What JSON lacks is an object with one key that
begins with ``$``. A module is given nothing but such values, parsed strictly and within limits.
"""

from __future__ import annotations

import base64
import json
import math
import re
from collections.abc import Callable, Collection, Mapping
from copy import deepcopy
from typing import Any, Final, NoReturn

import numpy as np
import torch
from torch import Tensor, nn

from dc_core import charge, dtype_from_name, dtype_name
from dc_core.errors import NotSerializable, ParameterError, StructureError
from dc_torch.wrapped import named_modules

KEY: Final = "_extra_state"
"""The last part of the key in a state dict."""

MAX_BYTES: Final = 16 << 20
"""The maximum length of the JSON of a module, in bytes."""

MAX_DEPTH: Final = 32

_BYTES_PER_CHARACTER: Final = 32
"""What Python may need for a character of JSON: that of an empty list, say."""

_MAX_BITS: Final = 1024
_FLOATS: Final = {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}
_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"[]{}"))
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')


def has_extra_state(module: nn.Module) -> bool:
    """Return whether the class of ``module`` has an extra state."""
    return type(module).get_extra_state is not nn.Module.get_extra_state


def to_array(
    value: Any, native: str, tensor_to_array: Callable[[Tensor], np.ndarray]
) -> np.ndarray:
    """Return an extra state as an array; ``native`` names it in errors.

    Raises :class:`NotSerializable` for what has no stored form.
    """
    if isinstance(value, Tensor):
        array = _plain_array(value, native, tensor_to_array)
        if not _is_json(array):
            return array
    text = json.dumps(_encoded(value, native, tensor_to_array, MAX_DEPTH), allow_nan=False)
    data = text.encode()
    if len(data) > MAX_BYTES:
        raise _refused(native, f"takes {len(data)} bytes; the limit is {MAX_BYTES}")
    return np.frombuffer(data, np.uint8).copy()


def from_array(
    array: np.ndarray, native: str, array_to_tensor: Callable[[np.ndarray], Tensor]
) -> Any:
    """Return the extra state that :func:`to_array` made ``array`` of.

    Raises :class:`StructureError` for anything that :func:`to_array` never makes.
    """
    if not _is_json(array):
        return array_to_tensor(array).clone()
    data = array.tobytes()
    if len(data) > MAX_BYTES:
        raise _malformed(native, f"has {len(data)} bytes; the limit is {MAX_BYTES}")
    if _depth(data) > 2 * MAX_DEPTH:  # a dictionary within an object of a tag has two levels
        raise _malformed(native, "is nested too deep")
    charge(_BYTES_PER_CHARACTER * len(data), f"The extra state {native!r}")
    try:
        text = data.decode()
        parsed = json.loads(text, object_pairs_hook=_pairs, parse_constant=_constant)
    except (ValueError, RecursionError) as error:
        raise _malformed(native, f"is not JSON: {str(error)[:100]}") from error
    return _decoded(parsed, native, array_to_tensor)


def set_states(states: Mapping[str, tuple[nn.Module, Any]]) -> None:
    """Give modules their extra states by name, all or nothing.

    Raises :class:`StructureError` if a module refuses its own.
    """
    done: list[tuple[nn.Module, Any]] = []
    for native, (module, state) in states.items():
        before = module.get_extra_state()
        try:
            module.set_extra_state(state)
        except BaseException as error:
            for other, former in (*done, (module, before)):
                other.set_extra_state(former)
            if not isinstance(error, Exception):
                raise
            raise StructureError(
                f"The {type(module).__name__} refuses its extra state {native!r}: "
                f"{type(error).__name__}: {str(error)[:200]}",
                hint="It was stored by another version of the class, or the file was edited.",
            ) from error
        done.append((module, before))


class ExtraStates:
    """The extra states of a module's submodules by name, as training keeps and restores them.

    One that cannot be set, for lack of a ``set_extra_state()``, is left out.
    """

    def __init__(self, module: nn.Module) -> None:
        self._owners: dict[str, nn.Module] = {}
        for path, _, part in named_modules(module):
            settable = type(part).set_extra_state is not nn.Module.set_extra_state
            if has_extra_state(part) and settable and part not in self._owners.values():
                self._owners[f"{path}.{KEY}" if path else KEY] = part

    @property
    def names(self) -> Collection[str]:
        """The names of the extra states, which are their keys in a state dict."""
        return self._owners.keys()

    def copied(self) -> dict[str, Any]:
        """Return copies of the extra states; raises :class:`NotSerializable` if one has none."""
        return {name: _copied(part.get_extra_state(), name) for name, part in self._owners.items()}

    def set(self, states: Mapping[str, Any]) -> None:
        """Give each submodule a copy of its state among ``states``."""
        for name, part in self._owners.items():
            part.set_extra_state(_copied(states[name], name))

    def from_arrays(
        self, arrays: Mapping[str, np.ndarray], array_to_tensor: Callable[[np.ndarray], Tensor]
    ) -> dict[str, Any]:
        """Return the states that :func:`to_array` made ``arrays`` of.

        Raises :class:`StructureError` for anything else, and if a submodule refuses its own.
        """
        states = {name: from_array(arrays[name], name, array_to_tensor) for name in self._owners}
        before = self.copied()
        set_states(
            {name: (part, _copied(states[name], name)) for name, part in self._owners.items()}
        )
        self.set(before)
        return states


def _copied(value: Any, native: str) -> Any:
    """Return a copy in which tensors have no graph: those of an extra state may have one."""
    if isinstance(value, Tensor):
        return value.detach().clone()
    if type(value) in (list, tuple):
        return type(value)(_copied(item, native) for item in value)
    if type(value) is dict:
        return {key: _copied(item, native) for key, item in value.items()}
    try:
        return deepcopy(value)
    except Exception as error:
        raise NotSerializable(
            f"The extra state {native!r} cannot be copied: {type(error).__name__}: "
            f"{str(error)[:200]}",
            hint="Training copies it to undo a step: get_extra_state() may return tensors, "
            "numbers, text, and lists, tuples and dictionaries of these.",
        ) from error


def _is_json(array: np.ndarray) -> bool:
    return array.dtype == np.uint8 and array.ndim == 1


def _plain_array(
    tensor: Tensor, native: str, tensor_to_array: Callable[[Tensor], np.ndarray]
) -> np.ndarray:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise _refused(native, "has a tensor that is sparse, quantized or without a value")
    try:
        return tensor_to_array(tensor)
    except ParameterError as error:
        raise NotSerializable(f"The entry {native!r}: {error}") from error


def _encoded(
    value: Any, native: str, tensor_to_array: Callable[[Tensor], np.ndarray], depth: int
) -> Any:
    kind = type(value)
    if value is None or kind is bool:
        return value
    if kind is int:
        if value.bit_length() > _MAX_BITS:
            raise _refused(native, f"has an integer of more than {_MAX_BITS} bits")
        return value
    if kind is str:
        if not _is_text(value):
            raise _refused(native, "has text that is not Unicode")
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$float": repr(value)}
    if isinstance(value, Tensor):
        array = _plain_array(value, native, tensor_to_array)
        return {
            "$tensor": {
                "dtype": dtype_name(array.dtype),
                "shape": list(array.shape),
                "data": base64.b64encode(array.tobytes()).decode(),
            }
        }
    if depth == 0:
        raise _refused(native, "is nested too deep")

    def within(item: Any) -> Any:
        return _encoded(item, native, tensor_to_array, depth - 1)

    if kind is list:
        return list(map(within, value))
    if kind is tuple:
        return {"$tuple": list(map(within, value))}
    if isinstance(value, dict):
        if all(type(key) is str and _is_text(key) and not key.startswith("$") for key in value):
            return {key: within(item) for key, item in value.items()}
        if all(type(key) in (str, int) for key in value):
            return {"$dict": [[within(key), within(item)] for key, item in value.items()]}
        raise _refused(native, "has a dictionary whose keys are not text or integers")
    raise _refused(native, f"has a {kind.__name__}")


def _decoded(value: Any, native: str, array_to_tensor: Callable[[np.ndarray], Tensor]) -> Any:
    def within(item: Any) -> Any:
        return _decoded(item, native, array_to_tensor)

    if isinstance(value, list):
        return list(map(within, value))
    if isinstance(value, str) and not _is_text(value):
        raise _malformed(native, "has text that is not Unicode")
    if not isinstance(value, dict):
        return value
    tag = next((key for key in value if key.startswith("$")), None)
    if tag is None:
        return {within(key): within(item) for key, item in value.items()}
    body = value[tag]
    if len(value) == 1:
        if tag == "$float" and isinstance(body, str) and body in _FLOATS:
            return _FLOATS[body]
        if tag == "$tuple" and isinstance(body, list):
            return tuple(map(within, body))
        if tag == "$dict" and _are_pairs(body):
            made = {within(key): within(item) for key, item in body}
            if len(made) == len(body):
                return made
        if tag == "$tensor":
            return _tensor(body, native, array_to_tensor)
    raise _malformed(native, f"has an object that is not a value: {tag!r}")


def _tensor(body: Any, native: str, array_to_tensor: Callable[[np.ndarray], Tensor]) -> Tensor:
    if not isinstance(body, dict) or body.keys() != {"dtype", "shape", "data"}:
        raise _malformed(native, "has a tensor without exactly a dtype, a shape and data")
    name, shape, data = body["dtype"], body["shape"], body["data"]
    sizes = isinstance(shape, list) and all(type(n) is int and 0 <= n < 2**48 for n in shape)
    try:
        dtype = dtype_from_name(name if isinstance(name, str) else "")
        raw = base64.b64decode(data if isinstance(data, str) else "-", validate=True)
    except (ParameterError, ValueError) as error:
        fault = "has a tensor of an unknown dtype, or whose data are not base64"
        raise _malformed(native, fault) from error
    if not sizes or len(shape) > MAX_DEPTH or math.prod(shape) * dtype.itemsize != len(raw):
        raise _malformed(native, "has a tensor whose shape is not that of its data")
    return array_to_tensor(np.frombuffer(bytearray(raw), dtype).reshape(shape))


def _are_pairs(body: Any) -> bool:
    return isinstance(body, list) and all(
        isinstance(pair, list) and len(pair) == 2 and type(pair[0]) in (str, int) for pair in body
    )


def _depth(data: bytes) -> int:
    """Return how deep the containers in the JSON text ``data`` are nested."""
    deepest = depth = 0
    for character in _STRING.sub(b"", data).translate(None, _NO_BRACKETS):
        depth += 1 if character in b"[{" else -1
        deepest = max(deepest, depth)
    return deepest


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        raise ValueError("a key is repeated")
    return made


def _constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _is_text(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _refused(native: str, fault: str) -> NotSerializable:
    return NotSerializable(
        f"The entry {native!r} {fault}, so it cannot be stored.",
        hint="get_extra_state() may return tensors, numbers, text, and lists, tuples and "
        "dictionaries of these.",
    )


def _malformed(native: str, fault: str) -> StructureError:
    return StructureError(
        f"The extra state {native!r} {fault}.",
        hint="The file was edited, or written by another program.",
    )
