"""Give a model other random seeds, wherever among its arguments they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final, TypeVar

import numpy as np
from sklearn.base import BaseEstimator, clone

from dc_core import Component, Estimator, Featurizer, Transformer, construct
from dc_core.errors import ParameterError

E = TypeVar("E", bound=Estimator)
C = TypeVar("C", bound=Component)

_NAMES: Final = ("seed", "random_state")
"""The names of parameters that are seeds."""

_LIMIT: Final = 2**31
"""Every library takes seeds below it."""


def reseeded(model: E, seed: int | np.random.SeedSequence, *, required: bool = True) -> E:
    """Return a model that is not fitted, with random seeds that are drawn from ``seed``.

    Seeds are the parameters ``seed`` and ``random_state`` of the model and of the models in its
    arguments, those of scikit-learn's estimators included. Featurizers and transformers keep
    theirs, so that models of different seeds learn from equal features.

    Raises :class:`ParameterError` if the model has no seed and one is ``required``.
    """
    rng = np.random.default_rng(seed)
    seeds = _Seeds(lambda: int(rng.integers(_LIMIT)))
    made: E = seeds.of("", model.unfitted())
    if required and not seeds.count:
        raise ParameterError(
            f"{model.call_text()} has no seed that could be varied.",
            hint="Choose a model with a parameter seed or random_state, or vary the training rows.",
        )
    return made


def with_seed(component: C, seed: int) -> C:
    """Return a component that is not fitted, and all of whose random seeds are ``seed``.

    Seeds are found as in :func:`reseeded`; there may be none.
    """
    made: C = _Seeds(lambda: seed).of("", component.unfitted())
    return made


def has_seed(component: Component) -> bool:
    """Tell whether there is a seed that :func:`with_seed` would set."""
    seeds = _Seeds(int)
    seeds.of("", component.unfitted())
    return seeds.count > 0


class _Seeds:
    """Gives arguments new seeds, which come from ``make``, and counts them."""

    def __init__(self, make: Callable[[], int]) -> None:
        self.make = make
        self.count = 0

    def draw(self) -> int:
        self.count += 1
        return self.make()

    def of(self, name: str, value: Any) -> Any:
        """Return the argument ``value`` of that name with new seeds."""
        if name in _NAMES and (value is None or _is_integer(value)):
            return self.draw()
        if isinstance(value, Featurizer | Transformer):
            return value
        if isinstance(value, Component):
            given = value.get_parameters()
            return construct(type(value), {key: self.of(key, item) for key, item in given.items()})
        if isinstance(value, BaseEstimator):
            names = sorted(name for name in value.get_params() if _last(name) in _NAMES)
            return clone(value).set_params(**{name: self.draw() for name in names})
        if isinstance(value, Mapping):
            return {key: self.of(key, item) for key, item in value.items()}
        if type(value) in (list, tuple):
            return type(value)(self.of("", item) for item in value)
        return value


def _last(name: str) -> str:
    return name.rpartition("__")[2]


def _is_integer(value: Any) -> bool:
    return isinstance(value, int | np.integer) and not isinstance(value, bool)
