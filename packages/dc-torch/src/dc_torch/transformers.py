"""Models of Hugging Face's ``transformers`` as components: a name from a closed rule, and a config.

What is stored is the class's name and the fields that its configuration class declares, as plain
data. Nothing is downloaded, and a file can choose nothing that would be: of a config, only declared
fields are read, only for types of models whose code loads nothing by name, and the implementation
of attention is one of two that are part of PyTorch. Remote code, kernels, quantization and the
configs of other models have no place in it.

A config is trusted only if it makes an equal model again: :func:`describe` rebuilds the model
without its weights and compares.
"""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import fields, is_dataclass
from functools import cache
from importlib import import_module
from typing import Any, Final

import torch
from torch import Tensor, nn
from torch.nn.modules import module as registration
from torch.overrides import TorchFunctionMode

from dc_core import DCError, charge
from dc_core.errors import NotSerializable, ParameterError, UnknownClass, UnknownParameter
from dc_torch.skeleton import skeleton
from dc_torch.weights import IMPORTS, Place, describe_weights, locate

PREFIX: Final = "torch/transformers."
"""How the stored names of the models begin."""

_TYPES: Final = """
    albert bart bert biogpt bloom camembert convbert deberta deberta-v2 distilbert electra
    ernie esm fnet gemma gemma2 gpt2 gpt_neox gptj llama longformer mbart megatron-bert
    mistral mobilebert modernbert mpnet nystromformer olmo opt pegasus phi phi3 qwen2 qwen3 rembert
    roberta roberta-prelayernorm roformer squeezebert starcoder2 t5 xlm-roberta xlnet
"""

MODEL_TYPES: Final = frozenset(_TYPES.split())
"""The types of models that load nothing by name, and that predicting does not change."""

ATTENTION: Final = ("eager", "sdpa")
"""The implementations of attention: the model's own code, and PyTorch's."""

_PARAMETERS: Final = frozenset({"config", "attention", "dtype", "frozen"})
_DTYPES: Final = frozenset({"bfloat16", "float16", "float32", "float64"})
_MAPPINGS: Final = frozenset({"id2label", "label2id", "rope_parameters"})
"""The fields that hold a mapping."""

_LEFT_OUT: Final = frozenset({"architectures", "dtype", "transformers_version"})
"""Declared fields that say nothing that the class and the weights do not say."""

_INERT: Final = frozenset(
    {
        *("auto_map", "gradient_checkpointing", "model_type", "task_specific_params"),
        *("tokenizer_class", "torch_dtype", "torchscript"),
    }
)
"""Attributes that configs of checkpoints have and that no constructor here reads."""

_UNDECLARED: Final = frozenset(
    {
        *("attention_head_size", "conv_act", "conv_groups", "conv_kernel_size", "norm_rel_ebd"),
        *("position_buckets", "share_att_key"),  # DeBERTa
        *("bos_token_id", "decoder_start_token_id"),  # T5
    }
)
"""Attributes that models read though their configuration classes do not declare them."""

_MODES: Final = frozenset(
    {"gradient_checkpointing", "name_or_path", "training", "kernel_config", IMPORTS}
)
"""Attributes that say how a module is run, not what it computes."""

_MAX_INTEGER: Final = 1 << 24
_MAX_IDENTIFIER: Final = (1 << 31) - 1
_MAX_REPEATS: Final = 10_000
"""How many layers, or layers of one kind, a config may ask for."""

_REPEATS: Final = ("block", "depth", "group", "layer", "stage")
_BYTES_PER_MODULE: Final = 4096
"""What Python needs for a module, which a config can ask for without naming weights."""


def is_model(module: nn.Module) -> bool:
    """Return whether the class of ``module`` is one of transformers', importing nothing."""
    return type(module).__module__.startswith("transformers.models.")


def describe(model: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and arguments of ``model``, or None if its class has no stored form.

    Raises :class:`NotSerializable`, naming the attribute, if the config would not make this model.
    """
    cls = type(model)
    if _classes().get(cls.__name__) not in MODEL_TYPES or _lookup(cls.__name__) is not cls:
        return None
    shown = f"The {cls.__name__}"
    params: dict[str, Any] = {
        "config": _describe_config(model.config, shown),
        "attention": model.config._attn_implementation,
    }
    if params["attention"] not in ATTENTION:
        raise NotSerializable(
            f"{shown} uses the attention implementation {params['attention']!r}.",
            hint="Use one that every machine has: model.set_attn_implementation('sdpa').",
        )
    parameters = dict(model.named_parameters())
    dtypes = {p.dtype for p in parameters.values() if p.is_floating_point()}
    if len(dtypes) > 1:
        raise NotSerializable(
            f"{shown} has weights of several dtypes.", hint="Convert it to one of them."
        )
    dtype = str(dtypes.pop()).removeprefix("torch.") if dtypes else "float32"
    if dtype != "float32":
        params["dtype"] = dtype
    frozen = [name for name, p in parameters.items() if not p.requires_grad]
    if frozen:
        params["frozen"] = frozen
    try:
        again = skeleton(lambda: build(PREFIX + cls.__name__, params))
    except DCError as error:
        raise NotSerializable(
            f"{shown} cannot be made again from its config: {error.args[0]}",
            hint="Was the config changed after the model was made?",
        ) from error
    _compare(model, again, shown)
    return PREFIX + cls.__name__, params


def build(name: str, params: Mapping[str, Any]) -> nn.Module:
    """Return the model that :func:`describe` described, in evaluation mode.

    It has initial weights, or none where tensors are made on the meta device; buffers that are not
    stored have their values in any case.

    Raises :class:`UnknownClass` for a name outside the closed rule, or if transformers is not
    installed, and :class:`ParameterError` for what is not a plain config.
    """
    given = name.removeprefix(PREFIX)
    if _classes().get(given) not in MODEL_TYPES:
        raise UnknownClass(
            f"dc-torch knows no model {given!r} of transformers.",
            hint="Register a module of your own that makes it: "
            "@dc_core.register_component('<namespace>/<Name>').",
        )
    cls = _lookup(given)
    for parameter in params:
        if parameter not in _PARAMETERS:
            raise UnknownParameter(
                f"{given} is not stored with a parameter {parameter!r}.",
                hint=f"It is stored with {', '.join(sorted(_PARAMETERS))}.",
            )
    attention, dtype = params.get("attention"), params.get("dtype", "float32")
    if attention not in ATTENTION:
        raise ParameterError(f"attention={attention!r} is none of {', '.join(ATTENTION)}.")
    if not isinstance(dtype, str) or dtype not in _DTYPES:
        raise ParameterError(f"dtype={dtype!r} is none of {', '.join(sorted(_DTYPES))}.")
    fields_ = _checked_config(cls.config_class, params.get("config"))

    def make() -> nn.Module:
        config = cls.config_class(**fields_)
        config.dtype = getattr(torch, dtype)
        config._attn_implementation = attention
        made: nn.Module = cls(config)
        return made

    model = _constructed(given, make, getattr(torch, dtype))
    _freeze(model, params.get("frozen", ()))
    return model.eval()


@cache
def _library() -> Any:
    try:
        return import_module("transformers")
    except ImportError as error:
        raise UnknownClass(
            "Models of transformers need the package transformers, which is not installed.",
            hint='Run: pip install "dc-torch[transformers]"',
        ) from error


@cache
def _classes() -> Mapping[str, str]:
    """Return the type of model of each class that transformers itself maps a type to, by name."""
    _library()
    tables = vars(import_module("transformers.models.auto.modeling_auto"))
    return {
        name: model_type
        for table, names in tables.items()
        if table.startswith("MODEL_") and table.endswith("MAPPING_NAMES")
        for model_type, name in names.items()
        if isinstance(name, str) and model_type in MODEL_TYPES
    }


def _lookup(name: str) -> Any:
    try:
        cls = getattr(_library(), name, None)
    except (ImportError, RuntimeError) as error:
        raise UnknownClass(
            f"The model {name!r} of transformers cannot be imported: {str(error).strip()[:200]}",
            hint="Install what it needs.",
        ) from error
    config: Any = getattr(cls, "config_class", None)
    own = isinstance(cls, type) and cls.__module__.startswith("transformers.models.")
    if not own or getattr(config, "model_type", None) != _classes()[name]:
        raise UnknownClass(f"The installed transformers has no model {name!r} of that type.")
    if not is_dataclass(config):
        raise UnknownClass(
            f"The installed transformers does not declare the fields of {config.__name__}.",
            hint='Run: pip install --upgrade "dc-torch[transformers]"',
        )
    return cls


def _declared(config_class: type[Any]) -> frozenset[str]:
    names = {field.name for field in fields(config_class)}
    return frozenset((names | _UNDECLARED) - _LEFT_OUT)


def _describe_config(config: Any, shown: str) -> dict[str, Any]:
    cls = type(config)
    declared, held = _declared(cls), vars(config)
    described = {name: _plain(held[name]) for name in sorted(declared & held.keys())}
    try:
        checked = _checked_config(cls, described)
    except ParameterError as error:
        raise NotSerializable(f"{shown} cannot be stored: {error.args[0]}") from error
    derived = vars(cls(**checked))
    for name, value in held.items():
        left_out = name.startswith("_") or name in declared | _LEFT_OUT | _INERT
        if not left_out and (name not in derived or derived[name] != value):
            raise NotSerializable(
                f"{shown} has {name!r} in its config, which {cls.__name__} does not declare.",
                hint=f"If it changes nothing, remove it: del model.config.{name}.",
            )
    return checked


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    return list(map(_plain, value)) if isinstance(value, list | tuple) else value


def _checked_config(config_class: type[Any], given: Any) -> dict[str, Any]:
    """Return the fields ``given``; raise :class:`ParameterError` for what no config needs."""
    cls = config_class.__name__
    if not isinstance(given, Mapping):
        raise ParameterError(f"The config of a {cls} is stored as a mapping of its fields.")
    for name, value in given.items():
        if name not in _declared(config_class):
            raise UnknownParameter(
                f"{cls} has no field {name!r} that is stored.",
                hint="The file was edited, or the model was stored with another version of "
                "transformers.",
            )
        if isinstance(value, Mapping) and name in _MAPPINGS:
            _check_mapping(value, name, cls)
        else:
            _check_value(value, name, cls)
    return dict(given)


def _check_mapping(value: Mapping[Any, Any], name: str, cls: str) -> None:
    for key, item in value.items():
        if not isinstance(key, str):
            raise ParameterError(f"The field {name!r} of {cls} has a key that is not text.")
        _check_text(key, name, cls)
        if isinstance(item, Mapping) and name == "rope_parameters":  # for each kind of layer
            _check_mapping(item, key, cls)
        else:
            _check_value(item, key if name not in ("id2label", "label2id") else name, cls)


def _check_value(value: Any, name: str, cls: str) -> None:
    """Raise unless ``value`` is plain data, and no number in it asks for too much."""
    if isinstance(value, list | tuple):
        for item in value:
            _check_value(item, name, cls)
    elif isinstance(value, str):
        _check_text(value, name, cls)
    elif type(value) is float and not math.isfinite(value):
        raise ParameterError(f"The field {name!r} of {cls} is not finite.")
    elif type(value) is int and abs(value) > _maximum(name):
        raise ParameterError(f"The field {name!r} of {cls} may be at most {_maximum(name)}.")
    elif value is not None and type(value) not in (bool, int, float):
        raise ParameterError(f"The field {name!r} of {cls} is a {type(value).__name__}.")


def _check_text(text: str, name: str, cls: str) -> None:
    # Some of it is shown, and the library logs to the terminal.
    if not text.isprintable():
        raise ParameterError(f"The field {name!r} of {cls} has text with control characters.")


def _maximum(name: str) -> int:
    """Return how large an integer may be in the field of that name."""
    if name.endswith(("token_id", "token_ids", "theta")):
        return _MAX_IDENTIFIER
    return _MAX_REPEATS if any(part in name for part in _REPEATS) else _MAX_INTEGER


def _constructed(name: str, make: Callable[[], nn.Module], dtype: torch.dtype) -> nn.Module:
    """Return ``make()`` with parameters of ``dtype``, without values on the meta device.

    Its buffers that are not stored are always made for real, because nothing else gives them their
    values. So all of it is, without initialising, which leaves the memory of weights untouched.
    """
    on_meta = torch.empty(0).is_meta
    try:
        with ExitStack() as modes:
            modes.enter_context(_charged_modules())
            if on_meta:
                modes.enter_context(torch.device("cpu"))
                modes.enter_context(_Uninitialised())
            model = make()
    except DCError:
        raise
    except Exception as error:
        # The library checks configs by many exceptions of its own.
        raise ParameterError(
            f"{name} cannot be made from this config: {type(error).__name__}: "
            f"{' '.join(str(error).split())[:200]}",
            hint="Its fields are those of the model's configuration class.",
        ) from error
    with torch.no_grad():
        for places in locate(model).values():
            _set_dtype(places, dtype, on_meta=on_meta)
    return model


def _set_dtype(places: tuple[Place, ...], dtype: torch.dtype, *, on_meta: bool) -> None:
    """Give a weight ``dtype`` if it is of floats, and with ``on_meta`` take away its values."""
    tensor = places[0].tensor
    wanted = dtype if tensor.is_floating_point() else tensor.dtype
    if on_meta:
        empty = torch.empty_like(tensor, dtype=wanted, device="meta")
        if isinstance(tensor, nn.Parameter):
            empty = nn.Parameter(empty, requires_grad=tensor.requires_grad)
        for place in places:
            setattr(place.owner, place.attribute, empty)
    elif wanted != tensor.dtype:
        converted = tensor.to(wanted)
        for place in places:
            place.tensor.data = converted


class _Uninitialised(TorchFunctionMode):
    """Leaves out what writes to a parameter: nothing is drawn, and no memory is touched."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        first = args[0] if args else (kwargs or {}).get("tensor")
        if isinstance(first, nn.Parameter) and (
            getattr(func, "__module__", "") == "torch.nn.init"
            or getattr(func, "__name__", "") in _WRITING
        ):
            return first
        return func(*args, **(kwargs or {}))


_WRITING: Final = frozenset(
    {
        *("add_", "clamp_", "copy_", "div_", "erfinv_", "fill_", "mul_", "normal_", "random_"),
        *("sub_", "uniform_", "zero_"),
    }
)


@contextmanager
def _charged_modules() -> Iterator[None]:
    """Charge every module that this thread makes to the byte budget."""
    thread = threading.get_ident()

    def on_registration(*_: Any) -> None:
        if threading.get_ident() == thread:
            charge(_BYTES_PER_MODULE, "Another layer")

    handle = registration.register_module_module_registration_hook(on_registration)
    try:
        yield
    finally:
        handle.remove()


def _freeze(model: nn.Module, frozen: Any) -> None:
    parameters = dict(model.named_parameters())
    if not isinstance(frozen, list | tuple) or not all(
        isinstance(name, str) and name in parameters for name in frozen
    ):
        raise ParameterError(f"{type(model).__name__} has no such parameters to freeze.")
    for name, parameter in parameters.items():
        parameter.requires_grad_(name not in frozen and parameter.is_floating_point())


def _compare(model: nn.Module, again: nn.Module, shown: str) -> None:
    """Raise :class:`NotSerializable`, naming the difference, if ``again`` is another model."""
    mine, theirs = dict(model.named_modules()), dict(again.named_modules())
    for path in {**mine, **theirs}:
        inner = f"{shown}.{path}" if path else shown
        first, second = mine.get(path), theirs.get(path)
        if first is None or second is None or type(first) is not type(second):
            raise _changed(inner, "its class")
        if any(vars(first)[hooks] for hooks in _HOOKS) or "forward" in vars(first):
            raise _changed(inner, "a hook, or a forward of its own")
        for name in _differing(_plain_attributes(first), _plain_attributes(second)):
            raise _changed(inner, repr(name))
        for name in _differing(first._buffers, second._buffers):
            raise _changed(inner, f"the buffer {name!r}")
    for name in _differing(describe_weights(model), describe_weights(again)):
        raise _changed(shown, f"the weight {name!r}")


_HOOKS: Final = (
    *("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks"),
    "_state_dict_hooks",
)


def _changed(where: str, what: str) -> NotSerializable:
    return NotSerializable(
        f"{where} has {what} changed since it was made, which has no stored form.",
        hint="Undo the change, or write a class of your own that makes it, and register that.",
    )


def _plain_attributes(module: nn.Module) -> dict[str, Any]:
    """Return what a module holds in public attributes that are plain data."""
    return {
        name: value
        for name, value in vars(module).items()
        if not name.startswith("_") and name not in _MODES and _is_plain(value)
    }


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or type(value) in (bool, int, float, str)


def _differing(first: Mapping[str, Any], second: Mapping[str, Any]) -> Collection[str]:
    return [name for name in {**first, **second} if not _equal(first.get(name), second.get(name))]


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) and isinstance(second, Tensor):
        if first.is_meta or second.is_meta:  # a weight, which is compared by its description
            return first.shape == second.shape
        return first.dtype == second.dtype and torch.equal(first.cpu(), second.cpu())
    return type(first) is type(second) and bool(first == second)
