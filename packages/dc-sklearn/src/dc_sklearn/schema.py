"""What an estimator's fitted state consists of: one schema per class of the closed table.

Most attributes are plain values and follow one rule, so a schema only names what has to be there,
what is private, and what is more than a value: trees, nested estimators, things made again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from dc_sklearn import values
from dc_sklearn.slots import Reader, Slots

State = dict[str, Any]
"""Fitted attributes by name."""


@dataclass(frozen=True, slots=True)
class Storing:
    """An export under way: the estimator, and the walk for those nested in it."""

    owner: Any
    nested: Callable[[Any, str], Slots]
    """Yields the slots of a nested estimator: ``nested(estimator, path)``."""
    sizes: dict[str, int] = field(default_factory=dict)
    """The sizes of the estimator's arrays that are known so far; see :mod:`dc_sklearn.kinds`."""


@dataclass(frozen=True, slots=True)
class Restoring:
    """An import under way: the estimator, what is known of its new state, what to set at the end.

    Nothing is set before everything has been read and checked, so that an error changes nothing.
    """

    owner: Any
    state: State
    commits: list[tuple[Any, State]]
    nested: Callable[[Any, Reader, str, list[tuple[Any, State]]], State]
    """Restores a nested estimator: ``nested(estimator, reader, path, commits)``."""
    sizes: dict[str, int] = field(default_factory=dict)
    """The sizes of the estimator's arrays that are known so far; see :mod:`dc_sklearn.kinds`."""


class Field(Protocol):
    """An attribute's way into named arrays and back."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the attribute's ``value``."""

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the attribute's value, checked."""


class Plain:
    """An attribute that is a plain value; see :mod:`dc_sklearn.values`."""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of ``value``."""
        return values.encode(path, value)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the value at ``path``."""
        return values.decode(reader, path)


def _nothing(owner: Any, state: State) -> State:
    return {}


def _no_check(owner: Any, state: State) -> None:
    return None


def _no_parts(owner: Any) -> Mapping[str, Any]:
    return {}


def _adopt_none(owner: Any, parts: Mapping[str, Any]) -> State:
    return {}


@dataclass(frozen=True)
class Schema:
    """The fitted state of one class.

    Besides what is named here, every public fitted attribute (its name ends with ``_``) that is a
    plain value is stored too; anything else that ``fit`` left on the estimator is an error at save.
    """

    required: tuple[str, ...] = ()
    """Attributes that every fitted estimator of the class has; they are read in this order."""
    optional: tuple[str, ...] = ()
    """Private attributes that may be there."""
    fields: Mapping[str, Field] = field(default_factory=dict)
    """Attributes that are no plain values."""
    closed: bool = False
    """Whether every attribute is declared; otherwise any that is public may be there."""
    training: frozenset[str] = frozenset()
    """Attributes that only further fitting reads: they are not stored."""
    rebuilt: frozenset[str] = frozenset()
    """Attributes that :attr:`rebuild` makes again: they are not stored."""
    rebuild: Callable[[Any, State], State] = _nothing
    """Returns the ``rebuilt`` attributes, from the estimator and its checked state."""
    check: Callable[[Any, State], None] = _no_check
    """Raises :class:`StructureError` where the state contradicts itself."""
    parts: Callable[[Any], Mapping[str, Any]] = _no_parts
    """Returns the nested estimators that ``fit`` fits in place, by name."""
    adopt: Callable[[Any, Mapping[str, Any]], State] = _adopt_none
    """Returns the attributes that hold ``parts`` if ``fit`` sets others in their place."""


def schema(
    required: Mapping[str, Field] | str = "",
    optional: Mapping[str, Field] | str = "",
    *,
    training: str = "",
    rebuilt: str = "",
    fields: Mapping[str, Field] | None = None,
    **rest: Any,
) -> Schema:
    """Return a schema of attributes with their fields; the other names are given as words."""
    given: dict[str, Field] = dict(fields or {})
    for attributes in (required, optional):
        if not isinstance(attributes, str):
            given |= attributes
    return Schema(
        tuple(required.split() if isinstance(required, str) else required),
        tuple(optional.split() if isinstance(optional, str) else optional),
        fields=given,
        closed=not isinstance(required, str) or not isinstance(optional, str),
        training=frozenset(training.split()),
        rebuilt=frozenset(rebuilt.split()),
        **rest,
    )
