"""The converter ``torch``: checkpoints and state dicts that ``torch.save`` has written.

They are read with ``weights_only=True``, which executes nothing. Hyper-parameters may name classes
of Chemprop and Lightning; an inert object takes the place of each, and only its name is kept. What
else a file names is refused, unless the file is trusted: then it is unpickled.
"""

from __future__ import annotations

import math
import pickle
from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from contextlib import AbstractContextManager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, cast

import torch
from torch import Tensor, nn
from torch.serialization import get_unsafe_globals_in_checkpoint, safe_globals

from dc_core import charge, hookimpl
from dc_core.errors import ConversionError, NotSerializable, UntrustedFile
from dc_core.plugins import Foreign
from dc_torch.weights import memory_of, numpy_dtype, to_array

if TYPE_CHECKING:
    import numpy as np

_DEEPCHEM: Final = frozenset({"model_state_dict", "optimizer_state_dict", "global_step"})
_INERT: Final = (
    "chemprop.",
    "lightning.",
    "lightning_fabric.",
    "pytorch_lightning.",
    "torch.nn.",
    "torchmetrics.",
)
"""The beginnings of names that may appear in a file, and for which an inert object stands."""

_STATES: Final = ("state_dict", "model_state_dict", "model")
_DEPTH: Final = 12
_MAX_ITEMS: Final = 1000
_MAX_VALUES: Final = 20_000
_MAX_TEXT: Final = 1000
_TRAINING: Final = "the state of training, which only the program that trained it can use"
_NAMED: Final = "__class_name__"


@hookimpl
def dc_read_file(path: Path, trusted: bool) -> Foreign:
    """Return the weights of a checkpoint, and its hyper-parameters as plain data."""
    content = _load(path, trusted)
    if isinstance(content, nn.Module):
        name = type(content).__qualname__
        facts = {"module": f"{type(content).__module__}.{name}"}
        return _foreign(f"a pickled module {name} of PyTorch", _state(content), facts, {})
    if isinstance(content, _Inert):
        raise _refused(f"it holds an object of {content.__class_name__}")
    if not isinstance(content, Mapping):
        raise ConversionError(
            f"The file holds a {type(content).__name__} where weights by name were expected.",
            hint="Store the weights alone: torch.save(module.state_dict(), file).",
        )
    if content.keys() >= _DEEPCHEM:
        return _deepchem(content)
    if _is_state(content):
        return _foreign("a state dict of PyTorch", content, {}, {})
    if "hyper_parameters" in content and isinstance(content.get("state_dict"), Mapping):
        return _lightning(content)
    return _nested(content)


def _deepchem(content: Mapping[str, Any]) -> Foreign:
    omitted = {"optimizer_state_dict": _TRAINING} | _unknown(content, _DEEPCHEM)
    facts = {"global_step": _plain(content["global_step"])}
    what = "a checkpoint of a DeepChem TorchModel"
    return _foreign(what, content["model_state_dict"], facts, omitted)


def _lightning(content: Mapping[str, Any]) -> Foreign:
    """Read what Chemprop 2 and Lightning write: hyper-parameters and a state dict."""
    parameters = _plain(content["hyper_parameters"])
    chemprop = any(name.startswith("chemprop.") for name in _class_names(parameters))
    facts = {"hyper_parameters": parameters}
    known = {"hyper_parameters", "state_dict"}
    for key in ("output_columns", "pytorch-lightning_version", "epoch", "global_step"):
        if key in content:
            facts[key] = _plain(content[key])
            known.add(key)
    what = "a checkpoint of Chemprop 2" if chemprop else "a checkpoint of Lightning"
    return _foreign(what, content["state_dict"], facts, _unknown(content, known))


def _nested(content: Mapping[str, Any]) -> Foreign:
    """Read a dict in which one entry is the state dict, by one of the usual names."""
    found = [key for key in _STATES if _is_state(content.get(key))]
    if len(found) != 1:
        keys = ", ".join(map(repr, list(content)[:8]))
        raise ConversionError(
            f"The file holds a dict with the keys {keys}, and which of them are the weights is "
            "not clear.",
            hint="Store the weights alone: torch.save(content['…'], file).",
        )
    (key,) = found
    what = f"a dict of PyTorch with the weights in {key!r}"
    return _foreign(what, content[key], {}, _unknown(content, {key}))


def _unknown(content: Mapping[str, Any], known: Iterable[str]) -> dict[str, str]:
    """Return what is not converted of ``content`` besides ``known``, with the reason."""
    training = ("optimizer", "lr_scheduler", "loops", "callbacks", "scheduler", "scaler")
    return {
        str(key): _TRAINING if str(key).startswith(training) else "not known to the converter"
        for key in content
        if key not in set(known)
    }


def _foreign(what: str, state: Any, facts: Mapping[str, Any], omitted: dict[str, str]) -> Foreign:
    """Return the tensors of a state dict, each once: tied ones have aliases."""
    if not isinstance(state, Mapping) or not state:
        raise ConversionError(f"The file is {what}, but its state dict is empty.")
    weights: dict[str, np.ndarray] = {}
    aliases: dict[str, tuple[str, ...]] = {}
    first: dict[Hashable, str] = {}
    for name, tensor in state.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor):
            raise ConversionError(
                f"The entry {name!r} of the state dict is a {type(tensor).__name__}, which cannot "
                "be stored.",
                hint="Remove the entry, and save the state dict again.",
            )
        _check_plain(name, tensor)
        key = memory_of(tensor) if tensor.numel() else name
        owner = first.setdefault(key, name)
        if owner == name:
            # A view of one number may have any size.
            charge(tensor.numel() * tensor.element_size(), f"The weight {name!r}")
            weights[name] = to_array(tensor)
        else:
            aliases[owner] = (*aliases.get(owner, ()), name)
    versions = {name: metadata.version(name) for name in ("dc-torch", "torch")}
    return Foreign(
        what,
        backend="torch",
        weights=weights,
        aliases=aliases,
        facts=facts,
        omitted=omitted,
        versions=versions,
    )


def _check_plain(name: str, tensor: Tensor) -> None:
    if tensor.layout is not torch.strided or tensor.is_quantized or tensor.is_meta:
        raise NotSerializable(
            f"The weight {name!r} is sparse, quantized or without values, and cannot be stored.",
            hint="Store it as a plain tensor.",
        )
    numpy_dtype(tensor.dtype)


def _load(path: Path, trusted: bool) -> Any:
    try:
        if trusted:
            return torch.load(path, map_location="cpu", weights_only=False)
        with _stand_ins(path):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise _refused(_reason(str(error))) from error
    except RuntimeError as error:
        if "allocate memory" in str(error):
            raise MemoryError(str(error)) from error
        raise ConversionError(f"PyTorch cannot read it: {error}") from error


def _stand_ins(path: Path) -> AbstractContextManager[Any]:
    """Let inert classes stand for the classes of hyper-parameters while the file is read."""
    with path.open("rb") as file:
        zipped = file.read(2) == b"PK"
    named = get_unsafe_globals_in_checkpoint(str(path)) if zipped else []
    strange = sorted(name for name in named if not name.startswith(_INERT))
    if strange:
        raise _refused(f"it names {', '.join(strange[:5])}")
    inert = [
        (type("Inert", (_InertDict if name.endswith("Dict") else _Inert,), {_NAMED: name}), name)
        for name in named
    ]
    return safe_globals(cast("list[Any]", inert))


def _reason(message: str) -> str:
    """Return the line of torch's message that is about the file; the others are advice."""
    _, marker, after = message.rpartition("WeightsUnpickler error: ")
    lines = [line.strip() for line in (after if marker else message).splitlines() if line.strip()]
    own = [line for line in lines if not line.startswith(("Weights only load", "Check the doc"))]
    return (own or lines or ["it is damaged"])[0].removesuffix(".")


def _refused(reason: str) -> UntrustedFile:
    return UntrustedFile(
        f"The file holds more than weights, and unpickling it could execute code: {reason}.",
        hint="Store the weights alone where it was made: torch.save(module.state_dict(), file). If "
        "you trust whoever wrote it: trust=True, --i-trust-this-file.",
    )


class _Inert:
    """Stands for an object of a class that is not imported, and keeps what was stored of it."""

    __class_name__ = ""
    arguments: tuple[Any, ...]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        made = super().__new__(cls)
        made.arguments = args
        return made

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Do nothing: the arguments are those of a constructor that is not here."""

    def __setstate__(self, state: Any) -> None:
        """Keep nothing: the state is made of attributes that only the class knows."""


class _InertDict(_Inert):
    """Stands for a class of dicts, whose items torch sets in its own dicts only."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return OrderedDict()


def _state(module: nn.Module) -> Mapping[str, Any]:
    return module.state_dict(keep_vars=False)


def _is_state(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and bool(value)
        and all(isinstance(tensor, Tensor) for tensor in value.values())
    )


def _plain(value: Any) -> Any:
    """Return hyper-parameters as JSON values: classes by name, large tensors by shape and dtype.

    Raises :class:`ConversionError` beyond 20 000 values: few bytes can unfold into many.
    """
    left = [_MAX_VALUES]

    def plain(value: Any, depth: int) -> Any:
        left[0] -= 1
        if left[0] < 0:
            raise ConversionError(f"The hyper-parameters have more than {_MAX_VALUES} values.")
        if depth > _DEPTH:
            return "…"
        if value is None or isinstance(value, bool):
            return value
        if isinstance(value, int):
            return value if abs(value) < 1 << 53 else f"an integer of {value.bit_length()} bits"
        if isinstance(value, float):
            return value if math.isfinite(value) else str(value)
        if isinstance(value, str):
            return value[:_MAX_TEXT].encode("utf-8", "backslashreplace").decode()
        if isinstance(value, type) and issubclass(value, _Inert):
            return value.__class_name__
        if isinstance(value, _Inert):
            arguments = [plain(argument, depth + 1) for argument in value.arguments]
            given = {"arguments": arguments} if arguments else {}
            return {"class": value.__class_name__, **given}
        if isinstance(value, Mapping):
            return {str(key): plain(item, depth + 1) for key, item in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [plain(item, depth + 1) for item in value]
        if isinstance(value, Tensor):
            if value.numel() <= _MAX_ITEMS and not value.is_complex():
                return plain(value.tolist(), depth + 1)
            return f"a tensor {list(value.shape)} of {value.dtype}"
        return f"a {type(value).__name__}"

    return plain(value, 0)


def _class_names(value: Any) -> Iterable[str]:
    """Yield every text in plain data: some are names of classes."""
    if isinstance(value, str):
        yield value
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    for item in items:
        yield from _class_names(item)
