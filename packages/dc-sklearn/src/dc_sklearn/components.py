"""Estimators as components: a stored name and the constructor's arguments, and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from dc_core.errors import NotSerializable, UnknownParameter
from dc_sklearn.estimators import estimator_class, stored_name


def describe(estimator: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return ``("sklearn/<ClassName>", params)``, or None for what is not in the closed table.

    Nested estimators stay objects among the params. Raises :class:`NotSerializable` where a
    parameter is a function or a random-number generator, naming it.
    """
    name = stored_name(estimator)
    if name is None:
        return None
    params = estimator.get_params(deep=False)
    for parameter, value in params.items():
        _check(f"{type(estimator).__name__}({parameter}=…)", value)
    return name, params


def build(name: str, params: Mapping[str, Any]) -> Any:
    """Return the estimator stored under ``name``, not fitted.

    Raises :class:`UnknownClass` for a name outside the closed table and :class:`UnknownParameter`.
    """
    cls = estimator_class(name)
    known = cls._get_param_names()
    for parameter in params:
        if parameter not in known:
            raise UnknownParameter(
                f"{cls.__name__} takes no parameter {parameter!r}.",
                hint=f"It takes: {', '.join(known) or 'none'}.",
            )
    return cls(**params)


def _check(where: str, value: Any) -> None:
    if isinstance(value, np.random.RandomState | np.random.Generator):
        raise NotSerializable(
            f"{where} is a random-number generator, which has no stored form.",
            hint="Give an integer seed, or None.",
        )
    if isinstance(value, list | tuple):
        for item in value:
            _check(where, item)
    elif isinstance(value, dict):
        for item in value.values():
            _check(where, item)
    elif callable(value) and not hasattr(value, "get_params"):
        raise NotSerializable(
            f"{where} is {value!r}: code has no stored form.",
            hint="Use an option that scikit-learn names by a string.",
        )
