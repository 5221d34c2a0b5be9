"""What an estimator's fitted state consists of: one schema per class of the closed table.

A schema gives every attribute a field: a kind of plain value (:mod:`dc_sklearn.kinds`), trees, a
nested estimator. What can be derived from other attributes is not stored but rebuilt.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import sklearn

from dc_sklearn.slots import Reader, Slots


def _minor(version: str) -> tuple[int, ...]:
    """Return the major and the minor number of a version of scikit-learn."""
    return tuple(map(int, version.split(".")[:2]))


_INSTALLED: Final = _minor(sklearn.__version__)

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

    Every attribute that ``fit`` may leave on the estimator is named here. Any other is an error,
    at save and at load.
    """

    required: Mapping[str, Field] = field(default_factory=dict)
    """The attributes that every fitted estimator of the class has; they are read in this order."""
    optional: Mapping[str, Field] = field(default_factory=dict)
    """Attributes that may be there; they are read after the required ones."""
    training: frozenset[str] = frozenset()
    """Attributes that only further fitting reads: they are not stored."""
    rebuilt: frozenset[str] = frozenset()
    """Attributes that :attr:`rebuild` makes again: they are not stored."""
    rebuild: Callable[[Any, State], State] = _nothing
    """Returns the ``rebuilt`` attributes, from the estimator and its checked state."""
    derived: Mapping[str, Callable[[Any, State], Any]] = field(default_factory=dict)
    """Attributes that are functions of the estimator and its other attributes.

    They are not stored, but computed at load; at save they have to be what would be computed.
    """
    mirrored: Mapping[str, str] = field(default_factory=dict)
    """Attributes that a nested estimator has too, which another attribute holds: name → holder."""
    check: Callable[[Any, State], None] = _no_check
    """Raises :class:`StructureError` where the state contradicts itself."""
    parts: Callable[[Any], Mapping[str, Any]] = _no_parts
    """Returns the nested estimators that ``fit`` fits in place, by name."""
    adopt: Callable[[Any, Mapping[str, Any]], State] = _adopt_none
    """Returns the attributes that hold ``parts`` if ``fit`` sets others in their place."""


def schema(
    required: Mapping[str, Field] | None = None,
    optional: Mapping[str, Field] | None = None,
    *,
    since: Mapping[str, Mapping[str, Field]] | None = None,
    training: str = "",
    rebuilt: str = "",
    **rest: Any,
) -> Schema:
    """Return a schema; the attributes that are not stored are given as words.

    ``since`` holds, by the version of scikit-learn that first sets and reads them, attributes that
    are required with that version or a later one, and optional before.
    """
    needed, allowed = dict(required or {}), dict(optional or {})
    for version, attributes in (since or {}).items():
        (needed if _minor(version) <= _INSTALLED else allowed).update(attributes)
    return Schema(
        needed,
        allowed,
        training=frozenset(training.split()),
        rebuilt=frozenset(rebuilt.split()),
        **rest,
    )
