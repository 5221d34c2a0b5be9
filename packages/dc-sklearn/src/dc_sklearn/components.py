"""Estimators as components: a stored name and the constructor's arguments, and back."""

from __future__ import annotations

from collections.abc import Mapping
from inspect import signature
from numbers import Integral, Real
from typing import Any, Final

import numpy as np
from sklearn.utils._param_validation import (
    Interval,
    make_constraint,
    validate_parameter_constraints,
)

from dc_core import construct
from dc_core.errors import DCError, NotSerializable, ParameterError
from dc_sklearn import arguments
from dc_sklearn.estimators import check_nesting, estimator_class, schema_of, stored_name
from dc_sklearn.patterns import fault_of

_LIMITS: Final[Mapping[str, int]] = {
    "degree": 2**31 - 1,
    "max_iter": 1_000_000,
    "n_jobs": 256,
    "n_estimators": 1_000_000,
}
"""The largest values of parameters that bound work and threads, or that native code takes."""

_CLASS_LIMITS: Final[Mapping[str, Mapping[str, int]]] = {
    "NMF": {"max_iter": 10_000},
    "PolynomialFeatures": {"degree": 1_000},
}
"""The largest values of parameters by which classes iterate when they transform."""

_VERBOSE: Final = "verbose"
_PATTERN: Final = "token_pattern"


def describe(estimator: Any) -> tuple[str, Mapping[str, Any]] | None:
    """Return ``("sklearn/<ClassName>", params)``, or None for what is not in the closed table.

    Nested estimators stay objects among the params. ``verbose`` is not stored: whether to print is
    up to the program that uses the estimator. Raises :class:`NotSerializable` where a
    parameter is a function of the caller's, naming it.
    """
    name = stored_name(estimator)
    if name is None:
        return None
    check_nesting(estimator)
    params = {
        n: arguments.stored(n, value)
        for n, value in _parameters(estimator).items()
        if n != _VERBOSE
    }
    if params.get("memory") is not None:
        raise NotSerializable(
            f"{type(estimator).__name__}(memory=…) names a cache of this machine.",
            hint="Fit it with memory=None: a cache on disk is written and read with pickle.",
        )
    for parameter, value in params.items():
        _check(f"{type(estimator).__name__}({parameter}=…)", value)
    if params.get(_PATTERN) is not None and (fault := fault_of(params[_PATTERN])):
        raise NotSerializable(
            f"{type(estimator).__name__}({_PATTERN}={params[_PATTERN]!r}) {fault}.",
            hint="Use a simpler one: a search for it may take for ever.",
        )
    return name, params


def build(name: str, params: Mapping[str, Any]) -> Any:
    """Return the estimator stored under ``name``, not fitted.

    Raises :class:`UnknownClass` for a name outside the closed table, :class:`UnknownParameter`,
    :class:`MissingParameter`, and :class:`ParameterError` where nested parameters have no sense.
    """
    cls = estimator_class(name)
    _check_cost(cls, params)
    check_nesting(list(params.values()))
    known = signature(cls).parameters
    given = {
        n: arguments.restored(n, v) for n, v in params.items() if n != _VERBOSE or n not in known
    }
    try:
        estimator = construct(cls, given)
        _validate(estimator)
        schema_of(estimator).parts(estimator)
        if hasattr(estimator, "get_params"):
            estimator.get_params()
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        if isinstance(error, DCError):
            raise
        raise ParameterError(
            f"{cls.__name__} cannot be made of these parameters: {error}.",
            hint=f"Its parameters are described at {cls.__module__}.{cls.__name__}.",
        ) from error
    return estimator


def _check_cost(cls: type[Any], params: Mapping[str, Any]) -> None:
    """Refuse what a file must not make an estimator do: use a cache on disk, or iterate forever."""
    if params.get("memory") is not None:
        raise ParameterError(
            f"{cls.__name__}(memory=…) is refused: such a cache runs pickles from the disk.",
            hint="Set it on the loaded estimator, if the directory is your own.",
        )
    if params.get(_PATTERN) is not None and (fault := fault_of(params[_PATTERN])):
        raise ParameterError(
            f"{cls.__name__}({_PATTERN}=…) is refused: it {fault}.",
            hint="Set it on the loaded estimator.",
        )
    for name, limit in {**_LIMITS, **_CLASS_LIMITS.get(cls.__name__, {})}.items():
        given: Any = params.get(name)
        for value in given if isinstance(given, list | tuple) else [given]:
            if isinstance(value, Real) and not -limit <= value <= limit:  # type: ignore[operator]
                raise ParameterError(
                    f"{cls.__name__}({name}={given!r}) is refused: a stored model may ask for at "
                    f"most {limit}.",
                    hint="Set it on the loaded estimator.",
                )


def _validate(estimator: Any) -> None:
    """Check the parameters by scikit-learn's own constraints, as ``fit`` does; prediction does not.

    Raises :class:`TypeError` or :class:`ValueError`.
    """
    constraints = getattr(estimator, "_parameter_constraints", None)
    params = _parameters(estimator)
    if constraints is not None:
        # The constraints know NumPy's types, which are stored as dtypes.
        given = {n: v.type if isinstance(v, np.dtype) else v for n, v in params.items()}
        validate_parameter_constraints(constraints, given, type(estimator).__name__)
        for name, value in given.items():
            if isinstance(value, bool | np.bool_) and _is_counted(constraints.get(name), value):
                raise ValueError(f"{name}={value!r} has to be a number")
    n_jobs = params.get("n_jobs")  # compositions, such as FeatureUnion, have no constraints
    if n_jobs is not None and (isinstance(n_jobs, bool) or not isinstance(n_jobs, Integral)):
        raise ValueError(f"n_jobs={n_jobs!r} is not a number of threads")
    if params.get("dtype") is not None and np.dtype(params["dtype"]).kind not in "biufO":
        raise ValueError(f"dtype={params['dtype']!r} is not a type of numbers")
    for name in ("_validate_steps", "_validate_transformers"):
        if hasattr(estimator, name):
            getattr(estimator, name)()


def _is_counted(constraints: Any, flag: bool | np.bool_) -> bool:
    """Tell whether a Boolean is accepted only because Python takes it for an integer."""
    if not isinstance(constraints, list):
        return False
    accepting = [c for c in map(make_constraint, constraints) if c.is_satisfied_by(flag)]
    return bool(accepting) and all(isinstance(c, Interval) for c in accepting)


def _parameters(estimator: Any) -> Mapping[str, Any]:
    """Return the arguments of the constructor; those of a splitter are its attributes."""
    if hasattr(estimator, "get_params"):
        params: Mapping[str, Any] = estimator.get_params(deep=False)
        return params
    repeated = getattr(estimator, "cvargs", {})
    return {
        name: repeated[name] if name in repeated else getattr(estimator, name)
        for name in signature(type(estimator)).parameters
    }


def _check(where: str, value: Any) -> None:
    if isinstance(value, np.random.Generator):
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
    elif callable(value) and not hasattr(value, "get_params") and stored_name(value) is None:
        raise NotSerializable(
            f"{where} is {value!r}: code has no stored form.",
            hint="Use an option that scikit-learn names by a string, or a function of NumPy's or "
            "SciPy's that dc_sklearn.arguments lists.",
        )
