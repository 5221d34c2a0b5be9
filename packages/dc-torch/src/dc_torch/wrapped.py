"""Modules that run another one, compiled or on several devices: what they wrap is what is stored.

``torch.compile(net)`` names the weights ``_orig_mod.…``, ``nn.DataParallel(net)`` and
``DistributedDataParallel(net)`` name them ``module.…``. These prefixes say how a module is run.
Weights are stored and found under the names that they have in ``net``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import NamedTuple

from torch import Tensor, nn


class Named(NamedTuple):
    """A submodule, its path without wrappers, and its path in the module's state dict."""

    path: str
    full_path: str
    module: nn.Module


def unwrapped(module: nn.Module) -> nn.Module:
    """Return the module that ``module`` runs, or ``module`` itself if it is not a wrapper."""
    while (name := _inner_name(module)) is not None:
        module = module._modules[name]  # type: ignore[assignment]
    return module


def named_tensors(module: nn.Module) -> dict[str, Tensor]:
    """Return the parameters and buffers of ``module``, non-persistent ones included.

    Those of a wrapper have the names that they have in what it wraps.
    """
    inner = unwrapped(module)
    return {**dict(inner.named_parameters()), **dict(inner.named_buffers())}


def named_modules(module: nn.Module) -> Iterator[Named]:
    """Yield every submodule in the order of the state dict, once for each of its paths.

    Wrappers are left out: they have no weights of their own.
    """
    return _named(module, "", "")


def _named(module: nn.Module, path: str, full_path: str) -> Iterator[Named]:
    while (name := _inner_name(module)) is not None:
        module, full_path = module._modules[name], _join(full_path, name)  # type: ignore[assignment]
    yield Named(path, full_path, module)
    for name, child in module._modules.items():
        if child is not None:
            inner = _join(path, name)
            same = path == full_path
            yield from _named(child, inner, inner if same else _join(full_path, name))


def _inner_name(module: nn.Module) -> str | None:
    """Return the attribute in which a wrapper holds its module, None if it is not a wrapper."""
    if isinstance(module, nn.DataParallel | nn.parallel.DistributedDataParallel):
        return "module"
    # Importing the compiler takes seconds. Where it is not imported, nothing is compiled.
    compiler = sys.modules.get("torch._dynamo.eval_frame")
    compiled = compiler is not None and isinstance(module, compiler.OptimizedModule)
    return "_orig_mod" if compiled else None


def _join(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
