"""Make a component anew from another seed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, TypeVar

from sklearn.base import BaseEstimator, clone

from dc_core import Component, construct

C = TypeVar("C", bound=Component)

_NAMES: Final = ("seed", "random_state")


def with_seed(component: C, seed: int) -> C:
    """Return a new component that is not fitted, like ``component`` but for its seeds.

    Each parameter ``seed`` or ``random_state`` is ``seed``: the component's own, those of
    components among its arguments, and those of estimators of scikit-learn.

    Raises :class:`NotSerializable` if a part cannot be made anew.
    """
    made: C = _seeded(component.unfitted(), seed)
    return made


def has_seed(component: Component) -> bool:
    """Tell whether the component, or one among its arguments, has a parameter for a seed."""
    return any(
        name in _NAMES or (isinstance(value, Component) and has_seed(value))
        for name, value in component.get_parameters().items()
    )


def _seeded(value: Any, seed: int) -> Any:
    if isinstance(value, Component):
        return construct(type(value), _seeded(value.get_parameters(), seed))
    if isinstance(value, Mapping):
        return {
            name: seed if name in _NAMES else _seeded(item, seed) for name, item in value.items()
        }
    if type(value) in (list, tuple):
        return type(value)(_seeded(item, seed) for item in value)
    if isinstance(value, BaseEstimator):
        found = [name for name in value.get_params() if name.rpartition("__")[2] == "random_state"]
        return clone(value).set_params(**dict.fromkeys(found, seed))
    return value
