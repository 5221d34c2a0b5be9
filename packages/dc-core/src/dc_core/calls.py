"""Calls that do not fit a signature: typed errors that name the nearest parameter.

Python raises a ``TypeError`` for such a call before any line of the function runs. Only then is the
call compared with the signature, so that calls which fit cost nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import wraps
from typing import Any, Final, TypeVar

from dc_core.errors import MissingParameter, ParameterError, UnknownParameter

F = TypeVar("F", bound=Callable[..., Any])

_LIKENESS: Final = 0.65
"""How similar a name must be to a parameter's, from 0 to 1, to be taken for it."""


def explained(function: F) -> F:
    """Return ``function``, with typed errors for calls that do not fit its signature.

    They are :class:`UnknownParameter`, :class:`MissingParameter` and :class:`ParameterError`.
    """

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TypeError:
            fault = _fault_of(function, args, kwargs)
            if fault is None:
                raise
        raise fault

    return call  # type: ignore[return-value]


def misfit(
    name: str, signature: inspect.Signature, kwargs: Mapping[str, Any], reason: str
) -> ParameterError:
    """Return the error for a call of ``name`` that does not fit ``signature``.

    ``signature`` is without ``self``; ``reason`` is what ``Signature.bind`` says.
    """
    variable = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    parameters = signature.parameters.values()
    known = [p.name for p in parameters if p.kind not in variable]
    if not any(p.kind is p.VAR_KEYWORD for p in parameters):
        for given in kwargs:
            if given not in known:
                return unknown_parameter(name, given, known)
    kind = MissingParameter if "missing" in reason else ParameterError
    return kind(
        f"{name} cannot be called with these arguments: {reason}.",
        hint=f"Its parameters are: {', '.join(signature.parameters) or 'none'}.",
    )


def unknown_parameter(name: str, given: object, known: list[str]) -> UnknownParameter:
    """Return the error for an argument ``given`` that is not among the ``known`` of ``name``."""
    nearest = get_close_matches(str(given), known, n=1, cutoff=_LIKENESS)
    guess = f"Did you mean {nearest[0]!r}? " if nearest else ""
    return UnknownParameter(
        f"{name} has no parameter {given!r}.",
        hint=f"{guess}Its parameters are: {', '.join(known) or 'none'}.",
    )


def _fault_of(
    function: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]
) -> ParameterError | None:
    """Return the error for a call that does not fit; None if it fits."""
    signature = inspect.signature(function)
    try:
        signature.bind(*args, **kwargs)
    except TypeError as error:
        name = function.__name__
        if next(iter(signature.parameters), "") in ("self", "cls") and args:
            owner = args[0] if isinstance(args[0], type) else type(args[0])
            name = owner.__name__ if name == "__init__" else f"{owner.__name__}.{name}"
            others = list(signature.parameters.values())[1:]
            signature = signature.replace(parameters=others)
        return misfit(name, signature, kwargs, str(error))
    return None
