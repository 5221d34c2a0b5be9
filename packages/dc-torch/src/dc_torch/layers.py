"""torch.nn's own layers as components: a name from a closed table and constructor arguments.

Torch does not keep a constructor's arguments, but its layers keep them as attributes. They are
trusted only if they make an equal layer again: :func:`describe` rebuilds the layer on the meta
device and compares everything but the weights' values. A hook, an attribute that was added, a
``forward`` that was replaced: whatever the arguments do not give is refused by name.

The containers hold their layers as arguments, so registered modules can be among them.
"""

from __future__ import annotations

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from dc_core import DCError, Model, construct, registry
from dc_core.errors import NotSerializable, ParameterError, UnknownClass, UnknownParameter
from dc_torch.skeleton import skeleton
from dc_torch.weights import IMPORTS, locate, memory_of
from dc_torch.wrapped import unwrapped

PREFIX: Final = "torch/"
"""How the stored names of layers begin."""

CONTAINERS: Final[Mapping[str, type[Any]]] = {
    "ModuleDict": nn.ModuleDict,
    "ModuleList": nn.ModuleList,
    "Sequential": nn.Sequential,
}
"""The containers by name."""

_NAMES: Final = """
    Linear Bilinear Identity Embedding EmbeddingBag Flatten Unflatten
    Conv1d Conv2d Conv3d ConvTranspose1d ConvTranspose2d ConvTranspose3d Fold Unfold
    MaxPool1d MaxPool2d MaxPool3d AvgPool1d AvgPool2d AvgPool3d LPPool1d LPPool2d LPPool3d
    AdaptiveMaxPool1d AdaptiveMaxPool2d AdaptiveMaxPool3d
    AdaptiveAvgPool1d AdaptiveAvgPool2d AdaptiveAvgPool3d
    BatchNorm1d BatchNorm2d BatchNorm3d InstanceNorm1d InstanceNorm2d InstanceNorm3d
    LayerNorm GroupNorm RMSNorm LocalResponseNorm CrossMapLRN2d
    Dropout Dropout1d Dropout2d Dropout3d AlphaDropout FeatureAlphaDropout
    ReLU ReLU6 LeakyReLU PReLU RReLU ELU SELU CELU GELU GLU SiLU Mish Hardswish Hardsigmoid
    Hardtanh Hardshrink Softshrink Tanhshrink Softplus Softsign Sigmoid LogSigmoid Tanh Threshold
    Softmax Softmin LogSoftmax Softmax2d
    ConstantPad1d ConstantPad2d ConstantPad3d ZeroPad1d ZeroPad2d ZeroPad3d
    ReflectionPad1d ReflectionPad2d ReflectionPad3d CircularPad1d CircularPad2d CircularPad3d
    ReplicationPad1d ReplicationPad2d ReplicationPad3d
    PixelShuffle PixelUnshuffle ChannelShuffle Upsample UpsamplingNearest2d UpsamplingBilinear2d
    RNN LSTM GRU RNNCell LSTMCell GRUCell
    MultiheadAttention TransformerEncoderLayer TransformerDecoderLayer
"""

LAYERS: Final[Mapping[str, type[Any]]] = {name: getattr(nn, name) for name in _NAMES.split()}
"""The layers by name. Losses, lazy layers, containers of parameters and layers that copy other
layers (``TransformerEncoder``) are left out."""

_RECURRENT: Final = (
    *("input_size", "hidden_size", "num_layers", "bias", "batch_first", "dropout"),
    "bidirectional",
)
_KEYWORDS: Final[Mapping[type[Any], tuple[str, ...]]] = {
    nn.RNN: (*_RECURRENT, "nonlinearity"),
    nn.LSTM: (*_RECURRENT, "proj_size"),
    nn.GRU: _RECURRENT,
}
"""The parameters of constructors whose signatures do not name them."""

_NORMS: Final = (nn.modules.batchnorm._NormBase, nn.GroupNorm)
_MAX_LAYERS: Final = 1000
_MAX_INTEGER: Final = (1 << 31) - 1
_MAX_EXTENTS: Final = {"1d": 4096, "2d": 256, "3d": 32}
_MAX_SIZES: Final = {"1d": 4096, "2d": 1024, "3d": 128}
_MAX_SCALE: Final = 32
"""How far a layer may enlarge its output without any weight; a file could ask for terabytes."""

_MODES: Final = frozenset(
    {
        "training",
        "_compile_kwargs",  # which Lightning adds, once it is imported, to what is compiled
        "_compiled_call_impl",
        "_is_full_backward_hook",
        "_is_torch_compile",
        IMPORTS,
    }
)
"""Attributes that say how a module is run, not what it computes."""

_TENSORS: Final = frozenset({"_parameters", "_buffers", "_modules", "_flat_weights"})
_REFERENCES: Final = frozenset({"_flat_weight_refs"})
_ACTIVATIONS: Final[Mapping[Any, str]] = {functional.relu: "relu", functional.gelu: "gelu"}
_ABSENT: Final = object()


def describe(module: nn.Module) -> tuple[str, Mapping[str, Any]] | None:
    """Return the stored name and arguments of ``module``, or None if its class has no stored form.

    A container has none if a module in it has none. A wrapper, such as a compiled module, is stored
    as what it wraps.

    Raises :class:`NotSerializable`, naming the attribute, if the constructor would not make this
    module from the arguments.
    """
    inner = unwrapped(module)
    if inner is not module:
        found = registry.describe(inner)
        return None if found is None else (found.name, found.params)
    name = type(module).__name__
    if _is_container(module) and _has_stored_form(module):
        return PREFIX + name, _describe_container(module)
    if _is_layer(module):
        return PREFIX + name, _describe_layer(module, f"The {name}")
    return None


def build(name: str, params: Mapping[str, Any]) -> nn.Module:
    """Return the module that :func:`describe` described, with initial weights.

    Raises :class:`UnknownClass` for a name outside the closed table, and :class:`ParameterError`
    for arguments that are not plain data or that the constructor refuses.
    """
    if name in registry.components.names():  # what a wrapper was described as
        made: nn.Module = construct(registry.components.lookup(name), params)
        return made
    cls = {**LAYERS, **CONTAINERS}.get(name.removeprefix(PREFIX))
    if cls is None or not name.startswith(PREFIX):
        raise UnknownClass(
            f"dc-torch has no layer {name!r}.",
            hint="Register the module's class: @dc_core.register_component('<namespace>/<Name>').",
        )
    if name.removeprefix(PREFIX) in CONTAINERS:
        return _build_container(cls, params)
    given = dict(params)
    frozen = given.pop("frozen", ())
    layer = _make(cls, given)
    parameters = dict(layer.named_parameters())
    if not isinstance(frozen, list | tuple) or not all(part in parameters for part in frozen):
        raise ParameterError(f"{cls.__name__} has no parameters {frozen!r} to freeze.")
    for part in frozen:
        parameters[part].requires_grad_(False)
    return layer


def check_storable(model: Model) -> None:
    """Raise :class:`NotSerializable` if a module among the arguments of ``model`` cannot be stored.

    The error names the module by its path, and says why.
    """
    for module in modules_in(model.get_parameters()):
        _check_storable(module, "")
    model.describe_weights()


def _check_storable(wrapped: nn.Module, path: str) -> None:
    module = unwrapped(wrapped)
    shown = f"The {type(module).__name__}" + (f" {path!r}" if path else "")
    if _is_container(module):
        _describe_container(module)
        for name, child in module.named_children():
            _check_storable(child, f"{path}.{name}" if path else name)
    elif _is_layer(module):
        _describe_layer(module, shown)
    else:
        described = registry.describe(module)
        if described is None:
            raise NotSerializable(
                f"{shown} is of a class that is not registered.",
                hint="Register it: @dc_core.register_component('<namespace>/<Name>').",
            )
        for argument in modules_in(described.params):
            _check_storable(argument, "")


def _is_container(module: nn.Module) -> bool:
    return type(module) in CONTAINERS.values()


def _is_layer(module: nn.Module) -> bool:
    return type(module) in LAYERS.values()


def _has_stored_form(wrapped: nn.Module) -> bool:
    module = unwrapped(wrapped)
    if _is_container(module):
        return all(map(_has_stored_form, module.children()))
    return _is_layer(module) or registry.describe(module) is not None


def modules_in(value: Any) -> Iterator[nn.Module]:
    """Yield the modules in a constructor's argument, those in containers included."""
    if isinstance(value, nn.Module):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from modules_in(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from modules_in(item)


def _describe_container(container: nn.Module) -> dict[str, Any]:
    shown = f"The {type(container).__name__}"
    children: dict[str, nn.Module] = {}
    for name, child in container._modules.items():
        if child is None:
            raise NotSerializable(f"{shown} holds None as {name!r}.", hint="Remove it.")
        children[name] = child
    uses = Counter(
        memory
        for child in children.values()
        for memory in {memory_of(p.tensor) for places in locate(child).values() for p in places}
    )
    if any(count > 1 for count in (*uses.values(), *Counter(map(id, children.values())).values())):
        raise NotSerializable(
            f"{shown} holds layers that share weights, and its arguments do not say so.",
            hint="Share them in the constructor of a class of your own, and register that.",
        )
    numbered = list(children) == [str(i) for i in range(len(children))]
    as_list = numbered and not isinstance(container, nn.ModuleDict)
    params = {"modules": list(children.values()) if as_list else children}
    _compare(container, _build_container(type(container), params), shown)
    return params


def _build_container(cls: type[Any], params: Mapping[str, Any]) -> nn.Module:
    modules = params.get("modules")
    named = modules
    if isinstance(modules, list) and cls is not nn.ModuleDict:
        named = {str(i): module for i, module in enumerate(modules)}
    elif cls is nn.ModuleList:
        named = None
    if (
        params.keys() != {"modules"}
        or not isinstance(named, dict)
        or not all(isinstance(name, str) for name in named)
        or not all(isinstance(module, nn.Module) for module in named.values())
    ):
        raise ParameterError(f"A {cls.__name__} is made of modules, and nothing else.")
    container: nn.Module = cls()
    for name, module in named.items():
        try:
            container.add_module(name, module)
        except KeyError as error:
            raise ParameterError(f"No module can have the name {name!r}: {error}.") from error
    return container


def _describe_layer(layer: nn.Module, shown: str) -> dict[str, Any]:
    cls = type(layer)
    params = {name: _plain(_argument(layer, name), name, shown) for name in _parameters(cls)}
    if isinstance(layer, _NORMS) and params.get("bias") is True:
        del params["bias"]  # torch 2.4 has no such parameter
    tensors = [*layer.parameters(), *layer.buffers()]
    dtypes = {t.dtype for t in tensors if t.is_floating_point() or t.is_complex()}
    if len(dtypes) > 1:
        raise NotSerializable(
            f"{shown} has weights of several dtypes.", hint="Convert it to one of them."
        )
    if dtypes:
        params["dtype"] = str(dtypes.pop()).removeprefix("torch.")
    try:
        again = skeleton(lambda: _make(cls, params))
    except DCError as error:
        raise NotSerializable(
            f"{shown} cannot be made again from its attributes: {error.args[0]}",
            hint="Were they changed after it was made?",
        ) from error
    _compare(layer, again, shown)
    frozen = [name for name, p in layer.named_parameters() if not p.requires_grad]
    return {**params, "frozen": frozen} if frozen else params


def _make(cls: type[Any], params: Mapping[str, Any]) -> nn.Module:
    known = (*_parameters(cls), "dtype")
    for name, value in params.items():
        if name not in known:
            raise UnknownParameter(
                f"{cls.__name__} takes no parameter {name!r}.", hint=f"It takes {', '.join(known)}."
            )
        _check_argument(cls, name, value)
    given = dict(params)
    if "dtype" in given:
        given["dtype"] = vars(torch).get(str(given["dtype"]))
        if not isinstance(given["dtype"], torch.dtype):
            raise ParameterError(f"dtype={params['dtype']!r} is not a torch dtype.")
    make: Callable[..., nn.Module] = cls
    try:
        return make(**given)
    except DCError:
        raise
    except (
        ArithmeticError,
        AssertionError,
        AttributeError,
        LookupError,
        RuntimeError,
        TypeError,
        ValueError,
    ) as error:
        raise ParameterError(
            f"{cls.__name__} cannot be made of these arguments: {type(error).__name__}: "
            f"{str(error)[:200]}",
            hint=f"They are those of torch.nn.{cls.__name__}.",
        ) from error


def _parameters(cls: type[Any]) -> tuple[str, ...]:
    """Return the names of the constructor's parameters that say what a layer is."""
    if cls in _KEYWORDS:
        return _KEYWORDS[cls]
    named = inspect.signature(cls.__init__).parameters.values()
    left_out = {"self", "device", "dtype", "min_value", "max_value"}
    return tuple(
        p.name
        for p in named
        if p.kind not in (p.VAR_POSITIONAL, p.VAR_KEYWORD)
        and p.name not in left_out
        and not p.name.startswith("_")
    )


def _argument(layer: Any, name: str) -> Any:
    """Return the constructor's argument ``name`` as far as the layer's attributes tell."""
    if isinstance(layer, nn.TransformerEncoderLayer | nn.TransformerDecoderLayer):
        return _transformer_argument(layer, name)
    if isinstance(layer, nn.MultiheadAttention) and name == "bias":
        return layer.in_proj_bias is not None
    if isinstance(layer, nn.MultiheadAttention) and name == "add_bias_kv":
        return layer.bias_k is not None
    value = getattr(layer, name, _ABSENT)
    if name == "bias" and not isinstance(value, bool):
        # Without weights a norm does not tell; then it does not matter.
        return value is not None or getattr(layer, "weight", None) is None
    return value


def _transformer_argument(layer: Any, name: str) -> Any:
    if name == "activation":
        return _ACTIVATIONS.get(layer.activation, layer.activation)
    return {
        "d_model": layer.self_attn.embed_dim,
        "nhead": layer.self_attn.num_heads,
        "dim_feedforward": layer.linear1.out_features,
        "dropout": layer.dropout.p,
        "layer_norm_eps": layer.norm1.eps,
        "batch_first": layer.self_attn.batch_first,
        "norm_first": layer.norm_first,
        "bias": layer.linear1.bias is not None,
    }[name]


def _plain(value: Any, name: str, shown: str) -> Any:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, list | tuple):
        items = [_plain(item, name, shown) for item in value]
        return items if isinstance(value, list) else tuple(items)
    if value is not None and type(value) not in (bool, int, float, str):
        raise NotSerializable(
            f"{shown} has no plain value for its argument {name!r}.",
            hint="Put it into a module of your own, and register its class.",
        )
    return value


def _check_argument(cls: type[Any], name: str, value: Any) -> None:
    """Raise :class:`ParameterError` unless ``value`` is plain data of a possible size."""
    if isinstance(value, list | tuple):
        for item in value:
            _check_argument(cls, name, item)
        return
    if value is not None and type(value) not in (bool, int, float, str):
        raise ParameterError(f"{cls.__name__}({name}=…) is a {type(value).__name__}.")
    maximum = _maximum(cls.__name__, name)
    if isinstance(value, int | float) and abs(value) > maximum:
        raise ParameterError(f"{cls.__name__}({name}=…) may be at most {maximum}.")


def _maximum(layer: str, parameter: str) -> int:
    """Return how large a number may be as that parameter of a layer."""
    axes = layer[-2:]
    if parameter in ("dilation", "output_padding", "padding") or (
        parameter == "stride" and "Conv" in layer
    ):
        return _MAX_EXTENTS.get(axes, _MAX_EXTENTS["2d"])
    if parameter in ("output_size", "size"):
        return _MAX_SIZES.get(axes, _MAX_SIZES["2d"])
    if parameter in ("scale_factor", "upscale_factor"):
        return _MAX_SCALE
    return _MAX_LAYERS if parameter == "num_layers" else _MAX_INTEGER


def _compare(module: nn.Module, again: nn.Module, shown: str) -> None:
    """Raise :class:`NotSerializable`, naming the attribute, if ``again`` is another module."""
    for (path, mine), (_, theirs) in zip(
        module.named_modules(), again.named_modules(), strict=False
    ):
        inner = f"{shown}.{path}" if path else shown
        if type(mine) is not type(theirs):
            raise NotSerializable(f"{inner} is a {type(mine).__name__}: it was replaced.")
        if mine is theirs:
            continue
        first, second = _attributes(mine), _attributes(theirs)
        for name in {**first, **second}:
            if not _equal(first.get(name, _ABSENT), second.get(name, _ABSENT)):
                raise NotSerializable(
                    f"{inner} has {name!r} changed since it was made, which has no stored form.",
                    hint="Undo the change (remove hooks, parametrizations and added attributes), "
                    "or write a class of your own and register it.",
                )


def _attributes(module: nn.Module) -> dict[str, Any]:
    """Return all that a module holds but its modes and the values of its tensors."""
    own = vars(module)
    kept = {n: v for n, v in own.items() if n not in _MODES | _TENSORS | _REFERENCES}
    for group in ("_parameters", "_buffers"):
        for name, tensor in own[group].items():
            kept[name] = None if tensor is None else (group, tuple(tensor.shape), tensor.dtype)
    kept["_modules"] = list(own["_modules"])
    return kept


def _equal(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor) or isinstance(second, Tensor):
        return first is second
    if isinstance(first, np.generic):
        first = first.item()
    return type(first) is type(second) and bool(first == second)
