"""Laws on objects that are stored by name and constructor arguments."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from dc_core import plugins
from dc_core.errors import ParameterError, UnknownClass
from dc_core.testing.backend.subject import BackendSubject, expect_same_prediction
from dc_core.testing.bits import same_bits
from dc_core.testing.suite import LawBroken, law, skip

_HOSTILE: Final = ("no_such_parameter", "__class__", "__init__", "self", "args", "kwargs", "")
"""Parameter names that a file may hold and that no constructor has."""

_WRONG: Final[tuple[object, ...]] = (
    None,
    True,
    -1,
    2**70,
    float("nan"),
    "no such option",
    b"",
    [[]],
    {"a": 1},
)
"""Values that a file may hold, of every type that it can express."""


class ComponentLaws(BackendSubject):
    """Laws on objects that are stored by name and constructor arguments."""

    @law(since="0.1")
    def test_components_are_rebuilt_from_their_description(self) -> None:
        """An object built from another's description and given its weights equals the other."""
        obj, served = self.make(0), plugins.backend(self.backend)
        described = name, params = self._described(obj)
        if not name.startswith(f"{self.backend}/"):
            raise LawBroken(
                f"Its stored name is {name!r}.", hint=f"Stored names begin with '{self.backend}/'."
            )
        built = served.build_component(name, params)
        if type(built) is not type(obj):
            raise LawBroken(
                f"A {type(obj).__name__} was built as a {type(built).__name__}.",
                hint="dc_build_component is the inverse of dc_describe_component.",
            )
        if not _equal(served.describe_component(built), described):
            raise LawBroken(
                f"{described} was built as {served.describe_component(built)}.",
                hint="dc_build_component is the inverse of dc_describe_component.",
            )
        built = self.load(built, self.export(obj))
        hint = "Arguments and weights together must determine the object."
        expect_same_prediction(self.predict(obj), self.predict(built), "Built and loaded", hint)

    @law(since="0.1")
    def test_unknown_component_names_are_refused(self) -> None:
        """A component name outside the closed set raises UnknownClass."""
        served = plugins.backend(self.backend)
        if "components" not in served.info().capabilities:
            skip("the backend declares no components")
        for name in (
            f"{self.backend}/NoSuchClass",
            f"{self.backend}/os.system",
            f"{self.backend}/__class__",
            "builtins/eval",
            "os.system",
            "../x",
            "",
        ):
            try:
                served.build_component(name, {})
            except UnknownClass:
                continue
            raise LawBroken(
                f"{name!r} was built.",
                hint="Look names up in a closed table: they come from files that anyone can write.",
            )

    @law(since="0.1")
    def test_unknown_parameters_are_refused(self) -> None:
        """A parameter that the constructor does not have raises ParameterError."""
        name, params = self._described(self.make(0))
        for unknown in _HOSTILE:
            try:
                plugins.backend(self.backend).build_component(name, {**params, unknown: 1})
            except ParameterError:
                continue
            raise LawBroken(
                f"The parameter {unknown!r} was accepted.",
                hint="Build with dc_core.construct, which knows the constructor's parameters.",
            )

    @law(since="0.1")
    def test_parameters_of_wrong_types_raise_only_parameter_error(self) -> None:
        """A parameter value of any type is accepted, or refused with ParameterError."""
        obj = self.make(0)
        name, params = self._described(obj)
        for parameter in params:
            for value in _WRONG:
                changed = {**params, parameter: value}
                try:
                    built = plugins.backend(self.backend).build_component(name, changed)
                except ParameterError:
                    continue
                except Exception as error:
                    raise LawBroken(
                        f"{parameter}={value!r} raised {type(error).__name__} ({error}).",
                        hint="Raise ParameterError for a value that the constructor cannot use.",
                    ) from error
                if type(built) is not type(obj):
                    raise LawBroken(
                        f"{parameter}={value!r} made a {type(built).__name__}.",
                        hint="Only the name decides on the class.",
                    )

    def _described(self, obj: object) -> tuple[str, Mapping[str, Any]]:
        described = plugins.backend(self.backend).describe_component(obj)
        if described is None:
            skip("objects like make(0) have no stored name")
        return described


def _equal(one: object, other: object) -> bool:
    """Tell whether two descriptions are equal, and the arrays in them bit for bit."""
    if isinstance(one, np.ndarray) and isinstance(other, np.ndarray):
        return same_bits(one, other)
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return one.keys() == other.keys() and all(_equal(one[key], other[key]) for key in one)
    if isinstance(one, list | tuple) and type(one) is type(other):
        return len(one) == len(other) and all(map(_equal, one, other))
    both_nan = one != one and other != other
    return both_nan or bool(one == other)
