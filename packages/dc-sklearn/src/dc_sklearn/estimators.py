"""The closed table of estimators whose state can be stored, by class name."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from importlib import import_module
from inspect import signature
from typing import Any, Final

from dc_core.errors import NotClaimed, NotSerializable, ParameterError, UnknownClass
from dc_sklearn.families import FAMILIES
from dc_sklearn.schema import Schema
from dc_sklearn.unsupported import REASONS

NAMESPACE: Final = "sklearn"

_DEEPEST: Final = 8

_HOMES: Final[Mapping[str, tuple[str, Schema]]] = {
    path.rpartition(".")[2]: (f"sklearn.{path.rpartition('.')[0]}", schema)
    for family in FAMILIES
    for path, schema in family.items()
}
"""The module that each class is imported from, and its schema, by the class's name."""


def names() -> list[str]:
    """Return the names of the classes in the table that the installed scikit-learn has.

    They are estimators, and the kernels and splitters that are parameters of some. Classes that
    scikit-learn itself hides are left out: they are attributes of others, and never named in files.
    """
    return sorted(name for name in _HOMES if not _is_hidden(name) and _class(name) is not None)


def estimator_class(stored: str) -> type[Any]:
    """Return the class stored as ``sklearn/<ClassName>``; raises :class:`UnknownClass`."""
    namespace, _, name = stored.partition("/")
    known = namespace == NAMESPACE and name in _HOMES and not _is_hidden(name)
    cls = _class(name) if known else None
    if cls is None:
        raise UnknownClass(
            f"No scikit-learn estimator is stored as {stored!r}.",
            hint="Only classes of a closed table are: dc_sklearn.estimators.names() lists them.",
        )
    return cls


def stored_name(estimator: Any) -> str | None:
    """Return the name that ``estimator``'s class is stored under, None where there is none."""
    name = type(estimator).__name__
    return f"{NAMESPACE}/{name}" if _is_known(estimator) and not _is_hidden(name) else None


def schema_of(estimator: Any) -> Schema:
    """Return the schema of ``estimator``'s class.

    Raises :class:`NotSerializable` for a class that is not in the table (a subclass may keep state
    that nobody here knows of), and :class:`NotClaimed` for what is not scikit-learn's at all.
    """
    if not _is_known(estimator):
        cls = type(estimator)
        if not any(base.__module__.partition(".")[0] == NAMESPACE for base in cls.__mro__):
            raise NotClaimed(
                f"{cls.__module__}.{cls.__qualname__} is not a scikit-learn estimator.",
                hint="dc_core.plugins.claim(obj) finds the backend that serves an object.",
            )
        reason = REASONS.get(cls.__name__, "it is not a class of scikit-learn's own")
        raise NotSerializable(
            f"The state of {cls.__module__}.{cls.__qualname__} cannot be stored: {reason}.",
            hint="dc_sklearn.estimators.names() lists the classes that can be stored.",
        )
    return _HOMES[type(estimator).__name__][1]


def _is_known(estimator: Any) -> bool:
    name = type(estimator).__name__
    return name in _HOMES and type(estimator) is _class(name)


def _is_hidden(name: str) -> bool:
    return name.startswith("_")


def check_nesting(estimator: Any) -> None:
    """Raise :class:`ParameterError` for estimators that are nested more than 8 deep.

    scikit-learn asks a pipeline's first step and its last one for their tags; if the two are the
    same, each pipeline around it doubles the time.
    """
    within = [estimator]
    for _ in range(_DEEPEST):
        within = [inner for outer in within for inner in _parameters(outer)]
        if not within:
            return
    raise ParameterError(
        f"{type(estimator).__name__} holds estimators that are nested more than {_DEEPEST} deep.",
        hint="Join pipelines in pipelines into one.",
    )


def _parameters(value: Any) -> Iterator[Any]:
    """Yield the estimators among the parameters of ``value``, also those in lists and tuples."""
    if isinstance(value, list | tuple):
        for item in value:
            yield from [item] if _is_estimator(item) else _parameters(item)
    elif _is_estimator(value):
        yield from _parameters(list(value.get_params(deep=False).values()))


def _is_estimator(value: Any) -> bool:
    return hasattr(value, "get_params") and not isinstance(value, type)


def constructed(estimator: Any) -> frozenset[str]:
    """Return the names of the attributes that the constructor of ``estimator``'s class sets."""
    return _constructed(type(estimator).__name__)


@cache
def _constructed(name: str) -> frozenset[str]:
    cls: Any = _class(name)
    required = {
        name: None
        for name, parameter in signature(cls).parameters.items()
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL
    }
    return frozenset(vars(cls(**required)))


@cache
def _class(name: str) -> type[Any] | None:
    """Return the class of that name in the table, None where this scikit-learn lacks it."""
    return getattr(import_module(_HOMES[name][0]), name, None)
