"""Constructor arguments: captured when an object is made, and used to make it again.

A subclass author writes an ordinary ``__init__`` and nothing else. The arguments are bound to its
signature with the defaults filled in. Plain containers and arrays are copied, so that nothing the
constructor does to them later is recorded; other components are kept by reference, because a
composite goes on to fit the very objects it was given.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Collection, Mapping
from copy import copy
from functools import lru_cache
from typing import Any, TypeVar

import numpy as np

from dc_core.errors import MissingParameter, ParameterError, UnknownParameter

T = TypeVar("T")

ATTRIBUTE = "_dc_parameters"
"""Where the captured arguments are kept on an instance."""


def snapshot(value: Any) -> Any:
    """Copy containers and arrays, all the way down; keep every other object by reference."""
    if isinstance(value, np.ndarray):
        return value.copy()
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(snapshot, value))
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(snapshot, value))
    if isinstance(value, dict):
        # Copied first, so that an OrderedDict or a defaultdict stays one.
        twin = copy(value)
        twin.update((key, snapshot(item)) for key, item in value.items())
        return twin
    return value


@lru_cache(maxsize=1024)
def signature(cls: type) -> inspect.Signature:
    """Return the signature of ``cls``'s constructor, without ``self``."""
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return inspect.Signature()
    whole = inspect.signature(cls.__init__)  # type: ignore[misc]
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def capture(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any] | None:
    """Bind a call of ``cls`` to its parameters' names, defaults included.

    Returns None when the call does not fit the signature: the constructor is about to say so.
    """
    try:
        bound = signature(cls).bind(*args, **kwargs)
    except TypeError:
        return None
    bound.apply_defaults()
    # A dataclass field with a default factory has a placeholder as its default.
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if field.init and field.default_factory is not dataclasses.MISSING:
            given = bound.arguments.get(field.name)
            if given is bound.signature.parameters[field.name].default:
                bound.arguments[field.name] = field.default_factory()
    return {name: snapshot(value) for name, value in bound.arguments.items()}


def capture_constructor(cls: type[T]) -> type[T]:
    """Make a class that is no ``Component``, like a ``torch.nn.Module``, record its arguments."""
    original = cls.__init__

    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:
        if type(self) is cls:
            object.__setattr__(self, ATTRIBUTE, capture(cls, args, kwargs))
        original(self, *args, **kwargs)

    __init__.__wrapped__ = original  # type: ignore[attr-defined]
    __init__.__doc__ = original.__doc__
    cls.__init__ = __init__  # type: ignore[method-assign, assignment]
    return cls


def construct(cls: type[T], parameters: Mapping[str, Any]) -> T:
    """Make a ``cls`` from captured ``parameters``, the inverse of :func:`capture`.

    Raises :class:`UnknownParameter` and :class:`MissingParameter`, naming the parameter and the
    class, before anything is constructed.
    """
    expected = signature(cls).parameters  # type: ignore[arg-type]
    unknown = [name for name in parameters if name not in expected]
    if unknown:
        raise UnknownParameter(
            f"{cls.__name__} takes no parameter {unknown[0]!r}.",
            hint=f"It takes: {', '.join(expected) or 'none'}.",
        )
    positional = any(p.kind is p.VAR_POSITIONAL for p in expected.values())
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    for name, parameter in expected.items():
        if parameter.kind is parameter.VAR_POSITIONAL:
            args.extend(parameters.get(name, ()))
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(parameters.get(name, {}))
            continue
        value = parameters.get(name, parameter.default)
        if value is parameter.empty:
            raise MissingParameter(
                f"{cls.__name__} needs the parameter {name!r}, which was not given.",
                hint="The stored model is incomplete, or of another version of the class.",
            )
        by_position = positional and parameter.kind is not parameter.KEYWORD_ONLY
        if by_position or parameter.kind is parameter.POSITIONAL_ONLY:
            args.append(value)
        else:
            kwargs[name] = value
    return cls(*args, **kwargs)


def check_count(name: str, value: object, *, minimum: int, maximum: int | None = None) -> None:
    """Raise :class:`ParameterError` unless ``name``'s ``value`` is an int of at least ``minimum``.

    ``maximum`` is inclusive.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < minimum:
        raise ParameterError(f"{name}={value!r} has to be an integer (int) of at least {minimum}.")
    if maximum is not None and value > maximum:
        # Not shown: Python writes no integer of more than some thousand digits.
        raise ParameterError(f"{name} has to be an integer (int) of at most {maximum}.")


def check_flag(name: str, value: object) -> None:
    """Raise :class:`ParameterError` unless ``name``'s ``value`` is a bool."""
    if not isinstance(value, bool):
        raise ParameterError(f"{name}={value!r} has to be True or False (bool).")


def check_names(name: str, value: object) -> None:
    """Raise :class:`ParameterError` unless ``name``'s ``value`` is a collection, and no text.

    A text is a collection of its letters, which are not the names that were meant.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Collection):
        raise ParameterError(
            f"{name}={value!r} has to be a list of names, or another collection.",
            hint=f"Give a list: {name}=[{value!r}]." if isinstance(value, str) else "",
        )
