"""Fields for estimators that are held by another: one, or a list of them.

The file never says which class a nested estimator has. The estimator that holds it knows: from its
own parameters, by a function that returns the prototype, which is not fitted.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from dc_core.errors import NotSerializable, StructureError
from dc_sklearn import values
from dc_sklearn.schema import Restoring, State, Storing
from dc_sklearn.slots import Reader, Slots


@dataclass(frozen=True, slots=True)
class Nested:
    """An attribute that holds a fitted estimator, or None or a string in its place.

    ``prototype(owner, state)`` returns the estimator it is to become, None where there can be none.
    ``read_by(owner)`` is the path of the attribute that the owner reads of it, if a parameter says.
    """

    prototype: Callable[[Any, State], Any]
    words: tuple[str, ...] = ()
    read_by: Callable[[Any], str] = lambda owner: ""

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the nested estimator."""
        if value is None or isinstance(value, str):
            yield from values.encode(path, value)
            return
        _check_kind(path, value, self.prototype(storing.owner, vars(storing.owner)))
        yield from storing.nested(value, path)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> Any:
        """Return the nested estimator; it is fitted when the import is committed."""
        if {"none", "str"} & reader.below(path):
            word = values.decode(reader, path)
            if word is not None and word not in self.words:
                raise StructureError(f"{path!r} is {word!r}; it needs one of {self.words}.")
            return word
        prototype = self.prototype(restoring.owner, restoring.state)
        if prototype is None:
            raise StructureError(f"{path!r} is given, and its owner's parameters allow none there.")
        state = restoring.nested(prototype, reader, path, restoring.commits)
        read = self.read_by(restoring.owner).partition(".")[0]
        known = read in state or read in vars(prototype) or hasattr(type(prototype), read)
        if read and not known:
            raise StructureError(
                f"{type(restoring.owner).__name__} reads {read!r} of {path!r}, a "
                f"{type(prototype).__name__}, which has no such attribute."
            )
        return prototype


@dataclass(frozen=True, slots=True)
class NestedList:
    """An attribute that holds a list of fitted estimators.

    ``prototypes(owner, n)`` returns the estimators they are to become: n, or as many as the owner's
    parameters call for. ``list/0`` is their number, and they lie at ``<i>``.
    """

    prototypes: Callable[[Any, int], Sequence[Any]]

    def encode(self, path: str, value: Any, storing: Storing) -> Slots:
        """Yield the slots of the estimators."""
        prototypes = self.prototypes(storing.owner, len(value))
        if len(prototypes) != len(value):
            raise NotSerializable(
                f"{path.replace('/', '.')!r} holds {len(value)} estimators; the parameters call "
                f"for {len(prototypes)}.",
                hint="Do not change the parameters of an estimator that is fitted.",
            )
        yield f"{path}/list/0", values.count(len(value))
        for i, (item, prototype) in enumerate(zip(value, prototypes, strict=True)):
            yield from self.encode_item(f"{path}/{i}", item, prototype, storing)

    def decode(self, reader: Reader, path: str, restoring: Restoring) -> list[Any]:
        """Return the estimators; they are fitted when the import is committed."""
        length = reader.take_length(f"{path}/list/0")
        prototypes = list(self.prototypes(restoring.owner, length))
        if len(prototypes) != length:
            raise StructureError(
                f"{path!r} holds {length} estimators; the parameters call for {len(prototypes)}."
            )
        return [
            self.decode_item(reader, f"{path}/{i}", prototype, restoring)
            for i, prototype in enumerate(prototypes)
        ]

    def encode_item(self, path: str, item: Any, prototype: Any, storing: Storing) -> Slots:
        """Yield the slots of one estimator; subclasses may allow others than the prototype."""
        _check_kind(path, item, prototype)
        return storing.nested(item, path)

    def decode_item(self, reader: Reader, path: str, prototype: Any, restoring: Restoring) -> Any:
        """Return one estimator."""
        restoring.nested(prototype, reader, path, restoring.commits)
        return prototype


def _check_kind(path: str, value: Any, prototype: Any) -> None:
    if type(value) is not type(prototype):
        raise NotSerializable(
            f"The attribute {path.replace('/', '.')!r} is a {type(value).__name__}; loading would "
            f"expect a {type(prototype).__name__}.",
            hint="Do not change the parameters of an estimator that is fitted.",
        )
