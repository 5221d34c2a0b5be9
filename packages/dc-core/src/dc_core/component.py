"""What models, featurizers, transformers and metrics have in common: parameters and weights.

A :class:`Component` remembers its constructor's arguments, holds its fitted state as named arrays,
and nests: an argument may be another component, and its weights are then the composite's too, under
the argument's name. That is all that storing, comparing and rebuilding need.

A component's weights lie with up to three kinds of holder: ``native``, an object of a framework
whose backend knows its arrays; ``fitted``, the component's own attributes; and its nested
components. Each kind answers the same three calls: describe, export, import.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Protocol, Self

import numpy as np

from dc_core import parameters, plugins
from dc_core.errors import NotSerializable, UnknownWeight
from dc_core.weights import WeightInfo, check_weights


class WeightHolder(Protocol):
    """Anything that holds named arrays; the names are relative, ``<layer>/<i>``."""

    def describe_weights(self) -> dict[str, WeightInfo]:
        """Describe every weight, without copying or allocating any."""

    def export_weights(
        self, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the weights in ``names``, or all of them; ``copy=False`` may share memory."""

    def import_weights(
        self,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> None:
        """Take ``weights``, all or nothing; ``copy=False`` may keep the arrays themselves."""


class Component:
    """A part of a model that is stored with it.

    A subclass writes an ordinary constructor and, where it is fitted, names in ``fitted`` the
    attributes that hold its fitted arrays: unset or None before fitting, and all set after.
    """

    fitted: ClassVar[tuple[str, ...]] = ()
    """Names of the attributes that hold this class's own fitted arrays."""

    class_version: ClassVar[int] = 1
    """The version of the class's stored form; raise it with :meth:`upgrade` when that changes."""

    backend: ClassVar[str | None] = None
    """The backend that the class needs: its entry point's name in ``dc.backends.v1``."""

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """Record the constructor's arguments."""
        self = super().__new__(cls)
        object.__setattr__(self, parameters.ATTRIBUTE, parameters.capture(cls, args, kwargs))
        return self

    @classmethod
    def upgrade(
        cls, version: int, params: dict[str, Any]
    ) -> tuple[dict[str, Any], Mapping[str, str]]:
        """Bring what an older ``version`` of the class stored to the present one.

        Returns the constructor's arguments and a map from stored to present weight names (relative
        ones, ``<layer>/<i>``; those that kept their name may be left out).
        """
        return params, {}

    @property
    def native(self) -> Any:
        """The framework's object that holds this component's weights, or None."""
        return None

    def get_parameters(self) -> dict[str, Any]:
        """Return the constructor's arguments by name, with defaults; components as they are."""
        captured = getattr(self, parameters.ATTRIBUTE, None)
        if captured is None:
            raise NotSerializable(
                f"The constructor's arguments of this {type(self).__name__} were not captured.",
                hint="Make it by calling its class.",
            )
        return {name: parameters.snapshot(value) for name, value in captured.items()}

    def children(self) -> dict[str, Component]:
        """Return the nested components by their path in the arguments: ``transformers/0``."""
        captured = getattr(self, parameters.ATTRIBUTE, None) or {}
        return dict(_components("", captured))

    def describe_weights(self) -> dict[str, WeightInfo]:
        """Describe every weight by its relative name, without copying or allocating any."""
        table: dict[str, WeightInfo] = {}
        for path, holder in self._holders().items():
            for name, info in holder.describe_weights().items():
                table[path + name] = info.within(path)
        return table

    def export_weights(
        self, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Return weights by relative name: those in ``names``, or all.

        With ``copy=False`` the arrays may share memory with the model: read them, never write.
        """
        holders = self._holders()
        divided: Mapping[str, Collection[str] | None] = (
            dict.fromkeys(holders) if names is None else _divide(holders, names)
        )
        return {
            path + name: array
            for path, part in divided.items()
            for name, array in holders[path].export_weights(part, copy=copy).items()
        }

    def import_weights(
        self,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> None:
        """Take ``weights`` by relative name, all or nothing.

        Names, shapes and dtypes must be those that the component has; one that is not fitted yet
        takes the complete fitted state. With ``copy=False`` the component may keep the arrays
        themselves, so that a memory-mapped file stays mapped.

        Raises :class:`WeightsMismatch` or :class:`StructureError` and is then unchanged.
        """
        holders = self._holders()
        given, allowed = _divide(holders, weights), _divide(holders, allow_missing)
        taken: list[tuple[WeightHolder, dict[str, np.ndarray]]] = []
        try:
            for path, holder in holders.items():
                before = holder.export_weights() if len(holders) > 1 else {}
                part = {name: weights[path + name] for name in given[path]}
                holder.import_weights(part, allowed[path], copy=copy)
                taken.append((holder, before))
        except Exception:
            for holder, before in taken:
                holder.import_weights(before, holder.describe_weights())
            raise

    def _holders(self) -> dict[str, WeightHolder]:
        """Return the holders of the weights by the prefix of their names."""
        holders: dict[str, WeightHolder] = {f"{path}/": c for path, c in self.children().items()}
        holders |= {f"{name}/": _FittedAttribute(self, name) for name in self.fitted}
        if self.native is not None:
            holders[""] = plugins.claim(self.native)
        return holders


@dataclass(frozen=True, slots=True)
class _FittedAttribute:
    """An attribute of a component that holds one fitted array; its relative name is ``0``."""

    component: Component
    attribute: str

    def describe_weights(self) -> dict[str, WeightInfo]:
        value = getattr(self.component, self.attribute, None)
        if value is None:
            return {}
        array = np.asarray(value)
        return {"0": WeightInfo("", array.shape, array.dtype)}

    def export_weights(
        self, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        value = getattr(self.component, self.attribute, None)
        if value is None or (names is not None and "0" not in names):
            return {}
        return {"0": np.array(value) if copy else np.asarray(value)}

    def import_weights(
        self,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> None:
        table = self.describe_weights()
        if not table and "0" in weights:
            table = {"0": WeightInfo("", weights["0"].shape, weights["0"].dtype)}
        check_weights(table, weights, allow_missing)
        if "0" in weights:
            setattr(self.component, self.attribute, weights["0"].copy() if copy else weights["0"])


def _components(path: str, value: Any) -> Iterator[tuple[str, Component]]:
    if isinstance(value, Component):
        yield path, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _components(f"{path}/{key}" if path else str(key), item)
    elif isinstance(value, list | tuple):
        for i, item in enumerate(value):
            yield from _components(f"{path}/{i}", item)


def _divide(holders: Mapping[str, WeightHolder], names: Collection[str]) -> dict[str, list[str]]:
    """Sort names by the holder whose prefix fits best, and take that prefix off."""
    divided: dict[str, list[str]] = {path: [] for path in holders}
    longest_first = sorted(holders, key=len, reverse=True)
    for name in names:
        path = next((path for path in longest_first if name.startswith(path)), None)
        if path is None:
            raise UnknownWeight(f"There is no weight {name!r} here.", unexpected=[name])
        divided[path].append(name[len(path) :])
    return divided
