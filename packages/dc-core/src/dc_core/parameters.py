"""Constructor arguments: captured when an object is made, and used to make it again.

A subclass author writes an ordinary ``__init__`` and nothing else. The arguments are bound to its
signature with the defaults filled in. Containers and arrays are copied, so that later changes to
them are not recorded. Other components are kept by reference, because a composite fits the very
objects that it was given.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
import os
import sys
from collections.abc import Callable, Collection, Mapping
from copy import copy
from difflib import get_close_matches
from functools import lru_cache, wraps
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from dc_core.calls import misfit, unknown_parameter
from dc_core.display import shorten, value_text
from dc_core.errors import MissingParameter, ParameterError

T = TypeVar("T")

ATTRIBUTE = "_dc_parameters"
"""The attribute of an instance that holds the captured arguments."""

MAX_DEPTH = 100
"""How deeply the containers in an argument may be nested."""

_CONTAINERS = (dict, list, tuple, set, frozenset)


def snapshot(value: Any) -> Any:
    """Copy containers and arrays at every depth; keep all other objects by reference.

    Raises :class:`ParameterError` for containers that are nested too deeply, or hold themselves.
    """
    return replace_leaves(value, lambda leaf: leaf.copy() if isinstance(leaf, np.ndarray) else leaf)


def replace_leaves(value: Any, replace: Callable[[Any], Any], depth: int = MAX_DEPTH) -> Any:
    """Copy nested lists, tuples, sets and dicts, with ``replace(leaf)`` for all that they hold.

    Raises :class:`ParameterError` for containers that are nested too deeply, or hold themselves.
    """
    if not isinstance(value, _CONTAINERS):
        return replace(value)
    if depth == 0:
        raise ParameterError(
            f"An argument is nested more than {MAX_DEPTH} levels deep.",
            hint="Give a flatter one, or an array.",
        )

    def inner(item: Any) -> Any:
        return replace_leaves(item, replace, depth - 1)

    if isinstance(value, dict):
        # Copied first, so that an OrderedDict or a defaultdict stays one.
        copied = copy(value)
        copied.update((key, inner(item)) for key, item in value.items())
        return copied
    if isinstance(value, tuple) and hasattr(value, "_fields"):
        return type(value)(*map(inner, value))
    if type(value) in (list, tuple, set, frozenset):
        return type(value)(map(inner, value))
    return replace(value)


@lru_cache(maxsize=1024)
def signature(cls: type) -> inspect.Signature:
    """Return the signature of ``cls``'s constructor, without ``self``."""
    if cls.__init__ is object.__init__:  # type: ignore[misc]
        return inspect.Signature()
    whole = inspect.signature(cls.__init__)  # type: ignore[misc]
    return whole.replace(parameters=list(whole.parameters.values())[1:])


def capture(cls: type, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """Bind a call of ``cls`` to the names of its parameters, defaults included.

    Raises :class:`UnknownParameter`, :class:`MissingParameter` or :class:`ParameterError` if the
    call does not fit the signature.
    """
    try:
        bound = signature(cls).bind(*args, **kwargs)
    except TypeError as error:
        raise misfit(cls.__name__, signature(cls), kwargs, str(error)) from None
    bound.apply_defaults()
    # A dataclass field with a default factory has a placeholder as its default.
    for field in dataclasses.fields(cls) if dataclasses.is_dataclass(cls) else ():
        if field.init and field.default_factory is not dataclasses.MISSING:
            given = bound.arguments.get(field.name)
            if given is bound.signature.parameters[field.name].default:
                bound.arguments[field.name] = field.default_factory()
    return {name: snapshot(value) for name, value in bound.arguments.items()}


def explain_bare_calls(cls: type) -> None:
    """Let ``cls()`` raise :class:`MissingParameter`, for a class that needs arguments.

    ``__new__`` cannot raise it: copying and unpickling call it without arguments, but they do not
    call ``__init__``.
    """
    original = cls.__init__  # type: ignore[misc]
    if getattr(original, "_dc_explains", None) is cls:
        return

    @wraps(original)
    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:
        if type(self) is cls and not args and not kwargs:
            capture(cls, args, kwargs)
        original(self, *args, **kwargs)

    __init__._dc_explains = cls  # type: ignore[attr-defined]
    cls.__init__ = __init__  # type: ignore[misc]


def given(obj: Any) -> dict[str, Any]:
    """Return the captured arguments of ``obj`` that are not its constructor's defaults.

    Those that ``**`` took are among them by their own names.
    """
    found: dict[str, Any] = {}
    expected = signature(type(obj)).parameters  # type: ignore[arg-type]
    for name, value in (getattr(obj, ATTRIBUTE, None) or {}).items():
        parameter = expected[name]
        if parameter.kind is parameter.VAR_KEYWORD:
            found |= value
        elif value_text(value) != value_text(parameter.default):
            found[name] = value
    return found


class Captured(dict[str, Any]):
    """The captured arguments of an object of a framework.

    They are no part of it: what walks over attributes takes only plain dictionaries for containers,
    and what compares or hashes them takes each object for itself.
    """

    def __hash__(self) -> int:  # type: ignore[override]
        """Return a hash that is that of the object."""
        return id(self)


def captured_by(obj: object) -> dict[str, Any] | None:
    """Return the captured arguments of ``obj``, None if it has none.

    Objects may answer to any name, so what is found has to be arguments.
    """
    found = getattr(obj, ATTRIBUTE, None)
    return found if isinstance(found, dict) else None


def copy_arguments(source: object, target: object) -> None:
    """Let ``target``, which took the place of ``source``, have its captured arguments, if any.

    Frameworks whose objects are immutable make new ones without calling the constructor.
    """
    captured = captured_by(source)
    if captured is not None:
        object.__setattr__(target, ATTRIBUTE, captured)


def capture_constructor(cls: type[T]) -> type[T]:
    """Let a class that is not a ``Component``, like ``torch.nn.Module``, record its arguments."""
    original = cls.__init__

    def __init__(self: Any, /, *args: Any, **kwargs: Any) -> None:
        if type(self) is cls:
            object.__setattr__(self, ATTRIBUTE, Captured(capture(cls, args, kwargs)))
        original(self, *args, **kwargs)

    __init__.__wrapped__ = original  # type: ignore[attr-defined]
    __init__.__doc__ = original.__doc__
    cls.__init__ = __init__  # type: ignore[method-assign, assignment]
    return cls


def construct(cls: type[T], parameters: Mapping[str, Any]) -> T:
    """Make a ``cls`` from captured ``parameters``: the inverse of :func:`capture`.

    Raises :class:`UnknownParameter` or :class:`MissingParameter`, which name the parameter and the
    class, before anything is constructed.
    """
    expected = signature(cls).parameters  # type: ignore[arg-type]
    _check_names_of(cls, parameters)
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


def check_count(name: str, value: object, *, minimum: int, maximum: int | None = None) -> int:
    """Return ``value``, an integer of Python or NumPy, as an int from ``minimum`` to ``maximum``.

    Raises :class:`ParameterError`, with ``name``, for any other value. ``maximum`` is inclusive.
    """
    is_integer = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not is_integer or value < minimum:  # type: ignore[operator]
        raise ParameterError(f"{name}={_shown(value)} must be an integer of at least {minimum}.")
    if maximum is not None and value > maximum:  # type: ignore[operator]
        # The value is not shown: Python refuses to write integers of thousands of digits.
        raise ParameterError(f"{name} must be an integer of at most {maximum}.")
    return int(value)  # type: ignore[call-overload,no-any-return]


def check_flag(name: str, value: object) -> bool:
    """Return ``value``, True or False of Python or NumPy, as a bool.

    Raises :class:`ParameterError`, with ``name``, for any other value.
    """
    if not isinstance(value, bool | np.bool_):
        raise ParameterError(f"{name}={value!r} must be True or False.")
    return bool(value)


def check_names(name: str, value: object) -> None:
    """Raise :class:`ParameterError`, with ``name``, unless ``value`` is a collection of names.

    A str is refused: it would be iterated by character.
    """
    if isinstance(value, str | bytes) or not isinstance(value, Collection):
        raise ParameterError(
            f"{name}={value!r} must be a list of names, or another collection.",
            hint=f"Give a list: {name}=[{value!r}]." if isinstance(value, str) else "",
        )


def check_path(name: str, value: object) -> Path:
    """Return ``value``, a str or a path that is not empty; raises :class:`ParameterError`."""
    if not isinstance(value, str | os.PathLike) or not os.fspath(value):
        raise ParameterError(f"{name}={_shown(value)} must be a path: a str or a pathlib.Path.")
    return Path(value)


def check_choice(name: str, value: object, among: Collection[str]) -> None:
    """Raise :class:`ParameterError`, with ``name``, unless ``value`` is one of ``among``."""
    if not isinstance(value, str) or value not in among:
        raise ParameterError(
            f"{name}={_shown(value)} is not known.",
            hint=f"{guess(value, among)}Use one of {', '.join(map(repr, among))}.",
        )


def guess(given: object, among: Collection[str]) -> str:
    """Return the question whether the most similar one ``among`` them was meant; or nothing."""
    nearest = get_close_matches(given, among, n=1) if isinstance(given, str) else []
    return f"Did you mean {nearest[0]!r}? " if nearest else ""


def check_number(
    name: str,
    value: object,
    *,
    above: float = -math.inf,
    minimum: float = -math.inf,
    below: float = math.inf,
    maximum: float = math.inf,
) -> float:
    """Return ``value``, a finite number of Python or NumPy in the range, as one of Python.

    Raises :class:`ParameterError`, with ``name``, for any other value.
    """
    number = plain(value)
    if (
        isinstance(number, bool)
        or not isinstance(number, int | float)
        or not abs(number) <= sys.float_info.max
        or not (above < number < below and minimum <= number <= maximum)
    ):
        bounds = [
            f"{words} {bound:g}"
            for words, bound in (
                ("greater than", above),
                ("at least", minimum),
                ("less than", below),
                ("at most", maximum),
            )
            if math.isfinite(bound)
        ]
        text = " ".join(["a finite number", " and ".join(bounds)]).strip()
        raise ParameterError(f"{name}={_shown(value)} must be {text}.")
    return number


def check_positive(name: str, value: object) -> None:
    """Raise :class:`ParameterError`, with ``name``, unless ``value`` is positive and finite."""
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if not is_number or not 0 < value <= sys.float_info.max:  # type: ignore[operator]
        raise ParameterError(f"{name}={_shown(value)} must be a positive number.")


def plain(value: Any) -> Any:
    """Return NumPy scalars and 0-d arrays as Python numbers, also within containers.

    Everything else is returned as it is; a mapping comes back as a dict.
    """
    if isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0):
        return value.item()
    if type(value) in (list, tuple):
        return type(value)(map(plain, value))
    if isinstance(value, Mapping):
        return {key: plain(item) for key, item in value.items()}
    return value


def _shown(value: object) -> str:
    try:
        return shorten(repr(value))
    except ValueError:  # Python refuses to write integers of thousands of digits
        return "<a number of thousands of digits>"


def _check_names_of(cls: type, names: Collection[str]) -> None:
    """Raise :class:`UnknownParameter` for a name that is not a parameter of ``cls``."""
    known = list(signature(cls).parameters)
    for name in names:
        if name not in known:
            raise unknown_parameter(cls.__name__, name, known)
