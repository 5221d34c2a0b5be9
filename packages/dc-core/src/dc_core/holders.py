"""The holders of a component's weights, and importing into several of them all or nothing.

There are two kinds of holders: ``native``, an object of a framework whose backend reads its arrays,
and ``fitted``, an attribute of the component itself. Both have the same three methods.

Importing returns the object that has the weights afterwards: the same one, or a new one if the
framework's objects are immutable. A component then takes the new one as its ``native``.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np

from dc_core.dtypes import dtype_name
from dc_core.errors import (
    NotSerializable,
    ParameterError,
    UnknownWeight,
    Unsupported,
    WeightsMismatch,
)
from dc_core.interrupts import uninterrupted
from dc_core.parameters import check_names
from dc_core.plugins import Claimed
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
    ) -> Any:
        """Take ``weights``, all or nothing; ``copy=False`` may keep the arrays themselves.

        Returns the object that has them afterwards.
        """


@dataclass(frozen=True, slots=True)
class NativeObject:
    """The framework's object in a component, with the backend that serves it."""

    component: Any
    claimed: Claimed

    def describe_weights(self) -> dict[str, WeightInfo]:
        """Describe every weight, without copying or allocating any."""
        return self.claimed.describe_weights()

    def export_weights(
        self, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the weights in ``names``, or all of them; ``copy=False`` may share memory."""
        return self.claimed.export_weights(names, copy=copy)

    def import_weights(
        self,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> Any:
        """Take ``weights``, all or nothing, and return the component."""
        self.put(self.claimed.import_weights(weights, allow_missing, copy=copy))
        return self.component

    def put(self, obj: Any) -> None:
        """Make ``obj`` the component's native object.

        Raises :class:`Unsupported` if the component has another one and cannot replace it.
        """
        if obj is not self.component.native:
            self.check_replaceable(obj)
            self.component.native = obj

    def check_replaceable(self, obj: Any) -> None:
        """Raise :class:`Unsupported` if the component cannot take ``obj`` as its native object."""
        owner = type(self.component)
        if getattr(getattr(owner, "native", None), "fset", None) is None:
            raise Unsupported(
                f"{owner.__name__} cannot replace its native object, and a "
                f"{type(obj).__name__} cannot be changed in place.",
                hint="Give the class a setter: @native.setter.",
            )


@dataclass(frozen=True, slots=True)
class FittedAttribute:
    """An attribute of a component that holds one fitted array; its relative name is ``0``.

    Raises :class:`NotSerializable`, naming the attribute, if its value is not an array of numbers.
    """

    component: Any
    attribute: str

    @property
    def value(self) -> np.ndarray | None:
        """The fitted array, C-ordered; None before fitting."""
        value = getattr(self.component, self.attribute, None)
        if value is None:
            return None
        try:
            array = np.asarray(value, order="C")
            dtype_name(array.dtype)
        except (ParameterError, ValueError) as error:
            raise NotSerializable(
                f"{type(self.component).__name__}.{self.attribute} is not an array of numbers: "
                f"{error}",
                hint="Keep everything else in the constructor's arguments.",
            ) from error
        return array

    def describe_weights(self) -> dict[str, WeightInfo]:
        """Describe the array; before fitting there is none."""
        array = self.value
        return {} if array is None else {"0": WeightInfo("", array.shape, array.dtype)}

    def export_weights(
        self, names: Collection[str] | None = None, *, copy: bool = True
    ) -> dict[str, np.ndarray]:
        """Return the array; before fitting there is none."""
        array = self.value
        if array is None or (names is not None and "0" not in names):
            return {}
        return {"0": array.copy() if copy else array}

    def import_weights(
        self,
        weights: Mapping[str, np.ndarray],
        allow_missing: Collection[str] = (),
        *,
        copy: bool = True,
    ) -> Any:
        """Take the array; before fitting, one of any shape and any dtype that weights can have."""
        self.check(weights, allow_missing)
        for array in weights.values():
            setattr(self.component, self.attribute, array.copy() if copy else array)
        return self.component

    def check(self, weights: Mapping[str, np.ndarray], allow_missing: Collection[str]) -> None:
        """Raise :class:`WeightsMismatch` unless :meth:`import_weights` can take ``weights``."""
        table, given = self.describe_weights(), weights.get("0")
        if not table and isinstance(given, np.ndarray):
            try:
                dtype_name(given.dtype)
            except ParameterError as error:
                raise WeightsMismatch(str(error.args[0]), hint=error.hint) from error
            table = {"0": WeightInfo("", given.shape, given.dtype)}
        check_weights(table, weights, allow_missing)


def describe_all(holders: Mapping[str, WeightHolder]) -> dict[str, WeightInfo]:
    """Describe the weights of all holders, under names with the holders' prefixes.

    Raises :class:`ParameterError` if a weight's name would also belong to another holder.
    """
    table: dict[str, WeightInfo] = {}
    natives: set[str] = set()
    for prefix, holder in holders.items():
        for name, relative in holder.describe_weights().items():
            info = relative.within(prefix)
            if _route(holders, prefix + name) != prefix or info.native in natives:
                raise ParameterError(
                    f"Two parts would both name a weight {prefix + name!r} ({info.native!r}).",
                    hint="Give the fitted attribute, the argument or the key another name.",
                )
            natives.add(info.native)
            table[prefix + name] = info
    return table


def divide(holders: Mapping[str, WeightHolder], names: Collection[str]) -> dict[str, list[str]]:
    """Group names by the holder with the longest matching prefix, and remove the prefix.

    Raises :class:`UnknownWeight` for a name that matches no holder.
    """
    divided: dict[str, list[str]] = {prefix: [] for prefix in holders}
    for name in names:
        prefix = _route(holders, name)
        if prefix is None:
            raise UnknownWeight(
                f"There is no weight {name!r}.",
                hint=f"Names begin with {', '.join(map(repr, holders)) or 'nothing: it has none'}.",
                unexpected=[name],
            )
        divided[prefix].append(name[len(prefix) :])
    return divided


def _route(holders: Mapping[str, WeightHolder], name: str) -> str | None:
    """Return the longest of the holders' prefixes that ``name`` begins with, None without one."""
    prefix = name[: name.rfind("/") + 1]
    while prefix not in holders:
        if not prefix:
            return None
        prefix = prefix[: prefix.rfind("/", 0, -1) + 1]
    return prefix


def import_all(
    holders: Mapping[str, WeightHolder],
    weights: Mapping[str, np.ndarray],
    allow_missing: Collection[str],
    *,
    copy: bool,
) -> None:
    """Give every holder its part of ``weights``, all or nothing.

    All names, shapes and dtypes are checked before any holder changes. After that only a
    framework's object can refuse (a contradictory structure), so those come first. If there are
    several and a later one refuses, those that had weights get them back. One that is not fitted
    could not be emptied again, so its part is tried on a copy beforehand. An immutable object is
    replaced, and put back.
    """
    check_names("allow_missing", allow_missing)
    if list(holders) == [""]:
        # A single holder of unprefixed names checks them all itself: small models load sooner.
        holders[""].import_weights(weights, allow_missing, copy=copy)
        return
    tables = {p: holder.describe_weights() for p, holder in holders.items()}
    given = divide(holders, weights)
    absent = frozenset(allow_missing)
    check_weights(
        {p + name: info for p, table in tables.items() for name, info in table.items()},
        {p + name: weights[p + name] for p, names in given.items() if tables[p] for name in names},
        absent,
    )
    parts = {p: {name: weights[p + name] for name in names} for p, names in given.items()}
    allowed = {p: [name for name in tables[p] if p + name in absent] for p in holders}
    attributes = {p: h for p, h in holders.items() if isinstance(h, FittedAttribute)}
    for p, attribute in attributes.items():
        attribute.check(parts[p], allowed[p])
    _check_fitted_together(attributes, tables, parts, absent)

    natives = {p: h for p, h in holders.items() if isinstance(h, NativeObject) and parts[p]}
    filled = [p for p in natives if tables[p]]
    unfitted = [p for p in natives if not tables[p]]
    for p in unfitted[1:]:
        claimed = natives[p].claimed
        rehearsal = replace(claimed, obj=deepcopy(claimed.obj))
        loaded = rehearsal.import_weights(parts[p], copy=False)
        if loaded is not rehearsal.obj:
            natives[p].check_replaceable(loaded)
    former: dict[str, dict[str, np.ndarray]] = {}
    with uninterrupted():
        try:
            for p in (*filled, *unfitted):
                if p in filled and (p != filled[-1] or unfitted):
                    former[p] = natives[p].export_weights()
                natives[p].import_weights(parts[p], allowed[p], copy=copy)
        except BaseException:
            for p, arrays in former.items():
                # An object that was replaced was not changed.
                if natives[p].component.native is natives[p].claimed.obj:
                    natives[p].import_weights(arrays, tables[p])
            for p in natives:
                natives[p].put(natives[p].claimed.obj)
            raise
        for p, attribute in attributes.items():
            attribute.import_weights(parts[p], allowed[p], copy=copy)


def _check_fitted_together(
    attributes: Mapping[str, FittedAttribute],
    tables: Mapping[str, Mapping[str, WeightInfo]],
    parts: Mapping[str, Mapping[str, np.ndarray]],
    allow_missing: Collection[str],
) -> None:
    """Raise :class:`WeightsMismatch` if only some fitted arrays of a component would be set."""
    components: dict[int, dict[str, bool]] = {}
    for prefix, attribute in attributes.items():
        will_be_set = bool(tables[prefix] or parts[prefix])
        components.setdefault(id(attribute.component), {})[f"{prefix}0"] = will_be_set
    for arrays in components.values():
        unset = [name for name, is_set in arrays.items() if not is_set]
        missing = [name for name in unset if name not in allow_missing]
        if missing and len(unset) < len(arrays):
            raise WeightsMismatch(
                f"The weight {missing[0]!r} is missing.",
                hint="A component that is not fitted takes all of its fitted arrays at once.",
                missing=missing,
            )
