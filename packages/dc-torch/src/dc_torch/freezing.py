"""Freeze parameters and buffers while a module is trained, by patterns of their names."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from fnmatch import fnmatchcase

from torch import nn

from dc_core.errors import ParameterError


def matching(module: nn.Module, pattern: str) -> list[str]:
    """Return the names of the parameters and buffers of ``module`` that match ``pattern``.

    A tied parameter has several names. Raises :class:`ParameterError` if there is none.
    """
    names = [
        *(name for name, _ in module.named_parameters(remove_duplicate=False)),
        *(name for name, _ in module.named_buffers(remove_duplicate=False)),
    ]
    found = [name for name in names if fnmatchcase(name, pattern)]
    if not found:
        nearest = get_close_matches(pattern, names, n=1, cutoff=0.0)
        guess = f", such as {nearest[0]!r}" if nearest else ""
        raise ParameterError(
            f"No parameter or buffer of the {type(module).__name__} has a name like {pattern!r}.",
            hint=f"The names are those of its state dict{guess}.",
        )
    return found


@contextmanager
def frozen(module: nn.Module, names: Collection[str]) -> Iterator[None]:
    """Record no gradients of the parameters among ``names``, and keep the buffers as they are.

    The submodules that own these buffers are in evaluation mode: a batch norm then uses its
    statistics and does not update them.
    """
    parameters = [
        parameter
        for name, parameter in module.named_parameters(remove_duplicate=False)
        if name in names and parameter.requires_grad
    ]
    owners = [
        part
        for path, part in module.named_modules()
        if part.training and any(name in names for name in _within(path, part._buffers))
    ]
    try:
        for parameter in parameters:
            parameter.requires_grad_(False)
        for part in owners:
            part.training = False
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
        for part in owners:
            part.training = True


def _within(path: str, names: Iterable[str]) -> Iterator[str]:
    return (f"{path}.{name}" if path else name for name in names)
